//! The operator's file `toolcell.toml`: what is granted.

mod egress;
mod files;
mod labels;
mod limits;
pub(crate) mod memory;
mod parse;
mod print;
mod secret;
mod settings;
mod tool;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Effect, EgressPolicy, Expectation, FileAccess, Labels, Layer, Lock, NetScope, Problem,
    Problems, Rule, SecretGrant, SecretPlace, limits::WrittenLimits, problem::Source,
};

pub use egress::MAX_CA_FILES;
pub(crate) use egress::SecretsTable;
pub(crate) use labels::ToolLabels;
pub(crate) use print::wording;
pub use secret::{MAX_HEADER_FORMAT_BYTES, MAX_OAUTH_SCOPES, MAX_SECRETS};
pub(crate) use secret::{WrittenSecret, suggestion};
pub(crate) use settings::BudgetTable;
pub(crate) use settings::{ABOVE, PrivacySettings, SHARED, Settings};
pub use settings::{
    ANSWER_WAIT, ANSWER_WAIT_RANGE, ApprovalSettings, REMEMBERED, REMEMBERED_RANGE, Remember,
};
pub use settings::{BudgetBound, BudgetBounds, BudgetKey, BudgetPeriod, format_usd, parse_usd};
pub use settings::{
    CACHE_BYTES, CacheSettings, CacheStore, MAX_CACHE_TTL, MAX_TELEMETRY_HEADERS,
    MAX_TELEMETRY_HOSTS, RETENTION_AGE, RETENTION_BYTES, Retention, RetentionSettings,
    TelemetryHeader, TelemetrySettings, format_age, parse_age, parse_collector, parse_listen,
};
pub use settings::{
    ContextSettings, KEEP_TURNS, MAX_KNOWLEDGE, PromptCache, RESULT_TOKENS, WINDOW_TOKENS,
};
pub use settings::{
    EFFORTS, MAX_FALLBACKS, MAX_OUTPUT_TOKENS, ModelCare, ModelSettings, ModelThinking,
    ModelToolChoice,
};
pub use settings::{
    KeyHeader, MAX_PROVIDER_HEADERS, MAX_PROVIDERS, ModelApi, PROVIDER_LACKS, ProviderSettings,
};
pub use settings::{MAX_PERSONAL_KINDS, Scrub, Sink};
pub use tool::MAX_REDIRECTS;

/// The longest policy file, in bytes.
pub const MAX_POLICY_BYTES: usize = 1 << 20;
/// The most `[tool.*]` tables in one file.
pub const MAX_POLICY_TOOLS: usize = 256;
/// The most `[[expect]]` tables in one file.
pub const MAX_EXPECTATIONS: usize = 1024;

/// One policy file.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) source: Source,
    pub(crate) base: Option<String>,
    pub(crate) lock: Option<Arc<Lock>>,
    pub(crate) approve: Option<(Effect, Rule)>,
    pub(crate) limits: WrittenLimits,
    pub(crate) session: WrittenLimits,
    pub(crate) combine: Option<(Effect, Rule)>,
    pub(crate) host: WrittenLimits,
    pub(crate) egress: Option<EgressPolicy>,
    pub(crate) secrets: SecretsTable,
    pub(crate) settings: Settings,
    pub(crate) tools: Vec<(String, Arc<ToolPolicy>)>,
    pub(crate) audit_path: Option<String>,
    pub(crate) expectations: Vec<Expectation>,
}

/// Where a package comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// One of the packages inside the host, written `builtin:NAME`.
    Builtin(String),
    /// A file, as written; relative to the policy file's directory.
    Path(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "builtin:{name}"),
            Self::Path(path) => f.write_str(path),
        }
    }
}

/// What one file grants to one package: the table `[tool.NAME]`.
#[derive(Clone, Debug)]
pub struct ToolPolicy {
    pub(crate) rule: Rule,
    pub(crate) from: Option<Origin>,
    pub(crate) files: Vec<FileGrant>,
    pub(crate) scratch: Option<ScratchGrant>,
    pub(crate) net: Vec<NetGrant>,
    pub(crate) env: Vec<EnvGrant>,
    pub(crate) calls: Vec<CallGrant>,
    pub(crate) secrets: Vec<WrittenSecret>,
    pub(crate) reads: Vec<ToolLabels>,
    pub(crate) sends: Vec<ToolLabels>,
    pub(crate) clock: Option<Clock>,
    pub(crate) random: Option<Random>,
    pub(crate) approve: Vec<ToolApproval>,
    pub(crate) limits: WrittenLimits,
    pub(crate) isolation: Option<(Isolation, Rule)>,
}

