//! Puts a host together.

use std::{path::PathBuf, sync::Arc};

use opentelemetry::metrics::Meter;
use toolcell_policy::{Isolation, Layers, Lock, Sink};

use super::{
    Learning, Shared, ToolHost, labels::Marks, likely::LikelySecrets, load::refuse, outward,
    prepare::Isolating, privacy::Privacy, records::Recording, tokens::Endpoints,
};
use crate::{
    Approver, Error, ErrorKind, Result, SharedApprover,
    admission::Admission,
    audit::AuditSink,
    capability::files::{RootRules, ScratchHome},
    confine::ConfinementLevel,
    egress::{Egress, EgressOptions},
    engine::{EngineOptions, Engines},
    registry::Registry,
    secrets::{AnySecretStore, Keeper, Redaction, SecretStore, Weakness, Weaknesses},
    telemetry,
    worker::{Pool, Workers},
};

/// What a host is made of. Everything has a default: no policy, so that nothing is granted; no audit log; nobody to
/// ask; nothing kept on disk.
#[must_use]
#[derive(Default)]
pub struct ToolHostBuilder {
    layers: Layers,
    locks: Vec<Lock>,
    base_dir: Option<PathBuf>,
    engine: EngineOptions,
    audit: Option<Arc<dyn AuditSink>>,
    approver: Option<SharedApprover>,
    learning: Option<Learning>,
    roots: RootRules,
    scratch: Option<PathBuf>,
    egress: EgressOptions,
    secrets: Option<Arc<dyn AnySecretStore>>,
    redaction: Redaction,
    weak: Weaknesses,
    workers: Option<Workers>,
    isolation: Option<Isolation>,
    confinement: Option<ConfinementLevel>,
    meter: Option<Meter>,
    content: bool,
}

impl ToolHostBuilder {
    /// The policy in force: one [`Policy`](toolcell_policy::Policy), or several as [`Layers`]. Default: none, so
    /// that nothing is granted.
    pub fn policy(mut self, layers: impl Into<Layers>) -> Self {
        self.layers = layers.into();
        self
    }

    /// Loads only packages that this lock names, and only as it names them, wherever they come from. Built-in packages
    /// need not be named: the host's version pins them. May be called several times; then every lock must agree. A
    /// lock file that belongs to one policy is told with [`Policy::with_lock`](toolcell_policy::Policy::with_lock)
    /// instead, and pins what that policy says where to get. Default: none, so that every package is loaded as it is.
    pub fn lock(mut self, lock: Lock) -> Self {
        self.locks.push(lock);
        self
    }

