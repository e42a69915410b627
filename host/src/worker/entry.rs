//! The start of a worker process.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{fs::FileExt as _, net::UnixStream},
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::fs::FileType;
use toolcell_policy::FileAccess;

use super::{
    files,
    handshake::{Answer, Compiled, Hello, Task, Welcome, receive_fds},
    inside::{self, Runnable},
    start::ARGUMENT,
    wire::{WireError, read_blocking, write_blocking},
};
use crate::{
    Error, ErrorKind, Result,
    capability::{files::HeldRoots, holdings::Holdings},
    confine::{self, Access, ConfinementReport, Plan},
    engine::{self, Engine, config, limits},
    sandbox::{Prepared, Program},
};

/// Whether [`run_if_worker`] was called, so that starting this program again makes a worker.
static CALLED: AtomicBool = AtomicBool::new(false);

/// Threads for what blocks inside a worker. Calls run on the main thread.
const BLOCKING_THREADS: usize = 4;

/// Carries out calls of tools if this process was started as a worker, and never returns then. In every other process it
/// returns at once.
///
/// It has to come first in `main`, before any thread is started and before anything is opened, since a worker confines
/// itself and keeps nothing that it was not handed. A program that calls it can start itself again as a worker, so that
/// [`ToolHost`](crate::ToolHost) runs tools in processes of their own:
///
/// ```no_run
/// fn main() -> std::io::Result<()> {
///     toolcell::worker::run_if_worker();
///     tokio::runtime::Runtime::new()?.block_on(async {
///         // What the program is for: build a ToolHost, load tools and call them.
///         Ok(())
///     })
/// }
/// ```
///
/// With `#[tokio::main]` the runtime's threads would run already: write `main` without it, and build the runtime after
/// this call.
pub fn run_if_worker() {
    if !is_worker() {
        CALLED.store(true, Ordering::Relaxed);
        return;
    }
    // Nothing of the host is wanted here, and whatever was open in it without being closed on exec is gone now.
    confine::close_inherited(&[]);
    let status = match work() {
        Ok(()) => 0,
        // The host sees that the stream ended. There is nobody else to tell.
        Err(_) => 1,
    };
    std::process::exit(status);
}

/// Whether [`run_if_worker`] was called in this process.
pub(super) fn was_called() -> bool {
    CALLED.load(Ordering::Relaxed)
}

/// A worker has one argument, and its standard input is a socket.
fn is_worker() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    let named = arguments.next().is_some_and(|word| word == ARGUMENT);
    named
        && arguments.next().is_none()
        && rustix::fs::fstat(io::stdin().as_fd())
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
}

fn work() -> Result<(), WireError> {
    // Standard input stays open beside it, so that no file ever gets its number.
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let hello: Hello = read_blocking(&mut &stream)?;
    // Said in any case: the host can tell a person which version this is.
    write_blocking(&mut &stream, &Hello::of_worker())?;
    if hello.expect(&Hello::of_host()).is_err() {
        return Ok(());
    }
    let welcome: Welcome = read_blocking(&mut &stream)?;
    let count = usize::try_from(welcome.descriptors).unwrap_or(usize::MAX);
    let mut fds = receive_fds(&stream, count)?;
    if fds.is_empty() {
        return Err(WireError::OutOfTurn("no component was handed over"));
    }
    let component = File::from(fds.remove(0));
    let outcome = match welcome.task.clone() {
        Task::Compile => compile(&stream, &welcome, &component, fds),
        Task::Tools(holdings) => serve(
            &stream,
            &welcome,
            holdings,
            &component,
            fds,
            |engine, it| Ok(Runnable::Tool(Prepared::new(engine, it)?)),
        ),
        Task::Program(holdings) => serve(
            &stream,
            &welcome,
            holdings,
            &component,
            fds,
            |engine, it| Ok(Runnable::Program(Program::new(engine, it)?)),
        ),
    };
    match outcome {
        Ok(()) => Ok(()),
        Err(Ended::Stream(error)) => Err(error),
        Err(Ended::Before(error)) => {
            let text = error.message().to_owned();
            let answer = match error.kind() {
                ErrorKind::InvalidComponent => Answer::Unfit(text),
                _ => Answer::Failed(text),
            };
            write_blocking(&mut &stream, &answer)
        }
    }
}

