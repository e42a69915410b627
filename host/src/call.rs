//! The words of the data path: what goes into a call, and what comes out of it.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::ErrorKind;

mod approval;

pub(crate) use approval::digest;
pub use approval::{
    Answers, Approval, ApprovalId, ApprovalRequest, Approver, RememberedFor, SharedApprover,
};

/// Names one call in results, audit records and telemetry. At most 128 bytes of visible ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct CallId(String);

impl From<String> for CallId {
    /// As [`CallId::new`]: an id that is read from outside is no safer than one that is passed in.
    fn from(id: String) -> Self {
        Self::new(&id)
    }
}

impl CallId {
    /// A fresh random id: `call_` and 32 hexadecimal digits.
    pub fn random() -> Self {
        Self(format!("call_{:032x}", rand::random::<u128>()))
    }

    /// The id a caller already has, for example a model's `tool_use` id. Characters other than visible ASCII are
    /// replaced by `_`, and what is longer than 128 bytes is cut off, so that an id can stand in a log line.
    pub fn new(id: &str) -> Self {
        Self(
            id.chars()
                .take(128)
                .map(|c| if c.is_ascii_graphic() { c } else { '_' })
                .collect(),
        )
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names a session: one run of an agent, one connection of a client, or whatever else an embedder counts together. At
/// most 128 bytes of visible ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct SessionId(String);

impl From<String> for SessionId {
    /// As [`SessionId::new`].
    fn from(id: String) -> Self {
        Self::new(&id)
    }
}

impl SessionId {
    /// A fresh random id: `session_` and 32 hexadecimal digits.
    pub fn random() -> Self {
        Self(format!("session_{:032x}", rand::random::<u128>()))
    }

    /// The id a caller already has, made safe to show as [`CallId::new`] does.
    pub fn new(id: &str) -> Self {
        Self(CallId::new(id).0)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names whose call it is, where one embedder serves several. At most 128 bytes of visible ASCII. Secrets of one tenant
/// are never used or kept for another, so two different ids are always two tenants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantId(String);

impl From<String> for TenantId {
    /// As [`TenantId::new`].
    fn from(id: String) -> Self {
        Self::new(&id)
    }
}

impl TenantId {
    /// The id a caller already has. One that is longer than 128 bytes, or has other characters than visible ASCII or a `~`,
    /// is made safe to show as [`CallId::new`] does, and gets a `~` and the SHA-256 of the whole id at its end, so that it
    /// stays apart from all others.
    pub fn new(id: &str) -> Self {
        let safe = CallId::new(id).0;
        if safe == id && !id.contains('~') {
            return Self(safe);
        }
        let digest = Sha256::digest(id.as_bytes());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let kept = safe.get(..safe.len().min(63)).unwrap_or_default();
        Self(format!("{kept}~{digest}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request to run one tool once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Names the call.
    pub id: CallId,
    /// The tool's public name, for example `files_read`.
    pub tool: String,
    /// The input, checked against the tool's schema before the tool sees it.
    pub input: Value,
}

impl ToolCall {
    /// A call with a random id.
    pub fn new(tool: impl Into<String>, input: Value) -> Self {
        Self {
            id: CallId::random(),
            tool: tool.into(),
            input,
        }
    }

    /// The same call under the caller's own id.
    #[must_use]
    pub fn with_id(mut self, id: CallId) -> Self {
        self.id = id;
        self
    }
}

/// One piece of a tool's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Text for the model.
    Text {
        /// The text.
        text: String,
    },
    /// A JSON value.
    Json {
        /// The value.
        json: Value,
    },
    /// A picture.
    Image {
        /// For example `image/png`.
        mime_type: String,
        /// The bytes in standard base64.
        data: String,
    },
    /// A sound.
    Audio {
        /// For example `audio/wav`.
        mime_type: String,
        /// The bytes in standard base64.
        data: String,
    },
    /// Something with a name of its own.
    Resource {
        /// Its name.
        uri: String,
        /// Its media type, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
        /// Its text; absent for bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// Its bytes in standard base64; absent for text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blob: Option<String>,
    },
}

impl Content {
    /// A piece of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

/// Why a call ended in an error, in words that the model and people may see: it holds guest paths only, no backtrace
/// and no text of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolFailure {
    /// Which kind of failure.
    pub kind: ErrorKind,
    /// What happened.
    pub message: String,
    /// The policy rule that decided, where one did; for example `toolcell.toml:7 tool.files.files[0]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How to fix it, where that is known. It is for people and never shown to the model, which must not learn how
    /// to get around a denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The tool's own code, where the tool gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_code: Option<String>,
    /// Whether something may already have happened outside, so that a blind retry is not safe.
    #[serde(default)]
    pub request_sent: bool,
}

impl ToolFailure {
    /// A failure of a kind, with what happened.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            rule: None,
            help: None,
            tool_code: None,
            request_sent: false,
        }
    }
}

/// One access that was refused during a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The kind of resource: `files`, `net`, `env`, `tools`, `approve`, `secrets`.
    pub capability: String,
    /// What was tried, with guest paths only; for example `read /etc/passwd` or `GET https://example.com/`.
    pub access: String,
    /// The rule that decided.
    pub rule: String,
    /// Why, in plain words.
    pub reason: String,
}

/// What a call used, measured after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Wall clock time, host calls included, in microseconds.
    pub wall_us: u64,
    /// Time the guest executed, in microseconds.
    pub cpu_us: u64,
    /// Fuel used, where a fuel limit is set.
    pub fuel: Option<u64>,
    /// The highest sum over all linear memories, in bytes.
    pub memory_peak_bytes: u64,
    /// Size of the answer in bytes.
    pub output_bytes: u64,
    /// Bytes sent to the network.
    pub egress_bytes: u64,
    /// Bytes received from the network.
    pub ingress_bytes: u64,
    /// Requests sent.
    pub requests: u64,
    /// Bytes written to files.
    pub written_bytes: u64,
    /// Files and directories created.
    pub files_created: u64,
    /// Bytes of log, standard output and standard error.
    pub log_bytes: u64,
}

/// The outcome of a call that ran, or that the model should hear about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The call's id.
    pub call_id: CallId,
    /// The tool's public name.
    pub tool: String,
    /// The answer, or for a failure its message as text.
    pub content: Vec<Content>,
    /// The answer as one JSON value, where the tool declares an output schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Value>,
    /// Why it failed; absent when the tool answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ToolFailure>,
    /// What it used.
    pub usage: Usage,
    /// The accesses that were refused, in order; at most 64 are kept.
    pub denials: Vec<Denial>,
    /// How often the value of each secret was found in what the tool gave or got, by the secret's name. `[secret NAME]`
    /// stands in its place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redactions: BTreeMap<String, u64>,
    /// The question that the call waits for: nobody has answered it yet. The call has done nothing outside, and can be made
    /// again, with the answer among [`CallContext::answers`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Box<ApprovalRequest>>,
}

impl ToolResult {
    /// Whether the call failed.
    pub fn is_error(&self) -> bool {
        self.failure.is_some()
    }