    /// The directory that relative paths of a policy start from, where the policy itself was told none. Should be
    /// absolute. Without one, relative paths are an error.
    pub fn base_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.base_dir = Some(directory.into());
        self
    }

    /// The engine's settings.
    pub fn engine(mut self, options: EngineOptions) -> Self {
        self.engine = options;
        self
    }

    /// Keeps compiled components in this directory, which must belong to this user alone and is created where it
    /// does not exist. The same as [`EngineOptions::cache_dir`]. A directory that cannot be used is a warning and is
    /// told by [`ToolHost::engine_report`]; calls work all the same.
    pub fn cache_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.engine.cache_dir = Some(directory.into());
        self
    }

    /// Where calls of tools with `scratch` get directories of their own, each deleted at the end of its call. Made with
    /// mode 0700 where it does not exist; may be shared by several hosts. What a dead host left in it is deleted when the
    /// next one starts. No granted directory may contain it or lie inside it. Default: none, and loading a package that
    /// gets `scratch` is an error.
    pub fn scratch_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.scratch = Some(directory.into());
        self
    }

    /// Where audit records go. Default: nowhere.
    pub fn audit(mut self, sink: impl AuditSink + 'static) -> Self {
        self.audit = Some(Arc::new(sink));
        self
    }

    /// Who is asked where a rule says `ask`. Default: nobody, and nobody to ask means no.
    pub fn approver(mut self, approver: impl Approver) -> Self {
        self.approver = Some(SharedApprover::new(approver));
        self
    }

    /// Watches what packages use, and asks about what nothing but a line of the policy is missing for. For writing
    /// policies, not for work: a person who says yes there grants more than is written.
    pub fn learn(mut self, learning: Learning) -> Self {
        self.learning = Some(learning);
        self
    }

    /// A file or directory of the embedder's own state, such as policies, audit logs and secrets: no granted
    /// directory may contain it or lie inside it. May be called several times. The cache directory is protected
    /// without being named.
    pub fn protect(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots.protected.push(path.into());
        self
    }

    /// A directory that is too wide to be granted, such as the user's home: a granted directory may lie inside it,
    /// but neither be it nor contain it. May be called several times.
    pub fn too_wide(mut self, directory: impl Into<PathBuf>) -> Self {
        self.roots.too_wide.push(directory.into());
        self
    }

    /// Where the values of secrets come from. Default: nowhere, and every secret that a policy grants is absent.
    pub fn secrets(mut self, store: impl SecretStore) -> Self {
        self.secrets = Some(Arc::new(store));
        self
    }

    /// The search that this host adds every secret to, where an embedder made it before, for example to send its logs
    /// through it. Default: one of its own; [`ToolHost::redaction`] gives it.
    pub fn redaction(mut self, redaction: Redaction) -> Self {
        self.redaction = redaction;
        self
    }

    /// The program that runs tools in processes of their own, and how many there are. Default: this very program, where
    /// its `main` began with [`run_if_worker`](crate::worker::run_if_worker); otherwise none, and packages that are to run
    /// in a process of their own are not loaded.
    pub fn workers(mut self, workers: Workers) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Where packages run whose policy does not say `isolation`. Default: built-in ones in the host's own process, all
    /// others in processes of their own.
    pub fn default_isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Loads no package whose calls would be confined less than this by the operating system. All packages, built-in ones
    /// too, run in processes of their own then, and `isolation = "thread"` in a policy is an error. Default: whatever the
    /// system offers; [`ToolHost::try_worker`] says how much that is.
    pub fn require_confinement(mut self, level: ConfinementLevel) -> Self {
        self.confinement = Some(level);
        self
    }

    /// Where the figures of [`telemetry`](crate::telemetry) go. Default nowhere.
    pub fn meter(mut self, meter: Meter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Has the spans of calls hold what tools were asked with and what they answered, without secrets, and without what
    /// the policy's table `privacy` takes out of telemetry. Default no.
    pub fn content(mut self, wanted: bool) -> Self {
        self.content = wanted;
        self
    }

    /// The way out to the network, for tests: another resolver, other roots of trust.
    #[cfg(any(test, feature = "test-support"))]
    pub fn egress(mut self, options: EgressOptions) -> Self {
        self.egress = options;
        self
    }

    /// Leaves a defence out, for tests that show what it is good for.
    #[cfg(any(test, feature = "test-support"))]
    pub fn weakness(mut self, weakness: Weakness) -> Self {
        self.weak.add(weakness);
        self
    }

    /// Starts the host. It loads no tools.
    ///
    /// # Errors
    ///
    /// `internal` where the engine or the way out cannot start, or where the audit log takes no record; `unavailable`
    /// where the program of [`workers`](Self::workers) cannot be opened; `invalid_policy` where the files cannot mean
    /// together what one of them says ([`Layers::errors`]).
    pub fn build(mut self) -> Result<ToolHost> {
        refuse(&self.layers.errors())?;
        self.roots.protected.extend(self.engine.cache_dir.clone());
        self.roots.protected.extend(self.scratch.clone());
        self.roots.scratch = self.scratch.map(|path| Arc::new(ScratchHome::new(path)));
        let (egress, authorities) =
            outward::options(self.egress, &self.layers.egress(), self.base_dir.as_deref())?;
        // Who may write them says whom the next host trusts.
        self.roots.protected.extend(authorities);
        let egress = Egress::new(egress).map_err(|error| {
            Error::new(
                ErrorKind::Internal,
                "the way out to the network cannot be set up",
            )
            .with_source(error)
        })?;
        let egress = Arc::new(egress);
        let likely = LikelySecrets::of(&self.layers, self.base_dir.as_deref())?;
        let isolating = Isolating {
            pool: Pool::open(self.workers)?,
            default: self.isolation,
            required: self.confinement,
        };
        let kept = match self.weak.has(Weakness::KeptAsItIs) {
            true => Redaction::new(),
            false => self.redaction.clone(),
        };
        let privacy = Privacy::of(&self.layers, self.base_dir.as_deref())?;
        let content = self
            .content
            .then(|| privacy.on_the_way_to(Sink::Telemetry, &self.redaction));
        let recording = Recording::new(self.audit, privacy.on_the_way_to(Sink::Audit, &kept));
        recording.session(&self.layers)?;
        let admission = Admission::new(
            &self.layers.session_limits(),
            &self.layers.host_limits(),
            self.engine.concurrency,
        );
        if let Some(meter) = &self.meter {
            telemetry::watch(meter, admission.watched());
        }
        Ok(ToolHost {
            shared: Arc::new(Shared {
                admission,
                marks: Marks::default(),
                engines: Engines::new(self.engine)?,
                layers: self.layers,
                locks: self.locks,
                base_dir: self.base_dir,
                roots: self.roots,
                recording,
                isolating,
                approver: self.approver,
                learning: self.learning,
                keeper: Keeper::new(
                    self.secrets,
                    Arc::new(Endpoints(Arc::clone(&egress))),
                    self.redaction,
                    self.weak,
                ),
                likely,
                privacy,
                egress,
                registry: Registry::default(),
                metrics: self
                    .meter
                    .as_ref()
                    .map(telemetry::Metrics::new)
                    .unwrap_or_default(),
                content,
            }),
        })
    }
}