/// Where the sandbox of a call lives. Ordered from the weaker to the stronger, so that `max` is the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In the host's own process.
    Thread,
    /// In a worker: a process of its own that the operating system confines, and that can be killed.
    Process,
}

impl Isolation {
    /// Both kinds, the weaker first.
    pub const ALL: [Self; 2] = [Self::Thread, Self::Process];

    /// `thread` or `process`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Process => "process",
        }
    }
}

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The `approve` of a package, for one tool of it or for all (`tool` is `None`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolApproval {
    pub(crate) tool: Option<String>,
    pub(crate) effect: Effect,
    pub(crate) rule: Rule,
}

/// A directory that a package gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileGrant {
    /// The directory on the host, as written; a relative one is meant from `base`.
    pub host: String,
    /// The directory that a relative `host` starts from: that of the policy file, where the host told it
    /// ([`Policy::with_base`]).
    pub base: Option<String>,
    /// Where the guest sees it: absolute and normalised.
    pub guest: String,
    /// Read, or also write.
    pub access: FileAccess,
    /// Whether calls of a package that holds this grant need a person's consent.
    pub approve: Effect,
    /// The [guarded places](crate::guarded_places) that may be changed in it all the same, as the list spells them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unlock: Vec<String>,
    /// The line that grants it.
    pub rule: Rule,
}

/// A directory that a package gets for one call: empty at its start, and deleted at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScratchGrant {
    /// Where the guest sees it: absolute and normalised.
    pub guest: String,
    /// The line that grants it.
    pub rule: Rule,
}

/// Requests that a package may send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetGrant {
    /// Where to, with which methods and paths. `scope.to` is never `None` in a grant.
    #[serde(flatten)]
    pub scope: NetScope,
    /// Whether each such request needs a person's consent, or is denied whatever else grants it.
    pub approve: Effect,
    /// How many redirects are followed without the tool; 0 hands them to it.
    pub redirects: u8,
    /// The line that grants it.
    pub rule: Rule,
    /// See [`allows_special_addresses`](Self::allows_special_addresses).
    #[serde(rename = "special_addresses")]
    pub(crate) special: bool,
}

impl NetGrant {
    /// Whether private, loopback, link-local and metadata addresses may be connected to under this rule: it plainly
    /// names an IP address, `localhost`, or a name that can only be private. A wildcard never does, and neither does
    /// what a package requests.
    pub fn allows_special_addresses(&self) -> bool {
        self.special
    }
}

/// A variable that a package sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvGrant {
    /// The variable's name.
    pub name: String,
    /// The value the package sees; the host's own environment is never handed down.
    pub value: String,
    /// The line that grants it.
    pub rule: Rule,
}

/// A tool that a package may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallGrant {
    /// The public name of the tool that may be called.
    pub tool: String,
    /// The line that grants it.
    pub rule: Rule,
}

/// Which time a package sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The real time.
    #[default]
    Real,
    /// Always this moment, in nanoseconds since 1970-01-01T00:00:00Z.
    Frozen(u64),
}

/// Which random numbers a package sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Random {
    /// Real ones.
    #[default]
    Real,
    /// Always the same ones, made of this seed. Nothing secret must be made of them.
    Seeded(u64),
}

