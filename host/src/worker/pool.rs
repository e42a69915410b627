//! The workers of a host: which program they are, how many there may be, and those that wait for their next call.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{io::Errno, net::RecvFlags};
use tokio::sync::Semaphore;

use super::{
    Workers,
    compile::{self, Bounds},
    entry, files,
    handshake::{Task, Welcome},
    spawner::{Tidy, watch},
    start::{self, Program, Worker, borrowed, no_file, own_id},
};
use crate::{Error, ErrorKind, Result, confine::ConfinementReport, engine::limits};

/// What the workers of all packages of a host have in common.
pub(crate) struct Pool {
    pub(super) options: Workers,
    pub(super) program: Program,
    /// One permit for each call that may run in a worker.
    pub(super) places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    crews: AtomicU64,
}

/// A worker between two calls.
struct Idle {
    crew: u64,
    hired: Hired,
    since: Instant,
}

/// A worker, and what it has done so far.
pub(super) struct Hired {
    pub(super) worker: Worker,
    pub(super) calls: u32,
    pub(super) cpu: Duration,
}

impl Hired {
    /// Whether its end of the socket is open and it has said nothing. A worker between two calls has nothing to say.
    fn is_quiet(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let heard = rustix::net::recv(&self.worker.stream, &mut [0_u8], flags);
        matches!(heard, Err(Errno::AGAIN))
    }

    /// The stream to the worker for one call. It belongs to the runtime that it is used in, and a host may be used in
    /// several, one after the other.
    pub(super) fn stream(&self) -> std::io::Result<tokio::net::UnixStream> {
        let stream = self.worker.stream.try_clone()?;
        stream.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(stream)
    }
}

impl Pool {
    /// The workers that were asked for; otherwise the running program again where it can be a worker, and otherwise none.
    ///
    /// # Errors
    ///
    /// `unavailable` where the program cannot be opened.
    pub(crate) fn open(asked: Option<Workers>) -> Result<Option<Arc<Self>>> {
        let Some(options) = asked.or_else(|| entry::was_called().then(Workers::this_program))
        else {
            return Ok(None);
        };
        let pool = Arc::new(Self {
            program: Program::open(&options.program)?,
            places: Arc::new(Semaphore::new(options.most as usize)),
            idle: Mutex::default(),
            crews: AtomicU64::new(0),
            options,
        });
        let weak: Weak<Self> = Arc::downgrade(&pool);
        watch(weak).map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                "no thread can be started for workers",
            )
            .with_source(error)
        })?;
        Ok(Some(pool))
    }

    /// Compiles a component in a worker of its own. It takes up to a minute, and must not run on an async thread.
    ///
    /// # Errors
    ///
    /// `invalid_component` where it cannot be compiled, or not within the limits; `unavailable` where no worker can be
    /// started.
    pub(crate) fn compile(&self, component: &[u8], count_fuel: bool) -> Result<Vec<u8>> {
        compile::compile(
            &self.program,
            component,
            count_fuel,
            Bounds {
                start: self.options.start_time,
                time: self.options.compile_time,
                openat2: self.options.openat2,
            },
        )
    }

    /// How a worker is confined here, tried out with one that does nothing.
    ///
    /// # Errors
    ///
    /// `unavailable` where no worker can be started.
    pub(crate) fn try_out(&self) -> Result<ConfinementReport> {
        let (input, output) = (
            files::empty().map_err(no_file)?,
            files::empty().map_err(no_file)?,
        );
        let fds = borrowed([&input, &output]);
        let welcome = Welcome {
            task: Task::Compile,
            count_fuel: false,
            descriptors: u32::try_from(fds.len()).unwrap_or(u32::MAX),
            parent: own_id(),
            data_bytes: limits::COMPILE_MEMORY_BYTES,
            file_bytes: 0,
            cpu_seconds: 1,
            openat2: self.options.openat2,
        };
        let worker = start::start(&self.program, &welcome, &fds, self.options.start_time)?;
        Ok(worker.report)
    }

    /// A name for the workers of one package.
    pub(super) fn new_crew(&self) -> u64 {
        self.crews.fetch_add(1, Ordering::Relaxed)
    }

    /// A worker of a package that waits for a call, the one that waited for the shortest time.
    pub(super) fn take(&self, crew: u64) -> Option<Hired> {
        loop {
            let mut found = {
                let mut idle = self.lock();
                let at = idle.iter().rposition(|one| one.crew == crew)?;
                idle.remove(at).hired
            };
            // It may have been killed since, and the kernel tells of that by its socket before it can be reaped.
            if found.worker.process.status().is_none() && found.is_quiet() {
                return Some(found);
            }
        }
    }

    /// Keeps a worker for the next call, where there is room; another one that waited for longer may have to go.
    pub(super) fn put(&self, crew: u64, hired: Hired) {
        let since = Instant::now();
        let mut gone = Vec::new();
        {
            let mut idle = self.lock();
            idle.push(Idle { crew, hired, since });
            let own = idle.iter().filter(|one| one.crew == crew).count();
            if own > self.options.idle_per_package
                && let Some(at) = idle.iter().position(|one| one.crew == crew)
            {
                gone.push(idle.remove(at));
            }
            if idle.len() > self.options.idle {
                gone.push(idle.remove(0));
            }
        }
        // Ended without the lock.
        drop(gone);
    }

    /// Ends the workers of a package that wait for a call.
    pub(super) fn dismiss(&self, crew: u64) {
        self.end(|one| one.crew == crew);
    }

    fn end(&self, which: impl Fn(&Idle) -> bool) {
        let gone: Vec<Idle> = self.lock().extract_if(.., |one| which(one)).collect();
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        // Every change is one call on the list, so it is whole whatever happened to a thread that held the lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tidy for Pool {
    fn tidy(&self, now: Instant) {
        let time = self.options.idle_time;
        self.end(|one| now.saturating_duration_since(one.since) >= time);
    }
}
