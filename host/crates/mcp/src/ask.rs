//! Questions to the person at the client, as a form of the protocol.
//!
//! Up to 2025-11-25 the server asks the client while the call waits. From 2026-07-28 on it must not: the call is put aside
//! under a name that cannot be guessed, the client is told what is asked, and makes its request again with the answer
//! ([`crate::aside`]).

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rmcp::{
    Peer, RoleServer, ServiceError,
    model::{
        ClientCapabilities, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema,
    },
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use toolcell::{Approval, ApprovalRequest, Approver, text::escape_control};

/// The most of a text from outside that a question shows, in characters.
const MAX_SHOWN: usize = 300;
/// The most accesses that are allowed for a session. Beyond them each is asked about.
const MAX_ALLOWED: usize = 1_000;

const ONCE: &str = "allow once";
const SESSION: &str = "allow for this session";
const DENY: &str = "deny";

/// What was allowed until the connection ends. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Allowed(Arc<Mutex<HashSet<Key>>>);

/// What counts as the same within a session.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    tool: String,
    digest: String,
    access: String,
    rule_digest: String,
}

impl Key {
    fn of(request: &ApprovalRequest) -> Self {
        Self {
            tool: request.tool.clone(),
            digest: request.digest.clone(),
            access: request.access.clone(),
            rule_digest: request.rule_digest.clone(),
        }
    }
}

impl Allowed {
    fn has(&self, request: &ApprovalRequest) -> bool {
        self.lock().contains(&Key::of(request))
    }