impl Policy {
    /// Reads a policy; `name` is the file's name as diagnostics and rules show it.
    ///
    /// # Errors
    /// All problems of the file at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        parse::policy(name, text)
    }

    /// Reads a policy that is called `toolcell.toml`.
    ///
    /// # Errors
    /// All problems of the file at once.
    pub fn from_toml(text: &str) -> Result<Self, Problems> {
        Self::parse("toolcell.toml", text)
    }

    /// Tells the directory that relative paths of this file start from, normally the one it lies in.
    #[must_use]
    pub fn with_base(mut self, directory: impl Into<String>) -> Self {
        let base = directory.into();
        for (_, tool) in &mut self.tools {
            let tool = Arc::make_mut(tool);
            for grant in &mut tool.files {
                grant.base = Some(base.clone());
            }
            for secret in &mut tool.secrets {
                if let Some((source, _)) = &mut secret.given {
                    secret::set_base(source, &base);
                }
            }
        }
        if let Some(egress) = &mut self.egress {
            egress.base = Some(base.clone());
        }
        if let Some(cache) = &mut self.settings.cache {
            cache.set_base(&base);
        }
        if let Some(context) = &mut self.settings.context {
            context.base = Some(base.clone());
        }
        if let Some(retention) = &mut self.settings.retention {
            retention.base = Some(base.clone());
        }
        if let Some(telemetry) = &mut self.settings.telemetry {
            telemetry.set_base(&base);
        }
        if let Some(providers) = &mut self.settings.providers {
            providers.set_base(&base);
        }
        if let Some(model) = &mut self.settings.model {
            model.base = Some(base.clone());
        }
        self.base = Some(base);
        self
    }

    /// The directory that relative paths of this file start from, where it was told.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Adds the lock file that lies beside this file. It pins every package that this file says where to get
    /// ([`Layers::pins`](crate::Layers::pins)); built-in packages need no pin, since they are part of the host.
    #[must_use]
    pub fn with_lock(mut self, lock: Lock) -> Self {
        self.lock = Some(Arc::new(lock));
        self
    }

    /// The lock file beside this file, where there is one.
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_deref()
    }

    /// The file's name as it was given to the parser.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// The policy as TOML; parsing it gives the same policy.
    pub fn to_toml(&self) -> String {
        print::policy(self)
    }

    /// Every package that the file lists, in the order of the file.
    pub fn tools(&self) -> impl Iterator<Item = (&str, &ToolPolicy)> {
        self.tools
            .iter()
            .map(|(name, tool)| (name.as_str(), tool.as_ref()))
    }

    /// What the file says about a package.
    pub fn tool(&self, package: &str) -> Option<&ToolPolicy> {
        self.tool_shared(package).map(AsRef::as_ref)
    }

    pub(crate) fn tool_shared(&self, package: &str) -> Option<&Arc<ToolPolicy>> {
        self.tools
            .iter()
            .find(|(name, _)| name == package)
            .map(|(_, tool)| tool)
    }

    /// `[audit] path`, as written; relative to the policy file's directory.
    pub fn audit_path(&self) -> Option<&str> {
        self.audit_path.as_deref()
    }

    /// What is allowed, and worth a second thought: nothing is wrong with the file.
    pub fn warnings(&self) -> Vec<Problem> {
        let secrets = self.tools.iter().flat_map(|(_, tool)| &tool.secrets);
        let in_query = secrets.filter_map(|secret| match &secret.given {
            Some((_, SecretPlace::Query { name })) => {
                let message = format!(
                    "`{}` is put into the query parameter `{name}`, which lands in the logs of servers and proxies",
                    secret.name
                );
                let span = self.source.line_span(secret.rule.line);
                let problem = Problem::new(&self.source, span, message);
                Some(problem.with_help("use header or basic where the server takes them"))
            }
            _ => None,
        });
        in_query.collect()
    }

    /// Every `[[expect]]`, in the order of the file.
    pub fn expectations(&self) -> &[Expectation] {
        &self.expectations
    }

    /// Writes the layer into every rule of the file.
    pub(crate) fn set_layer(&mut self, layer: Layer) {
        let set = |rule: &mut Rule| rule.layer = Some(layer);
        let secrets = &mut self.secrets;
        let words = [&mut self.approve, &mut self.combine, &mut secrets.arguments];
        words.into_iter().flatten().for_each(|(_, rule)| set(rule));
        secrets.unknown.iter_mut().for_each(|(_, rule)| set(rule));
        secrets.rules.iter_mut().for_each(|(_, rule)| set(rule));
        if let Some(rule) = self.egress.as_mut().and_then(|it| it.rule.as_mut()) {
            set(rule);
        }
        let settings = &mut self.settings;
        let cache = settings.cache.as_mut().and_then(|it| it.rule.as_mut());
        let retention = settings.retention.as_mut().and_then(|it| it.rule.as_mut());
        cache.into_iter().chain(retention).for_each(set);
        if let Some(budget) = &mut self.settings.budget {
            budget.rules_mut().for_each(set);
        }
        for provider in self.settings.providers.iter_mut().flat_map(|it| &mut it.0) {
            set(&mut provider.rule);
        }
        [&mut self.limits, &mut self.session, &mut self.host]
            .into_iter()
            .flat_map(|limits| &mut limits.0)
            .for_each(|limit| set(&mut limit.rule));
        self.expectations
            .iter_mut()
            .for_each(|expectation| set(&mut expectation.rule));
        for (_, tool) in &mut self.tools {
            Arc::make_mut(tool).rules_mut().for_each(set);
        }
    }
}

