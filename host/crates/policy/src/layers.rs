//! Several policy files at once, each narrowing the ones above it.

mod budget;
mod problems;
mod wording;

use std::sync::Arc;

use crate::{
    ApprovalSettings, CacheSettings, ContextSettings, Effect, EgressPolicy, Layer, Limits,
    LockedPackage, Manifest, ModelSettings, Origin, Policy, Problem, ProviderSettings,
    RetentionSettings, Rule, Scrub, SharedLimits, Sink, TelemetrySettings, UnknownSecrets,
    policy::{PrivacySettings, Settings, ToolPolicy, memory},
    secrets::{DEFAULT_ARGUMENTS, DEFAULT_COMBINE},
};

/// The policy files in force, the highest layer first.
///
/// The highest file that lists any `[tool.*]` is the ceiling: nothing is granted that it does not grant. Every file
/// below that lists tools must grant an access too. A file that lists no tools narrows limits and `approve` only.
/// Without any file nothing is granted.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    list: Vec<(Layer, Arc<Policy>)>,
}

/// What one file that lists tools says about one package; nothing, when it lists only others.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    pub(crate) tool: Option<Arc<ToolPolicy>>,
}

impl Layers {
    /// No files: nothing is granted, and the default limits hold.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file. Several files of one layer narrow each other in the order they were added.
    #[must_use]
    pub fn with(mut self, layer: Layer, mut policy: Policy) -> Self {
        policy.set_layer(layer);
        let at = self.list.partition_point(|(other, _)| *other <= layer);
        self.list.insert(at, (layer, Arc::new(policy)));
        self
    }

    /// Lends a directory to the model as its memory for this session: every file that lists tools lists `builtin:memory`
    /// too, with this directory and nothing else. Where no file lists tools, it is the only one.
    #[must_use]
    pub fn with_memory(mut self, directory: &str) -> Self {
        let rule = Rule::unwritten("--memory");
        let tool = Arc::new(memory::tool(directory, None, &rule));
        let lists = |policy: &Policy| !policy.tools.is_empty();
        if !self.list.iter().any(|(_, policy)| lists(policy)) {
            // An empty file is always one.
            let Ok(empty) = Policy::parse("--memory", "") else {
                return self;
            };
            self = self.with(Layer::Session, empty);
            if let Some((_, policy)) = self.list.last_mut() {
                Arc::make_mut(policy)
                    .tools
                    .push((memory::NAME.to_owned(), tool));
            }
            return self;
        }
        for (_, policy) in self.list.iter_mut().filter(|(_, policy)| lists(policy)) {
            let tools = &mut Arc::make_mut(policy).tools;
            tools.retain(|(name, _)| name != memory::NAME);
            tools.push((memory::NAME.to_owned(), Arc::clone(&tool)));
        }
        self
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Every file, the highest layer first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Layer, &Policy)> {
        self.list
            .iter()
            .map(|(layer, policy)| (*layer, policy.as_ref()))
    }

