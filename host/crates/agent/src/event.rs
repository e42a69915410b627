//! What happens during a run, for people to watch and programs to read.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use toolcell::{ApprovalRequest, CallEvent, Denial, ErrorKind, LikelySecret};

use crate::{
    budget::{Left, Spent},
    context::{CacheMiss, Cut},
    outcome::RunOutcome,
};

/// Something that happened. As JSON, `type` names the kind; the set of kinds and their fields only grow.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AgentEvent {
    /// The run begins, or goes on.
    RunStart {
        /// The model's id.
        model: String,
        /// The tools offered, sorted.
        tools: Vec<String>,
        /// Whether it goes on from a transcript.
        resumed: bool,
    },
    /// The model is asked.
    TurnStart {
        /// The number of the turn, from 1.
        turn: u32,
    },
    /// A piece of the model's text.
    Text {
        /// The piece.
        text: String,
    },
    /// A piece of the model's thinking, where it is shown.
    Thinking {
        /// The piece.
        text: String,
    },
    /// The model begins to ask for a tool; its input is still coming. The call itself begins only when the whole turn
    /// is there.
    ToolUse {
        /// The call's id.
        call_id: String,
        /// The tool.
        tool: String,
    },
    /// The request to the model failed and is sent again.
    ModelRetry {
        /// Which attempt comes next, from 2.
        attempt: u32,
        /// How long from now, in milliseconds.
        delay_ms: u64,
        /// What went wrong.
        error: String,
        /// Whether text of this turn was told already, which now counts for nothing.
        discarded: bool,
    },
    /// The request to the model is not sent yet.
    ModelWaiting {
        /// Why: `queue`, `concurrency`, `requests`, `tokens`, `paused` or `breaker`.
        reason: String,
        /// How long at least, in milliseconds, where that is known.
        at_least_ms: Option<u64>,
    },
    /// The model could not answer, and another one is asked instead.
    ModelFallback {
        /// The one that could not, as `provider:model`.
        from: String,
        /// The one that is asked now.
        to: String,
        /// Why.
        error: String,
        /// Whether text of this turn was told already, which now counts for nothing.
        discarded: bool,
        /// How many blocks of thinking of other models are kept from it.
        left_out: usize,
    },
    /// The turn is complete.
    Usage {
        /// The number of the turn, from 1.
        turn: u32,
        /// Why the model stopped.
        stop_reason: Option<String>,
        /// What the run has spent so far.
        spent: Spent,
        /// What is left of every budget: the run's own, the agent's and the tenant's.
        left: Vec<Left>,
    },
    /// The server's prompt cache did not hold what the turn before left there.
    CacheMiss {
        /// The number of the turn, from 1.
        turn: u32,
        /// Why, and how much.
        #[serde(flatten)]
        miss: CacheMiss,
    },
    /// The conversation is too long, and the model is asked for a summary of its older part. It is a turn of its own.
    SummaryStart {
        /// The number of the turn, from 1.
        turn: u32,
    },
    /// Parts of the conversation gave way, and the model no longer gets them. The transcript has all of it.
    Compacted {
        /// So many results of tools gave way to a note.
        cleared_results: usize,
        /// So many messages gave way to a summary.
        summarised_messages: usize,
        /// How many tokens the prompt had, counted or estimated.
        tokens_before: u64,
        /// About how many it has now.
        tokens_after: u64,
        /// Whether it happened because the server said that the conversation is too long.
        forced: bool,
    },
    /// The answer of a tool is too long for the model to get at once. It can read on.
    ResultCut {
        /// The call's id.
        call_id: String,
        /// The tool.
        tool: String,
        /// About how much it is, and how much the model got.
        #[serde(flatten)]
        cut: Cut,
    },
    /// The model's text holds what looks like a credential that nobody registered. What a tool's answer holds is an event
    /// of its call.
    LikelySecret {
        /// The number of the turn, from 1.
        turn: u32,
        /// What was found, and what was done about it.
        #[serde(flatten)]
        likely: LikelySecret,
    },
    /// A tool call begins.
    ToolCallStart {
        /// The call's id.
        call_id: String,
        /// The tool.
        tool: String,
        /// Its input.
        input: Value,
    },
    /// Something happened during a tool call.
    ToolCallEvent {
        /// The call's id.
        call_id: String,
        /// What.
        event: CallEvent,
    },
    /// A tool call ended.
    ToolCallEnd {
        /// The call's id.
        call_id: String,
        /// The tool.
        tool: String,
        /// The kind of failure; absent when the tool answered.
        code: Option<ErrorKind>,
        /// The text of the answer, or of the failure. The model gets it like this, unless it is too long.
        text: String,
        /// The policy rule that decided, where one did.
        rule: Option<String>,
        /// Wall clock time in microseconds; 0 for a call that was not run.
        wall_us: u64,
        /// The accesses that were refused.
        denials: Vec<Denial>,
    },
    /// A tool call ended before it did anything, because nobody can answer its question now. It is made again when the run
    /// goes on.
    ToolCallWaiting {
        /// The call's id.
        call_id: String,
        /// The tool.
        tool: String,
        /// The question.
        approval: Box<ApprovalRequest>,
    },
    /// The run ended.
    Done {
        /// How.
        #[serde(flatten)]
        outcome: RunOutcome,
        /// The model's last text.
        text: String,
        /// What the run has spent.
        spent: Spent,
    },
}

/// Hears of what happens. It is called on the run's own path and must not block.
pub type AgentSink = Arc<dyn Fn(AgentEvent) + Send + Sync>;