impl ToolPolicy {
    /// Every rule of the table.
    fn rules_mut(&mut self) -> impl Iterator<Item = &mut Rule> {
        let one = std::iter::once(&mut self.rule)
            .chain(self.isolation.iter_mut().map(|(_, rule)| rule))
            .chain(self.scratch.iter_mut().map(|it| &mut it.rule));
        let grants = (self.files.iter_mut().map(|it| &mut it.rule))
            .chain(self.net.iter_mut().map(|it| &mut it.rule))
            .chain(self.env.iter_mut().map(|it| &mut it.rule))
            .chain(self.calls.iter_mut().map(|it| &mut it.rule))
            .chain(self.secrets.iter_mut().map(|it| &mut it.rule));
        let labels = self.reads.iter_mut().chain(&mut self.sends);
        one.chain(grants)
            .chain(labels.map(|it| &mut it.rule))
            .chain(self.approve.iter_mut().map(|it| &mut it.rule))
            .chain(self.limits.0.iter_mut().map(|it| &mut it.rule))
    }

    /// The line of the table.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Where the package comes from.
    pub fn from(&self) -> Option<&Origin> {
        self.from.as_ref()
    }

    /// The directories that the file grants, before requests and other layers narrow them.
    pub fn files(&self) -> &[FileGrant] {
        &self.files
    }

    /// The directory for the time of a call that the file grants, before requests and other layers narrow it.
    pub fn scratch(&self) -> Option<&ScratchGrant> {
        self.scratch.as_ref()
    }

    /// The requests that the file grants, before requests and other layers narrow them.
    pub fn net(&self) -> &[NetGrant] {
        &self.net
    }

    /// The variables that the file grants.
    pub fn env(&self) -> &[EnvGrant] {
        &self.env
    }

    /// The tools that the file lets this package call.
    pub fn calls(&self) -> &[CallGrant] {
        &self.calls
    }

    /// What the file says about credentials.
    pub(crate) fn secrets(&self) -> &[WrittenSecret] {
        &self.secrets
    }

    /// The credentials that the file gives, before requests and other layers narrow them.
    pub fn given_secrets(&self) -> impl Iterator<Item = SecretGrant> {
        self.secrets.iter().filter_map(|written| {
            let (source, place) = written.given.clone()?;
            Some(SecretGrant {
                name: written.name.clone(),
                source,
                scope: written.scope.clone(),
                place,
                rule: written.rule.clone(),
            })
        })
    }

    /// Where the sandbox shall live, with the line, where the file says it.
    pub fn isolation(&self) -> Option<(Isolation, &Rule)> {
        self.isolation
            .as_ref()
            .map(|(isolation, rule)| (*isolation, rule))
    }

    /// What the file says that a tool of the package does with data.
    pub(crate) fn labels(&self, tool: &str) -> Labels {
        let marks = [&self.reads, &self.sends];
        let marks = marks
            .into_iter()
            .filter_map(|all| labels::of_tool(all, tool));
        marks.fold(Labels::default(), |all, it| all.union(it.labels))
    }

    /// The `approve` for one tool of the package: its own entry, else the one for all.
    pub(crate) fn approval(&self, tool: &str) -> Option<&ToolApproval> {
        let own = self
            .approve
            .iter()
            .find(|approval| approval.tool.as_deref() == Some(tool));
        own.or_else(|| self.approve.iter().find(|approval| approval.tool.is_none()))
    }
}

#[cfg(test)]
mod tests;
