//! Asking somebody who may say yes.

use std::{future::Future, sync::Arc};

use futures_util::future::BoxFuture;
use toolcell_policy::{Access, Rule};

use super::{Shared, calling::Stop, learning::plain, records::About};
use crate::{
    CallId, SessionId,
    admission::{Bounds, Caller, Refusal},
    audit::Effect,
    capability::ask::Ask,
};

/// What somebody is asked to allow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApprovalRequest {
    /// The tool's public name.
    pub tool: String,
    /// The call.
    pub call_id: CallId,
    /// What is to happen: `call`, or for example `GET https://example.com/`.
    pub access: String,
    /// The rule that asks.
    pub rule: String,
    /// The call's input as JSON text, cut off after 2,000 characters. It was written by a model: escape it before it
    /// is shown on a terminal.
    pub input_preview: String,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// It may happen, this once.
    Allow,
    /// It may not.
    Deny,
}

/// Asks a person, or decides in a person's place. The question is given up when the call is cancelled or out of time;
/// then the returned future is dropped.
pub trait Approver: Send + Sync + 'static {
    /// Answers one request.
    fn approve(&self, request: &ApprovalRequest) -> impl Future<Output = Approval> + Send;
}

/// Any [`Approver`].
pub(super) trait AnyApprover: Send + Sync {
    fn ask<'a>(&'a self, request: &'a ApprovalRequest) -> BoxFuture<'a, Approval>;
}

impl<T: Approver> AnyApprover for T {
    fn ask<'a>(&'a self, request: &'a ApprovalRequest) -> BoxFuture<'a, Approval> {
        Box::pin(self.approve(request))
    }
}

/// How much of an input is shown to whoever is asked.
const PREVIEW_CHARS: usize = 2_000;

/// What is known of a call while it asks.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) shared: Arc<Shared>,
    pub(super) about: Arc<About>,
    pub(super) input_preview: String,
    tool: String,
    bounds: Bounds,
    session: Option<SessionId>,
}

impl Asking {
    pub(super) fn new(
        shared: &Arc<Shared>,
        about: &Arc<About>,
        caller: Caller<'_>,
        input: &str,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            about: Arc::clone(about),
            input_preview: match shared.approver {
                // Before it is cut: half of a secret would not be found.
                Some(_) => shared
                    .redaction()
                    .text(input)
                    .chars()
                    .take(PREVIEW_CHARS)
                    .collect(),
                None => String::new(),
            },
            tool: caller.tool.to_owned(),
            bounds: caller.bounds,
            session: caller.session.cloned(),
        }
    }

    /// For whom a question counts.
    pub(super) fn caller(&self) -> Caller<'_> {
        Caller {
            tool: &self.tool,
            bounds: self.bounds,
            session: self.session.as_ref(),
        }
    }

    /// Asks about one access, and records question and answer. Nobody to ask, or an audit log that takes no record,
    /// means no. So do too many open questions, of which this one is not asked then.
    pub(super) async fn ask(&self, access: &str, rule: &Rule) -> Answer {
        let answer = self.put(access, rule).await;
        let word = match answer {
            Answer::Yes => "allow",
            Answer::No => "deny",
            Answer::Nobody => "nobody",
            Answer::Full(_) => "full",
            Answer::Broken(_) => return answer,
        };
        self.shared.metrics.asked(&self.tool, word);
        answer
    }

    async fn put(&self, access: &str, rule: &Rule) -> Answer {
        let recording = &self.shared.recording;
        let rule = rule.to_string();
        let _open = match self.shared.admission.ask(self.caller()) {
            Ok(open) => open,
            Err(refusal) => return Answer::Full(refusal),
        };
        if let Err(error) = recording.decision(&self.about, access, Effect::Ask, &rule) {
            return Answer::Broken(error);
        }
        let Some(approver) = &self.shared.approver else {
            return Answer::Nobody;
        };
        let request = ApprovalRequest {
            tool: self.about.tool.clone(),
            call_id: self.about.call_id.clone(),
            access: self.shared.redaction().text(access).into_owned(),
            rule,
            input_preview: self.input_preview.clone(),
        };
        let approval = approver.ask(&request).await;
        let (effect, answer) = match approval {
            Approval::Allow => (Effect::Allow, Answer::Yes),
            Approval::Deny => (Effect::Deny, Answer::No),
        };
        match recording.decision(&self.about, access, effect, "approver") {
            Ok(()) => answer,
            Err(error) => Answer::Broken(error),
        }
    }
}

/// What came of a question.
pub(super) enum Answer {
    Yes,
    No,
    Nobody,
    Full(Refusal),
    Broken(crate::Error),
}

impl Answer {
    /// Nothing where somebody said yes, else why nobody did.
    ///
    /// # Errors
    ///
    /// Where too many questions are open, or the question is not on record.
    pub(super) fn missing_consent(self) -> Result<Option<&'static str>, Stop> {
        match self {
            Self::Yes => Ok(None),
            Self::No => Ok(Some("the person who was asked said no")),
            Self::Nobody => Ok(Some(
                "it needs a person's consent, and nobody is there to be asked",
            )),
            Self::Full(refusal) => Err(refusal.into()),
            Self::Broken(error) => Err(error.into()),
        }
    }
}

impl Ask for Asking {
    fn ask<'a>(&'a self, access: &'a str, rule: &'a Rule) -> BoxFuture<'a, bool> {
        // A record that cannot be written fails the call when its last record is not written either.
        Box::pin(async move { matches!(self.ask(access, rule).await, Answer::Yes) })
    }

    fn learn(&self, access: Access, lacks_a_line: bool) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let (Some(learning), Some((package, _))) = (&self.shared.learning, &self.about.package)
            else {
                return false;
            };
            let access = plain(access);
            learning.saw(package, access.clone());
            if !lacks_a_line {
                return false;
            }
            let text = access.to_string();
            matches!(self.ask(&text, &Rule::learning()).await, Answer::Yes)
        })
    }
}
