//! The tests of `tests/builtins.rs`, with every tool in a worker.

#[path = "../builtins.rs"]
mod builtins;
