//! The tests of `tests/hostile.rs`, with every tool in a worker.

#[path = "../hostile.rs"]
mod hostile;
