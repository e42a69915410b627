//! The tests of `tests/admission.rs`, with every tool in a worker.

#[path = "../admission.rs"]
mod admission;
