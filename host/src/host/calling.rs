//! The way of one tool call.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use toolcell_policy::{Rule, format_duration};
use tracing::Instrument as _;

use super::{
    Shared,
    approval::{Asker, Asking, Question},
    arguments::Searched,
    first::First,
    help,
    labels::{CallMarks, Pass},
    nested::Nested,
    nets::Net,
    records::{About, Pending},
};
use crate::{
    CallContext, CallEvent, CallId, Content, Denial, Error, ErrorKind, Result, ToolCall,
    ToolFailure, ToolResult, Usage,
    admission::{Caller, Refusal},
    audit::Effect,
    capability::{
        files::FileRoots,
        recorder::{Record, Recorder},
        tools::Nesting,
    },
    engine::limits,
    registry::{Access, Tool},
    sandbox::{Finished, Setup},
    secrets::{CallSecrets, Redaction, Tenant, Weakness},
    telemetry,
    text::escape_control,
};

/// How much is kept of the name of a tool that was asked for. It may be a name that no tool could have.
const MAX_NAME_CHARS: usize = 128;

/// How a call ended.
pub(super) struct Ended {
    pub(super) outcome: Result<Answered, ToolFailure>,
    pub(super) usage: Usage,
    pub(super) record: Record,
}

/// A tool's answer.
#[derive(Debug, Default)]
pub(super) struct Answered {
    content: Vec<Content>,
    structured: Option<Value>,
}

/// Why a call went no further.
pub(super) enum Stop {
    /// The model should hear of it.
    Failed(ToolFailure),
    /// The embedder must act on it.
    Broken(Error),
}

