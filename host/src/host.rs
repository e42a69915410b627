//! The host: the one place that wires the rooms together.

mod approval;
mod arguments;
mod builder;
mod calling;
mod first;
mod help;
mod labels;
mod learning;
mod likely;
mod load;
mod nested;
mod nets;
mod outward;
mod pending;
mod pinned;
mod prepare;
mod privacy;
mod program;
mod records;
mod tokens;

use std::{path::PathBuf, sync::Arc};

use serde::Serialize;
use serde_json::Value;
use toolcell_policy::{Annotations, Decision, Layers, Lock, Sink};

pub use builder::ToolHostBuilder;
pub use learning::Learning;
pub use likely::LikelySecrets;
pub use program::{WasiExit, WasiGrant, WasiProgram};

use self::{labels::Marks, load::Source, prepare::Isolating, privacy::Privacy, records::Recording};
use crate::{
    AdmissionReport, CallContext, EngineReport, Error, ErrorKind, Package, Result, SessionId,
    SharedApprover, TenantId, ToolCall, ToolResult,
    admission::Admission,
    capability::{files::RootRules, tools::Nesting},
    confine::ConfinementReport,
    egress::Egress,
    engine::Engines,
    registry::{Registry, Tool},
    secrets::{Keeper, Redaction, Weakness},
    telemetry::Metrics,
};

/// Runs tools. Cloning it is cheap, and all clones are one host.
///
/// It must be used inside a Tokio runtime with time and I/O enabled.
#[derive(Clone)]
pub struct ToolHost {
    shared: Arc<Shared>,
}

/// What all clones of a host share.
struct Shared {
    engines: Engines,
    admission: Admission,
    marks: Marks,
    layers: Layers,
    locks: Vec<Lock>,
    base_dir: Option<PathBuf>,
    recording: Recording,
    approver: Option<SharedApprover>,
    learning: Option<Learning>,
    roots: RootRules,
    egress: Arc<Egress>,
    keeper: Keeper,
    likely: LikelySecrets,
    privacy: Privacy,
    isolating: Isolating,
    registry: Registry,
    metrics: Metrics,
    /// What passes into spans of what tools are asked with and answer, where that is wanted at all.
    content: Option<Redaction>,
}

/// What is known of a tool without running it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ToolInfo {
    /// The name it is called by.
    pub public_name: String,
    /// The package it belongs to.
    pub package: String,
    /// What it does, in its author's words.
    pub description: String,
    /// The JSON Schema of its input.
    pub input_schema: Value,
    /// The JSON Schema of its answer, where it declares one.
    pub output_schema: Option<Value>,
    /// Its author's hints.
    pub annotations: Annotations,
    /// `sha256:` and the digest of its component in hexadecimal digits.
    pub digest: String,
    /// Where it was loaded from: a path, `builtin:NAME`, or `bytes named NAME`.
    pub origin: String,
}

impl ToolHost {
    /// A host in the making.
    pub fn builder() -> ToolHostBuilder {
        ToolHostBuilder::default()
    }

    /// Loads a package from a file and returns the public names of its tools.
    ///
    /// # Errors
    ///
    /// `unavailable` where its calls are to run in workers, and none can be started or is confined as far as is required;
    /// `invalid_component` or `invalid_manifest` where the file, its component or its manifest cannot be used, or
    /// where a name is taken or looks like one that is taken, or where the policy takes a package of that name `from`
    /// elsewhere; `invalid_policy` where a granted directory cannot be opened; `digest_mismatch` where a lock is in
    /// force and the package is not the one that it names.
    pub async fn load_file(&self, path: impl Into<PathBuf>) -> Result<Vec<String>> {
        self.load(Source::File(path.into()), false).await
    }

    /// Loads a package from memory. `name` stands for the name of its file without `.wasm`.
    ///
    /// # Errors
    ///
    /// As [`load_file`](Self::load_file).
    pub async fn load_bytes(
        &self,
        name: impl Into<String>,
        bytes: impl Into<Arc<[u8]>>,
    ) -> Result<Vec<String>> {
        let (name, bytes) = (name.into(), bytes.into());
        self.load(Source::Bytes { name, bytes }, false).await
    }

    /// Loads another version of a package that is loaded, in its place. Calls that run finish with the old one.
    ///
    /// # Errors
    ///
    /// As [`load_file`](Self::load_file); then the old version stays.
    pub async fn reload_file(&self, path: impl Into<PathBuf>) -> Result<Vec<String>> {
        self.load(Source::File(path.into()), true).await
    }

    /// Loads every package for which the policy says where it comes `from`, and returns the public names of their
    /// tools.
    ///
    /// # Errors
    ///
    /// As [`load_file`](Self::load_file), each with the policy's line, all together. The packages without an error
    /// are loaded all the same.
    pub async fn load_policy_tools(&self) -> Result<Vec<String>> {
        self.blocking(Shared::load_policy).await
    }

    /// Compiles a package without loading it, in a worker and under its limits, after checking that this host offers
    /// what it imports. With a cache directory, loading it later finds it compiled. For whoever installs packages: what
    /// cannot be compiled is found out before anybody relies on it.
    ///
    /// # Errors
    ///
    /// `invalid_component` where it cannot be compiled within the limits, or does not fit this host; `unavailable` where
    /// this host can start no workers.
    pub async fn compile(&self, package: Package) -> Result<()> {
        self.blocking(move |shared| shared.compile(&package)).await
    }