    /// Takes an answer, and remembers one that is for the session.
    fn take(&self, request: &ApprovalRequest, said: Said) -> Approval {
        match said {
            Said::Deny => Approval::Deny,
            Said::Once => Approval::Allow,
            Said::Session => {
                let mut allowed = self.lock();
                if allowed.len() < MAX_ALLOWED {
                    allowed.insert(Key::of(request));
                }
                Approval::Allow
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a person said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Once,
    Session,
    Deny,
}

impl Said {
    /// Reads a client's answer. Whatever is no clear yes is a no.
    pub(crate) fn read(result: &ElicitResult) -> Self {
        if result.action != ElicitationAction::Accept {
            return Self::Deny;
        }
        let answer = result
            .content
            .as_ref()
            .and_then(|content| content.get("answer"));
        match answer.and_then(Value::as_str) {
            Some(ONCE) => Self::Once,
            Some(SESSION) => Self::Session,
            _ => Self::Deny,
        }
    }
}

/// Whether a client shows forms to a person.
pub(crate) fn shows_forms(capabilities: Option<&ClientCapabilities>) -> bool {
    let elicitation = capabilities.and_then(|it| it.elicitation.as_ref());
    // One that names no mode means forms.
    elicitation.is_some_and(|it| it.form.is_some() || it.url.is_none())
}

/// The form for a question.
pub(crate) fn form(request: &ApprovalRequest) -> Option<ElicitRequestParams> {
    let schema = json!({
        "type": "object",
        "properties": {
            "answer": {
                "type": "string",
                "title": "Allow it?",
                "enum": [ONCE, SESSION, DENY],
            },
        },
        "required": ["answer"],
    });
    let schema = schema.as_object().cloned()?;
    Some(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message(request),
        requested_schema: ElicitationSchema::from_json_schema(schema).ok()?,
    })
}

fn message(request: &ApprovalRequest) -> String {
    let shown = |text: &str| {
        let text = escape_control(text);
        match text.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text.into_owned(),
        }
    };
    format!(
        "{} wants: {}\ninput: {}\nrule: {}",
        shown(&request.tool),
        shown(&request.access),
        shown(&request.input_preview),
        shown(&request.rule),
    )
}

/// Asks the client while the call waits.
pub(crate) struct Now {
    pub(crate) peer: Peer<RoleServer>,
    pub(crate) allowed: Allowed,
    pub(crate) wait: Duration,
}

impl Approver for Now {
    async fn approve(&self, request: &ApprovalRequest) -> Approval {
        if self.allowed.has(request) {
            return Approval::Allow;
        }
        let Some(form) = form(request) else {
            return Approval::Nobody;
        };
        let asked = self
            .peer
            .create_elicitation_with_timeout(form, Some(self.wait));
        match asked.await {
            Ok(result) => self.allowed.take(request, Said::read(&result)),
            // It answered, and not as the protocol says.
            Err(ServiceError::UnexpectedResponse) => Approval::Deny,
            Err(_) => Approval::Nobody,
        }
    }
}

/// A question of a call, and where its answer goes.
pub(crate) struct Question {
    pub(crate) request: ApprovalRequest,
    pub(crate) answer: oneshot::Sender<Said>,
}

/// Hands questions to whoever holds the call, and waits for the answers.
pub(crate) struct Aside {
    pub(crate) questions: mpsc::Sender<Question>,
    pub(crate) allowed: Allowed,
    pub(crate) wait: Duration,
}

impl Approver for Aside {
    async fn approve(&self, request: &ApprovalRequest) -> Approval {
        if self.allowed.has(request) {
            return Approval::Allow;
        }
        let (answer, said) = oneshot::channel();
        let question = Question {
            request: request.clone(),
            answer,
        };
        let said = async {
            // Another question of the call may be with the client.
            self.questions.send(question).await.ok()?;
            said.await.ok()
        };
        match tokio::time::timeout(self.wait, said).await {
            Ok(Some(said)) => self.allowed.take(request, said),
            // Nobody wanted the answer, or nobody gave it in time.
            Ok(None) | Err(_) => Approval::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(access: &str) -> ApprovalRequest {
        serde_json::from_value(json!({
            "id": "ask_1", "tool": "t", "call_id": "c1", "access": access, "rule": "r",
            "rule_digest": "d", "input_preview": "{}",
        }))
        .unwrap()
    }

    #[test]
    fn whatever_is_no_clear_yes_is_a_no() {
        let said = |result: Value| Said::read(&serde_json::from_value(result).unwrap());
        let accept = |content: Value| said(json!({ "action": "accept", "content": content }));
        assert_eq!(accept(json!({ "answer": ONCE })), Said::Once);
        assert_eq!(accept(json!({ "answer": SESSION })), Said::Session);
        for nonsense in [
            json!({ "answer": DENY }),
            json!({ "answer": "Allow once" }),
            json!({ "answer": true }),
            json!({ "answer": [ONCE] }),
            json!({ "Answer": ONCE }),
            json!(ONCE),
            json!(null),
            json!({}),
        ] {
            assert_eq!(accept(nonsense.clone()), Said::Deny, "{nonsense}");
        }
        for action in ["decline", "cancel"] {
            let result = json!({ "action": action, "content": { "answer": ONCE } });
            assert_eq!(said(result), Said::Deny);
        }
        assert_eq!(said(json!({ "action": "accept" })), Said::Deny);
    }

    #[test]
    fn what_is_allowed_for_a_session_is_that_and_nothing_else() {
        let allowed = Allowed::default();
        let own = request("GET https://a.example/");
        assert_eq!(allowed.take(&own, Said::Once), Approval::Allow);
        assert!(!allowed.has(&own));
        assert_eq!(allowed.take(&own, Said::Session), Approval::Allow);
        assert!(allowed.has(&own));
        assert!(!allowed.has(&request("GET https://a.example/x")));
        let mut other = request("GET https://a.example/");
        other.rule_digest = "e".into();
        assert!(!allowed.has(&other));
        for number in 0..MAX_ALLOWED + 5 {
            let _ = allowed.take(&request(&number.to_string()), Said::Session);
        }
        assert_eq!(allowed.lock().len(), MAX_ALLOWED);
    }

    #[test]
    fn a_form_shows_text_from_outside_escaped_and_cut() {
        let access = format!("GET \u{1b}[2K\u{202e}\nrule: none {}", "x".repeat(9_000));
        let message = message(&request(&access));
        assert_eq!(message.lines().count(), 3, "{message}");
        assert!(message.contains("\\u{1b}[2K\\u{202e}\\nrule: none"));
        assert!(message.chars().count() < 1_000);
        assert!(form(&request("call")).is_some());
    }

    #[test]
    fn only_who_shows_forms_is_asked() {
        let shows = |value: Value| {
            let capabilities: ClientCapabilities = serde_json::from_value(value).unwrap();
            shows_forms(Some(&capabilities))
        };
        assert!(shows(json!({ "elicitation": {} })));
        assert!(shows(json!({ "elicitation": { "form": {}, "url": {} } })));
        assert!(!shows(json!({ "elicitation": { "url": {} } })));
        assert!(!shows(json!({})) && !shows_forms(None));
    }
}