    /// Every package that any file lists, in the order of the layers and of the files, each once.
    pub fn packages(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.iter().flat_map(|(_, policy)| policy.tools()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Where a package comes from: what the highest layer says that names an origin, with the directory that a relative
    /// path starts from and the line.
    pub fn origin(&self, package: &str) -> Option<(&Origin, Option<&str>, &Rule)> {
        self.iter().find_map(|(_, policy)| {
            let tool = policy.tool(package)?;
            Some((tool.from()?, policy.base(), tool.rule()))
        })
    }

    /// What the lock files beside these files say about a package: one answer of each that names it, and of each whose
    /// policy says where to get it. `Err` is the rule of a policy that does so beside a lock file that does not name it.
    pub fn pins(&self, package: &str) -> Vec<Result<&LockedPackage, &Rule>> {
        let mut pins = Vec::new();
        for (_, policy) in self.iter() {
            let Some(lock) = policy.lock() else {
                continue;
            };
            let tool = policy.tool(package);
            let from = tool.and_then(ToolPolicy::from);
            let outside = from.is_some_and(|from| !matches!(from, Origin::Builtin(_)));
            match (lock.package(package), tool) {
                (Some(locked), _) => pins.push(Ok(locked)),
                (None, Some(tool)) if outside => pins.push(Err(tool.rule())),
                _ => {}
            }
        }
        pins
    }

    /// The packages that come from outside the host and that no lock file beside these files pins, in the order of
    /// [`packages`](Self::packages).
    pub fn unpinned(&self) -> Vec<&str> {
        self.packages()
            .into_iter()
            .filter(|name| {
                let outside = self
                    .origin(name)
                    .is_some_and(|(origin, _, _)| !matches!(origin, Origin::Builtin(_)));
                outside && !self.pins(name).iter().any(Result::is_ok)
            })
            .collect()
    }

    /// Where the audit log goes: what the highest layer says that names a place, with the directory that a relative
    /// path starts from.
    pub fn audit_path(&self) -> Option<(&str, Option<&str>)> {
        self.iter()
            .find_map(|(_, policy)| Some((policy.audit_path()?, policy.base())))
    }

    /// What is written and can have no effect because a higher layer does not allow it. Nothing is wrong with the
    /// decisions then, but somebody expects something else of the file. [`errors`](Self::errors) are among them.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.errors();
        problems.extend(problems::ineffective(self));
        problems
    }

    /// What these files write and what no host may start with: it reads as if it held, and cannot.
    pub fn errors(&self) -> Vec<Problem> {
        problems::impossible(self)
    }

    /// What is allowed in these files, and worth a second thought.
    pub fn warnings(&self) -> Vec<Problem> {
        self.iter()
            .flat_map(|(_, policy)| policy.warnings())
            .collect()
    }

    /// What these files write about one package and what can have no effect because the package is as it is: an
    /// `approve` for a tool that it does not have, a grant that it does not request.
    pub fn problems_for(&self, manifest: &Manifest) -> Vec<Problem> {
        self.iter()
            .flat_map(|(_, policy)| {
                let mut problems = problems::unknown_tools(policy, manifest);
                problems.extend(problems::unrequested(policy, manifest));
                problems
            })
            .collect()
    }

    /// Of [`problems_for`](Self::problems_for) those that make the files weaker than they read: an `approve`, or a mark of
    /// `reads` or `sends`, for a tool that the package does not have. A host must not load the package then.
    pub fn unknown_tools(&self, manifest: &Manifest) -> Vec<Problem> {
        self.iter()
            .flat_map(|(_, policy)| problems::unknown_tools(policy, manifest))
            .collect()
    }

    /// The files that list tools, the ceiling first, as far as they concern a package.
    pub(crate) fn parties(&self, package: &str) -> Vec<Party> {
        self.iter()
            .filter(|(_, policy)| !policy.tools.is_empty())
            .map(|(_, policy)| Party {
                tool: policy.tool_shared(package).cloned(),
            })
            .collect()
    }

    /// The limits of a package: those of the highest file (its own for the tool over its defaults over the built-in
    /// ones), and every file below only lowers them.
    pub(crate) fn limits(&self, package: &str) -> Limits {
        let mut limits = Limits::default();
        for (index, (_, policy)) in self.list.iter().enumerate() {
            let written = match policy.tool(package) {
                Some(tool) => &tool.limits.over(&policy.limits),
                None => &policy.limits,
            };
            if index == 0 {
                limits.replace_with(written);
            } else {
                limits.narrow_with(written);
            }
        }
        limits
    }

    /// What all calls of one session may be together, by the tables `[session]`: the highest file may raise the
    /// defaults, and every file below only lowers.
    pub fn session_limits(&self) -> SharedLimits {
        SharedLimits::session().under(self.list.iter().map(|(_, policy)| &policy.session))
    }

    /// The operator's own words about the way out: those of the highest file that has the table. A file below the highest
    /// one that lists tools has no say in it.
    pub fn egress(&self) -> EgressPolicy {
        self.above(|policy| policy.egress.as_ref())
            .cloned()
            .unwrap_or_default()
    }

    /// How models are asked: the words of the lowest file that has the table `[model]`, which is nearest to the work. It can
    /// widen nothing.
    pub fn model(&self) -> ModelSettings {
        self.nearest(|settings| settings.model.as_ref())
    }

    /// How runs use the context of their models, as [`model`](Self::model) is decided.
    pub fn context(&self) -> ContextSettings {
        self.nearest(|settings| settings.context.as_ref())
    }

    /// What is done about personal data in a sink: the highest file may choose any word, and every file below only a
    /// stricter one.
    pub fn privacy(&self, sink: Sink) -> (Scrub, Rule) {
        self.strictest(sink.name(), Scrub::default(), |policy| {
            policy.settings.privacy.as_ref()?.scrub(sink)
        })
    }

    /// The kinds of personal data that are meant: those of all files, or the usual ones (none here) where a file with the
    /// table names none.
    pub fn personal_kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = Vec::new();
        for table in self.privacy_tables() {
            if table.kinds.is_empty() {
                return Vec::new();
            }
            let new = table.kinds.iter().filter(|kind| !kinds.contains(kind));
            let new: Vec<String> = new.cloned().collect();
            kinds.extend(new);
        }
        kinds
    }

