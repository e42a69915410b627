//! Descriptors that a process inherited and was not meant to have.

use std::{collections::BTreeSet, fs, os::fd::RawFd};

/// The highest descriptor that is tried where the system lists none.
const UNLISTED: RawFd = 4096;

/// Closes every descriptor from 3 on that is not in `keep`. Standard input, output and error stay: where they were
/// closed, the next file opened would take their number and a panic's message would go into it. Give a worker
/// `/dev/null` for those it does not need.
///
/// To be called first thing in a worker, before anything else is open: whoever owns a descriptor that is closed here
/// would later close another one that has its number.
pub fn close_inherited(keep: &[RawFd]) {
    let kept: BTreeSet<RawFd> = keep.iter().copied().filter(|fd| *fd > 2).collect();
    let mut first = 3;
    for last in kept.iter().map(|fd| fd - 1).chain([RawFd::MAX]) {
        if first <= last {
            close_range(first, last);
        }
        first = last.saturating_add(2);
    }
}

/// Closes what is open from `first` to `last`, both included.
fn close_range(first: RawFd, last: RawFd) {
    #[cfg(target_os = "linux")]
    {
        #[expect(
            unsafe_code,
            reason = "no safe library offers close_range; Linux 5.9 and later have it"
        )]
        // SAFETY: the system call reads and writes no memory. That nobody uses these descriptors any more is what
        // `close_inherited` asks of its caller.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if closed == 0 {
            return;
        }
    }
    for fd in open_descriptors() {
        if (first..=last).contains(&fd) {
            #[expect(
                unsafe_code,
                reason = "an inherited descriptor has no owner whose drop would close it"
            )]
            // SAFETY: as above. One that is not open is answered with an error that changes nothing.
            unsafe {
                rustix::io::close(fd);
            }
        }
    }
}

/// The descriptors of this process, as the system lists them.
fn open_descriptors() -> Vec<RawFd> {
    let listed = ["/proc/self/fd", "/dev/fd"].iter().find_map(|dir| {
        let entries = fs::read_dir(dir).ok()?;
        // Collected before any is closed: the listing has a descriptor of its own.
        let found: Vec<RawFd> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        (!found.is_empty()).then_some(found)
    });
    listed.unwrap_or_else(|| (3..UNLISTED).collect())
}
