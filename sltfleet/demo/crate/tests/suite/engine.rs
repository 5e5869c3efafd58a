//! SQLite as the database under test, with values rendered the way sqllogictest compares them.
//!
//! The rules are those of sqllogictest's own SQLite driver (src/slt_sqlite.c, `sqliteQuery`): the type letter of
//! the query record decides, not the type of the value.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection};
use sqllogictest::{DBOutput, DefaultColumnType, DB};

/// The column types of the query that is about to run. The runner hands SQL text to the engine and nothing else,
/// so what the record says about its columns reaches the engine on this side channel.
#[derive(Clone, Default)]
pub struct ExpectedTypes(Arc<Mutex<Vec<DefaultColumnType>>>);

impl ExpectedTypes {
    pub fn set(&self, types: &[DefaultColumnType]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = types.to_vec();
    }

    fn get(&self) -> Vec<DefaultColumnType> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One in-memory database.
pub struct Sqlite {
    connection: Connection,
    expected: ExpectedTypes,
}

impl Sqlite {
    pub fn open(expected: ExpectedTypes) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            connection: Connection::open_in_memory()?,
            expected,
        })
    }
}

impl DB for Sqlite {
    type Error = rusqlite::Error;
    type ColumnType = DefaultColumnType;

    /// Runs all statements of `sql`; the rows are those of the last one that has columns.
    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, rusqlite::Error> {
        let expected = self.expected.get();
        let changes_before = self.connection.total_changes();
        let mut output = None;
        let mut batch = Batch::new(&self.connection, sql);
        while let Some(mut statement) = batch.next()? {
            let columns = statement.column_count();
            let types: Vec<DefaultColumnType> = (0..columns)
                .map(|column| expected.get(column).cloned().unwrap_or(DefaultColumnType::Any))
                .collect();
            let mut values = Vec::new();
            let mut rows = statement.raw_query();
            // Every row is fetched even where nobody looks at them: an error may come with the last one.
            while let Some(row) = rows.next()? {
                let mut texts = Vec::with_capacity(columns);
                for (column, column_type) in types.iter().enumerate() {
                    texts.push(rendered(row.get_ref(column)?, column_type));
                }
                values.push(texts);
            }
            if columns > 0 {
                output = Some(DBOutput::Rows { types, rows: values });
            }
        }
        if let Some(rows) = output {
            return Ok(rows);
        }
        // `changes` keeps the count of an earlier statement when this one changes nothing (CREATE TABLE).
        let changed = self.connection.total_changes() != changes_before;
        Ok(DBOutput::StatementComplete(if changed {
            self.connection.changes()
        } else {
            0
        }))
    }

    fn engine_name(&self) -> &str {
        "sqlite"
    }
}

fn rendered(value: ValueRef<'_>, column_type: &DefaultColumnType) -> String {
    match (value, column_type) {
        (ValueRef::Null, _) => "NULL".to_owned(),
        (value, DefaultColumnType::Integer) => as_integer(value).to_string(),
        (value, DefaultColumnType::FloatingPoint) => {
            // Rust writes -0.0004 as "-0.000", as C does.
            format!("{:.3}", as_real(value))
        }
        (ValueRef::Integer(number), _) => number.to_string(),
        (ValueRef::Real(number), _) => format!("{number:?}"),
        (ValueRef::Text(bytes) | ValueRef::Blob(bytes), _) => printable(bytes),
    }
}

/// The text of a value, always one visible line: empty text has a name, and what cannot be printed is `@`.
fn printable(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "(empty)".to_owned();
    }
    bytes
        .iter()
        .map(|&byte| {
            if (b' '..=b'~').contains(&byte) {
                char::from(byte)
            } else {
                '@'
            }
        })
        .collect()
}

fn as_integer(value: ValueRef<'_>) -> i64 {
    match value {
        ValueRef::Null => 0,
        ValueRef::Integer(number) => number,
        // `as` saturates, as SQLite does when it converts.
        ValueRef::Real(number) => number as i64,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let digits = leading(bytes, |text| text.parse::<i64>().is_ok());
            digits.parse().unwrap_or(0)
        }
    }
}

fn as_real(value: ValueRef<'_>) -> f64 {
    match value {
        ValueRef::Null => 0.0,
        ValueRef::Integer(number) => number as f64,
        ValueRef::Real(number) => number,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            // Rust would also take "inf" and "nan" for numbers.
            let digits = leading(bytes, |text| {
                text.bytes()
                    .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
                    && text.parse::<f64>().is_ok()
            });
            digits.parse().unwrap_or(0.0)
        }
    }
}

/// The longest start of the text that `is_number` accepts: SQLite reads `12abc` as 12 and `abc` as 0.
fn leading(bytes: &[u8], is_number: impl Fn(&str) -> bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start();
    text.char_indices()
        .map(|(index, character)| &text[..index + character.len_utf8()])
        .filter(|start| is_number(start))
        .last()
        .unwrap_or_default()
        .to_owned()
}
