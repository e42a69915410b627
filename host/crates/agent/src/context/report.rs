//! What a run's context went through.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CacheMiss, Compaction, MissReason};

/// What a run's context went through. What was cut and what gave way is whole in the transcript.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextReport {
    /// Results of tools that the model got in part.
    pub cut_results: u32,
    /// How often room was made.
    pub compactions: u32,
    /// Results of tools that gave way to a note.
    pub cleared_results: u32,
    /// How often messages gave way to a summary.
    pub summaries: u32,
    /// Prompt tokens that the server's cache was told to keep.
    pub cache_write_tokens: u64,
    /// Turns whose prompt the server's cache did not hold as far as it should have, by the reason.
    pub cache_misses: BTreeMap<MissReason, u32>,
}

impl ContextReport {
    pub(crate) fn count_miss(&mut self, miss: CacheMiss) {
        let times = self.cache_misses.entry(miss.reason).or_default();
        *times = times.saturating_add(1);
    }

    pub(crate) fn count(&mut self, compaction: &Compaction) {
        let cleared = u32::try_from(compaction.cleared.len()).unwrap_or(u32::MAX);
        self.compactions = self.compactions.saturating_add(1);
        self.cleared_results = self.cleared_results.saturating_add(cleared);
        self.summaries = self
            .summaries
            .saturating_add(u32::from(compaction.summary.is_some()));
    }
}
