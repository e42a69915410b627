//! The cases of `tests/cases`, with every tool in a worker: they come out in the same words.

#[path = "../cases.rs"]
mod cases;
