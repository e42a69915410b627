//! Every span, attribute and event name of toolcell, in one place, since the conventions behind them still move: they
//! follow the OpenTelemetry conventions for generative AI, and `toolcell.*` where those have no word.
//!
//! toolcell emits `tracing` spans and events, and figures through the meter that its embedder gives it; which of them go
//! where is for the embedder to say. No attribute holds a tool's input, its output or a path of the host, and no label of
//! a figure a word that a model chose.

mod info;
mod metrics;

use serde_json::Value;
use tracing::{Span, field::Empty, info_span};

pub use info::{MetricInfo, MetricKind, OPERATION_SECONDS, SpanInfo};
pub(crate) use metrics::{Metrics, watch};

use crate::{CallId, Redaction, ToolResult};

/// The span of one call.
pub const EXECUTE_TOOL: &str = "execute_tool";
/// What a span is about; for a call [`EXECUTE_TOOL`].
pub const OPERATION_NAME: &str = "gen_ai.operation.name";
/// The tool's public name.
pub const TOOL_NAME: &str = "gen_ai.tool.name";
/// The call's id.
pub const TOOL_CALL_ID: &str = "gen_ai.tool.call.id";
/// [`TOOL_TYPE_VALUE`].
pub const TOOL_TYPE: &str = "gen_ai.tool.type";
/// In the conventions' words, a tool that is run on the side of the agent.
pub const TOOL_TYPE_VALUE: &str = "extension";
/// What a tool was asked with, where content is wanted.
pub const TOOL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
/// What a tool answered, where content is wanted.
pub const TOOL_RESULT: &str = "gen_ai.tool.call.result";
/// The code of the error a call ended in; absent for an answer.
pub const ERROR_TYPE: &str = "error.type";
/// The name of the package that the tool belongs to.
pub const PACKAGE: &str = "toolcell.package.name";
/// The rule that decided.
pub const RULE: &str = "toolcell.rule";
/// Wall clock time of a call in microseconds.
pub const WALL_US: &str = "toolcell.usage.wall_us";
/// Time the guest executed in microseconds.
pub const CPU_US: &str = "toolcell.usage.cpu_us";
/// The highest sum over all linear memories in bytes.
pub const MEMORY_PEAK_BYTES: &str = "toolcell.usage.memory_peak_bytes";
/// Bytes sent to the network.
pub const EGRESS_BYTES: &str = "toolcell.usage.egress_bytes";
/// Requests sent.
pub const REQUESTS: &str = "toolcell.usage.requests";
/// How many refused accesses a result lists.
pub const DENIALS: &str = "toolcell.denials";

/// How a call ended: `ok`, or the code of its error.
pub const OUTCOME: &str = "toolcell.outcome";
/// What a refused access was about: `files`, `net`, `tools`, `secrets`, `approve` or `combine`.
pub const CAPABILITY: &str = "toolcell.capability";
/// What a person said: `allow` or `deny`; `nobody` where none could be asked, `full` where too many questions were open.
pub const ANSWER: &str = "toolcell.approval.answer";
/// The value of a label for what has no name of the operator's: a tool that is not there.
pub const OTHER: &str = "_other";

