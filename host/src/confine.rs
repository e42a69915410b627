//! The second wall: what the operating system still refuses to a worker whose engine was broken out of. It knows nothing
//! of tools; it takes directories and numbers.
//!
//! The order in a worker, all while it has one thread:
//!
//! 1. what must be opened before (the kernel's page map, see [`apply`]),
//! 2. [`close_inherited`], which leaves the descriptors that were handed over,
//! 3. [`apply`], which cannot be undone and reports what was reached.

pub mod cgroup;
mod descriptors;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
mod report;

use std::os::fd::BorrowedFd;

pub use descriptors::close_inherited;
pub use report::{ConfinementLevel, ConfinementReport, Kernel, Step};

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;

/// What a process may do with a directory and all that is beneath it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Access {
    /// Read files and list directories.
    Read,
    /// Also write, truncate, create, remove, rename and link files, directories and symbolic links. Never device
    /// files, FIFOs or sockets.
    Write,
}

/// What a process keeps when it is confined. Everything that is not named here it loses.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The directories, open. Their descriptors may be closed afterwards; those that were opened before stay usable.
    /// Where one lies within another, the wider access holds for both.
    pub dirs: Vec<(BorrowedFd<'a>, Access)>,
    /// Private memory that can be written, in bytes (`RLIMIT_DATA`): heap, stacks, and a guest's memory as far as it
    /// was grown; address space that is only reserved does not count. An allocation beyond it fails.
    pub data_bytes: u64,
    /// The largest size, in bytes, to which a file can be written (`RLIMIT_FSIZE`). A write beyond it fails with
    /// `EFBIG`; the signal that would kill the process is ignored. Files in memory count too, and the engine keeps a
    /// component's initial memory in one: not below that.
    pub file_bytes: u64,
    /// Processor time of the whole process over its whole life, in seconds (`RLIMIT_CPU`). Beyond it the process ends by
    /// `SIGXCPU`, and a second later by `SIGKILL`.
    pub cpu_seconds: u64,
    /// Descriptors that may be open at the same time (`RLIMIT_NOFILE`). One more fails with `EMFILE`.
    pub descriptors: u64,
    /// The process that started this one. Where that is not its parent any more, [`apply`] ends the process.
    pub parent: u32,
    /// Whether `openat2` works. Only tests say no: it then answers `ENOSYS`, as an old kernel would.
    pub openat2: bool,
}

/// Confines this process for good, and says what was reached. It never fails: what a kernel does not offer is missing
/// in the report, and it is for the caller to refuse to go on.
///
/// The process must have one thread, since the kernel confines the calling thread and those that it starts later. Where
/// there are others already, the report says so, and its level is `None`.
///
/// These must come before:
///
/// - `wasmtime::PoolingAllocationConfig::is_pagemap_scan_available()`: it opens `/proc/self/pagemap`, which cannot be
///   opened any more afterwards, and keeps it. Without it the engine still works, three times slower.
/// - [`close_inherited`]: what is open stays open.
///
/// Its parent must have started the process from a *thread* that lives as long as the process shall: the kernel sends
/// the signal of a parent's death when the thread ends that started the child.
///
/// After it, std's functions that take a path fail, but for opening files beneath `plan.dirs`; calls relative to an open
/// directory work. `exec`, sockets, a new process and the like kill the process with `SIGSYS`; any other system call
/// that is not on the short list fails with `EPERM`.
pub fn apply(plan: &Plan<'_>) -> ConfinementReport {
    system::apply(plan)
}

impl Kernel {
    /// What this machine offers. It leaves nothing behind and costs a few system calls.
    pub fn probe() -> Self {
        system::probe()
    }
}
