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
use toolcell_policy::Limits;
use wasmtime::{
    Store, UpdateDeadline,
    component::{Component, InstancePre, Linker},
};

use crate::{
    Content, Error, ErrorKind, Result, ToolFailure, Usage,
    capability::recorder::{Record, Recorder},
    engine::{Engine, limits as ceilings, meter::Meter, one_line},
};

use state::CallState;
pub(crate) use state::Setup;

/// A guest computes for so many ticks of the engine's clock, of a millisecond each, before it gives way to other calls
/// and its limits are looked at.
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
    state::add_to_linker(&mut linker).map_err(|error| {
        Error::new(ErrorKind::Internal, "the host's functions cannot be linked")
            .with_source(error.into_boxed_dyn_error())
    })?;
    Ok(linker)
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
    setup: Setup,
    tool: &str,
    input: String,
    cancel: &CancellationToken,
) -> Finished {
    let begin = Instant::now();
    let (deadline, limits) = (setup.deadline, setup.grants().limits().clone());
    let meter = Meter::default();
    let recorder = setup.recorder.clone();
    let _running = prepared.engine.ticker.run();

    let mut store = Store::new(&prepared.engine.wasmtime, CallState::new(setup));
    let ended = match prepare_store(&mut store, deadline, &limits, &meter) {
        Err(error) => outcome::Ended::Failed(error),
        Ok(()) => {
            let call = AssertUnwindSafe(call(&mut store, prepared, tool, &input)).catch_unwind();
            tokio::select! {
                biased;
                answer = meter.measure(call) => match answer {
                    Ok(Ok(answer)) => outcome::Ended::Answered(answer),
                    Ok(Err(error)) => outcome::Ended::Failed(error),
                    Err(_panic) => outcome::Ended::Panicked,
                },
                () = cancel.cancelled() => outcome::Ended::Cancelled,
                () = tokio::time::sleep_until(deadline.into()) => outcome::Ended::OutOfTime,
            }
        }
    };

    store.data_mut().finish();
    let state = store.data();
    let mut usage = Usage {
        cpu_us: micros(meter.used()),
        fuel: limits
            .fuel
            .map(|fuel| fuel.saturating_sub(store.get_fuel().unwrap_or(0))),
        ..state.usage()
    };
    let record = recorder.take();
    let outcome = outcome::judge(ended, &record, state.limiter.exceeded(), limits.output);
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
    deadline: Instant,
    limits: &Limits,
    meter: &Meter,
) -> wasmtime::Result<()> {
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(ceilings::HOSTCALL_BYTES);
    store.set_max_component_handles(ceilings::COMPONENT_HANDLES);
    if let Some(fuel) = limits.fuel {
        store.set_fuel(fuel)?;
    }
    store.set_epoch_deadline(SLICE_TICKS);
    let (meter, cpu) = (meter.clone(), limits.cpu);
    store.epoch_deadline_callback(move |store| {
        let recorder = &store.data().recorder;
        if Instant::now() >= deadline {
            // The timer of a busy runtime may come later than this.
            return Err(out_of_time(recorder).into());
        }
        if meter.used() >= cpu {
            let message = format!("the tool computed for longer than {:?}", cpu);
            return Err(recorder.exceed(ErrorKind::LimitCpu, message).into());
        }
        Ok(UpdateDeadline::Yield(SLICE_TICKS))
    });
    Ok(())
}

fn out_of_time(recorder: &Recorder) -> crate::capability::LimitExceeded {
    recorder.exceed(ErrorKind::LimitTime, outcome::OUT_OF_TIME)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
