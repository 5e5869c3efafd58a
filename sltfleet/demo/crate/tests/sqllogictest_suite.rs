//! The sample suite: runs sqllogictest files on SQLite, one fresh in-memory database per file.
//!
//! It keeps the contract of a real database project's suite, including its weak points: everything comes from
//! the environment, the verdicts go to a fixed file name below the current folder, and **the exit code is 0 even
//! when files fail**. Only an environment that makes no sense ends it with 2, and a result file that cannot be
//! written with 1.
//!
//! | variable                     | meaning                                                            | default  |
//! |------------------------------|--------------------------------------------------------------------|----------|
//! | `SQLLOGICTEST_FILES`         | run exactly these files; names separated by commas or newlines     | all      |
//! | `SQLLOGICTEST_ROOT`          | the corpus, to which names are relative                            | `corpus` |
//! | `SQLLOGICTEST_WORKER_ID`     | which partition of the shuffled files to run, from 0               | 0        |
//! | `SQLLOGICTEST_TOTAL_WORKERS` | how many partitions there are                                      | 1        |
//! | `SQLLOGICTEST_SEED`          | the seed of the shuffle                                            | 0        |
//! | `SQLLOGICTEST_TIME_BUDGET`   | seconds after which no further file is started                     | no limit |

mod suite;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use suite::environment::Settings;
use suite::results::Results;
use suite::{corpus, run};

fn main() -> ExitCode {
    let started = Instant::now();
    let plan = Settings::from_environment().and_then(|settings| {
        let files = corpus::select(&settings)?;
        Ok((settings, files))
    });
    let (settings, files) = match plan {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("sqllogictest_suite: {error}");
            return ExitCode::from(2);
        }
    };

    let mut results = Results::default();
    for file in files {
        if settings.budget.is_some_and(|budget| started.elapsed() >= budget) {
            results.untested.push(file.name);
            continue;
        }
        let file_started = Instant::now();
        match run::run_file(&file) {
            Ok(()) => {
                say(&format!(
                    "PASS {} {:.3}s",
                    file.name,
                    file_started.elapsed().as_secs_f64()
                ));
                results.passed.push(file.name);
            }
            Err(message) => {
                say(&format!("FAIL {}: {message}", file.name));
                results.failed.push((file.name, message));
            }
        }
    }

    results.seconds = started.elapsed().as_secs_f64();
    say(&format!(
        "{} passed, {} failed, {} untested in {:.3}s",
        results.passed.len(),
        results.failed.len(),
        results.untested.len(),
        results.seconds
    ));
    match results.write(settings.worker_id) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sqllogictest_suite: cannot write the results: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line. `println!` would panic when the reader of the output is gone; the verdicts are in the result
/// file and must be written all the same.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