impl From<ToolFailure> for Stop {
    fn from(failure: ToolFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal.into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

fn failure(kind: ErrorKind, message: impl Into<String>) -> Stop {
    Stop::Failed(ToolFailure::new(kind, message))
}

impl Shared {
    /// Carries out one call, from its name to its record in the audit log.
    pub(super) async fn call(
        self: &Arc<Self>,
        call: ToolCall,
        context: &CallContext,
        nesting: Nesting,
        first: Option<&First>,
    ) -> Result<ToolResult> {
        let redaction = self.redaction();
        let id = CallId::new(&redaction.text(call.id.as_str()));
        let span = telemetry::call_span(&redaction.text(&call.tool), &id);
        // What is not there has a name that a model chose.
        let registered = self.registry.get(&call.tool);
        let measured = self
            .metrics
            .call(registered.as_ref().map(|tool| tool.public_name.as_str()));
        if let Some(redaction) = self.content.as_ref().filter(|_| !span.is_disabled()) {
            telemetry::record_input(&span, redaction, &call.input);
        }
        let attempt = self.attempt(call, context, nesting, first);
        match attempt.instrument(span.clone()).await {
            Ok(result) => {
                telemetry::record_result(&span, &result);
                if let Some(redaction) = self.content.as_ref().filter(|_| !span.is_disabled()) {
                    telemetry::record_answer(&span, redaction, &result);
                }
                measured.end(&result);
                Ok(result)
            }
            Err(error) => {
                measured.broken();
                Err(error)
            }
        }
    }

    async fn attempt(
        self: &Arc<Self>,
        call: ToolCall,
        context: &CallContext,
        nesting: Nesting,
        first: Option<&First>,
    ) -> Result<ToolResult> {
        let first = match first {
            Some(first) => first.clone(),
            None => First::new(&call.id, &context.cancel, context.answers.clone()),
        };
        let tool = self.registry.get(&call.tool);
        let about = Arc::new(About {
            call_id: call.id.clone(),
            tool: call.tool.chars().take(MAX_NAME_CHARS).collect(),
            package: tool
                .as_ref()
                .map(|tool| (tool.package.name.clone(), tool.package.digest.clone())),
            isolation: tool
                .as_ref()
                .and_then(|tool| tool.access.executor())
                .map(|executor| executor.isolation()),
        });
        // Held to the end: what is searched for must not be forgotten meanwhile.
        let tenant = self.keeper.tenant(context.tenant.as_ref());
        let leaving = self.leaving(&tenant);
        let recorder = Recorder::new(call.id.clone(), context.events.clone())
            .searching(leaving.clone())
            .counting(first.effects());
        let record = Pending::new(&self.recording, Arc::clone(&about), recorder.clone());

        let attempt = Attempt {
            shared: self,
            context,
            about: &about,
            recorder: &recorder,
            first: &first,
            tenant: &tenant,
            marks: &self.marks.of_call(context),
        };
        let is_top = nesting.is_top();
        let mut ended = match attempt.run(tool, &call, nesting).await {
            Ok(ended) => ended,
            Err(Stop::Failed(failure)) => Ended {
                outcome: Err(failure),
                usage: Usage::default(),
                record: recorder.take(),
            },
            // The call's own record fails as well, or is written: either way no result is handed out.
            Err(Stop::Broken(error)) => return Err(error),
        };
        let pending = match is_top {
            true => self.pending(&first, context, &mut ended),
            false => None,
        };
        if let (Err(failure), Some((package, _))) = (&mut ended.outcome, &about.package) {
            help::add(failure, package);
        }
        if let Err(failure) = &mut ended.outcome {
            let mut net = Net::new(&leaving);
            net.failure(failure);
            ended.record.redacted(net.hits());
        }
        if let (Some(learning), Some((package, _))) = (&self.learning, &about.package) {
            learning.called(package);
            learning.saw_files(package, &ended.record);
        }
        record.settle(&ended)?;
        let mut result = result(call, ended);
        result.pending = pending;
        if about.package.is_none() {
            // Whoever asked for a tool that is not there chose the name.
            Net::new(tenant.redaction()).text(&mut result.tool);
        }
        Ok(result)
    }

    /// The search for every secret that the host knows.
    pub(super) fn redaction(&self) -> &Redaction {
        self.keeper.sinks()
    }

    /// The search of what leaves a sandbox: for what its tenant has, and for what the embedder registered. To search for
    /// what others have would tell who guessed it.
    pub(super) fn leaving(&self, tenant: &Tenant) -> Redaction {
        if self.keeper.lacks(Weakness::LeavesAsItIs) {
            return Redaction::new();
        }
        tenant.redaction().clone()
    }
}

fn result(call: ToolCall, ended: Ended) -> ToolResult {
    let (answered, failure) = match ended.outcome {
        Ok(answered) => (answered, None),
        Err(failure) => {
            let content = vec![Content::text(failure.message.clone())];
            let structured = None;
            (
                Answered {
                    content,
                    structured,
                },
                Some(failure),
            )
        }
    };
    ToolResult {
        call_id: call.id,
        tool: call.tool,
        content: answered.content,
        structured: answered.structured,
        failure,
        usage: ended.usage,
        denials: ended.record.denials,
        redactions: ended.record.redactions,
        pending: None,
    }
}

/// One call on its way.
pub(super) struct Attempt<'a> {
    pub(super) shared: &'a Arc<Shared>,
    context: &'a CallContext,
    pub(super) about: &'a Arc<About>,
    pub(super) recorder: &'a Recorder,
    first: &'a First,
    pub(super) tenant: &'a Arc<Tenant>,
    pub(super) marks: &'a CallMarks,
}

impl Attempt<'_> {
    async fn run(
        &self,
        tool: Option<Arc<Tool>>,
        call: &ToolCall,
        nesting: Nesting,
    ) -> Result<Ended, Stop> {
        // Its first caller's call counts for the session, and bounds what tools call from there.
        let session = self.context.session.as_ref().filter(|_| nesting.is_top());
        let admission = &self.shared.admission;
        let counted = tool
            .as_ref()
            .map(|tool| (tool.public_name.as_str(), tool.bounds));
        admission.count(counted, session, Instant::now())?;
        let tool = tool.ok_or_else(|| self.unknown(&call.tool))?;
        let caller = Caller {
            tool: &tool.public_name,
            bounds: tool.bounds,
            session,
        };
        tracing::Span::current().record(telemetry::PACKAGE, tool.package.name.as_str());
        let input = sized(&call.input)?;
        let asker = Asker {
            about: self.about,
            first: self.first,
            recorder: self.recorder,
            context: self.context,
            nested: !nesting.is_top(),
        };
        let asking = Asking::new(self.shared, &asker, caller, &input);
        let mut searched = Searched::default();
        let checked = self.check_arguments(call, &mut searched, &asking);
        self.unless_stopped(None, checked).await??;
        check_input(&tool, &call.input)?;
        let (roots, pass, consented) = self
            .unless_stopped(None, self.permit(&tool, &asking))
            .await??;

        let secrets = self.secrets(caller, &roots).await?;
        let checked = self.check_arguments(call, &mut searched, &asking);
        self.unless_stopped(None, checked).await??;

        let (deadline, out_of_time) = self.deadline(roots.grants().limits().time);
        let entering = admission.enter(caller, consented, deadline);
        let _place = self.unless_stopped(Some(deadline), entering).await??;
        pass.admitted();

        let setup = Setup {
            roots,
            tenant: self.context.tenant.clone(),
            egress: Arc::clone(&self.shared.egress),
            secrets,
            deadline,
            out_of_time,
            recorder: self.recorder.clone(),
            asker: self.asks().then(|| Arc::new(asking) as _),
            callee: Arc::new(Nested::new(
                self.shared,
                self.context,
                self.marks.session(),
                deadline,
                self.first,
            )),
            nesting,
        };
        let name = &tool.definition.name;
        let Some(executor) = tool.access.executor() else {
            // A tool that may not be called was refused above.
            return Err(failure(ErrorKind::Internal, "the tool has no place to run"));
        };
        let finished = executor.run(setup, name, input, self.first.cancel()).await;
        Ok(self.ended(&tool, finished))
    }

