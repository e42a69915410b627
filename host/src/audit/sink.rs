//! The audit log in a file.

use std::{
    cell::Cell,
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions, OpenOptionsExt as _},
};
use rustix::fs::OFlags;

use super::{
    AuditError, AuditRecord, AuditSink, RecoveredRecord,
    chain::{Hash, Head, Link},
};
use crate::text::escape_control;

/// The most that a writer may leave behind its head before that counts as damage: more than any one line.
const MAX_TAIL_BYTES: u64 = 16 << 20;

/// An audit log in a file, as JSON Lines with a hash chain. Several processes may write one log.
///
/// Both files are created for their owner alone (0600). A record has reached the system when `append` returns; it is
/// not forced onto the disk, so a power failure may take the last records with it. The log has no size limit and is
/// not rotated: to begin a new one, move the log and its head away while no host is running.
pub struct FileAudit {
    path: PathBuf,
    files: Mutex<Files>,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

struct Files {
    log: File,
    head: File,
    /// The end that this process wrote last. As long as the log has that size nobody else has appended, and the head
    /// file need not be read.
    last: Cell<Option<Head>>,
}

impl std::fmt::Debug for FileAudit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileAudit")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl FileAudit {
    /// Opens or creates the log at `path` and its head at `<path>.head`. Missing directories are created for their
    /// owner alone (0700). `clock` tells the wall clock time of each line.
    ///
    /// # Errors
    /// When either file cannot be opened for reading and writing, is a link or no regular file, or when log and head
    /// do not belong together.
    pub fn open(
        path: &Path,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Result<Self, AuditError> {
        let files = Files::open(path).map_err(|source| AuditError::Open {
            path: shown(path),
            source,
        })?;
        let audit = Self {
            path: path.to_owned(),
            files: Mutex::new(files),
            clock: Box::new(clock),
        };
        // What a stopped writer left behind is put in order now, and not in the middle of the first call.
        audit.locked(|_, _| Ok(()))?;
        Ok(audit)
    }

    /// Runs `work` on the log's end while no other process writes to it.
    fn locked(
        &self,
        work: impl FnOnce(&Files, Head) -> Result<(), Trouble>,
    ) -> Result<(), AuditError> {
        // The files are in order after every append, whatever happened to a thread that held the lock.
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let result = files.log.lock().map_err(Trouble::Io).and_then(|()| {
            let result = files.end(&self.clock).and_then(|head| work(&files, head));
            files.log.unlock()?;
            result
        });
        result.map_err(|trouble| match trouble {
            Trouble::Io(source) => AuditError::Write {
                path: shown(&self.path),
                source,
            },
            Trouble::Damage(what) => AuditError::Damaged {
                path: shown(&self.path),
                what: what.to_owned(),
            },
        })
    }
}

impl AuditSink for FileAudit {
    fn append(&self, record: &AuditRecord) -> Result<(), AuditError> {
        self.locked(|files, head| files.append(&head, (self.clock)(), record).map(|_| ()))
    }
}

/// What can go wrong while the lock is held.
enum Trouble {
    Io(io::Error),
    Damage(&'static str),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a log is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Files {
    fn open(path: &Path) -> io::Result<Self> {
        let place = Place::new(path, Access::Write)?;
        Ok(Self {
            log: place.open_log()?,
            head: place.open_head()?,
            last: Cell::new(None),
        })
    }

    /// The end of the log, after putting in order what a stopped writer left behind.
    fn end(&self, clock: &dyn Fn() -> SystemTime) -> Result<Head, Trouble> {
        let meta = self.log.metadata()?;
        if meta.nlink() == 0 {
            return Err(Trouble::Damage("the log was removed while it was in use"));
        }
        if let Some(last) = self.last.get().filter(|last| last.bytes == meta.len()) {
            return Ok(last);
        }
        let head = match read_head(&self.head)? {
            Some(head) => head,
            None if meta.len() == 0 => {
                self.head.set_len(0)?;
                self.write_head(Head::default())?
            }
            None => {
                return Err(Trouble::Damage(
                    "its head file is missing or was changed, so that missing lines would not be noticed",
                ));
            }
        };
        if meta.len() == head.bytes {
            return Ok(head);
        }
        self.recover(head, meta.len(), clock)
    }

    /// A writer stopped after its line and before the head, or in the middle of its line.
    fn recover(
        &self,
        mut head: Head,
        size: u64,
        clock: &dyn Fn() -> SystemTime,
    ) -> Result<Head, Trouble> {
        let tail = match size.checked_sub(head.bytes) {
            None => return Err(Trouble::Damage("lines are missing at its end")),
            Some(tail) if tail > MAX_TAIL_BYTES => {
                return Err(Trouble::Damage(
                    "far more follows than any writer leaves behind",
                ));
            }
            Some(tail) => tail,
        };
        let mut rest = vec![0; usize::try_from(tail).unwrap_or_default()];
        self.log.read_exact_at(&mut rest, head.bytes)?;
        let mut rest = rest.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            let link = Link::read(line).map_err(Trouble::Damage)?;
            if !link.follows(&head) {
                return Err(Trouble::Damage("a line follows that does not belong there"));
            }
            head = Head {
                count: link.seq,
                bytes: head.bytes + end as u64 + 1,
                hash: link.hash,
            };
            rest = after.split_first().map_or(&[], |(_, after)| after);
        }
        if rest.is_empty() {
            return Ok(self.write_head(head)?);
        }
        let note = AuditRecord::Recovered(RecoveredRecord {
            bytes: rest.len() as u64,
            digest: Hash::of(rest).to_string(),
            text: String::from_utf8_lossy(rest).into_owned(),
        });
        let head = self.append(&head, clock(), &note)?;
        self.log.set_len(head.bytes)?;
        Ok(head)
    }

