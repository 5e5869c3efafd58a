//! Runs one file on one fresh database, and says in one line what went wrong first.

use std::any::Any;
use std::fs;
use std::panic::{catch_unwind, AssertUnwindSafe};

use sqllogictest::{
    parse_with_name, Control, DefaultColumnType, QueryExpect, Record, ResultMode, Runner, TestError, TestErrorKind,
};

use super::corpus::TestFile;
use super::engine::{ExpectedTypes, Sqlite};

const ENGINE: &str = "sqlite";
/// What sqllogictest's own driver assumes where a file does not set `hash-threshold`; the crate never hashes then.
const DEFAULT_HASH_THRESHOLD: usize = 8;
const EXCERPT_CHARACTERS: usize = 160;

/// Runs `file`; the error is one line that holds the line number and the SQL of the first failing record.
pub fn run_file(file: &TestFile) -> Result<(), String> {
    let bytes = fs::read(&file.path).map_err(|error| format!("cannot read the file: {error}"))?;
    let script = String::from_utf8(bytes).map_err(|error| format!("is not UTF-8: {error}"))?;
    // A panic in the parser, the runner or the engine is this file's failure; the next file gets its turn.
    match catch_unwind(AssertUnwindSafe(|| run_script(&file.name, &script))) {
        Ok(verdict) => verdict,
        Err(payload) => Err(format!("panic: {}", one_line(panic_text(payload.as_ref())))),
    }
}

fn run_script(name: &str, script: &str) -> Result<(), String> {
    let records = parse_with_name::<DefaultColumnType>(&adapted(script), name).map_err(|error| {
        format!(
            "line {}: cannot parse: {}",
            error.location().line(),
            one_line(&error.kind().to_string())
        )
    })?;
    let expected = ExpectedTypes::default();
    let mut runner = Runner::new(|| {
        let expected = expected.clone();
        async move { Sqlite::open(expected) }
    });
    // A result of the wrong width is wrong even when its values, written one below the other, look right.
    runner.with_column_validator(|actual, expected| actual.len() == expected.len());
    runner.with_hash_threshold(DEFAULT_HASH_THRESHOLD);
    // The original format writes one value per line; the crate expects one row per line unless told.
    let prelude = Record::Control(Control::ResultMode(ResultMode::ValueWise));
    for record in std::iter::once(prelude).chain(records) {
        match &record {
            Record::Halt { .. } => break,
            Record::Query {
                expected: QueryExpect::Results { types, .. },
                ..
            } => expected.set(types),
            _ => expected.set(&[]),
        }
        runner.run(record).map_err(|error| described(&error))?;
    }
    Ok(())
}

/// Rewrites what the crate reads differently from the original sqllogictest, line by line, so that the line
/// numbers in messages stay those of the file:
///
/// - comments at the end of `onlyif` and `skipif` lines are dropped, the crate takes them for an unknown record;
/// - conditions before a `halt` are decided here: the crate would halt regardless, and apply them to the record
///   that follows the `halt`.
fn adapted(script: &str) -> String {
    let lines: Vec<&str> = script.lines().collect();
    let mut output: Vec<&str> = Vec::with_capacity(lines.len());
    // Positions in `output` of the conditions that belong to the next record.
    let mut pending: Vec<usize> = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["onlyif" | "skipif", _, ..] => {
                pending.push(output.len());
                output.push(line.split('#').next().unwrap_or(line).trim_end());
            }
            ["halt", ..] => {
                let applies = pending.iter().all(|&index| condition_holds(output[index]));
                for index in pending.drain(..) {
                    output[index] = "";
                }
                output.push(if applies { "halt" } else { "" });
            }
            [] => output.push(""),
            [word, ..] => {
                if !word.starts_with('#') {
                    pending.clear();
                }
                output.push(line);
            }
        }
    }
    output.join("\n")
}

fn condition_holds(condition: &str) -> bool {
    match condition.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["onlyif", engine, ..] => *engine == ENGINE,
        ["skipif", engine, ..] => *engine != ENGINE,
        _ => true,
    }
}

fn described(error: &TestError) -> String {
    let (what, sql) = match error.kind() {
        TestErrorKind::QueryResultMismatch { sql, expected, actual } => {
            let problem = format!("expected {}, got {}", values(&expected), values(&actual));
            (problem, sql)
        }
        TestErrorKind::QueryResultColumnsMismatch { sql, expected, actual } => (
            format!("expected {} columns, got {}", expected.len(), actual.len()),
            sql,
        ),
        TestErrorKind::Ok { sql, kind } => (format!("{kind} succeeded, but was to fail"), sql),
        TestErrorKind::Fail { sql, err, kind } => (format!("{kind} failed: {}", one_line(&err.to_string())), sql),
        TestErrorKind::ErrorMismatch {
            sql, err, expected_err, ..
        } => (
            format!("expected the error {expected_err}, got: {}", one_line(&err.to_string())),
            sql,
        ),
        TestErrorKind::StatementResultMismatch { sql, expected, actual } => {
            (format!("expected {expected} changed rows, but it {actual}"), sql)
        }
        other => (one_line(&other.to_string()), String::new()),
    };
    let place = format!("line {}: {what}", error.location().line());
    if sql.is_empty() {
        place
    } else {
        format!("{place} [SQL: {}]", excerpt(&sql))
    }
}

fn values(text: &str) -> String {
    if text.is_empty() {
        "no values".to_owned()
    } else {
        format!("`{}`", excerpt(text))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn excerpt(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(EXCERPT_CHARACTERS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "of an unknown kind"
    }
}
