//! The workers of one package: an executor whose calls run in processes of their own.

use std::{
    fs::File,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::process::ExitStatusExt as _,
    },
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use rustix::process::Signal;
use tokio::{
    net::UnixStream,
    sync::{AcquireError, Semaphore, SemaphorePermit},
};
use tokio_util::sync::CancellationToken;
use toolcell_policy::Isolation;

use super::{
    files,
    handshake::{Task, Welcome},
    outside::{self, Ended},
    pool::{Hired, Pool},
    start::{self, in_words, no_file, own_id},
};
use crate::{
    Content, Error, ErrorKind, Result, Stdio, ToolFailure, Usage,
    capability::{
        files::{FileRoots, HeldRoots},
        recorder::Recorder,
    },
    confine::ConfinementReport,
    engine::limits,
    sandbox::{Executor, Finished, Setup},
};

/// Runs the calls of one package in workers, each of which holds what the package was granted.
pub(crate) struct Crew {
    pool: Arc<Pool>,
    number: u64,
    hands: Arc<Hands>,
    /// One permit for each worker of this package that may work at the same time.
    slots: Semaphore,
    report: ConfinementReport,
    /// A worker that used so much processor time is given no more calls.
    worn: Duration,
}

/// What every worker of the package is handed.
struct Hands {
    held: Arc<HeldRoots>,
    /// The compiled component, sealed.
    artefact: File,
    artefact_bytes: u64,
    task: Task,
    count_fuel: bool,
}

impl Crew {
    /// Starts the first worker of a package's tools. It takes some milliseconds and must not run on an async thread.
    ///
    /// # Errors
    ///
    /// `unavailable` where no worker can be started; `invalid_component` where the component does not fit.
    pub(crate) fn of_tools(
        pool: &Arc<Pool>,
        roots: &FileRoots,
        compiled: &[u8],
        count_fuel: bool,
    ) -> Result<Self> {
        let task = Task::Tools(roots.held().holdings().clone());
        Self::new(pool, roots, compiled, task, count_fuel)
    }

    /// The same for a plain WASI program.
    ///
    /// # Errors
    ///
    /// As [`of_tools`](Self::of_tools).
    pub(crate) fn of_program(pool: &Arc<Pool>, roots: &FileRoots, compiled: &[u8]) -> Result<Self> {
        let task = Task::Program(roots.held().holdings().clone());
        Self::new(pool, roots, compiled, task, false)
    }

    fn new(
        pool: &Arc<Pool>,
        roots: &FileRoots,
        compiled: &[u8],
        task: Task,
        count_fuel: bool,
    ) -> Result<Self> {
        let hands = Hands {
            held: Arc::clone(roots.held()),
            artefact: files::sealed(compiled).map_err(no_file)?,
            artefact_bytes: compiled.len() as u64,
            task,
            count_fuel,
        };
        let number = pool.new_crew();
        let first = hands.hire(pool)?;
        let report = first.worker.report.clone();
        pool.put(number, first);
        let limits = roots.grants().limits();
        let calls = u32::try_from(limits::WORKER_CPU_CALLS).unwrap_or(1);
        Ok(Self {
            pool: Arc::clone(pool),
            number,
            hands: Arc::new(hands),
            slots: Semaphore::new(limits.concurrency as usize),
            report,
            worn: limits.cpu.saturating_mul(calls) / 2,
        })
    }

    /// How its workers are confined. One that is confined less is not used.
    pub(crate) fn report(&self) -> &ConfinementReport {
        &self.report
    }

    /// Runs a program once. Dropping the future kills it.
    pub(crate) async fn run_program(
        &self,
        setup: Setup,
        stdio: Stdio,
        args: &[String],
        cancel: &CancellationToken,
    ) -> Finished<u8> {
        let stop = Stop::new(&setup);
        let (hired, mut stream, _places) = match self.ready(cancel, &stop).await {
            Ok(ready) => ready,
            Err(finished) => return finished,
        };
        let ended = outside::program(&mut stream, setup, stdio, args.to_vec(), cancel).await;
        drop(stream);
        self.release(hired, ended, &stop).await
    }

