//! What packages use, for whoever writes their policy.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use toolcell_policy::Access;

use crate::capability::recorder::{Record, shown};

/// The most different accesses of one package that are kept. More are only counted.
const MAX_ACCESSES: usize = 4_096;

/// Watches what packages use. Clones are one.
///
/// A host that was built [with it](crate::ToolHostBuilder::learn) asks its approver about every request and every call of
/// another tool that nothing but a line of the policy is missing for, instead of denying it. What a rule denies, what a
/// package does not request, and what could be misread stays denied. Whatever was tried is kept here, without queries.
#[derive(Clone, Default)]
pub struct Learning(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    packages: BTreeMap<String, Vec<Access>>,
    dropped: u64,
}

impl Learning {
    /// Nothing was seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that was seen so far, by package, each access once and in the order of its first use. A
    /// package that was called and used nothing is there as well.
    pub fn seen(&self) -> BTreeMap<String, Vec<Access>> {
        self.lock().packages.clone()
    }

    /// How many accesses found no place.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// A package was called, whether or not it used anything.
    pub(super) fn called(&self, package: &str) {
        let mut seen = self.lock();
        seen.packages.entry(package.to_owned()).or_default();
    }

    pub(super) fn saw(&self, package: &str, access: Access) {
        let mut seen = self.lock();
        let accesses = seen.packages.entry(package.to_owned()).or_default();
        if accesses.contains(&access) {
            return;
        }
        if accesses.len() < MAX_ACCESSES {
            accesses.push(access);
        } else {
            seen.dropped = seen.dropped.saturating_add(1);
        }
    }

    /// The files of a call that ended, used or refused.
    pub(super) fn saw_files(&self, package: &str, record: &Record) {
        let used = record
            .paths
            .iter()
            .map(|touched| format!("{} {}", touched.used.as_str(), shown(&touched.path)));
        let refused = record
            .denials
            .iter()
            .filter(|denial| denial.capability == "files")
            .map(|denial| denial.access.clone());
        for access in used.chain(refused) {
            if let Some(access @ Access::File { .. }) = Access::parse(&access) {
                self.saw(package, access);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An access without what a policy does not look at, and what nobody should read.
pub(super) fn plain(access: Access) -> Access {
    match access {
        Access::Net { method, mut url } => {
            url.set_query(None);
            url.set_fragment(None);
            Access::Net { method, url }
        }
        other => other,
    }
}