/// How long calls took.
pub const EXECUTE_TOOL_DURATION: MetricInfo = MetricInfo::histogram(
    "gen_ai.execute_tool.duration",
    "s",
    "How long calls of tools took, waiting for a place and for a person included",
    &[TOOL_NAME, TOOL_TYPE, ERROR_TYPE],
    OPERATION_SECONDS,
);
/// How many calls there were.
pub const TOOL_CALLS: MetricInfo = MetricInfo::counter(
    "toolcell.tool.calls",
    "{call}",
    "Calls of tools that ended",
    &[TOOL_NAME, OUTCOME],
);
/// How many accesses were refused.
pub const TOOL_DENIALS: MetricInfo = MetricInfo::counter(
    "toolcell.tool.denials",
    "{denial}",
    "Accesses that were refused to tools",
    &[TOOL_NAME, CAPABILITY],
);
/// How many questions to a person there were.
pub const APPROVALS: MetricInfo = MetricInfo::counter(
    "toolcell.approvals",
    "{question}",
    "Questions for a person's consent that came up",
    &[TOOL_NAME, ANSWER],
);
/// How many calls run.
pub const ADMISSION_RUNNING: MetricInfo = MetricInfo::gauge(
    "toolcell.admission.running",
    "{call}",
    "Calls that run, those that tools make included",
    &[],
);
/// How many calls wait.
pub const ADMISSION_WAITING: MetricInfo = MetricInfo::gauge(
    "toolcell.admission.waiting",
    "{call}",
    "Calls that wait for a free place: the depth of the queue",
    &[],
);
/// How many questions are open.
pub const ADMISSION_QUESTIONS: MetricInfo = MetricInfo::gauge(
    "toolcell.admission.questions",
    "{question}",
    "Questions to a person that are open",
    &[],
);
/// How many sessions there are.
pub const ADMISSION_SESSIONS: MetricInfo = MetricInfo::gauge(
    "toolcell.admission.sessions",
    "{session}",
    "Sessions that have calls, or a rate that is not whole again",
    &[],
);
/// How many calls were turned away.
pub const ADMISSION_TURNED_AWAY: MetricInfo = MetricInfo::counter(
    "toolcell.admission.turned_away",
    "{call}",
    "Calls that were turned away as busy",
    &[],
);

/// Every metric of a host, in the order of the documentation.
pub const METRICS: &[MetricInfo] = &[
    EXECUTE_TOOL_DURATION,
    TOOL_CALLS,
    TOOL_DENIALS,
    APPROVALS,
    ADMISSION_RUNNING,
    ADMISSION_WAITING,
    ADMISSION_QUESTIONS,
    ADMISSION_SESSIONS,
    ADMISSION_TURNED_AWAY,
];

/// The spans of a host.
pub const SPANS: &[SpanInfo] = &[SpanInfo {
    name: "execute_tool {tool}",
    about: "one call of a tool; calls that the tool makes are within it",
    attributes: &[
        (OPERATION_NAME, "`execute_tool`"),
        (
            TOOL_NAME,
            "the tool's public name, or the one that was asked for",
        ),
        (TOOL_CALL_ID, "the call's id"),
        (TOOL_TYPE, "`extension`"),
        (ERROR_TYPE, "the code of the error that it ended in"),
        (PACKAGE, "the package that the tool belongs to"),
        (
            RULE,
            "the line of the policy that decided, where it was refused",
        ),
        (WALL_US, "wall clock time in microseconds"),
        (CPU_US, "time that the guest executed in microseconds"),
        (
            MEMORY_PEAK_BYTES,
            "the highest sum over its memories in bytes",
        ),
        (EGRESS_BYTES, "bytes sent to the network"),
        (REQUESTS, "requests sent"),
        (DENIALS, "how many accesses were refused"),
        (TOOL_ARGUMENTS, "its input as JSON; only with content"),
        (TOOL_RESULT, "the text of its answer; only with content"),
    ],
}];

/// How much of a tool's name is kept, in bytes: a model may ask for a name that no tool could have.
const MAX_NAME_BYTES: usize = 128;

/// The span of one call, at level info. What is not known yet is filled in by [`record_result`].
pub fn call_span(tool: &str, call_id: &CallId) -> Span {
    let tool = tool
        .get(..tool.floor_char_boundary(MAX_NAME_BYTES))
        .unwrap_or_default();
    info_span!(
        EXECUTE_TOOL,
        otel.name = format!("{EXECUTE_TOOL} {tool}"),
        otel.status_code = Empty,
        { OPERATION_NAME } = EXECUTE_TOOL,
        { TOOL_NAME } = tool,
        { TOOL_CALL_ID } = call_id.as_str(),
        { TOOL_TYPE } = TOOL_TYPE_VALUE,
        { ERROR_TYPE } = Empty,
        { PACKAGE } = Empty,
        { RULE } = Empty,
        { WALL_US } = Empty,
        { CPU_US } = Empty,
        { MEMORY_PEAK_BYTES } = Empty,
        { EGRESS_BYTES } = Empty,
        { REQUESTS } = Empty,
        { DENIALS } = Empty,
        { TOOL_ARGUMENTS } = Empty,
        { TOOL_RESULT } = Empty,
    )
}

