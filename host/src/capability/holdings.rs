//! What a sandbox holds of a decision, as plain data.

use serde::{Deserialize, Serialize};
use toolcell_policy::{Clock, FileAccess, GrantSet, Limits, Random};

/// The part of a decision that a sandbox itself needs: its limits and what is inside it. What must be decided again for
/// each access (requests, calls of tools, consent) is not in it and stays with whoever holds the [`GrantSet`].
///
/// It can be sent to another process. That does not make a sandbox possible without a decision: a host makes one of a
/// [`GrantSet`] alone, and the only other place that builds a sandbox is a worker process, which a host that holds the
/// `GrantSet` started for it and which reaches nothing but what that host hands over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holdings {
    /// The limits of a call.
    pub(crate) limits: Limits,
    /// The variables that the guest sees, as names and values.
    pub(crate) env: Vec<(String, String)>,
    /// Which time it sees.
    pub(crate) clock: Clock,
    /// Which random numbers it sees.
    pub(crate) random: Random,
    /// The directories it sees, in the order of their descriptors.
    pub(crate) dirs: Vec<HeldDir>,
    /// The directory that each call gets for itself.
    pub(crate) scratch: Option<HeldScratch>,
    /// Whether it also sees a `/` in which everything is refused, so that the host hears of paths outside all grants.
    pub(crate) phantom: bool,
}

/// One directory of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldDir {
    /// Where the guest sees it: absolute and normalised.
    pub(crate) guest: String,
    /// Read, or also write.
    pub(crate) access: FileAccess,
    /// The rule that grants it, as people see it.
    pub(crate) rule: String,
    /// The guarded places that may be changed in it all the same.
    pub(crate) unlock: Vec<String>,
}

/// A directory for the time of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldScratch {
    /// Where the guest sees it: absolute and normalised.
    pub(crate) guest: String,
    /// The rule that grants it, as people see it.
    pub(crate) rule: String,
}

impl From<&GrantSet> for Holdings {
    fn from(grants: &GrantSet) -> Self {
        let dirs: Vec<HeldDir> = grants
            .files()
            .iter()
            .map(|grant| HeldDir {
                guest: grant.guest.clone(),
                access: grant.access,
                rule: grant.rule.to_string(),
                unlock: grant.unlock.clone(),
            })
            .collect();
        let scratch = grants.scratch().map(|grant| grant.guest.as_str());
        let covered = dirs.iter().any(|dir| dir.guest == "/") || scratch == Some("/");
        Self {
            limits: grants.limits().clone(),
            env: grants
                .env()
                .iter()
                .map(|grant| (grant.name.clone(), grant.value.clone()))
                .collect(),
            clock: *grants.clock(),
            random: *grants.random(),
            scratch: grants.scratch().map(|grant| HeldScratch {
                guest: grant.guest.clone(),
                rule: grant.rule.to_string(),
            }),
            phantom: grants.requests_files() && !covered,
            dirs,
        }
    }
}
