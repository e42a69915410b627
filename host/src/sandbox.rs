//! One call: a fresh store, one deadline around everything, and an outcome. Nothing of it outlives the call.

mod bindings;
mod executor;
#[cfg(test)]
pub(crate) mod fixtures;
mod outcome;
mod plain;
mod program;
mod state;
mod stdio;

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;
use toolcell_policy::{Limits, format_duration};
use wasmtime::{
    Store, UpdateDeadline,
    component::{Component, InstancePre, Linker},
};

use crate::{
    Content, Error, ErrorKind, Result, ToolFailure, Usage,
    capability::{
        answer::Answer,
        files::discard,
        recorder::{Record, Recorder},
    },
    engine::{Engine, meter::Meter, one_line},
};

pub(crate) use executor::Executor;
use outcome::Ended;
use plain::Plain;
pub(crate) use program::Program;
use state::CallState;
pub(crate) use state::{Parts, Setup};
pub use stdio::Stdio;
pub(crate) use stdio::Streams;

/// A guest computes for so many ticks of the engine's clock, of a millisecond each, before it gives way to other calls
/// and its limits are looked at. It is short, so that even a full host of guests that never rest answers in time.
const SLICE_TICKS: u64 = 2;

/// What a component of the contract exports.
const CONTRACT: &str = "toolcell:tool/tool@0.1.0";

/// A component that is compiled and linked: a call only makes a store and copies memory images.
#[derive(Clone)]
pub(crate) struct Prepared {
    engine: Arc<Engine>,
    entry: Entry,
}

/// How a tool is called.
#[derive(Clone)]
enum Entry {
    /// Through the one function of the contract.
    Contract(bindings::PureToolPre<CallState>),
    /// Through a function with WIT types of its own.
    Plain(Plain),
}

impl Prepared {
    /// Links a component.
    ///
    /// # Errors
    ///
    /// `invalid_component` where an import has not the type that this host offers.
    pub(crate) fn new(engine: &Arc<Engine>, component: &Component) -> Result<Self> {
        let pre = link(engine, component)?;
        let entry = if component.get_export_index(None, CONTRACT).is_some() {
            Entry::Contract(bindings::PureToolPre::new(pre).map_err(misfit)?)
        } else {
            Entry::Plain(Plain::new(pre))
        };
        Ok(Self {
            engine: Arc::clone(engine),
            entry,
        })
    }
}

/// Whether the host offers what a component imports, in the types that it imports it with. `imports_only` is the component
/// without its code, so this compiles nothing.
///
/// # Errors
///
/// `invalid_component` where a function is not there or has another type.
pub(crate) fn check_imports(engine: &Engine, imports_only: &[u8]) -> Result<()> {
    let component = Component::from_binary(&engine.wasmtime, imports_only).map_err(misfit)?;
    link(engine, &component).map(drop)
}

/// Gives a component its imports: everything that the host offers is there, and what a tool holds of it is decided by
/// the state of its call.
fn link(engine: &Engine, component: &Component) -> Result<InstancePre<CallState>> {
    let mut linker = Linker::new(&engine.wasmtime);
    state::add_to_linker(&mut linker).map_err(|error| {
        Error::new(ErrorKind::Internal, "the host's functions cannot be linked")
            .with_source(error.into_boxed_dyn_error())
    })?;
    linker.instantiate_pre(component).map_err(misfit)
}

fn misfit(error: wasmtime::Error) -> Error {
    Error::new(
        ErrorKind::InvalidComponent,
        format!("the component does not fit this host: {}", one_line(&error)),
    )
}

/// How a call ended, and everything that was seen of it.
#[derive(Debug)]
pub(crate) struct Finished<T> {
    pub(crate) outcome: Result<T, ToolFailure>,
    pub(crate) usage: Usage,
    pub(crate) record: Record,
}

/// Runs a tool once, in this process. Dropping the returned future ends the guest at once.
pub(crate) async fn run(
    prepared: &Prepared,
    setup: Setup,
    tool: &str,
    input: String,
    cancel: &CancellationToken,
) -> Finished<Vec<Content>> {
    let max_output = setup.grants().limits().output;
    let finished = prepared.call(setup.into(), tool, input, cancel).await;
    accept(finished, max_output)
}

impl Prepared {
    /// Runs a tool once and gives what it returned; nobody has checked that yet. Dropping the returned future ends the
    /// guest at once.
    pub(crate) async fn call(
        &self,
        parts: Parts,
        tool: &str,
        input: String,
        cancel: &CancellationToken,
    ) -> Finished<Answer> {
        let surroundings = Surroundings::of(&parts, cancel);
        let (entry, tool) = (self.entry.clone(), tool.to_owned());
        let max_output = surroundings.limits.output;
        let state = CallState::new(parts);
        confine(&self.engine, state, surroundings, |store| {
            Box::pin(async move {
                match entry {
                    Entry::Contract(pre) => {
                        let instance = pre.instantiate_async(&mut *store).await?;
                        let exported = instance.toolcell_tool_tool();
                        let answer = exported.call_call(store, &tool, &input).await?;
                        Ok(outcome::plain(answer))
                    }
                    Entry::Plain(plain) => plain.call(store, &tool, &input, max_output).await,
                }
            })
        })
        .await
    }
}

