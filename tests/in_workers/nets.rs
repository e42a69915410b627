//! The tests of `tests/nets.rs`, with every tool in a worker.

#[path = "../nets.rs"]
mod nets;
