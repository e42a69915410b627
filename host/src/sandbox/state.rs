//! Everything that one call holds.

use std::time::Instant;

use toolcell_policy::GrantSet;
use wasmtime::component::Linker;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use crate::{
    Usage,
    capability::recorder::Recorder,
    engine::{limiter::Limiter, limits},
};

/// What a call brings along. Without grants, which only a decision of the policy gives, there is no sandbox.
pub(crate) struct Setup {
    pub(crate) grants: GrantSet,
    pub(crate) deadline: Instant,
    pub(crate) recorder: Recorder,
}

/// The data of a call's store: it is made for one call and dropped with it.
pub(crate) struct CallState {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) limiter: Limiter,
    pub(super) recorder: Recorder,
}

impl CallState {
    pub(super) fn new(setup: Setup) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::RESOURCE_TABLE_ENTRIES);
        Self {
            wasi: WasiCtx::builder().build(),
            table,
            limiter: Limiter::new(setup.grants.limits().memory),
            recorder: setup.recorder,
        }
    }

    /// What the capabilities counted.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            memory_peak_bytes: self.limiter.peak_bytes(),
            ..Usage::default()
        }
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Everything a component may import, in one linker: what a tool holds is decided by the state of its call.
pub(super) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}
