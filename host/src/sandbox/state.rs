//! Everything that one call holds.

use std::{sync::Arc, time::Instant};

use toolcell_policy::GrantSet;
use wasmtime::component::Linker;
use wasmtime_wasi::{
    ResourceTable, WasiCtx, WasiCtxView, WasiView,
    cli::{StdinStream, StdoutStream},
    filesystem::WasiFilesystemView as _,
};

use super::stdio::Streams;

use crate::{
    TenantId, Usage,
    capability::{
        ask::Ask,
        files::{self, FileRoots, FilesState, FilesView, HeldRoots, Leftover},
        holdings::Holdings,
        http::{self, HttpOptions, HttpState, Network, Requests},
        log::{self, LogState, Standard},
        progress::{self, ProgressState},
        recorder::Recorder,
        secrets::{self, SecretsState},
        tools::{self, Admission, CallTools, Callee, Nesting, ToolsState},
        wasi,
    },
    egress::Egress,
    engine::limiter::{Ceilings, Limiter},
    secrets::CallSecrets,
};

/// What a call brings along.
pub(crate) struct Setup {
    /// The grants, and the granted directories. Only a decision of the policy gives them, so that there is no sandbox
    /// without one.
    pub(crate) roots: Arc<FileRoots>,
    /// Whose call it is, where there are several.
    pub(crate) tenant: Option<TenantId>,
    /// The way out to the network.
    pub(crate) egress: Arc<Egress>,
    /// The credentials that its requests may carry.
    pub(crate) secrets: Arc<CallSecrets>,
    /// When the call must have ended.
    pub(crate) deadline: Instant,
    /// What to say of a call that has not.
    pub(crate) out_of_time: String,
    /// Hears of denials, limits and events.
    pub(crate) recorder: Recorder,
    /// Who is asked about requests whose rule says `ask`; nobody means no.
    pub(crate) asker: Option<Arc<dyn Ask>>,
    /// Who carries out calls of other tools.
    pub(crate) callee: Arc<dyn Callee>,
    /// The place of the call among the calls that tools make.
    pub(crate) nesting: Nesting,
}

impl Setup {
    pub(crate) fn grants(&self) -> &GrantSet {
        self.roots.grants()
    }

    /// The requests of the call.
    pub(crate) fn network(&self) -> Arc<Requests> {
        Arc::new(Requests::new(HttpOptions {
            tenant: self.tenant.clone(),
            grants: self.grants().clone(),
            egress: Arc::clone(&self.egress),
            secrets: Arc::clone(&self.secrets),
            deadline: self.deadline,
            recorder: self.recorder.clone(),
            approver: self.asker.clone(),
        }))
    }

    /// The calls that it makes of other tools.
    pub(crate) fn tools(&self) -> Arc<dyn CallTools> {
        Arc::new(Admission {
            grants: self.grants().clone(),
            nesting: self.nesting.within(self.grants().limits().nested_calls),
            callee: Arc::clone(&self.callee),
            asker: self.asker.clone(),
            recorder: self.recorder.clone(),
        })
    }
}

/// What the state of a call is made of, wherever it runs. In a host it comes of a [`Setup`], and so of a decision. In a
/// worker process it comes of what the host sent that started it, and holds the decision: see [`Holdings`].
pub(crate) struct Parts {
    /// What the sandbox holds, and its directories.
    pub(crate) roots: Arc<HeldRoots>,
    /// What decides about paths outside them; absent in a worker process.
    pub(crate) grants: Option<GrantSet>,
    /// Its requests.
    pub(crate) network: Arc<dyn Network>,
    /// Its calls of other tools.
    pub(crate) tools: Arc<dyn CallTools>,
    /// The names of the credentials that have a value.
    pub(crate) secrets: Vec<String>,
    /// When the call must have ended.
    pub(crate) deadline: Instant,
    /// What to say of a call that has not.
    pub(crate) out_of_time: String,
    /// Hears of denials, limits and events.
    pub(crate) recorder: Recorder,
}

impl Parts {
    pub(super) fn holdings(&self) -> &Holdings {
        self.roots.holdings()
    }
}

