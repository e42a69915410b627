//! Directories for the time of one call: each empty at its start, nobody else's, and deleted at its end.
//!
//! A host has one directory for all of them (its home). In it each running host has one that it holds a lock on (the
//! base), so that a later host can tell what a dead one left. In that each call has its own; a worker process gets a part
//! of it, and makes those of its calls there. Everything is done through handles, so that a worker needs no more than one.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use cap_std::{ambient_authority, fs::Dir as CapDir};
use rustix::{
    fs::{AtFlags, FlockOperation, Mode, OFlags, flock, mkdirat, openat, unlinkat},
    io::Errno,
};

mod remove;
#[cfg(test)]
mod tests;

use remove::remove;

/// What the directories of hosts are called, before a number.
const HOST: &str = "host-";

/// And those of their worker processes.
const WORKER: &str = "worker-";

/// Where a host keeps the directories of its calls. Nothing is made before the first tool needs it.
#[derive(Debug)]
pub(crate) struct ScratchHome {
    path: PathBuf,
    base: Mutex<Option<Arc<ScratchBase>>>,
}

/// A directory in which calls get directories of their own.
#[derive(Debug)]
pub(crate) struct ScratchBase {
    dir: Arc<OwnedFd>,
    next: AtomicU64,
    /// Where this directory is an entry, which goes with it; a worker process has only borrowed it.
    own: Option<(Arc<OwnedFd>, String)>,
}

/// The directory of one call. It is deleted when this is dropped.
pub(crate) struct Scratch {
    base: Arc<OwnedFd>,
    name: String,
    dir: Arc<OwnedFd>,
}

impl ScratchHome {
    /// At a path, which need not exist yet. What hosts left there that are no longer running is deleted.
    pub(crate) fn new(path: PathBuf) -> Self {
        let home = Self {
            path,
            base: Mutex::default(),
        };
        if let Ok(dir) = open_home(&home.path) {
            sweep(&dir);
        }
        home
    }

    /// The base of this host, which is made at the first use.
    ///
    /// # Errors
    ///
    /// Where no directory can be made.
    pub(crate) fn base(&self) -> io::Result<Arc<ScratchBase>> {
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(base) = &*base {
            return Ok(Arc::clone(base));
        }
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&self.path)?;
        let home = open_home(&self.path)?;
        // Nobody sweeps between the making of the directory and its locking.
        flock(&home, FlockOperation::LockExclusive)?;
        let (name, dir) = make(home.as_fd(), HOST, &AtomicU64::new(0))?;
        flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
        flock(&home, FlockOperation::Unlock)?;
        let made = Arc::new(ScratchBase {
            dir: Arc::new(dir),
            next: AtomicU64::new(0),
            own: Some((Arc::new(home), name)),
        });
        *base = Some(Arc::clone(&made));
        Ok(made)
    }
}

fn open_home(path: &Path) -> io::Result<OwnedFd> {
    let dir = CapDir::open_ambient_dir(path, ambient_authority())?;
    // The handle only names a place; this one can be locked.
    Ok(openat(&dir, ".", DIRECTORY, Mode::empty())?)
}

/// Deletes what hosts left on which nobody holds a lock any more.
fn sweep(home: &OwnedFd) {
    if flock(home, FlockOperation::LockExclusive).is_err() {
        return;
    }
    for name in remove::names(home.as_fd()).unwrap_or_default() {
        let Some(name) = name.to_str().ok().filter(|name| name.starts_with(HOST)) else {
            continue;
        };
        let dead = openat(home, name, DIRECTORY, Mode::empty())
            .and_then(|dir| flock(&dir, FlockOperation::NonBlockingLockExclusive));
        if dead.is_ok()
            && let Err(error) = remove(home.as_fd(), name)
        {
            tracing::warn!(%error, "what a host left in the scratch directory cannot be deleted");
        }
    }
    // The lock ends with the descriptor; to end it now lets another host go on.
    let _ = flock(home, FlockOperation::Unlock);
}

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Makes a directory that did not exist, named by this process and a number, for this user alone.
fn make(parent: BorrowedFd<'_>, prefix: &str, next: &AtomicU64) -> io::Result<(String, OwnedFd)> {
    const TRIES: usize = 10_000;
    for _ in 0..TRIES {
        let number = next.fetch_add(1, Relaxed);
        let name = format!("{prefix}{}-{number}", std::process::id());
        match mkdirat(parent, &name, Mode::RWXU) {
            Ok(()) => {
                let dir = openat(parent, &name, DIRECTORY, Mode::empty())?;
                return Ok((name, dir));
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

impl ScratchBase {
    /// The base that a host handed to this process.
    pub(crate) fn received(dir: OwnedFd) -> Self {
        Self {
            dir: Arc::new(dir),
            next: AtomicU64::new(0),
            own: None,
        }
    }

    /// Makes the directory of a call.
    ///
    /// # Errors
    ///
    /// Where the system refuses, for example because the disk is full.
    pub(crate) fn call(&self) -> io::Result<Scratch> {
        let (name, dir) = make(self.dir.as_fd(), "", &self.next)?;
        Ok(Scratch {
            base: Arc::clone(&self.dir),
            name,
            dir: Arc::new(dir),
        })
    }

    /// A part of this base for one worker process, which reaches no other part. Dropping it deletes it with everything
    /// that the worker left, so that has to wait for the worker's end.
    ///
    /// # Errors
    ///
    /// Where no directory can be made.
    pub(crate) fn part(&self) -> io::Result<Self> {
        let (name, dir) = make(self.dir.as_fd(), WORKER, &self.next)?;
        Ok(Self {
            dir: Arc::new(dir),
            next: AtomicU64::new(0),
            own: Some((Arc::clone(&self.dir), name)),
        })
    }
}

impl AsFd for ScratchBase {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Drop for ScratchBase {
    fn drop(&mut self) {
        if let Some((parent, name)) = &self.own
            && let Err(error) = remove(parent.as_fd(), name)
        {
            tracing::warn!(%error, "a directory of scratch directories cannot be deleted");
        }
    }
}

impl Scratch {
    /// A handle of the directory, for a guest.
    pub(super) fn handle(&self) -> io::Result<File> {
        Ok(File::from(self.dir.as_fd().try_clone_to_owned()?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // An operation that the call had begun may still make a file while the directory is being deleted.
        const TRIES: usize = 3;
        let mut result = Ok(());
        for _ in 0..TRIES {
            result = remove(self.base.as_fd(), &self.name);
            if result.is_ok() {
                return;
            }
        }
        if let Err(error) = result {
            tracing::warn!(%error, "the scratch directory of a call cannot be deleted");
        }
    }
}

/// Removes an entry that is no directory, or an empty one.
pub(super) fn unlink(
    dir: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    directory: bool,
) -> Result<(), Errno> {
    let flags = if directory {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    unlinkat(dir, name, flags)
}