    async fn run_tool(
        &self,
        setup: Setup,
        tool: &str,
        input: String,
        cancel: &CancellationToken,
    ) -> Finished<Vec<Content>> {
        let stop = Stop::new(&setup);
        let (hired, mut stream, _places) = match self.ready(cancel, &stop).await {
            Ok(ready) => ready,
            Err(finished) => return finished,
        };
        let ended = outside::call(&mut stream, setup, tool, input, cancel).await;
        drop(stream);
        self.release(hired, ended, &stop).await
    }

    /// A worker for one call, its stream, and the places that it takes while it works; otherwise how the call ended for
    /// lack of it.
    async fn ready<T>(
        &self,
        cancel: &CancellationToken,
        stop: &Stop,
    ) -> Result<(Hired, UnixStream, Places<'_>), Finished<T>> {
        let hire = async {
            let places = (self.slots.acquire().await, self.pool.places.acquire().await);
            self.hire().await.map(|hired| (hired, places))
        };
        let (hired, places) = tokio::select! {
            biased;
            hired = hire => hired.map_err(|error| {
                tracing::error!(%error, "no worker could be started");
                stop.because(ErrorKind::Unavailable, "no worker could be started for the call")
            }),
            () = cancel.cancelled() => {
                Err(stop.because(ErrorKind::Cancelled, "the caller cancelled the call"))
            }
            () = tokio::time::sleep_until(stop.deadline.into()) => {
                Err(stop.because(ErrorKind::LimitTime, &stop.out_of_time))
            }
        }?;
        match hired.stream() {
            Ok(stream) => Ok((hired, stream, places)),
            Err(error) => Err(stop.unusable(&error)),
        }
    }

    /// A worker that waits for a call, or else a new one.
    async fn hire(&self) -> Result<Hired> {
        if let Some(hired) = self.pool.take(self.number) {
            return Ok(hired);
        }
        let (pool, hands) = (Arc::clone(&self.pool), Arc::clone(&self.hands));
        let hired = tokio::task::spawn_blocking(move || hands.hire(&pool))
            .await
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "no worker could be started").with_source(error)
            })??;
        if hired.worker.report.level() < self.report.level() {
            let message = "a new worker is confined less than the first one";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Ok(hired)
    }

    /// Keeps a worker after a call, or ends it.
    async fn release<T>(&self, mut hired: Hired, ended: Ended<T>, stop: &Stop) -> Finished<T> {
        let finished = ended.finished;
        if ended.gone {
            let status = hired.worker.process.end_soon().await;
            tracing::warn!(?status, "a worker ended during a call");
            return stop.lost(finished, status);
        }
        hired.calls += 1;
        hired.cpu += Duration::from_micros(finished.usage.cpu_us);
        let fresh = hired.cpu < self.worn && hired.calls < self.pool.options.calls_each;
        if ended.reusable && fresh {
            self.pool.put(self.number, hired);
        }
        finished
    }
}

/// What a call in a worker holds while it runs.
type Places<'a> = (
    Result<SemaphorePermit<'a>, AcquireError>,
    Result<SemaphorePermit<'a>, AcquireError>,
);

impl Drop for Crew {
    fn drop(&mut self) {
        self.pool.dismiss(self.number);
    }
}