/// Writes a call's outcome and usage into its span.
pub fn record_result(span: &Span, result: &ToolResult) {
    if let Some(failure) = &result.failure {
        span.record(ERROR_TYPE, failure.kind.code());
        span.record("otel.status_code", "error");
        if let Some(rule) = &failure.rule {
            span.record(RULE, rule.as_str());
        }
    }
    let usage = &result.usage;
    span.record(WALL_US, usage.wall_us);
    span.record(CPU_US, usage.cpu_us);
    span.record(MEMORY_PEAK_BYTES, usage.memory_peak_bytes);
    span.record(EGRESS_BYTES, usage.egress_bytes);
    span.record(REQUESTS, usage.requests);
    span.record(DENIALS, result.denials.len() as u64);
}

/// How much of an input or an answer a span holds, in bytes.
const MAX_CONTENT_BYTES: usize = 32 << 10;

/// Writes into a call's span what a tool was asked with, without any secret.
pub(crate) fn record_input(span: &Span, redaction: &Redaction, input: &Value) {
    let mut input = input.clone();
    redaction.json(&mut input);
    span.record(TOOL_ARGUMENTS, beginning(&input.to_string()));
}

/// Writes into a call's span what a tool answered, without any secret.
pub(crate) fn record_answer(span: &Span, redaction: &Redaction, result: &ToolResult) {
    let text = redaction.text(&result.text()).into_owned();
    span.record(TOOL_RESULT, beginning(&text));
}

/// As much of a text as a span holds.
fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_CONTENT_BYTES))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{
        Event, Metadata, Subscriber,
        field::{Field, Visit},
        span,
    };

    use super::*;
    use crate::{ErrorKind, ToolFailure, Usage};

    type Fields = Vec<(String, String)>;

    /// Remembers the fields of every span.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Fields>>);

    impl Visit for Seen {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            let entry = (field.name().to_owned(), format!("{value:?}"));
            self.0.lock().unwrap().push(entry);
        }
    }

    impl Subscriber for Seen {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
            assert_eq!(span.metadata().name(), EXECUTE_TOOL);
            span.record(&mut self.clone());
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, values: &span::Record<'_>) {
            values.record(&mut self.clone());
        }
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, _: &Event<'_>) {}
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn a_name_that_is_too_long_is_cut() {
        let seen = Seen::default();
        tracing::subscriber::with_default(seen.clone(), || {
            call_span(&"ä".repeat(1_000_000), &CallId::new("call_1"));
        });
        let seen = seen.0.lock().unwrap();
        assert!(
            seen.iter()
                .all(|(_, value)| value.len() <= EXECUTE_TOOL.len() + 1 + MAX_NAME_BYTES + 2)
        );
    }

    #[test]
    fn a_call_has_the_names_of_the_conventions() {
        let seen = Seen::default();
        tracing::subscriber::with_default(seen.clone(), || {
            let id = CallId::new("call_1");
            let span = call_span("files_read", &id);
            let mut failure = ToolFailure::new(ErrorKind::Denied, "no");
            failure.rule = Some("toolcell.toml:7".into());
            record_result(
                &span,
                &ToolResult {
                    call_id: id,
                    tool: "files_read".into(),
                    content: Vec::new(),
                    structured: None,
                    failure: Some(failure),
                    usage: Usage {
                        wall_us: 12,
                        ..Usage::default()
                    },
                    denials: Vec::new(),
                    redactions: std::collections::BTreeMap::new(),
                    pending: None,
                },
            );
        });
        let seen = seen.0.lock().unwrap();
        for (name, value) in [
            ("gen_ai.operation.name", "\"execute_tool\""),
            ("gen_ai.tool.name", "\"files_read\""),
            ("gen_ai.tool.call.id", "\"call_1\""),
            ("error.type", "\"denied\""),
            ("toolcell.rule", "\"toolcell.toml:7\""),
            ("toolcell.usage.wall_us", "12"),
            ("toolcell.denials", "0"),
        ] {
            let entry = (name.to_owned(), value.to_owned());
            assert!(seen.contains(&entry), "{name} is not in {seen:?}");
        }
    }
}