    /// All text and JSON pieces, joined by newlines.
    pub fn text(&self) -> String {
        let pieces: Vec<String> = self
            .content
            .iter()
            .filter_map(|piece| match piece {
                Content::Text { text } => Some(text.clone()),
                Content::Json { json } => Some(json.to_string()),
                Content::Resource { text, .. } => text.clone(),
                Content::Image { .. } | Content::Audio { .. } => None,
            })
            .collect();
        pieces.join("\n")
    }
}

/// Something that happens while a call runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallEvent {
    /// The tool reported progress.
    Progress {
        /// Units finished.
        done: f64,
        /// Units in all, where known.
        total: Option<f64>,
        /// What is being done.
        message: Option<String>,
    },
    /// The tool wrote a log line; control characters are already escaped.
    Log {
        /// `trace`, `debug`, `info`, `warn` or `error`; `stdout` and `stderr` for the standard streams.
        level: String,
        /// The line.
        message: String,
    },
    /// An access was refused.
    Denied(Denial),
    /// Somebody is being asked whether something may happen.
    Asked {
        /// What.
        request: Box<ApprovalRequest>,
        /// Whether the call has not begun: until the answer it does nothing, and can be made again.
        unbegun: bool,
    },
    /// A question has its answer, or none will come. It is told before anything happens because of it.
    Answered {
        /// The question.
        id: ApprovalId,
        /// Whether it may happen.
        allowed: bool,
        /// Where the answer is from: `approver`, `remembered`, or `given before` the call.
        by: String,
    },
    /// A tool's answer holds what looks like a credential that nobody registered.
    LikelySecret {
        /// The tool's public name.
        tool: String,
        /// What was found, and what was done about it.
        #[serde(flatten)]
        likely: LikelySecret,
    },
}

