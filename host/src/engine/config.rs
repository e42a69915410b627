//! wasmtime's settings. Each is there for a reason of safety or of speed, and the reason stands beside it.

use wasmtime::{
    Config, Enabled, OptLevel, PoolingAllocationConfig, Strategy, WasmBacktraceDetails,
    WasmFeatures,
};

use super::limits;

/// What guests may use: WebAssembly 2.0 and the finished proposals that compilers emit today. Threads, 64-bit
/// memories, garbage collection, exceptions, stack switching and relaxed SIMD stay off: tools do not need them, and
/// each is code in the compiler and runtime that an attacker would reach.
pub(crate) fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIMD
        | WasmFeatures::FLOATS
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::BULK_MEMORY_OPT
        | WasmFeatures::CALL_INDIRECT_OVERLONG
        | WasmFeatures::COMPONENT_MODEL
}

/// Whether the kernel can tell which pages a call touched (Linux 6.7 and later). Without it a call costs about three
/// times as much.
pub(crate) fn pagemap_scan_available() -> bool {
    PoolingAllocationConfig::is_pagemap_scan_available()
}

/// The settings of an engine with `concurrency` slots. An engine that counts fuel is a separate one, since counting
/// more than doubles the cost of calls inside the guest.
pub(crate) fn config(concurrency: u32, count_fuel: bool) -> Config {
    let mut config = Config::new();
    config.wasm_features(!features(), false);
    config.wasm_features(features(), true);
    // Without it the engine keeps no structures for component-model concurrency, which no tool may use yet.
    config.concurrency_support(false);
    config.strategy(Strategy::Cranelift);
    config.cranelift_opt_level(OptLevel::Speed);
    config.parallel_compilation(true);
    config.epoch_interruption(true);
    config.consume_fuel(count_fuel);
    config.max_wasm_stack(limits::WASM_STACK_BYTES);
    config.async_stack_size(limits::ASYNC_STACK_BYTES);
    config.memory_reservation(limits::MEMORY_RESERVATION_BYTES);
    config.memory_init_cow(true);
    // Function names are chosen by the guest: a backtrace would carry its words into messages and logs.
    config.wasm_backtrace_max_frames(None);
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.allocation_strategy(pool(concurrency));
    config
}

/// The pool: everything a call needs is set aside before, so that a call neither maps nor unmaps memory.
fn pool(concurrency: u32) -> PoolingAllocationConfig {
    let keep_resident = if pagemap_scan_available() {
        limits::KEEP_RESIDENT_BYTES
    } else {
        limits::KEEP_RESIDENT_WITHOUT_PAGEMAP_BYTES
    };
    let reservation = usize::try_from(limits::MEMORY_RESERVATION_BYTES).unwrap_or(usize::MAX);
    let times = |per_call: u32| concurrency.saturating_mul(per_call);

    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(concurrency)
        .total_core_instances(times(limits::CORE_INSTANCES_PER_COMPONENT))
        .total_memories(times(limits::MEMORIES_PER_COMPONENT))
        .total_tables(times(limits::TABLES_PER_COMPONENT))
        .total_stacks(concurrency)
        .max_core_instances_per_component(limits::CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(limits::MEMORIES_PER_COMPONENT)
        .max_tables_per_component(limits::TABLES_PER_COMPONENT)
        .max_memories_per_module(limits::MEMORIES_PER_COMPONENT)
        .max_tables_per_module(limits::TABLES_PER_COMPONENT)
        .max_core_instance_size(limits::INSTANCE_METADATA_BYTES)
        .max_component_instance_size(limits::INSTANCE_METADATA_BYTES)
        .max_memory_size(reservation)
        .table_elements(limits::TABLE_ELEMENTS)
        .linear_memory_keep_resident(keep_resident)
        .table_keep_resident(keep_resident)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(limits::WARM_SLOTS);
    pool
}
