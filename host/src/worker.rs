//! Calls in a process of their own: the second wall under the first one.
//!
//! A worker process holds the engine and the directories of one tool. Everything else that a tool may reach (requests,
//! other tools, standard streams) stays with the host, which serves it over one socket pair. Neither side trusts what
//! the worker sends: `wire` bounds it, and `outside` checks it like the words of a guest.

#[cfg(test)]
mod fixtures;
#[cfg(any(test, feature = "test-support"))]
pub mod fuzzing;
mod heads;
pub(crate) mod inside;
pub(crate) mod outside;
pub(crate) mod wire;
