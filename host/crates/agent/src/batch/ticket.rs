//! What a batch remembers between processes.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::BatchError;
use crate::ledger::Reservation;

/// The form of a ticket.
const FORMAT: u32 = 1;
/// No ticket is longer: a million ids of 256 bytes with what belongs to them.
const MAX_BYTES: u64 = 512 << 20;

/// A batch: which tasks, which answers, and what is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    format: u32,
    /// The file of tasks.
    pub tasks: PathBuf,
    /// SHA-256 of that file, in hexadecimal: another file is another batch.
    pub digest: String,
    /// The file of answers.
    pub out: PathBuf,
    /// What is needed to go on as it began, in the words of whoever began it.
    pub settings: serde_json::Value,
    /// What was or is to be sent to a provider's API for batches.
    pub(crate) parts: Vec<Part>,
}

/// As many tasks as the provider takes at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// The model, as `provider:model`.
    pub(crate) model: String,
    /// What the ids of its requests begin with, and no other batch's.
    pub(crate) prefix: String,
    /// The tasks, by their ids; the number of one is the end of its request's id.
    pub(crate) tasks: Vec<String>,
    /// Where it is.
    pub(crate) place: Place,
    /// What was taken out of budgets for it.
    pub(crate) held: Vec<Reservation>,
}

/// Where a part is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// Here: nothing was sent.
    Here,
    /// It is being sent, or was, and nobody knows whether it arrived. The newest batch before it tells where to look.
    Sending { newest_before: Option<String> },
    /// With the provider, under this id.
    There { id: String },
    /// Its results are among the answers.
    Collected,
}

impl Ticket {
    /// A batch that has not begun.
    pub fn new(tasks: PathBuf, digest: String, out: PathBuf, settings: serde_json::Value) -> Self {
        Self {
            format: FORMAT,
            tasks,
            digest,
            out,
            settings,
            parts: Vec::new(),
        }
    }

    /// The provider's ids of what is with it now.
    pub fn with_provider(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().filter_map(|part| match &part.place {
            Place::There { id } => Some((part.model.as_str(), id.as_str())),
            _ => None,
        })
    }
}

/// A ticket's file. Only one process at a time may hold it.
#[derive(Debug)]
pub struct TicketFile {
    path: PathBuf,
    _lock: File,
}

impl TicketFile {
    /// Holds a file; it need not be there yet.
    ///
    /// # Errors
    /// [`BatchError::Busy`] while another process holds it, [`BatchError::Io`].
    pub fn hold(path: impl Into<PathBuf>) -> Result<Self, BatchError> {
        let path = path.into();
        let at = path.with_extension("lock");
        let failed = |source| BatchError::Io {
            path: at.clone(),
            source,
        };
        let lock = private().truncate(false).open(&at).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(BatchError::Busy { path }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// What the file says.
    ///
    /// # Errors
    /// [`BatchError::Io`], [`BatchError::Damaged`].
    pub fn read(&self) -> Result<Ticket, BatchError> {
        let failed = |source| self.io(source);
        let file = File::open(&self.path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let damaged = |why| BatchError::Damaged {
            path: self.path.clone(),
            why,
        };
        let ticket: Ticket =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if ticket.format != FORMAT {
            let format = ticket.format;
            return Err(damaged(format!(
                "its format is {format}; this version reads {FORMAT}"
            )));
        }
        Ok(ticket)
    }

    /// Replaces the file at once. It is on the disk when this returns: what is sent next must not be forgotten.
    ///
    /// # Errors
    /// [`BatchError::Io`].
    pub fn write(&self, ticket: &Ticket) -> Result<(), BatchError> {
        self.replace(ticket).map_err(|source| self.io(source))
    }

    fn replace(&self, ticket: &Ticket) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = private().truncate(true).open(&new)?;
        file.write_all(&serde_json::to_vec(ticket)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        match self.path.parent().filter(|dir| *dir != Path::new("")) {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    }

    fn io(&self, source: io::Error) -> BatchError {
        BatchError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

/// A file that this user alone may read.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
