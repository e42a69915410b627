//! What an embedder may say about workers.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::engine::limits;

/// Which program a host starts as a worker, and how many it keeps.
#[derive(Clone, Debug)]
#[must_use]
pub struct Workers {
    pub(super) program: Which,
    pub(crate) most: u32,
    pub(super) idle_per_package: usize,
    pub(super) idle: usize,
    pub(super) idle_time: Duration,
    pub(super) calls_each: u32,
    pub(super) start_time: Duration,
    pub(super) compile_time: Duration,
    pub(super) openat2: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    This,
    At(PathBuf),
}

impl Workers {
    /// Starts the running program again, whose `main` must begin with
    /// [`run_if_worker`](super::run_if_worker). Where it was called in this process, this is what a host does anyway.
    pub fn this_program() -> Self {
        Self::of(Which::This)
    }

    /// Starts the program at an absolute path: `toolcell-worker`, or any other whose `main` begins with
    /// [`run_if_worker`](super::run_if_worker). It is opened when the host is built, and a file that takes its place later
    /// is not used.
    pub fn program(path: impl Into<PathBuf>) -> Self {
        Self::of(Which::At(path.into()))
    }

    fn of(program: Which) -> Self {
        Self {
            program,
            most: limits::WORKERS,
            idle_per_package: limits::IDLE_WORKERS_PER_PACKAGE,
            idle: limits::IDLE_WORKERS,
            idle_time: Duration::from_secs(limits::IDLE_WORKER_SECONDS),
            calls_each: limits::CALLS_PER_WORKER,
            start_time: Duration::from_secs(limits::WORKER_START_SECONDS),
            compile_time: Duration::from_secs(limits::COMPILE_SECONDS),
            openat2: true,
        }
    }

    /// The path of the program, where it is not this one.
    pub fn path(&self) -> Option<&Path> {
        match &self.program {
            Which::This => None,
            Which::At(path) => Some(path),
        }
    }

    /// Calls that may run in workers at the same time. More wait for a free place. At least 1; default 64.
    pub fn most(mut self, workers: u32) -> Self {
        self.most = workers.max(1);
        self
    }

    /// How many workers wait for the next call of one package, and how many in all. Default 2 and 16; with 0 every call
    /// has a worker of its own.
    pub fn idle(mut self, per_package: usize, in_all: usize) -> Self {
        self.idle_per_package = per_package;
        self.idle = in_all;
        self
    }

    /// A worker that waits for longer is ended. Default one minute.
    pub fn idle_time(mut self, time: Duration) -> Self {
        self.idle_time = time;
        self
    }

    /// Calls that one worker carries out before another takes its place. At least 1; default 1,000.
    pub fn calls_each(mut self, calls: u32) -> Self {
        self.calls_each = calls.max(1);
        self
    }

    /// The time within which a program has to answer that it is a worker, and to be ready. Default ten seconds.
    pub fn start_time(mut self, time: Duration) -> Self {
        self.start_time = time;
        self
    }

    /// Wall clock time, and processor time in whole seconds, that compiling one component may take. Default one minute.
    pub fn compile_time(mut self, time: Duration) -> Self {
        self.compile_time = time;
        self
    }

    /// For tests: in the workers `openat2` fails as on an old kernel.
    #[cfg(any(test, feature = "test-support"))]
    pub fn without_openat2(mut self) -> Self {
        self.openat2 = false;
        self
    }
}