    /// Writes the next line and the head after it.
    fn append(&self, head: &Head, time: SystemTime, record: &AuditRecord) -> Result<Head, Trouble> {
        let (line, next) = head.seal(time, record).map_err(io::Error::from)?;
        if let Err(error) = self.log.write_all_at(&line, head.bytes) {
            // Should even this fail, the next append finds the torn line and keeps it in a record.
            let _ = self.log.set_len(head.bytes);
            return Err(error.into());
        }
        Ok(self.write_head(next)?)
    }

    fn write_head(&self, head: Head) -> io::Result<Head> {
        self.last.set(None);
        self.head.write_all_at(&head.to_file(), 0)?;
        self.last.set(Some(head));
        Ok(head)
    }
}

/// A directory, and the names of a log and its head in it. Neither is opened through a link.
pub(super) struct Place {
    dir: Dir,
    log: OsString,
    head: OsString,
    access: Access,
}

impl Place {
    pub(super) fn new(path: &Path, access: Access) -> io::Result<Self> {
        let log = path
            .file_name()
            .ok_or(io::ErrorKind::InvalidFilename)?
            .to_owned();
        let mut head = log.clone();
        head.push(".head");
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        if access == Access::Write {
            let mut create = std::fs::DirBuilder::new();
            create.recursive(true).mode(0o700).create(parent)?;
        }
        let dir = Dir::open_ambient_dir(parent, ambient_authority())?;
        Ok(Self {
            dir,
            log,
            head,
            access,
        })
    }

    pub(super) fn open_log(&self) -> io::Result<File> {
        self.open(&self.log)
    }

    pub(super) fn open_head(&self) -> io::Result<File> {
        self.open(&self.head)
    }

    fn open(&self, name: &OsStr) -> io::Result<File> {
        let write = self.access == Access::Write;
        // Without NONBLOCK, opening a FIFO would wait for somebody at its other end.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(write)
            .create(write)
            .mode(0o600)
            .custom_flags(flags.bits().cast_signed());
        let file = self.dir.open_with(name, &options)?.into_std();
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(file)
    }
}

/// Reads a head; absent when the file is not what a writer would have written.
pub(super) fn read_head(file: &File) -> io::Result<Option<Head>> {
    let mut text = [0; Head::FILE_BYTES + 1];
    let read = file.read_at(&mut text, 0)?;
    Ok(text.get(..read).and_then(Head::from_file))
}

/// A path for a message.
pub(super) fn shown(path: &Path) -> String {
    escape_control(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests;