    async fn load(&self, source: Source, replace: bool) -> Result<Vec<String>> {
        self.blocking(move |shared| shared.load(source, replace))
            .await
    }

    /// Runs what computes or waits for the disk where it holds nobody up.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared))
            .await
            .map_err(|error| Error::new(ErrorKind::Internal, "loading failed").with_source(error))?
            .map_err(|error| self.clean(error))
    }

    /// Every tool that is loaded, sorted by its public name. No tool runs for this.
    pub fn tools(&self) -> Vec<ToolInfo> {
        self.shared
            .registry
            .all()
            .iter()
            .map(|tool| info(tool))
            .collect()
    }

    /// What the policy says about a tool that is loaded, by its public name.
    pub fn decision(&self, tool: &str) -> Option<Decision> {
        Some(self.shared.registry.get(tool)?.access.decision())
    }

    /// Says that a session is over. Until then, or until it was idle for a day, its host remembers what its tools did with
    /// data, by the `reads` and `sends` of the policy.
    pub fn forget_session(&self, tenant: Option<&TenantId>, session: &SessionId) {
        let key = (tenant.cloned(), session.clone());
        self.shared.marks.forget(&key);
    }

    /// Counts for the session of a context that a tool was called in it, without calling it: for a session that goes on
    /// where another process, or another host, left it. What the tool does with data by `reads` and `sends` of the policy
    /// counts from here on. A tool that is not loaded counts for nothing.
    pub fn was_called(&self, tool: &str, context: &CallContext) {
        let decision = self.decision(tool);
        if let (Some(grants), Some(session)) = (
            decision.as_ref().and_then(Decision::grants),
            &context.session,
        ) {
            let key = (context.tenant.clone(), session.clone());
            self.shared.marks.remember(&key, tool, grants.labels());
        }
    }

    /// The policy in force.
    pub fn layers(&self) -> &Layers {
        &self.shared.layers
    }

    /// Calls a tool and waits for its answer.
    ///
    /// What the model should see, such as a denial, a limit, a trap or a tool that does not exist, is an `Ok` with
    /// [`ToolResult::failure`]. Dropping the future ends the call.
    ///
    /// # Errors
    ///
    /// `internal` where the audit log takes no record: then the result is withheld.
    pub async fn call(&self, call: ToolCall) -> Result<ToolResult> {
        self.call_with(call, &CallContext::default()).await
    }

    /// Calls a tool with an earlier deadline, a way to cancel it, or somebody who hears of its events.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub async fn call_with(&self, call: ToolCall, context: &CallContext) -> Result<ToolResult> {
        let called = self.shared.call(call, context, Nesting::top(), None).await;
        called.map_err(|error| self.clean(error))
    }

    /// An error for the embedder, without any secret.
    fn clean(&self, error: Error) -> Error {
        match self.shared.keeper.lacks(Weakness::KeptAsItIs) {
            true => error,
            false => nets::error(self.redaction(), error),
        }
    }

    /// How many calls run and wait, and how many were turned away.
    pub fn admission_report(&self) -> AdmissionReport {
        self.shared.admission.report()
    }

    /// Starts a worker that does nothing, and says how the operating system confines it; nothing where this host can
    /// start none. It takes some milliseconds.
    ///
    /// # Errors
    ///
    /// `unavailable` where it does not start.
    pub async fn try_worker(&self) -> Result<Option<ConfinementReport>> {
        self.blocking(|shared| {
            let pool = shared.isolating.pool.as_ref();
            pool.map(|pool| pool.try_out()).transpose()
        })
        .await
    }

    /// Searches for every secret that this host has come to know. Send what you log or keep through it.
    pub fn redaction(&self) -> &Redaction {
        self.shared.keeper.sinks()
    }

    /// What everything passes that is kept in this sink, or goes to it: [`redaction`](Self::redaction), and what the
    /// policy's table `privacy` says about personal data there.
    pub fn on_the_way_to(&self, sink: Sink) -> Redaction {
        self.shared.privacy.on_the_way_to(sink, self.redaction())
    }

    /// What the policy wants done about texts that look like credentials which nobody registered. The answers of tools
    /// have been searched already.
    pub fn likely_secrets(&self) -> &LikelySecrets {
        &self.shared.likely
    }

    /// What the engine found on this machine.
    pub fn engine_report(&self) -> EngineReport {
        self.shared.engines.report()
    }
}

impl std::fmt::Debug for ToolHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self
            .shared
            .registry
            .all()
            .iter()
            .map(|tool| tool.public_name.clone())
            .collect();
        f.debug_struct("ToolHost")
            .field("tools", &names)
            .finish_non_exhaustive()
    }
}

fn info(tool: &Tool) -> ToolInfo {
    ToolInfo {
        public_name: tool.public_name.clone(),
        package: tool.package.name.clone(),
        description: tool.definition.description.clone(),
        input_schema: tool.definition.input.clone(),
        output_schema: tool.definition.output.clone(),
        annotations: tool.definition.annotations,
        digest: format!("sha256:{}", tool.package.digest),
        origin: tool.package.origin.clone(),
    }
}

#[cfg(test)]
mod tests;
