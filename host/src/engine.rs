//! wasmtime, and nothing about tools: its settings, the pool, the compile cache and the clock that interrupts guests.

mod cache;
pub(crate) mod config;
pub(crate) mod limiter;
pub mod limits;
pub(crate) mod meter;
mod ticker;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use wasmtime::component::Component;

use crate::{Error, ErrorKind, Result, text::escape_control};

pub(crate) use cache::{Cache, hex};
pub(crate) use ticker::Ticker;

/// What `Cargo.toml` asks for at least; wasmtime does not tell its version at run time.
const WASMTIME_VERSION: &str = "48.0.8";

/// What an embedder may set about the engine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EngineOptions {
    /// Calls that run at the same time in this host. More wait for a free place. Default 64. Each place sets aside
    /// about 8 GiB of address space, but no memory.
    pub concurrency: u32,
    /// The largest component that is loaded, in bytes. Default 64 MiB.
    pub max_component_bytes: u64,
    /// Where compiled components are kept between runs; nothing is kept when absent, which is the default.
    pub cache_dir: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            concurrency: limits::DEFAULT_CONCURRENCY,
            max_component_bytes: limits::DEFAULT_COMPONENT_BYTES,
            cache_dir: None,
        }
    }
}

/// What the engine found on this machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct EngineReport {
    /// The version of wasmtime.
    pub wasmtime: &'static str,
    /// Whether the kernel can tell which pages a call touched (Linux 6.7 and later). Without it a call costs about
    /// three times as much.
    pub pagemap_scan: bool,
    /// Calls that can run at the same time.
    pub concurrency: u32,
    /// The largest component that is loaded, in bytes.
    pub max_component_bytes: u64,
    /// The compile cache: `off`, `ready`, or why it cannot be used.
    pub cache: String,
}

/// One of the engines of a host.
pub(crate) struct Engine {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) ticker: Arc<Ticker>,
    cache: Arc<Cache>,
}

impl Engine {
    fn new(
        options: &EngineOptions,
        cache: Arc<Cache>,
        count_fuel: bool,
        stack_bytes: u64,
    ) -> Result<Self> {
        let failed = |what: &str| {
            Error::new(
                ErrorKind::Internal,
                format!("the engine cannot start: {what}"),
            )
        };
        let mut config = config::config(options.concurrency, count_fuel);
        config.max_wasm_stack(usize::try_from(stack_bytes).unwrap_or(limits::WASM_STACK_BYTES));
        let wasmtime = wasmtime::Engine::new(&config).map_err(|error| {
            failed("its pool cannot be set up")
                .with_help(
                    "A lower `EngineOptions::concurrency` needs less address space; see also `ulimit -v`.",
                )
                .with_source(error.into_boxed_dyn_error())
        })?;
        let ticker = Ticker::start(&wasmtime)
            .map_err(|error| failed("its clock thread cannot start").with_source(error))?;
        Ok(Self {
            ticker: Arc::new(ticker),
            wasmtime,
            cache,
        })
    }

    /// The engine of a worker process, with room for one call and nothing kept, whose guest has a stack of so many bytes.
    ///
    /// # Errors
    ///
    /// `internal` where it cannot start.
    pub(crate) fn of_worker(count_fuel: bool, stack_bytes: u64) -> Result<Self> {
        let options = EngineOptions {
            concurrency: 1,
            ..EngineOptions::default()
        };
        Self::new(&options, Arc::new(Cache::off()), count_fuel, stack_bytes)
    }

    /// What the cache keeps of a component, as bytes that only [`load`](Self::load) can use.
    pub(crate) fn kept(&self, digest: &[u8; 32]) -> Option<Vec<u8>> {
        self.cache.load_bytes(&self.wasmtime, digest)
    }

    /// Puts what a worker compiled into the cache.
    pub(crate) fn keep(&self, digest: &[u8; 32], compiled: Vec<u8>) {
        self.cache.store_bytes(&self.wasmtime, digest, compiled);
    }

    /// Compiles a component to bytes that [`load`](Self::load) understands. It computes for up to seconds.
    ///
    /// # Errors
    ///
    /// `invalid_component` where the compiler refuses it.
    pub(crate) fn precompile(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.wasmtime
            .precompile_component(bytes)
            .map_err(|error| refused(&error))
    }

    /// Loads a compiled component. The bytes must come from the cache, from a worker that this process had compile them,
    /// or, in a worker, from its host.
    ///
    /// # Errors
    ///
    /// `invalid_component` where they are of another version, or where the pool refuses the component.
    pub(crate) fn load(&self, compiled: &[u8]) -> Result<Component> {
        cache::deserialize(&self.wasmtime, compiled).map_err(|error| refused(&error))
    }

