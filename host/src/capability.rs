//! What a sandbox can reach: one file for each WIT import. None of them names another, and none names the sandbox.

use crate::ErrorKind;

pub(crate) mod http;
pub(crate) mod recorder;

/// Ends a call because one of its limits is used up. The limit itself is in the call's recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LimitExceeded(pub(crate) ErrorKind);