/// Why a worker ends early.
enum Ended {
    /// It was not ready yet, and can say why.
    Before(Error),
    /// The stream is of no more use.
    Stream(WireError),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Before(error)
    }
}

impl From<WireError> for Ended {
    fn from(error: WireError) -> Self {
        Self::Stream(error)
    }
}

/// Confines this process for good.
fn confine(welcome: &Welcome, held: Option<&HeldRoots>) -> ConfinementReport {
    // It opens a file that cannot be opened any more afterwards.
    config::pagemap_scan_available();
    let dirs = held.map(|held| {
        let accesses = held.holdings().dirs.iter().map(|dir| match dir.access {
            FileAccess::Read => Access::Read,
            FileAccess::Write => Access::Write,
        });
        let scratch = held
            .scratch()
            .map(|(base, _)| (base.as_fd(), Access::Write));
        held.handles().zip(accesses).chain(scratch).collect()
    });
    let files = held.map_or(0, |held| {
        let limits = &held.holdings().limits;
        // Opening one goes through a second in places, and a listing has one of its own.
        2 * (u64::from(limits.open_files) + u64::from(limits.listings))
            + held.holdings().dirs.len() as u64
    });
    confine::apply(&Plan {
        dirs: dirs.unwrap_or_default(),
        descriptors: files + limits::WORKER_DESCRIPTORS,
        data_bytes: welcome.data_bytes,
        file_bytes: welcome.file_bytes,
        cpu_seconds: welcome.cpu_seconds,
        parent: welcome.parent,
        openat2: welcome.openat2,
    })
}

/// Carries out calls until the host has no more.
fn serve(
    stream: &UnixStream,
    welcome: &Welcome,
    holdings: Holdings,
    artefact: &File,
    mut dirs: Vec<OwnedFd>,
    prepare: impl FnOnce(&Arc<Engine>, &wasmtime::component::Component) -> Result<Runnable>,
) -> Result<(), Ended> {
    let internal =
        |what: &str, error: io::Error| Error::new(ErrorKind::Internal, format!("{what}: {error}"));
    let stack_bytes = holdings.limits.stack;
    let scratch = (holdings.scratch.is_some() && !dirs.is_empty()).then(|| dirs.remove(0));
    let held = HeldRoots::received(holdings, dirs, scratch)?;
    // Made before the walls go up: its driver opens sockets of its own. It starts no thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|error| internal("no runtime can be made", error))?;
    let report = confine(welcome, Some(&held));
    let engine = Arc::new(Engine::of_worker(welcome.count_fuel, stack_bytes)?);
    let compiled = files::content(artefact, limits::CACHE_ENTRY_BYTES)
        .map_err(|error| internal("the compiled component cannot be read", error))?;
    let component = engine.load(&compiled)?;
    drop(compiled);
    let runnable = prepare(&engine, &component)?;
    // The guest runs on this thread and may block it. Streams and timers go on all the same.
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("toolcell-wire".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))
        .map_err(|error| internal("no thread can be started", error))?;
    write_blocking(&mut &*stream, &Answer::Ready(report))?;
    let calls = async {
        stream.set_nonblocking(true)?;
        let stream = tokio::net::UnixStream::from_std(stream.try_clone()?)?;
        inside::serve(&runnable, Arc::new(held), stream).await
    };
    Ok(handle.block_on(calls)?)
}

/// Compiles one component.
fn compile(
    stream: &UnixStream,
    welcome: &Welcome,
    component: &File,
    mut fds: Vec<OwnedFd>,
) -> Result<(), Ended> {
    let Some(output) = fds.pop().map(File::from) else {
        return Err(WireError::OutOfTurn("no file was handed over for what is compiled").into());
    };
    let report = confine(welcome, None);
    // What is compiled does not depend on the stack that it will run with.
    let engine = Engine::of_worker(welcome.count_fuel, engine::STACK)?;
    write_blocking(&mut &*stream, &Answer::Ready(report))?;
    let component =
        files::content(component, u64::MAX).map_err(|error| Ended::Stream(error.into()))?;
    let answer = match engine.precompile(&component) {
        Ok(compiled) => {
            output
                .write_all_at(&compiled, 0)
                .map_err(|error| Ended::Stream(error.into()))?;
            Compiled::Done(compiled.len() as u64)
        }
        Err(error) => Compiled::Refused(error.message().to_owned()),
    };
    Ok(write_blocking(&mut &*stream, &answer)?)
}