    /// Compiles a component, or takes it from the cache. `digest` is the SHA-256 of `bytes`. It computes for up to
    /// seconds and must not run on an async thread.
    ///
    /// # Errors
    ///
    /// `invalid_component` where the compiler or the pool refuses it.
    pub(crate) fn compile(&self, bytes: &[u8], digest: &[u8; 32]) -> Result<Component> {
        if let Some(component) = self.cache.load(&self.wasmtime, digest) {
            return Ok(component);
        }
        let component =
            Component::from_binary(&self.wasmtime, bytes).map_err(|error| refused(&error))?;
        self.cache.store(&self.wasmtime, digest, &component);
        Ok(component)
    }
}

/// The engines of one host: a fast one, and one that counts fuel, which starts when the first tool needs it. Their
/// components and stores never meet.
pub(crate) struct Engines {
    options: EngineOptions,
    cache: Arc<Cache>,
    fast: Arc<Engine>,
    fuel: OnceLock<Arc<Engine>>,
    /// Those whose guests have another stack, as tools need them.
    others: Mutex<Vec<Other>>,
}

struct Other {
    count_fuel: bool,
    stack_bytes: u64,
    engine: Arc<Engine>,
}

/// The guest's stack in bytes, unless a policy says otherwise.
pub(crate) const STACK: u64 = limits::WASM_STACK_BYTES as u64;

impl Engines {
    pub(crate) fn new(options: EngineOptions) -> Result<Self> {
        if options.concurrency == 0 {
            return Err(Error::new(
                ErrorKind::Internal,
                "`EngineOptions::concurrency` is 0: no call could ever run",
            ));
        }
        let cache = Arc::new(match &options.cache_dir {
            Some(dir) => Cache::open(dir),
            None => Cache::off(),
        });
        let fast = Arc::new(Engine::new(&options, Arc::clone(&cache), false, STACK)?);
        Ok(Self {
            options,
            cache,
            fast,
            fuel: OnceLock::new(),
            others: Mutex::default(),
        })
    }

    pub(crate) fn options(&self) -> &EngineOptions {
        &self.options
    }

    pub(crate) fn fast(&self) -> &Arc<Engine> {
        &self.fast
    }

    /// The engine that counts fuel.
    pub(crate) fn fuel(&self) -> Result<&Arc<Engine>> {
        if let Some(engine) = self.fuel.get() {
            return Ok(engine);
        }
        let engine = Arc::new(Engine::new(
            &self.options,
            Arc::clone(&self.cache),
            true,
            STACK,
        )?);
        Ok(self.fuel.get_or_init(|| engine))
    }

    /// The engine whose guests have a stack of so many bytes, which is a setting of a whole engine.
    ///
    /// # Errors
    ///
    /// `invalid_policy` where that takes one engine more than a host has, `internal` where it cannot start.
    pub(crate) fn with_stack(&self, count_fuel: bool, stack_bytes: u64) -> Result<Arc<Engine>> {
        if stack_bytes == STACK {
            return match count_fuel {
                true => self.fuel().cloned(),
                false => Ok(Arc::clone(&self.fast)),
            };
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let known = others
            .iter()
            .find(|other| (other.count_fuel, other.stack_bytes) == (count_fuel, stack_bytes));
        if let Some(known) = known {
            return Ok(Arc::clone(&known.engine));
        }
        if others.len() >= limits::ENGINES_OF_OTHER_STACKS {
            return Err(Error::new(
                ErrorKind::InvalidPolicy,
                format!(
                    "the limit `stack` has more than {} values beside its default, and each takes an engine of its own",
                    limits::ENGINES_OF_OTHER_STACKS
                ),
            )
            .with_help("Give tools the same `stack`."));
        }
        let cache = Arc::clone(&self.cache);
        let engine = Arc::new(Engine::new(&self.options, cache, count_fuel, stack_bytes)?);
        others.push(Other {
            count_fuel,
            stack_bytes,
            engine: Arc::clone(&engine),
        });
        Ok(engine)
    }

    pub(crate) fn report(&self) -> EngineReport {
        EngineReport {
            wasmtime: WASMTIME_VERSION,
            pagemap_scan: config::pagemap_scan_available(),
            concurrency: self.options.concurrency,
            max_component_bytes: self.options.max_component_bytes,
            cache: self.cache.state(),
        }
    }
}

fn refused(error: &wasmtime::Error) -> Error {
    Error::new(
        ErrorKind::InvalidComponent,
        format!("the component cannot be compiled: {}", one_line(error)),
    )
}

/// The first words of an engine's error, in one line and escaped: parts of it are chosen by the guest.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let text: String = format!("{error:#}").chars().take(300).collect();
    escape_control(&text).into_owned()
}
