//! What a person is asked during a call, and what may come of it.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::CallId;

/// Names one question: `ask_` and 40 hexadecimal digits, made of everything that the question is about. The same call that
/// asks the same again has the same id, in another process and on another machine too; a question about another input,
/// tool, package, access or rule has another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct ApprovalId(String);

impl From<String> for ApprovalId {
    /// As [`ApprovalId::new`].
    fn from(id: String) -> Self {
        Self::new(&id)
    }
}

impl ApprovalId {
    /// The id that somebody was shown, made safe to show again as [`CallId::new`] does.
    pub fn new(id: &str) -> Self {
        Self(CallId::new(id).0)
    }

    /// The id of the question that is made of these parts, each at its own place.
    pub(crate) fn of(parts: &[&str]) -> Self {
        let digest = digest(parts);
        Self(format!("ask_{}", digest.get(..40).unwrap_or(&digest)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 in hexadecimal of several texts, none of which can pass for a part of its neighbour.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What somebody is asked to allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApprovalRequest {
    /// Names the question. An answer that comes later names it.
    pub id: ApprovalId,
    /// The tool's public name.
    pub tool: String,
    /// The call.
    pub call_id: CallId,
    /// The package that the tool belongs to.
    #[serde(default)]
    pub package: String,
    /// SHA-256 of the package's component in hexadecimal.
    #[serde(default)]
    pub digest: String,
    /// What is to happen: `call`, or for example `GET https://example.com/`. It may hold words of a guest: escape it before
    /// it is shown on a terminal.
    pub access: String,
    /// The rule that asks, for example `toolcell.toml:7 tool.files.approve`.
    pub rule: String,
    /// The line of the policy that the rule stands on; empty for a rule that holds without being written.
    #[serde(default)]
    pub rule_text: String,
    /// SHA-256 in hexadecimal of the rule and of everything that the policy says about the package. It is the same
    /// wherever the policy's file lies.
    #[serde(default)]
    pub rule_digest: String,
    /// The call's input as JSON text, cut off after 2,000 characters. It was written by a model: escape it before it
    /// is shown on a terminal.
    pub input_preview: String,
    /// SHA-256 in hexadecimal of the whole input, without the values of secrets.
    #[serde(default)]
    pub input_digest: String,
    /// What an answer may be remembered for; absent where it cannot be remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered_for: Option<RememberedFor>,
}

/// What an answer is remembered for. It holds only as long as all of this is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RememberedFor {
    /// The tool's public name.
    pub tool: String,
    /// The package that the tool belongs to.
    pub package: String,
    /// SHA-256 of the package's component in hexadecimal.
    pub digest: String,
    /// The one access: `call`, which is every call of the tool whatever its input, or for example
    /// `GET https://example.com/`, whatever its query.
    pub access: String,
    /// The rule that asks, as it was shown.
    pub rule: String,
    /// The line of the policy that the rule stands on, as it was shown.
    pub rule_text: String,
    /// SHA-256 in hexadecimal of the rule, of everything that the policy says about the package, of where the policy's
    /// files lie, and of whose calls it is about.
    pub scope_digest: String,
}

impl RememberedFor {
    /// Whether an answer for this is one for `other`. The number of the rule's line may differ: what a line says counts,
    /// and not what stands above it.
    pub fn covers(&self, other: &Self) -> bool {
        let Self {
            tool,
            package,
            digest,
            access,
            rule: _,
            rule_text,
            scope_digest,
        } = self;
        *tool == other.tool
            && *package == other.package
            && *digest == other.digest
            && *access == other.access
            && *rule_text == other.rule_text
            && *scope_digest == other.scope_digest
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Approval {
    /// It may happen, this once.
    Allow,
    /// It may not.
    Deny,
    /// A person said so before, for [`ApprovalRequest::remembered_for`], and wanted it to be remembered.
    Remembered {
        /// Whether it may happen.
        allow: bool,
    },
    /// Nobody can answer now, and somebody will later. The call ends before it has done anything, and its result has the
    /// question as [`ToolResult::pending`](crate::ToolResult::pending). Where the call has had an effect outside already,
    /// this is a no.
    Later,
    /// Nobody is there who could answer, now or later. It may not happen.
    Nobody,
}

/// Asks a person, or decides in a person's place. The question is given up when the call is cancelled or out of time;
/// then the returned future is dropped.
pub trait Approver: Send + Sync + 'static {
    /// Answers one request.
    fn approve(&self, request: &ApprovalRequest) -> impl Future<Output = Approval> + Send;
}

/// Any [`Approver`]. Clones are one.
#[derive(Clone)]
pub struct SharedApprover(Arc<dyn AnyApprover>);

impl SharedApprover {
    /// One that may be shared.
    pub fn new(approver: impl Approver) -> Self {
        Self(Arc::new(approver))
    }

    /// Answers one request.
    pub(crate) fn ask<'a>(&'a self, request: &'a ApprovalRequest) -> BoxFuture<'a, Approval> {
        self.0.ask(request)
    }
}

impl fmt::Debug for SharedApprover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedApprover")
    }
}

trait AnyApprover: Send + Sync {
    fn ask<'a>(&'a self, request: &'a ApprovalRequest) -> BoxFuture<'a, Approval>;
}

impl<T: Approver> AnyApprover for T {
    fn ask<'a>(&'a self, request: &'a ApprovalRequest) -> BoxFuture<'a, Approval> {
        Box::pin(self.approve(request))
    }
}

/// Answers that were given to questions before their calls ask them again, by the questions' ids. Each counts once, and for
/// nothing but the very same question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(Arc<BTreeMap<ApprovalId, bool>>);

impl Answers {
    /// No answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds whether what a question is about may happen.
    #[must_use]
    pub fn with(mut self, id: ApprovalId, allow: bool) -> Self {
        Arc::make_mut(&mut self.0).insert(id, allow);
        self
    }

    /// The answer to a question.
    pub fn get(&self, id: &ApprovalId) -> Option<bool> {
        self.0.get(id).copied()
    }

    /// Every answer, by its question.
    pub fn iter(&self) -> impl Iterator<Item = (&ApprovalId, bool)> {
        self.0.iter().map(|(id, allow)| (id, *allow))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(ApprovalId, bool)> for Answers {
    fn from_iter<T: IntoIterator<Item = (ApprovalId, bool)>>(answers: T) -> Self {
        Self(Arc::new(answers.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_never_pass_for_their_neighbours() {
        let ids = [
            ApprovalId::of(&["ab", "c"]),
            ApprovalId::of(&["a", "bc"]),
            ApprovalId::of(&["abc"]),
            ApprovalId::of(&["abc", ""]),
            ApprovalId::of(&["", "abc"]),
        ];
        for (at, id) in ids.iter().enumerate() {
            assert_eq!(id.as_str().len(), 44);
            assert!(!ids[..at].contains(id), "{id}");
        }
        assert_eq!(ApprovalId::of(&["ab", "c"]), ids[0]);
    }

    #[test]
    fn an_id_is_safe_to_show_however_it_came() {
        let read: ApprovalId = serde_json::from_str("\"ask_\\u001b[2J\\n\"").unwrap();
        assert_eq!(read.as_str(), "ask__[2J_");
    }

    fn remembered() -> RememberedFor {
        let text = |text: &str| text.to_owned();
        RememberedFor {
            tool: text("fetch"),
            package: text("fetch"),
            digest: text("d1"),
            access: text("GET https://a.example/x"),
            rule: text("toolcell.toml:3 tool.fetch.approve"),
            rule_text: text("approve = \"ask\""),
            scope_digest: text("s1"),
        }
    }

    /// One changed letter in anything that counts, and the answer is for something else.
    #[test]
    fn a_remembered_answer_covers_nothing_but_the_same() {
        let own = remembered();
        assert!(own.covers(&own));
        let moved = RememberedFor {
            rule: "toolcell.toml:4 tool.fetch.approve".to_owned(),
            ..own.clone()
        };
        assert!(own.covers(&moved));
        let fields: [fn(&mut RememberedFor) -> &mut String; 6] = [
            |it| &mut it.tool,
            |it| &mut it.package,
            |it| &mut it.digest,
            |it| &mut it.access,
            |it| &mut it.rule_text,
            |it| &mut it.scope_digest,
        ];
        for (number, field) in fields.iter().enumerate() {
            for change in ["", "*", "x"] {
                let mut other = own.clone();
                let text = field(&mut other);
                match change {
                    "" => text.clear(),
                    change => text.push_str(change),
                }
                assert!(!own.covers(&other) && !other.covers(&own), "{number}");
            }
        }
    }
}