impl From<Setup> for Parts {
    fn from(setup: Setup) -> Self {
        Self {
            roots: Arc::clone(setup.roots.held()),
            grants: Some(setup.grants().clone()),
            network: setup.network(),
            tools: setup.tools(),
            secrets: setup.secrets.names(),
            deadline: setup.deadline,
            out_of_time: setup.out_of_time,
            recorder: setup.recorder,
        }
    }
}

/// The data of a call's store: it is made for one call and dropped with it.
pub(crate) struct CallState {
    wasi: Wasi,
    pub(super) limiter: Limiter,
    pub(super) recorder: Recorder,
    files: FilesState,
    http: HttpState,
    log: LogState,
    progress: ProgressState,
    tools: ToolsState,
    secrets: SecretsState,
}

/// The part that wasmtime-wasi works on, apart from the rest so that both can be lent at the same time.
struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl CallState {
    /// The state of a tool's call: what the guest writes to its standard streams ends in its log.
    pub(super) fn new(parts: Parts) -> Self {
        let log = LogState::new(&parts.holdings().limits, parts.recorder.clone());
        let (stdout, stderr) = (log.stream(Standard::Output), log.stream(Standard::Error));
        let ctx = wasi::context(parts.holdings(), stdout, stderr).build();
        Self::with(parts, log, ctx)
    }

    /// The state of a program that has its own standard streams and arguments.
    pub(super) fn of_program<I, O>(parts: Parts, streams: Streams<I, O>, args: &[String]) -> Self
    where
        I: StdinStream + 'static,
        O: StdoutStream + 'static,
    {
        let log = LogState::new(&parts.holdings().limits, parts.recorder.clone());
        let mut ctx = wasi::context(parts.holdings(), streams.stdout, streams.stderr);
        ctx.stdin(streams.stdin).args(args);
        Self::with(parts, log, ctx.build())
    }

    fn with(parts: Parts, log: LogState, ctx: WasiCtx) -> Self {
        let recorder = parts.recorder;
        let mut table = ResourceTable::new();
        let limits = &parts.roots.holdings().limits;
        table.set_max_capacity(limits.resources as usize);
        Self {
            wasi: Wasi { ctx, table },
            limiter: Limiter::new(Ceilings {
                memory_bytes: limits.memory,
                memories: limits.memories,
                table_elements: limits.table_elements,
                tables: limits.tables,
                instances: limits.instances,
            }),
            http: HttpState::new(parts.network, limits.headers),
            files: FilesState::new(parts.roots, parts.grants, recorder.clone()),
            log,
            progress: ProgressState::new(recorder.clone()),
            tools: ToolsState(parts.tools),
            secrets: SecretsState::new(parts.secrets),
            recorder,
        }
    }

    /// The call's own directory, once it has ended: dropping it deletes it, which takes time.
    pub(super) fn take_scratch(&mut self) -> Option<Leftover> {
        self.files.take_scratch()
    }

    /// Passes on what was held back, once the call has ended.
    pub(super) fn finish(&mut self) {
        self.log.finish();
        self.progress.finish();
    }

    /// What the call used, as far as it is counted here.
    pub(super) fn usage(&self) -> Usage {
        let http = self.http.usage();
        Usage {
            memory_peak_bytes: self.limiter.peak_bytes(),
            egress_bytes: http.sent_bytes,
            ingress_bytes: http.received_bytes,
            requests: http.requests,
            written_bytes: self.files.written_bytes(),
            files_created: self.files.created(),
            log_bytes: self.log.bytes(),
            ..Usage::default()
        }
    }
}

impl WasiView for Wasi {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.ctx,
            table: &mut self.table,
        }
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

/// Everything a component may import, in one linker: what a tool holds is decided by the state of its call.
pub(super) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    wasi::add_to_linker(linker)?;
    files::add_to_linker(linker, |state: &mut CallState| FilesView {
        inner: state.wasi.filesystem(),
        state: &mut state.files,
    })?;
    http::add_to_linker(linker, |state: &mut CallState| {
        state.http.view(&mut state.wasi.table)
    })?;
    log::add_to_linker(linker, |state: &mut CallState| &mut state.log)?;
    progress::add_to_linker(linker, |state: &mut CallState| &mut state.progress)?;
    tools::add_to_linker(linker, |state: &mut CallState| &mut state.tools)?;
    secrets::add_to_linker(linker, |state: &mut CallState| &mut state.secrets)
}