/// Something that looks like a credential which nobody registered. It says nothing of the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LikelySecret {
    /// The id of the rule that found it; for example `github-token`.
    pub rule: String,
    /// What the rule finds; for example `a GitHub access token`.
    pub about: String,
    /// In how many places.
    pub count: u64,
    /// Whether `[likely secret RULE]` stands there now.
    pub replaced: bool,
}

impl fmt::Display for LikelySecret {
    /// `what looks like a GitHub access token (rule github-token)`, and what came of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, about, .. } = self;
        write!(f, "what looks like {about} (rule {rule})")?;
        if self.count > 1 {
            write!(f, " in {} places", self.count)?;
        }
        if self.replaced {
            f.write_str(", which was taken out")?;
        }
        Ok(())
    }
}

/// Receives the events of a call. It is called on the call's own path and must not block.
pub type EventSink = Arc<dyn Fn(&CallId, CallEvent) + Send + Sync>;

/// What surrounds a call: who waits for it, until when, and who hears of its events.
#[derive(Clone, Default)]
pub struct CallContext {
    /// An earlier deadline than the tool's own limit.
    pub deadline: Option<Instant>,
    /// Cancels the call.
    pub cancel: CancellationToken,
    /// Hears of progress, log lines and denials.
    pub events: Option<EventSink>,
    /// The session that the call counts for, under the policy's `[session]` limits. Without one, only the limits of the
    /// tool and of the host hold.
    pub session: Option<SessionId>,
    /// Whose call it is: secrets are looked up for this tenant. Default: the embedder has none.
    pub tenant: Option<TenantId>,
    /// Who is asked where a rule says `ask` and the host has no approver, or its approver says [`Approval::Nobody`].
    pub approver: Option<SharedApprover>,
    /// Answers that were given to questions of this call before it asks them.
    pub answers: Answers,
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext")
            .field("deadline", &self.deadline)
            .field("cancelled", &self.cancel.is_cancelled())
            .field("session", &self.session)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_tenants_stay_apart() {
        let long = "x".repeat(129);
        let ids = [
            "",
            "a",
            "a~",
            "ä",
            "ö",
            "_",
            "a b",
            "a_b",
            &long,
            &long[1..],
            "A",
        ];
        for (at, id) in ids.iter().enumerate() {
            let tenant = TenantId::new(id);
            assert!(
                tenant.as_str().len() <= 128
                    && tenant.as_str().chars().all(|c| c.is_ascii_graphic())
            );
            assert_eq!(tenant, TenantId::new(id));
            for other in &ids[..at] {
                assert_ne!(tenant, TenantId::new(other), "{id:?} {other:?}");
            }
            // Nobody can choose an id that is made to look like another one's.
            assert_eq!(
                TenantId::new(tenant.as_str()) == tenant,
                !tenant.as_str().contains('~'),
                "{id:?}"
            );
        }
        // Without the digest these two would be one.
        assert_eq!(CallId::new("ä"), CallId::new("ö"));
    }

    #[test]
    fn an_id_is_safe_to_show_however_it_came() {
        let hostile = format!("a\n\u{1b}[2J{}", "x".repeat(200));
        let read: CallId = serde_json::from_value(Value::from(hostile.clone())).unwrap();
        assert_eq!(read, CallId::new(&hostile));
        assert_eq!(read.as_str().len(), 128);
        assert!(read.as_str().starts_with("a__[2Jx"));
        let back = serde_json::to_value(&read).unwrap();
        assert_eq!(back, Value::from(read.as_str()));
    }
}
