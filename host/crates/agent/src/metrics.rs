//! The figures and spans of the model side, with the names of the OpenTelemetry conventions for generative AI, and
//! `toolcell.*` where those have no word. Every name stands here once.
//!
//! No label of a figure holds what a model, a tool or a server wrote: providers and models are those that the operator
//! named, and everything else is a word of this crate. So their number is bounded, whatever anybody answers.

pub(crate) mod content;
mod record;

use toolcell::telemetry::{
    ERROR_TYPE, MetricInfo, OPERATION_NAME, OPERATION_SECONDS, OTHER, OUTCOME, SpanInfo,
};

pub use record::Metrics;
pub(crate) use record::{Asked, RunFigures, dollars};

/// The operation of asking a model for a turn, and the beginning of its span's name.
pub const CHAT: &str = "chat";
/// The operation of a run, and the beginning of its span's name.
pub const INVOKE_AGENT: &str = "invoke_agent";

/// Whose API a model is asked through.
pub const PROVIDER: &str = "gen_ai.provider.name";
/// The model that was asked.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The longest answer asked for, in tokens.
pub const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
/// Whether the answer was asked for as a stream.
pub const REQUEST_STREAM: &str = "gen_ai.request.stream";
/// The model that answered, in the server's words.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// The server's id of the answer.
pub const RESPONSE_ID: &str = "gen_ai.response.id";
/// Why the model stopped; a list by the conventions, and one word here.
pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Seconds from the request to the first piece of the answer.
pub const RESPONSE_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// The id of the run.
pub const CONVERSATION: &str = "gen_ai.conversation.id";
/// The agent's name, where it has one.
pub const AGENT_NAME: &str = "gen_ai.agent.name";
/// Tokens of the whole prompt, cached or not.
pub const USAGE_INPUT: &str = "gen_ai.usage.input_tokens";
/// Tokens that the model wrote, thinking included.
pub const USAGE_OUTPUT: &str = "gen_ai.usage.output_tokens";
/// Tokens of the prompt that the provider's cache had.
pub const USAGE_CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";
/// Tokens of the prompt that went into the provider's cache.
pub const USAGE_CACHE_WRITE: &str = "gen_ai.usage.cache_write.input_tokens";
/// Tokens of thinking, where the provider says.
pub const USAGE_REASONING: &str = "gen_ai.usage.reasoning.output_tokens";
/// `input` or `output`.
pub const TOKEN_TYPE: &str = "gen_ai.token.type";
/// What the tokens stand for; `unknown`, since providers do not say.
pub const TOKEN_MODALITY: &str = "gen_ai.token.modality";
/// The number of the turn, from 1.
pub const TURN: &str = "toolcell.turn";
/// What it cost in US dollars, where the price is known.
pub const COST: &str = "toolcell.cost.usd";
/// How often the request was sent again.
pub const SPAN_RETRIES: &str = "toolcell.retries";
/// Whether the answer came out of the response cache.
pub const CACHED: &str = "toolcell.cached";
/// Who answered, as `provider:model`, where it was not the model that was asked first.
pub const ANSWERED_BY: &str = "toolcell.answered_by";
/// How many turns a run had.
pub const TURNS: &str = "toolcell.turns";
/// How many tools a run called.
pub const CALLS: &str = "toolcell.calls";
/// What came of a look into the response cache: `hit`, `shared`, `miss`, `left_out`, `kept`, `not_kept`.
pub const CACHE_OUTCOME: &str = "toolcell.cache.outcome";
/// Why a request waited, in the words of [`WaitReason`](crate::model::WaitReason).
pub const WAIT_REASON: &str = "toolcell.model.wait.reason";
/// What was made shorter: `results` of tools, or the whole conversation (`summary`).
pub const COMPACTED: &str = "toolcell.compacted";
/// Which budget: `turns`, `calls`, `tokens`, `cost` or `time`.
pub const BUDGET: &str = "toolcell.budget";

/// The operator's instructions to the model, where content is wanted.
pub const INSTRUCTIONS: &str = "gen_ai.system_instructions";
/// The conversation that a model was asked with, where content is wanted.
pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
/// What a model answered, where content is wanted.
pub const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";

/// The bounds of numbers of tokens, as the conventions give them.
pub const TOKENS: &[f64] = &[
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
    16777216.0, 67108864.0,
];
/// The bounds of the durations of runs in seconds, as the conventions give them.
pub const RUN_SECONDS: &[f64] = &[
    0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6,
];
/// The bounds of numbers of turns and calls of a run, as the conventions give them.
pub const CALLS_OF_A_RUN: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

const MODEL_LABELS: &[&str] = &[OPERATION_NAME, PROVIDER, REQUEST_MODEL];
const TOKEN_LABELS: &[&str] = &[OPERATION_NAME, PROVIDER, REQUEST_MODEL, TOKEN_MODALITY];

