//! What one tool may do: the value that a sandbox needs, and that only [`decide`](crate::decide) makes.

mod check;
mod narrow;
mod requested;

use std::sync::Arc;

use serde::Serialize;

use crate::{
    CallGrant, Clock, Effect, EnvGrant, FileGrant, Isolation, Labels, Layers, Limits, Manifest,
    NetGrant, Random, Requests, Rule, ScratchGrant, SecretGrant, ToolPolicy, layers::Party,
};

pub(crate) use narrow::same_directory;

/// What one tool may do, after all layers and the package's own requests. Cloning it is cheap.
///
/// Only [`decide`](crate::decide) makes one, so that a sandbox without a decision cannot be built.
#[derive(Clone, Debug)]
pub struct GrantSet(Arc<Inner>);

#[derive(Debug, Serialize)]
struct Inner {
    package: String,
    tool: String,
    files: Vec<FileGrant>,
    scratch: Option<ScratchGrant>,
    net: Vec<NetGrant>,
    env: Vec<EnvGrant>,
    calls: Vec<CallGrant>,
    secrets: Vec<SecretGrant>,
    labels: Labels,
    clock: Clock,
    random: Random,
    limits: Limits,
    isolation: Option<Isolation>,
    #[serde(skip)]
    isolation_rule: Option<Rule>,
    #[serde(skip)]
    requests: Arc<Requests>,
    #[serde(skip)]
    parties: Vec<Party>,
}

impl GrantSet {
    pub(crate) fn new(layers: &Layers, manifest: &Manifest, tool: &str) -> Self {
        let parties = layers.parties(&manifest.name);
        let ceiling = parties.first().and_then(|party| party.tool.as_ref());
        let isolation = narrow::isolation(&parties);
        Self(Arc::new(Inner {
            package: manifest.name.clone(),
            tool: tool.to_owned(),
            files: narrow::files(&parties, &manifest.request),
            scratch: narrow::scratch(&parties, &manifest.request),
            net: narrow::net(&parties, &manifest.request),
            env: narrow::env(&parties, &manifest.request),
            calls: narrow::calls(&parties, &manifest.request),
            secrets: narrow::secrets(&parties, &manifest.request),
            labels: narrow::labels(&parties, tool),
            clock: ceiling.and_then(|it| it.clock).unwrap_or_default(),
            random: ceiling.and_then(|it| it.random).unwrap_or_default(),
            limits: layers.limits(&manifest.name),
            isolation: isolation.as_ref().map(|(isolation, _)| *isolation),
            isolation_rule: isolation.map(|(_, rule)| rule),
            requests: manifest.request.clone(),
            parties,
        }))
    }

    /// The package's name.
    pub fn package(&self) -> &str {
        &self.0.package
    }

    /// The tool's name in the manifest.
    pub fn tool(&self) -> &str {
        &self.0.tool
    }

    /// The directories to open, with the access that every layer and the request leave. A grant whose `approve` is
    /// `ask` has made the decision an `Ask`, so a call that runs has the consent already.
    pub fn files(&self) -> &[FileGrant] {
        &self.0.files
    }

    /// The directory that each call gets for itself, where every layer gives it at the same place and the package asked
    /// for write access there.
    pub fn scratch(&self) -> Option<&ScratchGrant> {
        self.0.scratch.as_ref()
    }

    /// The requests that may be sent, as the highest layer writes them and as far as the package asked and no lower
    /// layer objects. For showing: [`check_net`](Self::check_net) decides.
    pub fn net(&self) -> &[NetGrant] {
        &self.0.net
    }

    /// The rules of any layer that deny requests whatever else grants them.
    pub fn net_denials(&self) -> impl Iterator<Item = &NetGrant> {
        let tables = self
            .0
            .parties
            .iter()
            .filter_map(|party| party.tool.as_deref());
        tables.flat_map(|tool| {
            tool.net()
                .iter()
                .filter(|grant| grant.approve == Effect::Deny)
        })
    }

    /// The line of a directory that asks for consent, in any layer. It counts even where a lower layer leaves the
    /// directory out: otherwise a lower layer could turn asking into allowing.
    pub(crate) fn asking_directory(&self) -> Option<&Rule> {
        let tables = self
            .0
            .parties
            .iter()
            .filter_map(|party| party.tool.as_deref());
        tables
            .flat_map(ToolPolicy::files)
            .find(|grant| {
                grant.approve == Effect::Ask && self.requests().file_access(&grant.guest).is_some()
            })
            .map(|grant| &grant.rule)
    }

    /// The variables that the guest sees.
    pub fn env(&self) -> &[EnvGrant] {
        &self.0.env
    }

    /// The tools that may be called.
    pub fn calls(&self) -> &[CallGrant] {
        &self.0.calls
    }

    /// The credentials that the host puts into requests, as far as the package asked for them and every layer that lists
    /// tools names them.
    pub fn secrets(&self) -> &[SecretGrant] {
        &self.0.secrets
    }

    /// What the tool does with data, in its operators' words: what any layer says.
    pub fn labels(&self) -> Labels {
        self.0.labels
    }

    /// Which time the guest sees; the highest layer that lists tools decides.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Which random numbers the guest sees; the highest layer that lists tools decides.
    pub fn random(&self) -> &Random {
        &self.0.random
    }

    /// The limits of a call.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Where calls shall run, with the line that says so; absent where no policy says it, and the host's default
    /// holds. The highest layer that lists tools may choose either kind, and every layer below only the stronger.
    pub fn isolation(&self) -> Option<(Isolation, &Rule)> {
        self.0.isolation.zip(self.0.isolation_rule.as_ref())
    }

    /// What the package asked for.
    pub fn requests(&self) -> &Requests {
        &self.0.requests
    }

    /// Whether the package asked for any directory.
    pub fn requests_files(&self) -> bool {
        !self.0.requests.files.is_empty()
    }

    /// Whether the package asked for any network access.
    pub fn requests_net(&self) -> bool {
        !self.0.requests.net.is_empty()
    }

    /// Whether nothing at all is granted.
    pub fn is_empty(&self) -> bool {
        self.files().is_empty()
            && self.scratch().is_none()
            && self.net().is_empty()
            && self.env().is_empty()
            && self.calls().is_empty()
    }
}

impl Serialize for GrantSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
