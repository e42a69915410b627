//! The tests of `tests/plain.rs`, with every tool in a worker.

#[path = "../plain.rs"]
mod plain;
