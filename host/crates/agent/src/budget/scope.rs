//! Whose budget, and for which time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose budget.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// An agent's or a tenant's.
    pub kind: ScopeKind,
    /// Its name: 1 to [`Scope::MAX_NAME_BYTES`] bytes.
    pub name: String,
}

/// What has a budget besides a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// All runs under one agent's name.
    Agent,
    /// All runs of one tenant.
    Tenant,
}

impl Scope {
    /// The longest name, in bytes.
    pub const MAX_NAME_BYTES: usize = 128;

    /// The budget of an agent.
    pub fn agent(name: impl Into<String>) -> Self {
        Self {
            kind: ScopeKind::Agent,
            name: name.into(),
        }
    }

    /// The budget of a tenant.
    pub fn tenant(name: impl Into<String>) -> Self {
        Self {
            kind: ScopeKind::Tenant,
            name: name.into(),
        }
    }
}

impl ScopeKind {
    /// `agent` or `tenant`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Tenant => "tenant",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind.name(), self.name)
    }
}

/// The time that a budget is for. Days and months are those of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the next.
    Month,
    /// It never begins anew by itself.
    Ever,
}

impl Period {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Month, Self::Ever];

    /// `day`, `month` or `ever`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Ever => "ever",
        }
    }

    /// As it stands behind the name of who has a budget.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Day => "for a day",
            Self::Month => "for a month",
            Self::Ever => "for all time",
        }
    }
}
