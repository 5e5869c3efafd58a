//! The verdicts, and the file in which the launcher looks for them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// What became of the files.
#[derive(Debug, Default)]
pub struct Results {
    pub passed: Vec<String>,
    /// Name and first error.
    pub failed: Vec<(String, String)>,
    /// Not reached within the time budget.
    pub untested: Vec<String>,
    pub seconds: f64,
}

impl Results {
    /// Writes `target/sqllogictest_results_worker_{id}.json` below the current folder. It is written aside and
    /// renamed, so that a reader sees the whole file or none.
    pub fn write(&self, worker_id: u64) -> io::Result<()> {
        let folder = Path::new("target");
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("sqllogictest_results_worker_{worker_id}.json"));
        let aside = folder.join(format!(
            ".sqllogictest_results_worker_{worker_id}.{}.tmp",
            std::process::id()
        ));
        fs::write(&aside, self.to_json())?;
        fs::rename(&aside, &path)
    }

    /// Written by hand: the shape is fixed, and a JSON crate would cost more build time than it saves lines.
    fn to_json(&self) -> String {
        let failed: Vec<&str> = self.failed.iter().map(|(name, _)| name.as_str()).collect();
        let errors: Vec<String> = self
            .failed
            .iter()
            .map(|(name, message)| format!("{}: {}", quoted(name), quoted(message)))
            .collect();
        format!(
            "{{\"tested_files\": {{\"passed\": {}, \"failed\": {}, \"untested\": {}, \"errors\": {{{}}}}}, \
             \"seconds\": {:.3}}}\n",
            list(self.passed.iter().map(String::as_str)),
            list(failed.into_iter()),
            list(self.untested.iter().map(String::as_str)),
            errors.join(", "),
            self.seconds
        )
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted_names: Vec<String> = names.map(quoted).collect();
    format!("[{}]", quoted_names.join(", "))
}

/// A JSON string (RFC 8259, section 7).
fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            control if u32::from(control) < 0x20 => {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}
