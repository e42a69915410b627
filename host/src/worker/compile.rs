//! Compiling in a worker: a compiler that hostile input keeps busy, or takes over, is bounded like a tool.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use super::{
    files,
    handshake::{Compiled, Task, Until, Welcome, timed_out},
    start::{self, Program, borrowed, in_words, last_status, no_file, own_id},
    wire::read_blocking,
};
use crate::{Error, ErrorKind, Result, engine::limits};

/// What compiling may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) start: Duration,
    pub(super) time: Duration,
    pub(super) openat2: bool,
}

/// Compiles a component in a worker of its own.
///
/// # Errors
///
/// `invalid_component` where it cannot be compiled, or not within the limits; `unavailable` where no worker can be
/// started.
pub(super) fn compile(
    program: &Program,
    component: &[u8],
    count_fuel: bool,
    bounds: Bounds,
) -> Result<Vec<u8>> {
    let input = files::sealed(component).map_err(no_file)?;
    let output = files::empty().map_err(no_file)?;
    let fds = borrowed([&input, &output]);
    let welcome = Welcome {
        task: Task::Compile,
        count_fuel,
        descriptors: u32::try_from(fds.len()).unwrap_or(u32::MAX),
        parent: own_id(),
        data_bytes: limits::COMPILE_MEMORY_BYTES,
        file_bytes: limits::CACHE_ENTRY_BYTES,
        cpu_seconds: bounds.time.as_secs().max(1),
        openat2: bounds.openat2,
    };
    let mut worker = start::start(program, &welcome, &fds, bounds.start)?;
    let mut until = Until::new(&worker.stream, Instant::now() + bounds.time);
    let refuse = |why: String| Error::new(ErrorKind::InvalidComponent, why);
    let compiled = match read_blocking(&mut until) {
        Ok(Compiled::Done(bytes)) => taken(&output, bytes)
            .map_err(|error| refuse(format!("what it was compiled to cannot be used: {error}")))?,
        Ok(Compiled::Refused(why)) => {
            let why: String = why.chars().take(400).collect();
            return Err(refuse(crate::text::escape_control(&why).into_owned()));
        }
        Err(error) => {
            let what = if timed_out(&error) {
                format!("it took longer than {} s", bounds.time.as_secs_f32())
            } else {
                // Out of processor time or memory, or a fault of the compiler.
                let status = last_status(&mut worker.process);
                let how = status.map_or_else(|| error.to_string(), in_words);
                format!("its worker ended ({how})")
            };
            return Err(refuse(format!("the component cannot be compiled: {what}")).with_help(
                format!(
                    "Compiling may take {} s of time and of processor time, and {} bytes of memory.",
                    bounds.time.as_secs_f32(),
                    limits::COMPILE_MEMORY_BYTES
                ),
            ));
        }
    };
    Ok(compiled)
}

/// What a worker wrote. It is copied before anything looks at it, since the worker could still change it.
fn taken(output: &File, bytes: u64) -> std::io::Result<Vec<u8>> {
    let compiled = files::content(output, limits::CACHE_ENTRY_BYTES)?;
    if compiled.len() as u64 == bytes {
        return Ok(compiled);
    }
    Err(std::io::ErrorKind::InvalidData.into())
}