/// How long turns took.
pub const OPERATION_DURATION: MetricInfo = MetricInfo::histogram(
    "gen_ai.client.operation.duration",
    "s",
    "How long turns took, retries and waiting included",
    &[OPERATION_NAME, PROVIDER, REQUEST_MODEL, ERROR_TYPE],
    OPERATION_SECONDS,
);
/// How long until the first piece of an answer.
pub const FIRST_CHUNK: MetricInfo = MetricInfo::histogram(
    "gen_ai.client.operation.time_to_first_chunk",
    "s",
    "From the request to the first piece of the answer",
    MODEL_LABELS,
    OPERATION_SECONDS,
);
/// Tokens of each turn.
pub const TOKEN_USAGE: MetricInfo = MetricInfo::histogram(
    "gen_ai.client.token.usage",
    "{token}",
    "Tokens of each turn; newer conventions have the counters below in its place",
    &[OPERATION_NAME, PROVIDER, REQUEST_MODEL, TOKEN_TYPE],
    TOKENS,
);
/// Tokens of prompts.
pub const INPUT_TOKENS: MetricInfo = MetricInfo::counter(
    "gen_ai.client.inference.usage.input_tokens",
    "{token}",
    "Tokens of prompts, cached ones included",
    TOKEN_LABELS,
);
/// Tokens of answers.
pub const OUTPUT_TOKENS: MetricInfo = MetricInfo::counter(
    "gen_ai.client.inference.usage.output_tokens",
    "{token}",
    "Tokens of answers, thinking included",
    TOKEN_LABELS,
);
/// Tokens of prompts that the provider's cache had.
pub const CACHE_READ_TOKENS: MetricInfo = MetricInfo::counter(
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    "{token}",
    "Tokens of prompts that the provider's cache had",
    TOKEN_LABELS,
);
/// Tokens of prompts that went into the provider's cache.
pub const CACHE_WRITE_TOKENS: MetricInfo = MetricInfo::counter(
    "gen_ai.client.inference.usage.cache_write.input_tokens",
    "{token}",
    "Tokens of prompts that went into the provider's cache",
    TOKEN_LABELS,
);
/// Tokens of thinking.
pub const REASONING_TOKENS: MetricInfo = MetricInfo::counter(
    "gen_ai.client.inference.usage.reasoning.output_tokens",
    "{token}",
    "Tokens of thinking, where the provider says",
    TOKEN_LABELS,
);
/// How long runs took.
pub const RUN_DURATION: MetricInfo = MetricInfo::histogram(
    "gen_ai.invoke_agent.duration",
    "s",
    "How long runs took, or the part of one since it was resumed",
    &[PROVIDER, REQUEST_MODEL, ERROR_TYPE],
    RUN_SECONDS,
);
/// Turns of each run.
pub const RUN_TURNS: MetricInfo = MetricInfo::histogram(
    "gen_ai.invoke_agent.inference_calls",
    "{inference_call}",
    "Turns of each run",
    &[PROVIDER, REQUEST_MODEL],
    CALLS_OF_A_RUN,
);
/// Tool calls of each run.
pub const RUN_CALLS: MetricInfo = MetricInfo::histogram(
    "gen_ai.invoke_agent.tool_calls",
    "{tool_call}",
    "Tool calls of each run",
    &[PROVIDER, REQUEST_MODEL],
    CALLS_OF_A_RUN,
);
/// Runs that ended.
pub const RUNS: MetricInfo = MetricInfo::counter(
    "toolcell.runs",
    "{run}",
    "Runs that ended, by how they did",
    &[OUTCOME],
);
/// What turns cost.
pub const COSTS: MetricInfo = MetricInfo::counter(
    "toolcell.cost.usd",
    "USD",
    "What turns cost in US dollars, where their price is known",
    &[PROVIDER, REQUEST_MODEL],
);
/// How often a request to a model was sent again.
pub const RETRIES: MetricInfo = MetricInfo::counter(
    "toolcell.model.retries",
    "{retry}",
    "Requests to a model that were sent again",
    &[PROVIDER, REQUEST_MODEL],
);
/// How often another model was asked.
pub const FALLBACKS: MetricInfo = MetricInfo::counter(
    "toolcell.model.fallbacks",
    "{turn}",
    "Turns that another model answered than the one asked first, by the one that did",
    &[PROVIDER, REQUEST_MODEL],
);
/// The state of a circuit breaker.
pub const BREAKER: MetricInfo = MetricInfo::gauge(
    "toolcell.model.breaker.state",
    "{state}",
    "Whether requests to a model are sent: 0 closed, 1 half open, 2 open",
    &[PROVIDER, REQUEST_MODEL],
);
/// How long requests waited before they were sent.
pub const WAITS: MetricInfo = MetricInfo::histogram(
    "toolcell.model.wait.duration",
    "s",
    "How long requests to a model waited before they were sent, by the reason",
    &[PROVIDER, REQUEST_MODEL, WAIT_REASON],
    OPERATION_SECONDS,
);
/// What came of looks into the response cache.
pub const CACHE_LOOKUPS: MetricInfo = MetricInfo::counter(
    "toolcell.cache.lookups",
    "{lookup}",
    "What came of looks into the response cache",
    &[CACHE_OUTCOME],
);
/// What the response cache saved.
pub const CACHE_SAVED: MetricInfo = MetricInfo::counter(
    "toolcell.cache.saved.usd",
    "USD",
    "What answers out of the response cache had cost in US dollars",
    &[],
);
/// How often a conversation was made shorter.
pub const COMPACTIONS: MetricInfo = MetricInfo::counter(
    "toolcell.compactions",
    "{compaction}",
    "How often a conversation was made shorter",
    &[COMPACTED],
);
/// How often a budget ended a run.
pub const BUDGET_REFUSALS: MetricInfo = MetricInfo::counter(
    "toolcell.budget.refusals",
    "{refusal}",
    "Runs that a budget ended, by the one that did",
    &[BUDGET],
);

