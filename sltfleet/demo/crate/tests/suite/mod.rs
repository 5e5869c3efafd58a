//! The parts of the suite, in the order in which they are used.

pub mod environment;

pub mod corpus;

pub mod run;

mod engine;

pub mod results;
