//! Asking somebody who may say yes.

use std::{borrow::Cow, sync::Arc};

use futures_util::future::BoxFuture;
use toolcell_policy::{Access, Rule};

use super::{Shared, calling::Stop, first::First, learning::plain, records::About};
use crate::{
    Approval, ApprovalId, ApprovalRequest, CallContext, CallEvent, RememberedFor, SessionId,
    SharedApprover, TenantId,
    admission::{Bounds, Caller, Refusal},
    audit::Effect,
    call::digest,
    capability::{ask::Ask, recorder::Recorder},
    secrets::Weakness,
};

/// How much of an input is shown to whoever is asked.
const PREVIEW_CHARS: usize = 2_000;

/// What is known of a call while it asks.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) shared: Arc<Shared>,
    pub(super) about: Arc<About>,
    first: First,
    /// Who is asked, one after the other while nobody is there.
    approvers: Vec<SharedApprover>,
    recorder: Recorder,
    tenant: Option<TenantId>,
    input_preview: String,
    input_digest: String,
    /// Whether a tool made the call.
    nested: bool,
    tool: String,
    bounds: Bounds,
    session: Option<SessionId>,
}

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Question<'q> {
    /// What is to happen, as it is shown.
    access: &'q str,
    /// The same without what may differ when the call is made again.
    known_as: &'q str,
    rule: &'q Rule,
    /// Whether an answer may be remembered.
    rememberable: bool,
    /// Whether the tool has begun.
    begun: bool,
}

impl<'q> Question<'q> {
    /// About an access before the tool has begun.
    pub(super) fn new(access: &'q str, rule: &'q Rule) -> Self {
        Self {
            access,
            known_as: access,
            rule,
            rememberable: false,
            begun: false,
        }
    }

    /// The same, which is known by another text.
    pub(super) fn known_as(self, known_as: &'q str) -> Self {
        Self { known_as, ..self }
    }

    /// The same, of which an answer may be remembered.
    pub(super) fn rememberable(self) -> Self {
        Self {
            rememberable: true,
            ..self
        }
    }

    /// The same of a tool that has begun.
    fn begun(self) -> Self {
        Self {
            begun: true,
            ..self
        }
    }
}

/// Of which call a question is.
pub(super) struct Asker<'a> {
    pub(super) about: &'a Arc<About>,
    pub(super) first: &'a First,
    pub(super) recorder: &'a Recorder,
    pub(super) context: &'a CallContext,
    pub(super) nested: bool,
}

