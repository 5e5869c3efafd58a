//! What the environment asks for, checked before anything runs.
//!
//! A value that makes no sense is an error that names its variable: a suite that silently took a default instead
//! would test something else than it was told to.

use std::env::{self, VarError};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// A value that cannot be used, and the variable that holds it.
#[derive(Debug)]
pub struct BadVariable {
    pub variable: &'static str,
    pub problem: String,
}

impl fmt::Display for BadVariable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.variable, self.problem)
    }
}

/// The checked environment.
#[derive(Debug)]
pub struct Settings {
    /// Exactly these files, or `None` for the worker's share of all files.
    pub files: Option<Vec<String>>,
    pub root: PathBuf,
    pub worker_id: u64,
    pub total_workers: u64,
    pub seed: u64,
    pub budget: Option<Duration>,
}

impl Settings {
    /// Reads and checks all variables.
    pub fn from_environment() -> Result<Self, BadVariable> {
        let files = text("SQLLOGICTEST_FILES")?.map(|names| names_of(&names)).transpose()?;
        let worker_id = number("SQLLOGICTEST_WORKER_ID", "a whole number from 0")?.unwrap_or(0);
        let total_workers = number("SQLLOGICTEST_TOTAL_WORKERS", "a whole number from 1")?.unwrap_or(1);
        if total_workers == 0 {
            return Err(BadVariable {
                variable: "SQLLOGICTEST_TOTAL_WORKERS",
                problem: "must be at least 1".to_owned(),
            });
        }
        // With FILES nothing is partitioned, and the id only names the result file.
        if files.is_none() && worker_id >= total_workers {
            return Err(BadVariable {
                variable: "SQLLOGICTEST_WORKER_ID",
                problem: format!("{worker_id} is not below SQLLOGICTEST_TOTAL_WORKERS ({total_workers})"),
            });
        }
        Ok(Self {
            files,
            root: root()?,
            worker_id,
            total_workers,
            seed: number("SQLLOGICTEST_SEED", "a whole number below 2^64")?.unwrap_or(0),
            budget: budget()?,
        })
    }
}

fn text(variable: &'static str) -> Result<Option<String>, BadVariable> {
    match env::var(variable) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(value)) => Err(BadVariable {
            variable,
            problem: format!("{value:?} is not UTF-8"),
        }),
    }
}

fn number<T: FromStr>(variable: &'static str, wanted: &str) -> Result<Option<T>, BadVariable> {
    let Some(value) = text(variable)? else {
        return Ok(None);
    };
    match value.trim().parse() {
        Ok(parsed) => Ok(Some(parsed)),
        Err(_) => Err(BadVariable {
            variable,
            problem: format!("{value:?} is not {wanted}"),
        }),
    }
}

fn names_of(value: &str) -> Result<Vec<String>, BadVariable> {
    let names: Vec<String> = value
        .split([',', '\n'])
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        // Taking this for "all files" would start the whole corpus where a launcher handed out an empty unit.
        return Err(BadVariable {
            variable: "SQLLOGICTEST_FILES",
            problem: "is set, but names no file".to_owned(),
        });
    }
    Ok(names)
}

fn budget() -> Result<Option<Duration>, BadVariable> {
    const VARIABLE: &str = "SQLLOGICTEST_TIME_BUDGET";
    let Some(seconds) = number::<f64>(VARIABLE, "a number of seconds")? else {
        return Ok(None);
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(budget) => Ok(Some(budget)),
        Err(error) => Err(BadVariable {
            variable: VARIABLE,
            problem: format!("{seconds} is no duration: {error}"),
        }),
    }
}

/// The corpus. The manifest folder is looked up when the suite runs, never when it is built: the same binary runs
/// in snapshots of the tree elsewhere.
fn root() -> Result<PathBuf, BadVariable> {
    const VARIABLE: &str = "SQLLOGICTEST_ROOT";
    if let Some(value) = env::var_os(VARIABLE) {
        let path = PathBuf::from(value);
        if path.is_dir() {
            return Ok(path);
        }
        return Err(BadVariable {
            variable: VARIABLE,
            problem: format!("{} is no folder", path.display()),
        });
    }
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(|folder| Path::new(&folder).join("corpus"));
    match manifest {
        Some(path) if path.is_dir() => Ok(path),
        _ => {
            let path = PathBuf::from("corpus");
            if path.is_dir() {
                return Ok(path);
            }
            Err(BadVariable {
                variable: VARIABLE,
                problem: "is not set, and there is no folder `corpus` below CARGO_MANIFEST_DIR or the current folder"
                    .to_owned(),
            })
        }
    }
}