/// Checks what a tool returned, against the host's own record of the call.
pub(crate) fn accept(finished: Finished<Answer>, max_output: u64) -> Finished<Vec<Content>> {
    let Finished {
        outcome,
        mut usage,
        record,
    } = finished;
    let outcome = outcome
        .and_then(|answer| outcome::accept(answer, &record, max_output))
        .map(|accepted| {
            usage.output_bytes = accepted.bytes;
            accepted.content
        });
    Finished {
        outcome,
        usage,
        record,
    }
}

/// What bounds a call from outside.
struct Surroundings<'a> {
    deadline: Instant,
    out_of_time: String,
    limits: Limits,
    recorder: Recorder,
    cancel: &'a CancellationToken,
}

impl<'a> Surroundings<'a> {
    fn of(parts: &Parts, cancel: &'a CancellationToken) -> Self {
        Self {
            deadline: parts.deadline,
            out_of_time: parts.out_of_time.clone(),
            limits: parts.holdings().limits.clone(),
            recorder: parts.recorder.clone(),
            cancel,
        }
    }
}

/// Runs guest code in a store of its own: instantiation, with the start functions it may run, and the call itself are
/// `guest`, and everything that bounds a guest holds for all of it.
async fn confine<T>(
    engine: &Engine,
    state: CallState,
    around: Surroundings<'_>,
    guest: impl for<'s> FnOnce(&'s mut Store<CallState>) -> BoxFuture<'s, wasmtime::Result<T>>,
) -> Finished<T> {
    let begin = Instant::now();
    let meter = Meter::default();
    let _running = engine.ticker.run();
    let mut store = Store::new(&engine.wasmtime, state);
    let ended = match prepare_store(&mut store, &around, &meter) {
        Err(error) => Ended::Failed(error),
        Ok(()) => {
            let guest = AssertUnwindSafe(guest(&mut store)).catch_unwind();
            tokio::select! {
                biased;
                result = meter.measure(guest) => match result {
                    Ok(Ok(answer)) => Ended::Answered(answer),
                    Ok(Err(error)) => Ended::Failed(error),
                    Err(_panic) => Ended::Panicked,
                },
                () = around.cancel.cancelled() => Ended::Cancelled,
                () = tokio::time::sleep_until(around.deadline.into()) => {
                    // The record keeps an earlier limit, if there was one.
                    let _ = around.recorder.exceed(ErrorKind::LimitTime, around.out_of_time);
                    Ended::OutOfTime
                }
            }
        }
    };
    store.data_mut().finish();
    let scratch = store.data_mut().take_scratch();
    let state = store.data();
    let mut usage = Usage {
        cpu_us: micros(meter.used()),
        fuel: around
            .limits
            .fuel
            .map(|fuel| fuel.saturating_sub(store.get_fuel().unwrap_or(0))),
        ..state.usage()
    };
    let record = around.recorder.take();
    let outcome = outcome::judge(ended, &record, state.limiter.exceeded(), &around.limits);
    drop(store);
    discard(scratch).await;
    usage.wall_us = micros(begin.elapsed());
    Finished {
        outcome,
        usage,
        record,
    }
}

/// Sets every limit of a store before any guest code can run.
fn prepare_store(
    store: &mut Store<CallState>,
    around: &Surroundings<'_>,
    meter: &Meter,
) -> wasmtime::Result<()> {
    store.limiter(|state| &mut state.limiter);
    let limits = &around.limits;
    store.set_hostcall_fuel(usize::try_from(limits.hostcall).unwrap_or(usize::MAX));
    store.set_max_component_handles(limits.handles as usize);
    if let Some(fuel) = around.limits.fuel {
        store.set_fuel(fuel)?;
    }
    store.set_epoch_deadline(SLICE_TICKS);
    let (deadline, out_of_time) = (around.deadline, around.out_of_time.clone());
    let (meter, cpu) = (meter.clone(), around.limits.cpu);
    store.epoch_deadline_callback(move |store| {
        let recorder = &store.data().recorder;
        if Instant::now() >= deadline {
            // The timer of a busy runtime may come later than this.
            return Err(recorder
                .exceed(ErrorKind::LimitTime, out_of_time.clone())
                .into());
        }
        if meter.used() >= cpu {
            let message = format!("the tool computed for longer than {}", format_duration(cpu));
            return Err(recorder.exceed(ErrorKind::LimitCpu, message).into());
        }
        Ok(UpdateDeadline::Yield(SLICE_TICKS))
    });
    Ok(())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