    /// When a tool that begins now has to end, and what is said of one that has not.
    fn deadline(&self, time: Duration) -> (Instant, String) {
        let now = Instant::now();
        match self.context.deadline {
            Some(earlier) if earlier < now + time => (
                earlier,
                "the call took longer than its caller waits".to_owned(),
            ),
            _ => (
                now + time,
                format!("the call took longer than {}", format_duration(time)),
            ),
        }
    }

    /// Whether the call has anybody to turn to while it runs.
    fn asks(&self) -> bool {
        let shared = self.shared;
        let asked = self.context.approver.is_some() || !self.context.answers.is_empty();
        asked || shared.approver.is_some() || shared.learning.is_some()
    }

    /// What is handed out of what came out of the sandbox.
    fn ended(&self, tool: &Tool, mut finished: Finished<Vec<Content>>) -> Ended {
        let mut net = Net::new(&self.shared.leaving(self.tenant));
        match &mut finished.outcome {
            Ok(content) => net.content(content),
            Err(failure) => net.failure(failure),
        }
        finished.record.redacted(net.hits());
        // What is known has its name; only the rest is guessed at.
        let likely = match &mut finished.outcome {
            Ok(content) => self.shared.likely.content(content),
            Err(failure) => self.shared.likely.failure(failure),
        };
        for likely in &likely {
            self.recorder.emit(CallEvent::LikelySecret {
                tool: tool.public_name.clone(),
                likely: likely.clone(),
            });
        }
        finished.record.likely = likely;
        Ended {
            outcome: finished
                .outcome
                .and_then(|content| check_output(tool, content)),
            usage: finished.usage,
            record: finished.record,
        }
    }

    /// The secrets of the tool. A person may have to unlock something for them, which is not counted into its time.
    async fn secrets(
        &self,
        caller: Caller<'_>,
        roots: &FileRoots,
    ) -> Result<Arc<CallSecrets>, Stop> {
        let grants = roots.grants();
        if !grants.secrets().is_empty() {
            // A flood is turned away before a store is asked.
            self.shared.admission.room(caller)?;
        }
        let wanted = self.shared.keeper.of_call(grants, self.tenant);
        let found = self.unless_stopped(None, wanted).await?;
        let secrets = found.map_err(|error| {
            let mut failure = ToolFailure::new(ErrorKind::AuthRequired, error.to_string());
            failure.help = error.help().map(ToOwned::to_owned);
            failure.rule = error.rule().map(ToOwned::to_owned);
            Stop::Failed(failure)
        })?;
        for absent in secrets.absent() {
            let (name, kind) = (&absent.name, absent.source.kind());
            let message =
                format!("the secret {name} ({kind}) has no value, so requests go without it");
            tracing::warn!(secret = name, kind, rule = %absent.rule, "a secret has no value");
            self.recorder.emit(CallEvent::Log {
                level: "warn".to_owned(),
                message,
            });
        }
        Ok(secrets)
    }

    fn unknown(&self, name: &str) -> Stop {
        let name: String = name.chars().take(MAX_NAME_CHARS).collect();
        let shown = escape_control(&name);
        let message = match self.shared.registry.nearest(&name).as_slice() {
            [] => format!("there is no tool `{shown}`"),
            similar => format!(
                "there is no tool `{shown}`; did you mean {}?",
                similar.join(" or ")
            ),
        };
        failure(ErrorKind::UnknownTool, message)
    }