/// The spans of the model side.
pub const SPANS: &[SpanInfo] = &[
    SpanInfo {
        name: "invoke_agent {agent}",
        about: "one run, or the part of it since it was resumed; turns and calls are within it",
        attributes: &[
            (OPERATION_NAME, "`invoke_agent`"),
            (AGENT_NAME, "the agent's name, where it has one"),
            (PROVIDER, "whose API the model is asked through"),
            (REQUEST_MODEL, "the model that is asked first"),
            (CONVERSATION, "the run's id for providers"),
            (
                OUTCOME,
                "how it ended: `finished`, `budget_exceeded`, `failed`, …",
            ),
            (ERROR_TYPE, "the code of a run that failed"),
            (TURNS, "turns over all resumptions"),
            (CALLS, "tool calls over all resumptions"),
            (USAGE_INPUT, "tokens of prompts over all resumptions"),
            (USAGE_OUTPUT, "tokens of answers over all resumptions"),
            (
                COST,
                "cost in US dollars over all resumptions, where prices are known",
            ),
        ],
    },
    SpanInfo {
        name: "chat {model}",
        about: "one turn of a model, with its retries and waits",
        attributes: &[
            (OPERATION_NAME, "`chat`"),
            (PROVIDER, "whose API the model is asked through"),
            (REQUEST_MODEL, "the model that is asked first"),
            (REQUEST_MAX_TOKENS, "the longest answer asked for"),
            (REQUEST_STREAM, "`true`"),
            (CONVERSATION, "the run's id for providers"),
            (TURN, "the number of the turn, from 1"),
            (
                ERROR_TYPE,
                "a status such as `429`, `timeout`, `connect`, `cut_off`, `protocol`, …",
            ),
            (
                RESPONSE_MODEL,
                "the model that answered, in the server's words",
            ),
            (RESPONSE_ID, "the server's id of the answer"),
            (FINISH_REASONS, "why the model stopped"),
            (
                RESPONSE_FIRST_CHUNK,
                "seconds to the first piece of the answer",
            ),
            (USAGE_INPUT, "tokens of the prompt, cached ones included"),
            (USAGE_OUTPUT, "tokens of the answer, thinking included"),
            (
                USAGE_CACHE_READ,
                "tokens of the prompt that the provider's cache had",
            ),
            (
                USAGE_CACHE_WRITE,
                "tokens of the prompt that went into the provider's cache",
            ),
            (
                USAGE_REASONING,
                "tokens of thinking, where the provider says",
            ),
            (COST, "cost in US dollars, where the price is known"),
            (SPAN_RETRIES, "how often the request was sent again"),
            (CACHED, "`true` for an answer out of the response cache"),
            (ANSWERED_BY, "who answered, where it was another model"),
            (INSTRUCTIONS, "the system prompt; only with content"),
            (
                INPUT_MESSAGES,
                "the newest part of the conversation; only with content",
            ),
            (OUTPUT_MESSAGES, "the answer; only with content"),
        ],
    },
];

/// Every metric of the model side, in the order of the documentation.
pub const METRICS: &[MetricInfo] = &[
    OPERATION_DURATION,
    FIRST_CHUNK,
    TOKEN_USAGE,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    CACHE_READ_TOKENS,
    CACHE_WRITE_TOKENS,
    REASONING_TOKENS,
    COSTS,
    RETRIES,
    FALLBACKS,
    BREAKER,
    WAITS,
    CACHE_LOOKUPS,
    CACHE_SAVED,
    COMPACTIONS,
    BUDGET_REFUSALS,
    RUN_DURATION,
    RUN_TURNS,
    RUN_CALLS,
    RUNS,
];

#[cfg(test)]
mod tests;
