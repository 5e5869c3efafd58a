//! Stands for the database project whose suite sltfleet runs.
//!
//! The engine is SQLite itself, so there is nothing to implement here: the crate exists for its test target,
//! `tests/sqllogictest_suite.rs`.