    /// The files with more rules for personal data, as [`secret_rules`](Self::secret_rules).
    pub fn personal_rules(&self) -> Vec<(&str, Option<&str>, &Rule)> {
        let written = self.iter().filter_map(|(_, policy)| {
            let (path, rule) = policy.settings.privacy.as_ref()?.rules.as_ref()?;
            Some((path.as_str(), policy.base(), rule))
        });
        written.collect()
    }

    fn privacy_tables(&self) -> impl Iterator<Item = &PrivacySettings> {
        self.iter()
            .filter_map(|(_, policy)| policy.settings.privacy.as_ref())
    }

    /// What the lowest file says that has a table: for what is a matter of taste, and sends nothing elsewhere.
    pub(crate) fn nearest<T: Clone + Default>(&self, table: impl Fn(&Settings) -> Option<&T>) -> T {
        let files = self.list.iter().rev();
        let mut said = files.filter_map(|(_, policy)| table(&policy.settings));
        said.next().cloned().unwrap_or_default()
    }

    /// Whether and where answers of models are kept: the words of the highest file that has the table. A file below the
    /// highest one that lists tools has no say in it.
    pub fn cache(&self) -> CacheSettings {
        self.settings(|settings| settings.cache.as_ref())
    }

    /// What is kept of runs and for how long, as [`cache`](Self::cache) is decided.
    pub fn retention(&self) -> RetentionSettings {
        self.settings(|settings| settings.retention.as_ref())
    }

    /// How persons are asked, as [`cache`](Self::cache) is decided.
    pub fn approvals(&self) -> ApprovalSettings {
        self.settings(|settings| settings.approvals.as_ref())
    }

    /// Who is told what runs and tools do, as [`cache`](Self::cache) is decided.
    pub fn telemetry(&self) -> TelemetrySettings {
        self.settings(|settings| settings.telemetry.as_ref())
    }

    /// The connections to models that have a name, by the tables `[provider.NAME]`: the highest file that has a name decides
    /// about it. A file below the highest one that lists tools has no say in it.
    pub fn providers(&self) -> Vec<ProviderSettings> {
        let mut providers: Vec<ProviderSettings> = Vec::new();
        let files = self.iter().take(self.having_a_say());
        for table in files.filter_map(|(_, policy)| policy.settings.providers.as_ref()) {
            for provider in &table.0 {
                if !providers.iter().any(|known| known.name == provider.name) {
                    providers.push(provider.clone());
                }
            }
        }
        providers
    }

    /// What the highest file says that has a table, where files below the highest one that lists tools have no say.
    pub(crate) fn settings<T: Clone + Default>(
        &self,
        table: impl Fn(&Settings) -> Option<&T>,
    ) -> T {
        self.above(|policy| table(&policy.settings))
            .cloned()
            .unwrap_or_default()
    }

    /// How many files have a say about what is not about tools: those above the highest one that lists tools, and it.
    pub(crate) fn having_a_say(&self) -> usize {
        let listing = self.iter().position(|(_, policy)| !policy.tools.is_empty());
        listing.map_or(self.list.len(), |at| at + 1)
    }

