//! One call: a fresh store, one deadline around everything, and an outcome. Nothing of it outlives the call.

mod bindings;
#[cfg(test)]
pub(crate) mod fixtures;
mod outcome;
mod state;

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use wasmtime::{
    Store, UpdateDeadline,
    component::{Component, InstancePre, Linker},
};

use crate::{
    Content, Error, ErrorKind, Result, ToolFailure, Usage,
    capability::recorder::{Record, Recorder},
    engine::{Engine, TICK, limits, meter::Meter, one_line},
};

pub(crate) use state::CallState;

/// A guest computes for so many ticks of the engine's clock before it gives way to other calls.
const SLICE_TICKS: u64 = 5;

/// A component that is compiled and linked: a call only makes a store and copies memory images.
#[derive(Clone)]
pub(crate) struct Prepared {
    engine: Arc<Engine>,
    pre: bindings::PureToolPre<CallState>,
}

impl Prepared {
    /// Links a component.
    ///
    /// # Errors
    ///
    /// `invalid_component` where an import has not the type that this host offers.
    pub(crate) fn new(engine: &Arc<Engine>, component: &Component) -> Result<Self> {
        let refused = |error: wasmtime::Error| {
            Error::new(
                ErrorKind::InvalidComponent,
                format!("the component does not fit this host: {}", one_line(&error)),
            )
        };
        let pre: InstancePre<CallState> = linker(engine)?
            .instantiate_pre(component)
            .map_err(refused)?;
        Ok(Self {
            engine: Arc::clone(engine),
            pre: bindings::PureToolPre::new(pre).map_err(refused)?,
        })
    }

    /// The engine whose places its calls take.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

/// Everything a component may import, in one linker: what a tool holds is decided by the state of its call.
fn linker(engine: &Engine) -> Result<Linker<CallState>> {
    let mut linker = Linker::new(&engine.wasmtime);
    let linked = wasmtime_wasi::p2::add_to_linker_async(&mut linker);
    linked.map_err(|error| {
        Error::new(ErrorKind::Internal, "the host's functions cannot be linked")
            .with_source(error.into_boxed_dyn_error())
    })?;
    Ok(linker)
}

/// What a call may use of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// When it must have ended.
    pub(crate) deadline: Instant,
    /// CPU time.
    pub(crate) cpu: Duration,
    /// Fuel, for a component that was prepared for an engine that counts it.
    pub(crate) fuel: Option<u64>,
    /// The largest answer in bytes.
    pub(crate) output: u64,
}

/// How a call ended, and everything that was seen of it.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) outcome: Result<Vec<Content>, ToolFailure>,
    pub(crate) usage: Usage,
    pub(crate) record: Record,
}

/// Runs a tool once. Dropping the returned future ends the guest at once.
pub(crate) async fn run(
    prepared: &Prepared,
    state: CallState,
    tool: &str,
    input: String,
    bounds: Bounds,
    cancel: &CancellationToken,
) -> Finished {
    let begin = Instant::now();
    let meter = Meter::default();
    let recorder = state.recorder.clone();
    let _running = prepared.engine.ticker.run();

    let mut store = Store::new(&prepared.engine.wasmtime, state);
    let ended = match prepare_store(&mut store, bounds, &meter) {
        Err(error) => outcome::Ended::Failed(error),
        Ok(()) => {
            let call = AssertUnwindSafe(call(&mut store, prepared, tool, &input)).catch_unwind();
            let deadline = tokio::time::Instant::from_std(bounds.deadline);
            tokio::select! {
                biased;
                answer = meter.measure(call) => match answer {
                    Ok(Ok(answer)) => outcome::Ended::Answered(answer),
                    Ok(Err(error)) => outcome::Ended::Failed(error),
                    Err(_panic) => outcome::Ended::Panicked,
                },
                () = cancel.cancelled() => outcome::Ended::Cancelled,
                () = tokio::time::sleep_until(deadline) => outcome::Ended::OutOfTime,
            }
        }
    };

    let state = store.data();
    let mut usage = Usage {
        cpu_us: micros(meter.used()),
        fuel: bounds
            .fuel
            .map(|fuel| fuel.saturating_sub(store.get_fuel().unwrap_or(0))),
        memory_peak_bytes: state.limiter.peak_bytes(),
        ..Usage::default()
    };
    let record = recorder.take();
    let outcome = outcome::judge(ended, &record, state.limiter.exceeded(), bounds.output);
    let outcome = outcome.map(|accepted| {
        usage.output_bytes = accepted.bytes;
        accepted.content
    });
    drop(store);
    usage.wall_us = micros(begin.elapsed());
    Finished {
        outcome,
        usage,
        record,
    }
}

/// Instantiates the component, which may run its start functions, and calls it.
async fn call(
    store: &mut Store<CallState>,
    prepared: &Prepared,
    tool: &str,
    input: &String,
) -> wasmtime::Result<outcome::Answer> {
    let instance = prepared.pre.instantiate_async(&mut *store).await?;
    instance
        .toolcell_tool_tool()
        .call_call(store, tool, input)
        .await
}

/// Sets every limit of a store before any guest code can run.
fn prepare_store(
    store: &mut Store<CallState>,
    bounds: Bounds,
    meter: &Meter,
) -> wasmtime::Result<()> {
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(limits::HOSTCALL_BYTES);
    store.set_max_component_handles(limits::COMPONENT_HANDLES);
    if let Some(fuel) = bounds.fuel {
        store.set_fuel(fuel)?;
    }
    store.set_epoch_deadline(SLICE_TICKS);
    let meter = meter.clone();
    store.epoch_deadline_callback(move |store| {
        let recorder = &store.data().recorder;
        if Instant::now() >= bounds.deadline {
            // The timer of a busy runtime may come later than this.
            return Err(out_of_time(recorder).into());
        }
        if meter.used() >= bounds.cpu {
            let message = format!("the tool computed for longer than {:?}", bounds.cpu);
            return Err(recorder.exceed(ErrorKind::LimitCpu, message).into());
        }
        Ok(UpdateDeadline::Yield(SLICE_TICKS))
    });
    Ok(())
}

fn out_of_time(recorder: &Recorder) -> crate::capability::LimitExceeded {
    recorder.exceed(ErrorKind::LimitTime, outcome::OUT_OF_TIME)
}

/// The time for which a guest may run on after its limit: one slice.
pub(crate) const SLICE: Duration = Duration::from_millis(TICK.as_millis() as u64 * SLICE_TICKS);

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
