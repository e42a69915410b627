//! What a sandbox can reach: one file for each WIT import. None of them names another, nor the sandbox; all of them
//! write to the call's recorder.

use crate::ErrorKind;

pub(crate) mod answer;
pub(crate) mod ask;
mod bindings;
pub(crate) mod effects;
pub(crate) mod files;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod holdings;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod progress;
pub(crate) mod recorder;
pub(crate) mod secrets;
pub(crate) mod tools;
pub(crate) mod wasi;

/// Ends a call because one of its limits is used up. The limit itself is in the call's recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LimitExceeded(pub(crate) ErrorKind);
