//! Plain WASI programs: components that export `wasi:cli/run`. They run under the same limits and grants as tools, with
//! arguments and standard streams of their own.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wasmtime::component::Component;
use wasmtime_wasi::{
    I32Exit,
    cli::{StdinStream, StdoutStream},
    p2::bindings::CommandPre,
};

use super::{CallState, Finished, Parts, Surroundings, confine, link, misfit, stdio::Streams};
use crate::{Result, engine::Engine};

/// A program that is compiled and linked.
pub(crate) struct Program {
    engine: Arc<Engine>,
    pre: CommandPre<CallState>,
}

impl Program {
    /// Links a program.
    ///
    /// # Errors
    ///
    /// `invalid_component` where an import has not the type that this host offers.
    pub(crate) fn new(engine: &Arc<Engine>, component: &Component) -> Result<Self> {
        let pre = link(engine, component)?;
        Ok(Self {
            engine: Arc::clone(engine),
            pre: CommandPre::new(pre).map_err(misfit)?,
        })
    }

    /// Runs the program once. Its outcome is its exit status: 0, or 1 for every failure of its own, since WASI 0.2
    /// knows no others.
    pub(crate) async fn run<I, O>(
        &self,
        parts: Parts,
        streams: Streams<I, O>,
        args: &[String],
        cancel: &CancellationToken,
    ) -> Finished<u8>
    where
        I: StdinStream + 'static,
        O: StdoutStream + 'static,
    {
        let surroundings = Surroundings::of(&parts, cancel);
        let pre = self.pre.clone();
        let state = CallState::of_program(parts, streams, args);
        confine(&self.engine, state, surroundings, |store| {
            Box::pin(async move {
                let command = pre.instantiate_async(&mut *store).await?;
                match command.wasi_cli_run().call_run(store).await {
                    Ok(result) => Ok(u8::from(result.is_err())),
                    Err(error) => match error.downcast_ref::<I32Exit>() {
                        Some(I32Exit(status)) => Ok(u8::try_from(*status).unwrap_or(1)),
                        None => Err(error),
                    },
                }
            })
        })
        .await
    }
}