impl Asking {
    pub(super) fn new(
        shared: &Arc<Shared>,
        asker: &Asker<'_>,
        caller: Caller<'_>,
        input: &str,
    ) -> Self {
        let approvers = [shared.approver.as_ref(), asker.context.approver.as_ref()];
        let approvers: Vec<_> = approvers.into_iter().flatten().cloned().collect();
        // It is searched before it is cut: half of a secret would not be found.
        let input = match !approvers.is_empty() || !asker.context.answers.is_empty() {
            true => shared.redaction().text(input),
            false => Cow::Borrowed(""),
        };
        Self {
            shared: Arc::clone(shared),
            about: Arc::clone(asker.about),
            first: asker.first.clone(),
            approvers,
            recorder: asker.recorder.clone(),
            tenant: asker.context.tenant.clone(),
            input_preview: input.chars().take(PREVIEW_CHARS).collect(),
            input_digest: digest(&[&input]),
            nested: asker.nested,
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
    ///
    /// It ends with the call where the question is put off.
    pub(super) async fn ask(&self, question: Question<'_>) -> Answer {
        let answer = self.put(question).await;
        let word = match answer {
            Answer::Yes => "allow",
            Answer::No => "deny",
            Answer::Nobody => "nobody",
            Answer::TooLate => "too_late",
            Answer::Full(_) => "full",
            Answer::Broken(_) => return answer,
        };
        self.shared.metrics.asked(&self.tool, word);
        answer
    }

    async fn put(&self, question: Question<'_>) -> Answer {
        let recording = &self.shared.recording;
        let access = question.access;
        let _open = match self.shared.admission.ask(self.caller()) {
            Ok(open) => open,
            Err(refusal) => return Answer::Full(refusal),
        };
        let request = self.request(&question);
        if let Err(error) = recording.decision(&self.about, access, Effect::Ask, &request.rule) {
            return Answer::Broken(error);
        }
        if let Some(allow) = self.first.answer(&request.id) {
            let rule = format!("approver: given before as {}", request.id);
            return self.answered(&request, access, allow, "given before", &rule);
        }
        if self.approvers.is_empty() {
            return Answer::Nobody;
        }
        self.first.open(&request);
        self.recorder.emit(CallEvent::Asked {
            request: Box::new(request.clone()),
            unbegun: !question.begun && !self.nested,
        });
        let mut approval = Approval::Nobody;
        for approver in &self.approvers {
            if approval == Approval::Nobody {
                approval = approver.ask(&request).await;
            }
        }
        self.first.close(&request.id);
        match approval {
            Approval::Allow => self.answered(&request, access, true, "approver", "approver"),
            Approval::Deny => self.answered(&request, access, false, "approver", "approver"),
            Approval::Remembered { allow } => {
                let rule = format!("remembered: {}", request.rule);
                self.answered(&request, access, allow, "remembered", &rule)
            }
            Approval::Nobody => {
                self.tell(&request, false, "nobody");
                Answer::Nobody
            }
            Approval::Later => self.later(request, access).await,
        }
    }

    /// Records an answer, and tells it before anything happens because of it.
    fn answered(
        &self,
        request: &ApprovalRequest,
        access: &str,
        allow: bool,
        by: &str,
        rule: &str,
    ) -> Answer {
        let (effect, answer) = match allow {
            true => (Effect::Allow, Answer::Yes),
            false => (Effect::Deny, Answer::No),
        };
        let recorded = self
            .shared
            .recording
            .decision(&self.about, access, effect, rule);
        match recorded {
            Ok(()) => {
                self.tell(request, allow, by);
                answer
            }
            Err(error) => Answer::Broken(error),
        }
    }

    fn tell(&self, request: &ApprovalRequest, allowed: bool, by: &str) {
        self.recorder.emit(CallEvent::Answered {
            id: request.id.clone(),
            allowed,
            by: by.to_owned(),
        });
    }

    /// Ends the call, so that it can be made again with the answer, unless that would do something twice.
    async fn later(&self, request: ApprovalRequest, access: &str) -> Answer {
        let recording = &self.shared.recording;
        if let Err(error) = recording.decision(&self.about, access, Effect::Deny, "approver: later")
        {
            return Answer::Broken(error);
        }
        let anyway = self.shared.keeper.lacks(Weakness::WaitsAnyway);
        if self.first.effects().any() && !anyway {
            self.tell(&request, false, "nobody");
            return Answer::TooLate;
        }
        self.shared.metrics.asked(&self.tool, "later");
        self.first.put_off(request);
        // Whoever waits for this is being cancelled.
        std::future::pending().await
    }

    fn request(&self, question: &Question<'_>) -> ApprovalRequest {
        let Question { access, rule, .. } = question;
        let clean = |text: &str| self.shared.redaction().text(text).into_owned();
        let layers = &self.shared.layers;
        let (package, package_digest) = self.about.package.clone().unwrap_or_default();
        let shown = clean(access);
        let line = layers.line(rule).unwrap_or_default();
        let layer = rule.layer.map_or("", |layer| layer.name());
        let rule_digest = digest(&[layer, &rule.key, line, &layers.wording(&package)]);
        let rememberable = question.rememberable && rule.is_written() && shown == *access;
        let rule_text = clean(line);
        let remembered_for = rememberable.then(|| RememberedFor {
            tool: self.about.tool.clone(),
            package: package.clone(),
            digest: package_digest.clone(),
            access: shown.clone(),
            rule: rule.to_string(),
            rule_text: rule_text.clone(),
            scope_digest: self.scope(&rule_digest, &package),
        });
        let known_as = clean(question.known_as);
        ApprovalRequest {
            id: self.id(&[&self.about.tool, &package_digest, &known_as, &rule_digest]),
            tool: self.about.tool.clone(),
            call_id: self.about.call_id.clone(),
            package,
            digest: package_digest,
            access: shown,
            rule: rule.to_string(),
            rule_text,
            rule_digest,
            input_preview: self.input_preview.clone(),
            input_digest: self.input_digest.clone(),
            remembered_for,
        }
    }

    /// The question's name, made of everything that it is about.
    fn id(&self, about: &[&str]) -> ApprovalId {
        let first = self.first.id().as_str();
        if self.shared.keeper.lacks(Weakness::AnswersFit) {
            return ApprovalId::of(&[first]);
        }
        let tenant = self.tenant.as_ref().map_or("", TenantId::as_str);
        let mut parts = vec!["1", first, tenant, &self.input_digest];
        parts.extend(about);
        let id = ApprovalId::of(&parts);
        match self.first.again(&id) {
            0 => id,
            again => {
                let again = again.to_string();
                parts.push(&again);
                ApprovalId::of(&parts)
            }
        }
    }

    /// For what, besides the rule, an answer is remembered: a policy of the same words that lies elsewhere grants other
    /// directories.
    fn scope(&self, rule_digest: &str, package: &str) -> String {
        let tenant = self.tenant.as_ref().map_or("", TenantId::as_str);
        let mut parts = vec![rule_digest, tenant];
        for (layer, policy) in self.shared.layers.iter() {
            if policy.tool(package).is_some() {
                parts.extend([layer.name(), policy.name(), policy.base().unwrap_or("")]);
            }
        }
        digest(&parts)
    }
}

/// What came of a question.
pub(super) enum Answer {
    Yes,
    No,
    Nobody,
    /// Somebody can answer later, and the call cannot wait.
    TooLate,
    Full(Refusal),
    Broken(crate::Error),
}

/// Why a call that would have to wait for an answer is refused instead.
pub(super) const TOO_LATE: &str = "it needs the consent of a person, who can answer only later; the call cannot wait \
     for that, since it may have changed something outside already";

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
            Self::TooLate => Ok(Some(TOO_LATE)),
            Self::Full(refusal) => Err(refusal.into()),
            Self::Broken(error) => Err(error.into()),
        }
    }
}

impl Ask for Asking {
    fn ask<'a>(&'a self, access: &'a str, rule: &'a Rule) -> BoxFuture<'a, Option<&'static str>> {
        Box::pin(async move {
            let question = Question::new(access, rule).rememberable().begun();
            match self.ask(question).await {
                Answer::Yes => None,
                Answer::No => Some("the person who was asked said no"),
                Answer::Nobody => Some("nobody is there to be asked"),
                Answer::TooLate => Some(TOO_LATE),
                Answer::Full(_) => Some("too many questions are open"),
                // The call fails when its last record is not written either.
                Answer::Broken(_) => Some("the question cannot be recorded"),
            }
        })
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
            let rule = Rule::learning();
            let question = Question::new(&text, &rule).begun();
            matches!(self.ask(question).await, Answer::Yes)
        })
    }
}