impl Hands {
    /// Starts one more worker.
    fn hire(&self, pool: &Pool) -> Result<Hired> {
        let limits = &self.held.holdings().limits;
        let cpu = limits.cpu.as_secs().max(1) * limits::WORKER_CPU_CALLS;
        let scratch = self
            .held
            .scratch()
            .map(|(base, _)| base.part())
            .transpose()
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "no scratch directory can be made")
                    .with_source(error)
            })?;
        let fds: Vec<BorrowedFd<'_>> = std::iter::once(self.artefact.as_fd())
            .chain(scratch.iter().map(AsFd::as_fd))
            .chain(self.held.handles())
            .collect();
        let welcome = Welcome {
            task: self.task.clone(),
            count_fuel: self.count_fuel,
            descriptors: u32::try_from(fds.len()).unwrap_or(u32::MAX),
            parent: own_id(),
            data_bytes: limits.memory + 2 * self.artefact_bytes + limits::WORKER_MEMORY_BYTES,
            file_bytes: limits::WORKER_FILE_BYTES,
            cpu_seconds: cpu + limits::WORKER_CPU_SECONDS,
            openat2: pool.options.openat2,
        };
        let mut worker = start::start(&pool.program, &welcome, &fds, pool.options.start_time)?;
        if let Some(part) = scratch {
            worker.process.afterwards(move || drop(part));
        }
        Ok(Hired {
            worker,
            calls: 0,
            cpu: Duration::ZERO,
        })
    }
}

/// How to end a call that its worker did not end.
struct Stop {
    recorder: Recorder,
    begin: Instant,
    deadline: Instant,
    out_of_time: String,
}

impl Stop {
    fn new(setup: &Setup) -> Self {
        Self {
            recorder: setup.recorder.clone(),
            begin: Instant::now(),
            deadline: setup.deadline,
            out_of_time: setup.out_of_time.clone(),
        }
    }

    fn because<T>(&self, kind: ErrorKind, message: &str) -> Finished<T> {
        let wall_us = u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        Finished {
            outcome: Err(ToolFailure::new(kind, message)),
            usage: Usage {
                wall_us,
                ..Usage::default()
            },
            record: self.recorder.take(),
        }
    }

    fn unusable<T>(&self, error: &std::io::Error) -> Finished<T> {
        tracing::error!(%error, "a worker's socket cannot be used");
        self.because(ErrorKind::Unavailable, "the worker's socket cannot be used")
    }

    /// Says why a worker was gone before its call had ended. A limit that was reached before counts first.
    fn lost<T>(&self, finished: Finished<T>, status: Option<ExitStatus>) -> Finished<T> {
        if finished.outcome.is_ok() || finished.record.limit.is_some() {
            return finished;
        }
        let (kind, message) = lost(status);
        Finished {
            outcome: Err(ToolFailure::new(kind, message)),
            ..finished
        }
    }
}

/// What to say of a worker that was gone before its call had ended.
fn lost(ended: Option<ExitStatus>) -> (ErrorKind, String) {
    let signal = ended.and_then(|status| status.signal());
    let is = |which: Signal| signal == Some(which.as_raw());
    let say = |kind, message: &str| (kind, message.to_owned());
    if is(Signal::SYS) {
        return say(
            ErrorKind::Trap,
            "the tool's process tried what no tool does, and was killed",
        );
    }
    if is(Signal::XCPU) {
        return say(
            ErrorKind::LimitCpu,
            "the tool's process used up its processor time",
        );
    }
    if is(Signal::ABORT) {
        return say(
            ErrorKind::LimitMemory,
            "the tool's process had no memory left",
        );
    }
    if is(Signal::KILL) {
        return say(
            ErrorKind::Unavailable,
            "the tool's process was killed from outside, or for lack of memory",
        );
    }
    let how = ended.map_or_else(|| "for no known reason".to_owned(), in_words);
    (ErrorKind::Trap, format!("the tool's process ended ({how})"))
}

impl Executor for Crew {
    fn run<'a>(
        &'a self,
        setup: Setup,
        tool: &'a str,
        input: String,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Finished<Vec<Content>>> {
        Box::pin(self.run_tool(setup, tool, input, cancel))
    }

    fn isolation(&self) -> Isolation {
        Isolation::Process
    }
}
