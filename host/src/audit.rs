//! The audit log: one record per session, decision and call, written before the result of a call is handed out.
//!
//! [`FileAudit`] writes JSON Lines. Each line carries the hash of the line before it and a hash of itself, and a small
//! file beside the log (`<log>.head`) holds the number of lines and the last hash, so that [`verify_file`] finds any
//! line that was changed, removed, inserted or moved, also at the end. Whoever can rewrite the whole log *and* its head
//! can still forge both: copy the head's hash to a place of its own where that matters.

mod chain;
mod json;
mod record;
mod sink;
mod timestamp;
mod verify;

use std::io;

pub use chain::{Hash, Head};
pub use record::{
    AuditRecord, CallRecord, DecisionRecord, HostReached, Outcome, PathTouched, RecoveredRecord,
    Redacted, SessionRecord, WorkersRecord,
};
pub use sink::FileAudit;
pub use toolcell_policy::{Effect, Isolation};
pub use verify::{Entry, Finding, Verification, read_file, verify, verify_file};

use crate::{Error, ErrorKind};

/// Where audit records go.
///
/// A host appends the record of a call before it hands out the result; where that fails, the call fails. `append` is
/// called from asynchronous code and should return within microseconds.
pub trait AuditSink: Send + Sync + 'static {
    /// Stores one record for good, or says why that was not possible.
    fn append(&self, record: &AuditRecord) -> Result<(), AuditError>;
}

impl<S: AuditSink + ?Sized> AuditSink for std::sync::Arc<S> {
    fn append(&self, record: &AuditRecord) -> Result<(), AuditError> {
        (**self).append(record)
    }
}

/// Why a record could not be stored, or a log not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The log or its head cannot be opened or read.
    #[error("cannot open the audit log {path}: {source}")]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The log or its head cannot be written; for example since the disk is full.
    #[error("cannot write the audit log {path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The log and its head do not belong together, so that appending would hide what happened.
    #[error("the audit log {path} does not match its head: {what}")]
    Damaged {
        /// The log.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// A record cannot be stored by an embedder's own sink.
    #[error("cannot store the audit record: {0}")]
    Sink(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl AuditError {
    /// How to fix it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Open { .. } => {
                "name a regular file in a directory that you may write to; a link is not followed"
            }
            Self::Write { .. } => {
                "make room or allow writing; no call returns a result until its audit record is stored"
            }
            Self::Damaged { .. } => {
                "run `toolcell audit verify`, keep both files as evidence, and move them away to begin a new log"
            }
            Self::Sink(_) => "no call returns a result until its audit record is stored",
        }
    }
}

impl From<AuditError> for Error {
    fn from(error: AuditError) -> Self {
        Self::new(ErrorKind::Internal, error.to_string())
            .with_help(error.help())
            .with_source(error)
    }
}

/// Keeps records in memory, for tests.
#[cfg(any(test, feature = "test-support"))]
#[derive(Clone, Debug, Default)]
pub struct MemoryAudit {
    records: std::sync::Arc<std::sync::Mutex<Vec<AuditRecord>>>,
    full: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

#[cfg(any(test, feature = "test-support"))]
impl MemoryAudit {
    /// The records so far, in order.
    pub fn records(&self) -> Vec<AuditRecord> {
        self.records
            .lock()
            .map(|records| records.clone())
            .unwrap_or_default()
    }

    /// From now on (`true`), or until further notice no longer (`false`), every append fails like on a full disk.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "test-support"))]
impl AuditSink for MemoryAudit {
    fn append(&self, record: &AuditRecord) -> Result<(), AuditError> {
        if self.full.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(AuditError::Write {
                path: "memory".to_owned(),
                source: io::ErrorKind::StorageFull.into(),
            });
        }
        if let Ok(mut records) = self.records.lock() {
            records.push(record.clone());
        }
        Ok(())
    }
}
