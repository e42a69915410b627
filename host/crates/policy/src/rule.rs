//! Which line decided.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};

/// Who wrote a policy file. A layer can only narrow the ones above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The machine's administrator; the highest layer.
    System,
    /// The person who runs the host.
    User,
    /// The project that is worked on.
    Project,
    /// This run only; the lowest layer.
    Session,
}

impl Layer {
    /// Every layer, the highest first.
    pub const ALL: [Self; 4] = [Self::System, Self::User, Self::Project, Self::Session];

    /// The layer's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Project => "project",
            Self::Session => "session",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an access gets. Ordered from the loosest to the strictest, so that `max` is the strictest.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It happens.
    #[default]
    Allow,
    /// A person is asked; nobody to ask means deny.
    Ask,
    /// It does not happen.
    Deny,
}

impl Effect {
    /// Every effect, the loosest first.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Ask, Self::Deny];

    /// `allow`, `ask` or `deny`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The line of a policy that decided, or a rule that holds without being written.
///
/// Shown as `toolcell.toml:7 tool.files.files[0]`, or `default: denied until written`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Rule {
    /// The layer of the file; absent for what is not written in a policy.
    pub layer: Option<Layer>,
    /// The file's name as it was given to the parser; empty for a rule that holds without being written.
    #[serde(serialize_with = "shared")]
    pub file: Arc<str>,
    /// The line, counted from 1; 0 for a rule that holds without being written.
    pub line: u32,
    /// The key, for example `tool.files.files[0]`; for a rule that is not written, what it says.
    #[serde(serialize_with = "shared")]
    pub key: Arc<str>,
}

fn shared<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl Rule {
    pub(crate) fn unwritten(says: &str) -> Self {
        Self {
            layer: None,
            file: "".into(),
            line: 0,
            key: says.into(),
        }
    }

    /// Nothing is granted that no policy names.
    pub(crate) fn until_written() -> Self {
        Self::unwritten("denied until written")
    }

    /// A package gets no more than it asked for.
    pub(crate) fn not_requested() -> Self {
        Self::unwritten("denied unless the package requests it")
    }

    /// No rule speaks of it, and a person who writes the policy is asked.
    pub fn learning() -> Self {
        Self::unwritten("no rule grants it yet")
    }

    /// Whether a file holds this rule.
    pub fn is_written(&self) -> bool {
        self.line > 0
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_written() {
            write!(f, "{}:{} {}", self.file, self.line, self.key)
        } else {
            write!(f, "default: {}", self.key)
        }
    }
}

/// The answer for one concrete access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Verdict {
    /// What the access gets.
    pub effect: Effect,
    /// The rule that decided.
    pub rule: Rule,
    /// Why, in plain words that the model may see: they never say how to get around a denial.
    pub reason: String,
}

impl Verdict {
    pub(crate) fn allow(rule: Rule, reason: impl Into<String>) -> Self {
        Self::new(Effect::Allow, rule, reason)
    }

    pub(crate) fn deny(rule: Rule, reason: impl Into<String>) -> Self {
        Self::new(Effect::Deny, rule, reason)
    }

    pub(crate) fn new(effect: Effect, rule: Rule, reason: impl Into<String>) -> Self {
        Self {
            effect,
            rule,
            reason: reason.into(),
        }
    }

    /// Whether the access happens without asking anybody.
    pub fn is_allowed(&self) -> bool {
        self.effect == Effect::Allow
    }
}
