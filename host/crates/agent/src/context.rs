//! What a model is told, and how much of it.
//!
//! A conversation grows with every turn, and everything of it is sent again. So long results are cut, the server is told
//! which beginnings to keep in its prompt cache ([`CachePlan`](crate::wire::CachePlan)), and what no longer fits gives way
//! in few large steps ([`Compaction`]). All of it is pure: [`Run`](crate::Run) holds the state, and its driver asks the model and
//! writes the transcript, which keeps everything that is left out here.

mod breakpoints;
mod cache;
mod compact;
pub(crate) mod estimate;
mod knowledge;
mod memory;
mod report;
mod results;
mod rules;
mod summary;

use serde::{Deserialize, Serialize};

use crate::{machine::ToolOutput, wire::ToolUse};

pub use cache::{CacheMiss, MissReason};
pub use compact::{Compaction, Summary};
pub use estimate::estimate;
pub use knowledge::{KNOWLEDGE_LIMITS, Knowledge, KnowledgeError, KnowledgeLimits};
pub use memory::{MAX_MEMORY_ENTRIES, MEMORY_PATH, memory_prompt};
pub use report::ContextReport;
pub use results::Cut;
pub use rules::{ContextRules, DEFAULT_CACHE_MIN_TOKENS, DEFAULT_WINDOW};

pub(crate) use breakpoints::plan as cache_plan;
pub(crate) use cache::{CacheState, Sent};
pub(crate) use compact::{Head, Plan, apply, plan};
pub(crate) use estimate::{Calibration, fixed as fixed_tokens, messages as messages_tokens};
pub(crate) use results::{Kept, READER, reader};
pub(crate) use summary::{request as summary_request, text as summary_text};

/// What a run remembers of its context.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// How far estimates were off.
    pub(crate) calibration: Calibration,
    /// The whole text of results that the conversation holds no longer, or not whole.
    pub(crate) kept: Kept,
    /// What the first message was made of, once it holds a summary.
    pub(crate) head: Option<Head>,
    /// What the prompt cache should hold.
    pub(crate) cache: CacheState,
    /// Whether room was already made because the server said that there is none, and no turn came since.
    pub(crate) forced: bool,
    pub(crate) report: ContextReport,
}

impl State {
    /// Cuts a result that is too long to be shown at once, and keeps the whole of it.
    pub(crate) fn shorten(
        &mut self,
        rules: &ContextRules,
        call: &ToolUse,
        output: &mut ToolOutput,
    ) -> Option<Cut> {
        let reader = rules.reader.as_deref();
        let (content, cut) = results::cut(call, &output.content, rules.result_tokens, reader)?;
        self.kept.keep(&call.id, &output.content);
        output.content = content;
        self.report.cut_results = self.report.cut_results.saturating_add(1);
        Some(cut)
    }
}
