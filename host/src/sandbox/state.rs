//! Everything that one call holds.

use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use crate::{
    capability::recorder::Recorder,
    engine::{limiter::Limiter, limits},
};

/// The data of a call's store: it is made for one call and dropped with it.
pub(crate) struct CallState {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) recorder: Recorder,
}

impl CallState {
    /// A state that holds nothing but its limits.
    pub(crate) fn new(wasi: WasiCtx, memory_bytes: u64, recorder: Recorder) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::RESOURCE_TABLE_ENTRIES);
        Self {
            wasi,
            table,
            limiter: Limiter::new(memory_bytes),
            recorder,
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
