//! Calls in a process of their own: the second wall under the first one.
//!
//! A worker process holds the engine and the directories of one tool. Everything else that a tool may reach (requests,
//! other tools, standard streams) stays with the host, which serves it over one socket pair. Neither side trusts what
//! the worker sends: `wire` bounds it, and `outside` checks it like the words of a guest.
//!
//! `entry` is the start of a worker process, `start` and `handshake` its host's part of that; `pool` and `crew` keep
//! workers, `spawner` starts and reaps them, and `compile` has one compile a component.

mod compile;
mod crew;
mod entry;
mod files;
#[cfg(test)]
mod fixtures;
#[cfg(any(test, feature = "test-support"))]
pub mod fuzzing;
mod handshake;
mod heads;
mod inside;
mod options;
mod outside;
mod pool;
mod spawner;
mod start;
pub(crate) mod wire;

pub(crate) use crew::Crew;
pub use entry::run_if_worker;
pub use options::Workers;
pub(crate) use pool::Pool;
