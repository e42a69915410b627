//! What an audit record says. It names packages, tools, rules, guest paths and hosts; it never holds a tool's input or
//! output, a variable's value, a credential or a path of the host.

use serde::{Deserialize, Serialize};
use toolcell_policy::{Effect, Isolation};

use crate::{CallId, Denial, ErrorKind, LikelySecret, Usage};

/// One record. The set is closed: whoever reads a log can rely on knowing every kind of line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "one is made at a time, and the largest kind is the most frequent"
)]
pub enum AuditRecord {
    /// A host began to work.
    Session(SessionRecord),
    /// A package's calls run in workers from now on.
    Workers(WorkersRecord),
    /// Something was allowed, put to a person, or denied.
    Decision(DecisionRecord),
    /// A call ended.
    Call(CallRecord),
    /// The log's own note: a writer had stopped in the middle of a line.
    Recovered(RecoveredRecord),
}

/// A host began to work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Names the host's lifetime in all of its records.
    pub session: String,
    /// The version of toolcell.
    pub version: String,
    /// The policy layers in force, highest first; for example `project toolcell.toml`.
    pub policy: Vec<String>,
}

/// A package's calls run in worker processes from now on, each confined at least like this by the operating system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkersRecord {
    /// The host's lifetime.
    pub session: String,
    /// The package's name.
    pub package: String,
    /// SHA-256 of the package in hexadecimal.
    pub digest: String,
    /// `none`, `partial` or `full`.
    pub confinement: String,
    /// What they are not confined by, and why; for example `memory_cgroup: no cgroup can be made`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// Something was allowed, put to a person, or denied. A question has two records: `ask` with the rule that asks, then
/// the answer with `approver` as its rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// The host's lifetime.
    pub session: String,
    /// The call.
    pub call_id: CallId,
    /// The tool's public name, as it was asked for.
    pub tool: String,
    /// The package's name.
    pub package: String,
    /// SHA-256 of the package in hexadecimal.
    pub digest: String,
    /// What was to happen; for example `call`, or `GET https://example.com/`.
    pub access: String,
    /// What was decided.
    pub effect: Effect,
    /// The rule that decided.
    pub rule: String,
}

/// How a call ended: `ok`, or the code of its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Outcome {
    /// The tool answered.
    Ok,
    /// It did not.
    Failed(ErrorKind),
}

impl From<Outcome> for String {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => "ok".to_owned(),
            Outcome::Failed(kind) => kind.code().to_owned(),
        }
    }
}

impl TryFrom<String> for Outcome {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        if code == "ok" {
            return Ok(Self::Ok);
        }
        ErrorKind::from_code(&code)
            .map(Self::Failed)
            .ok_or_else(|| format!("`{code}` is no outcome"))
    }
}

/// A call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The host's lifetime.
    pub session: String,
    /// The call.
    pub call_id: CallId,
    /// The tool's public name, as it was asked for.
    pub tool: String,
    /// The package's name; absent where no tool has that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// SHA-256 of the package in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Where the tool's calls run; absent where no tool has that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// How it ended.
    pub outcome: Outcome,
    /// The rule that ended it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What it used.
    pub usage: Usage,
    /// The accesses that were refused, in order; at most 64 are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Denial>,
    /// How many accesses were refused in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub denials_total: u64,
    /// The guest paths that were used; at most 256 are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathTouched>,
    /// How many more uses of paths there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paths_dropped: u64,
    /// The hosts that requests were sent to, sorted; at most 64 are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostReached>,
    /// How many requests were sent to further hosts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hosts_dropped: u64,
    /// The secrets whose values were found in what the tool gave or got, and taken out, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<Redacted>,
    /// What in the answer looked like credentials which nobody registered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub likely_secrets: Vec<LikelySecret>,
}

/// A secret whose value was found and taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redacted {
    /// Its name in the policy.
    pub secret: String,
    /// In how many places.
    pub count: u64,
}

/// A guest path that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathTouched {
    /// The path as the guest sees it.
    pub path: String,
    /// `read`, or `write` for what was created, changed, renamed or removed.
    pub used: String,
}

/// A host that requests were sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReached {
    /// Host and port; for example `api.example.com:443`.
    pub host: String,
    /// How many requests.
    pub requests: u64,
    /// How many bytes were sent to it, heads and framing included.
    #[serde(default)]
    pub sent_bytes: u64,
}

/// A writer had stopped in the middle of a line, so that line's result was never handed out. What it had written is
/// kept here, since nothing is ever dropped from a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecoveredRecord {
    /// How many bytes of the line there were.
    pub bytes: u64,
    /// SHA-256 of those bytes in hexadecimal.
    pub digest: String,
    /// The bytes as text; what is no UTF-8 is replaced, and what is longer than 4 KiB is cut off.
    pub text: String,
}

// The signature is serde's.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes the field by reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