    /// Runs a step before the sandbox, which takes care of itself, until the caller stops it.
    async fn unless_stopped<T>(
        &self,
        deadline: Option<Instant>,
        step: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        let deadline = deadline.or(self.context.deadline);
        let out_of_time = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.first.cancel().cancelled() => {
                Err(failure(ErrorKind::Cancelled, "the caller cancelled the call"))
            }
            result = step => Ok(result),
            () = out_of_time => {
                Err(failure(ErrorKind::LimitTime, "the call was out of time before the tool began"))
            }
        }
    }

    /// As [`decide`](Self::decide), and what the tool does with data is counted for its session.
    async fn permit(
        &self,
        tool: &Tool,
        asking: &Asking,
    ) -> Result<(Arc<FileRoots>, Pass, bool), Stop> {
        let (roots, consented) = self.decide(tool, asking).await?;
        let (pass, again) = self.mark(roots.grants().labels(), asking).await?;
        Ok((roots, pass, consented || again))
    }

    /// The grants of the call and their directories, after asking where the policy says so, and whether somebody was.
    async fn decide(&self, tool: &Tool, asking: &Asking) -> Result<(Arc<FileRoots>, bool), Stop> {
        let recording = &self.shared.recording;
        let (roots, rule) = match &tool.access {
            Access::Granted {
                roots,
                listed,
                ask: None,
                ..
            } => {
                recording.decision(self.about, "call", Effect::Allow, listed)?;
                return Ok((Arc::clone(roots), false));
            }
            Access::Granted {
                roots,
                ask: Some(rule),
                ..
            } => (roots, rule),
            Access::Denied(rule) => {
                let text = rule.to_string();
                recording.decision(self.about, "call", Effect::Deny, &text)?;
                return Err(self.denied(rule, "calls of this tool are denied by the policy"));
            }
        };
        // A flood is turned away before anybody is asked.
        self.shared.admission.room(asking.caller())?;
        let question = Question::new("call", rule).rememberable();
        match asking.ask(question).await.missing_consent()? {
            None => Ok((Arc::clone(roots), true)),
            Some(why) => Err(self.denied(rule, why)),
        }
    }

    fn denied(&self, rule: &Rule, reason: &str) -> Stop {
        let access = format!("call {}", self.about.tool);
        self.refuse("approve", access, rule, reason.to_owned(), None)
    }

    /// Records that the call was refused before its tool began, and ends it with the same words.
    pub(super) fn refuse(
        &self,
        capability: &str,
        access: String,
        rule: &Rule,
        reason: String,
        help: Option<&str>,
    ) -> Stop {
        let rule = rule.to_string();
        self.recorder.deny(Denial {
            capability: capability.to_owned(),
            access,
            rule: rule.clone(),
            reason: reason.clone(),
        });
        let mut failure = ToolFailure::new(ErrorKind::Denied, reason);
        failure.rule = Some(rule);
        failure.help = help.map(ToOwned::to_owned);
        Stop::Failed(failure)
    }
}

/// The input as JSON text, if it is not too long.
fn sized(input: &Value) -> Result<String, Stop> {
    let text = input.to_string();
    if text.len() <= limits::INPUT_BYTES {
        return Ok(text);
    }
    let why = format!(
        "the input has {} bytes; an input may have at most {} bytes",
        text.len(),
        limits::INPUT_BYTES
    );
    Err(failure(ErrorKind::InvalidInput, why))
}

/// Whether the input is what the tool expects.
fn check_input(tool: &Tool, input: &Value) -> Result<(), Stop> {
    tool.input.check(input).map_err(|problems| {
        let why = format!("the input does not fit the tool: {problems}");
        failure(ErrorKind::InvalidInput, why)
    })
}

/// Where a tool declares an output schema, its answer has to be one JSON value that fits.
fn check_output(tool: &Tool, content: Vec<Content>) -> Result<Answered, ToolFailure> {
    let Some(schema) = &tool.output else {
        return Ok(Answered {
            content,
            structured: None,
        });
    };
    let refuse = |why: String| Err(ToolFailure::new(ErrorKind::InvalidOutput, why));
    let json = content.iter().find_map(|piece| match piece {
        Content::Json { json } => Some(json.clone()),
        Content::Text { text } => serde_json::from_str(text).ok(),
        _ => None,
    });
    let json = match (tool.shape, content.first()) {
        // Its one piece is the value itself, and text is no JSON here.
        (Some(shape), Some(Content::Text { text })) => {
            Some(shape.structured(Value::from(text.as_str())))
        }
        (Some(shape), _) => json.map(|json| shape.structured(json)),
        (None, _) => json,
    };
    let Some(json) = json else {
        return refuse("the tool declares an output schema, and answered no JSON".to_owned());
    };
    match schema.check(&json) {
        Ok(()) => Ok(Answered {
            content,
            structured: Some(json),
        }),
        Err(problems) => refuse(format!(
            "the answer does not fit the tool's own schema: {problems}"
        )),
    }
}
