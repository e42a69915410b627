//! Every fixed ceiling of the engine, in one place. What an operator may change is in the policy's limits and in
//! [`EngineOptions`](super::EngineOptions); what is here holds for every tool.

use std::time::Duration;

/// Calls that run at the same time in one host, unless [`EngineOptions`](super::EngineOptions) says otherwise.
pub const DEFAULT_CONCURRENCY: u32 = 64;

/// The largest component, in bytes, unless [`EngineOptions`](super::EngineOptions) says otherwise: 64 MiB. Compiled
/// code is about three times as large.
pub const DEFAULT_COMPONENT_BYTES: u64 = 64 << 20;

/// The largest linear memory a 32-bit guest can have, in bytes: 4 GiB. Only address space is set aside for it; how
/// much a guest may really use is the policy's limit `memory`, summed over all its memories. With the whole range
/// set aside, the compiler needs no bounds checks.
pub const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;

/// Core instances that one component may consist of. Python components have 14, and 21 and more without WASI. The
/// policy's limit `instances` can only be lower.
pub const CORE_INSTANCES_PER_COMPONENT: u32 = 64;

/// Linear memories that one component may have. Components made from JavaScript have two. The policy's limit
/// `memories` can only be lower: each sets 4 GiB of address space aside, for every place.
pub const MEMORIES_PER_COMPONENT: u32 = 2;

/// Tables that one component may have, whatever the policy's limit `tables` says.
pub const TABLES_PER_COMPONENT: u32 = 16;

/// Elements of one table, whatever the policy's limit `table_elements` says, which is for all tables together.
/// JavaScript runtimes need about 7,700.
pub const TABLE_ELEMENTS: usize = 100_000;

/// Bytes of metadata of one core instance and of one component instance: 1 MiB.
pub const INSTANCE_METADATA_BYTES: usize = 1 << 20;

/// The guest's stack in bytes, unless the policy's limit `stack` says otherwise: 512 KiB. A deeper recursion traps.
pub const WASM_STACK_BYTES: usize = 512 << 10;

/// Engines that a host has for tools whose limit `stack` is not the default: each value takes one of its own.
pub const ENGINES_OF_OTHER_STACKS: usize = 6;

/// The whole stack of a call, host functions included, in bytes: 2 MiB.
pub const ASYNC_STACK_BYTES: usize = 2 << 20;

/// Memory of a pool slot that stays resident after a call where the kernel can tell which pages were touched, in
/// bytes: 1 MiB.
pub const KEEP_RESIDENT_BYTES: usize = 1 << 20;

/// The same where the kernel cannot tell, and everything kept must be cleared by hand: 64 KiB.
pub const KEEP_RESIDENT_WITHOUT_PAGEMAP_BYTES: usize = 64 << 10;

/// Slots of the pool that stay warm while nobody uses them.
pub const WARM_SLOTS: u32 = 100;

/// The largest compiled component that is read from the cache, in bytes: 512 MiB.
pub const CACHE_ENTRY_BYTES: u64 = 512 << 20;

/// All compiled components in the cache together, in bytes: 2 GiB. What was used least recently goes first.
pub const CACHE_BYTES: u64 = 2 << 30;

/// How long a compiled component stays in the cache after its last use: 30 days.
pub const CACHE_AGE: Duration = Duration::from_secs(30 * 86_400);

/// Imports, and exports, of one component.
pub const COMPONENT_NAMES: usize = 256;

/// The longest name of an import or export of the component model, in bytes.
pub const COMPONENT_NAME_BYTES: usize = 1_024;

/// Types of the component model in one component, those inside other types included. A component that imports all of
/// WASI has about a thousand.
pub const COMPONENT_TYPES: usize = 20_000;

/// How deep types of the component model may be nested inside each other. Toolchains write three levels.
pub const COMPONENT_TYPE_NESTING: usize = 32;

/// Instances, their arguments, aliases, imports, exports and adapters of the component model in one component. Python
/// components have a few thousand.
pub const COMPONENT_PARTS: usize = 50_000;

/// Components inside one component, at any depth.
pub const NESTED_COMPONENTS: usize = 256;

/// Core modules inside one component, at any depth. Python components have 14, and 21 and more without WASI.
pub const CORE_MODULES: usize = 128;

/// Types of all core modules of one component together.
pub const CORE_TYPES: usize = 50_000;

/// Functions of all core modules of one component together. Language runtimes have about 30,000.
pub const CORE_FUNCTIONS: usize = 200_000;

/// Imports and exports of all core modules of one component together.
pub const CORE_NAMES: usize = 100_000;

/// The longest name of an import or export of a core module, in bytes.
pub const CORE_NAME_BYTES: usize = 8_192;

/// Tables, memories, globals and segments of all core modules of one component together.
pub const CORE_ITEMS: usize = 100_000;

/// How deep components and modules may be nested inside a component.
pub const COMPONENT_NESTING: usize = 32;

/// The manifest inside a component, in bytes: 256 KiB.
pub const MANIFEST_BYTES: usize = 256 << 10;

/// A call's input as JSON text, in bytes: 1 MiB.
pub const INPUT_BYTES: usize = 1 << 20;

/// Pieces of content in one answer. `output` bounds their bytes; this bounds what empty ones cost the host.
pub const OUTPUT_PIECES: usize = 1_024;

/// Worker processes that one host runs at the same time, those that compile apart.
pub const WORKERS: u32 = 64;

/// Workers that wait for the next call of one package.
pub const IDLE_WORKERS_PER_PACKAGE: usize = 2;

/// Workers of a host that wait for their next calls.
pub const IDLE_WORKERS: usize = 16;

/// A worker that waits for longer is ended, in seconds.
pub const IDLE_WORKER_SECONDS: u64 = 60;

/// Calls that one worker carries out before another takes its place.
pub const CALLS_PER_WORKER: u32 = 1_000;

/// The time within which a program has to answer that it is a worker, and to be ready, in seconds.
pub const WORKER_START_SECONDS: u64 = 10;

/// Private memory that a worker may have beside its guest's memory and twice the compiled component, in bytes: 256 MiB.
pub const WORKER_MEMORY_BYTES: u64 = 256 << 20;

/// Memory that the system may keep for a worker beside that, such as cached files and pipes, where it can be limited, in
/// bytes: 64 MiB.
pub const WORKER_KERNEL_BYTES: u64 = 64 << 20;

/// The largest size to which a worker can make a file grow, in bytes: 16 GiB. How much a tool may write is the policy's
/// limit `written`.
pub const WORKER_FILE_BYTES: u64 = 16 << 30;

/// Descriptors that a worker may have open beside twice the files and listings that one call may hold.
pub const WORKER_DESCRIPTORS: u64 = 128;

/// Processor time that a worker may use over its life, as a multiple of the policy's limit `cpu`. With half of it used, it
/// is given no more calls.
pub const WORKER_CPU_CALLS: u64 = 16;

/// Processor time that a worker may use beside that, in seconds: one minute.
pub const WORKER_CPU_SECONDS: u64 = 60;

/// Wall clock time, and processor time, that compiling one component may take in a worker, in seconds: one minute.
pub const COMPILE_SECONDS: u64 = 60;

/// Private memory that compiling one component may take in a worker, in bytes: 2 GiB.
pub const COMPILE_MEMORY_BYTES: u64 = 2 << 30;