    /// What the highest of those files says that has a table.
    fn above<'l, T>(&'l self, table: impl Fn(&'l Policy) -> Option<&'l T>) -> Option<&'l T> {
        let mut files = self.iter().take(self.having_a_say());
        files.find_map(|(_, policy)| table(policy))
    }

    /// What happens when a session would combine private data, text of strangers and a way out.
    pub fn combine(&self) -> Effect {
        self.combine_rule().0
    }

    /// As [`combine`](Self::combine), with the rule that says so.
    pub fn combine_rule(&self) -> (Effect, Rule) {
        self.strictest("combine", DEFAULT_COMBINE, |policy| policy.combine.as_ref())
    }

    /// What happens to a call whose input holds the value of a known secret.
    pub fn secret_arguments(&self) -> Effect {
        self.secret_arguments_rule().0
    }

    /// As [`secret_arguments`](Self::secret_arguments), with the rule that says so.
    pub fn secret_arguments_rule(&self) -> (Effect, Rule) {
        self.strictest("arguments", DEFAULT_ARGUMENTS, |policy| {
            policy.secrets.arguments.as_ref()
        })
    }

    /// What is done about texts that look like credentials which nobody registered.
    pub fn unknown_secrets(&self) -> UnknownSecrets {
        self.unknown_secrets_rule().0
    }

    /// As [`unknown_secrets`](Self::unknown_secrets), with the rule that says so.
    pub fn unknown_secrets_rule(&self) -> (UnknownSecrets, Rule) {
        self.strictest("unknown", UnknownSecrets::default(), |policy| {
            policy.secrets.unknown.as_ref()
        })
    }

    /// The files with more rules for [`unknown_secrets`](Self::unknown_secrets), those of all layers: each as written,
    /// with the directory that a relative path starts from and the line.
    pub fn secret_rules(&self) -> Vec<(&str, Option<&str>, &Rule)> {
        let written = self.iter().filter_map(|(_, policy)| {
            let (path, rule) = policy.secrets.rules.as_ref()?;
            Some((path.as_str(), policy.base(), rule))
        });
        written.collect()
    }

    /// One word of which the strictest holds: the highest file may choose any, and every file below only a stricter one.
    fn strictest<'l, T: Copy + Ord + std::fmt::Display + 'l>(
        &'l self,
        key: &str,
        default: T,
        said: impl Fn(&'l Policy) -> Option<&'l (T, Rule)>,
    ) -> (T, Rule) {
        let mut files = self.iter().map(|(_, policy)| said(policy));
        let unwritten = || Rule::unwritten(&format!("{key} = \"{default}\""));
        let first = files.next().flatten().cloned();
        files.flatten().fold(
            first.unwrap_or_else(|| (default, unwritten())),
            |strictest, said| {
                if said.0 > strictest.0 {
                    said.clone()
                } else {
                    strictest
                }
            },
        )
    }

    /// What all calls of the host may be together, by the tables `[host]`: the highest file may raise the defaults,
    /// and every file below only lowers.
    pub fn host_limits(&self) -> SharedLimits {
        SharedLimits::host().under(self.list.iter().map(|(_, policy)| &policy.host))
    }

    /// The strictest `approve` of any file for one tool, with the line; `None` when no file says anything.
    pub(crate) fn approval(&self, package: &str, tool: &str) -> Option<(Effect, &Rule)> {
        let mut strictest: Option<(Effect, &Rule)> = None;
        for (_, policy) in &self.list {
            let own = policy
                .tool(package)
                .and_then(|it| it.approval(tool))
                .map(|approval| (approval.effect, &approval.rule));
            let default = policy
                .approve
                .as_ref()
                .map(|(effect, rule)| (*effect, rule));
            if let Some(said) = own.or(default)
                && strictest.is_none_or(|(effect, _)| said.0 > effect)
            {
                strictest = Some(said);
            }
        }
        strictest
    }
}

impl From<Policy> for Layers {
    /// One project file.
    fn from(policy: Policy) -> Self {
        Self::new().with(Layer::Project, policy)
    }
}

#[cfg(test)]
mod tests;
