//! One writer at a time.

use std::{
    fs::File,
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use toolcell::ErrorKind;

use crate::{dirs, failure::Failure};

/// How long another writer is waited for.
const WAIT: Duration = Duration::from_secs(10);
/// How often it is tried meanwhile.
const AGAIN: Duration = Duration::from_millis(20);

/// A lock on a file that is about to be replaced. The lock lies beside it, since the file itself goes away.
pub(super) struct Locked(#[expect(dead_code, reason = "its end is the end of the lock")] File);

impl Locked {
    /// Waits for other writers, for some seconds.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        Self::within(path, WAIT)
    }

    fn within(path: &Path, wait: Duration) -> Result<Self, Failure> {
        let directory = path.parent().unwrap_or(Path::new("."));
        dirs::create_private(directory)?;
        let lock = path.with_extension("lock");
        let failed = |error: &io::Error| Failure::io("lock", &lock, error);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = rustix::fs::open(&lock, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(opened.map_err(|error| failed(&error.into()))?);
        let until = Instant::now() + wait;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                    thread::sleep(AGAIN)
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let message = format!("another toolcell is writing {}", path.display());
                    return Err(Failure::new(ErrorKind::Unavailable, message)
                        .help("wait until it is done, and try again"));
                }
                Err(error) => return Err(failed(&error.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_waits_and_gives_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/x.vault");
        let first = Locked::of(&path).unwrap();
        let second = Locked::within(&path, Duration::ZERO).err().unwrap();
        assert!(second.message.contains("another toolcell"), "{second}");
        drop(first);
        assert!(Locked::within(&path, Duration::ZERO).is_ok());
    }
}
