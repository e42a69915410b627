//! The calls of one turn, several at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest as _, Sha256};
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, timeout},
};
use toolcell::{ApprovalRequest, CallContext, CallId, Denial, ErrorKind, ToolCall, ToolResult};
use tracing::Instrument;

use super::{AgentError, Session, broken, clean};
use crate::{
    event::AgentEvent,
    machine::{Dispatch, ToolOutput},
    runner::output_for_model,
    transcript::Record,
    wire::{ToolUse, text_of},
};

/// How a call ended, for the model and for people.
pub(super) struct Answer {
    output: ToolOutput,
    rule: Option<String>,
    wall_us: u64,
    denials: Vec<Denial>,
}

impl Answer {
    /// The answer to a call that was not run.
    pub(super) fn unrun(output: ToolOutput) -> Self {
        Self {
            output,
            rule: None,
            wall_us: 0,
            denials: Vec::new(),
        }
    }

    fn of(result: ToolResult) -> Self {
        Self {
            output: output_for_model(&result),
            rule: result.failure.and_then(|failure| failure.rule),
            wall_us: result.usage.wall_us,
            denials: result.denials,
        }
    }
}

type Finished = Result<(Id, toolcell::Result<ToolResult>), JoinError>;

/// The calls under way, by their task.
struct Calls {
    tasks: JoinSet<toolcell::Result<ToolResult>>,
    running: HashMap<Id, ToolUse>,
    context: CallContext,
    names: Names,
}

/// What the model calls the calls that run, by what the host calls them.
pub(super) type Names = Arc<Mutex<HashMap<CallId, String>>>;

impl Calls {
    fn names(&self) -> MutexGuard<'_, HashMap<CallId, String>> {
        known(&self.names)
    }
}

fn known(names: &Names) -> MutexGuard<'_, HashMap<CallId, String>> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the host calls a call. Two ids of the model are two here as well, whatever they are made of.
fn call_id(id: &str) -> CallId {
    let safe = CallId::new(id);
    if safe.as_str() == id && !id.starts_with('~') {
        return safe;
    }
    let digest = Sha256::digest(id.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    CallId::new(&format!("~{digest}"))
}

impl Session<'_> {
    /// Answers all calls of a turn. When the host fails, no further call begins, but those under way still end and are
    /// written, so that a resumed run does not repeat them.
    pub(super) async fn call_tools(&mut self, waiting: Vec<Dispatch>) -> Result<(), AgentError> {
        let names = Names::default();
        let mut calls = Calls {
            tasks: JoinSet::new(),
            running: HashMap::new(),
            context: self.call_context(&names),
            names,
        };
        let mut waiting = waiting.into_iter();
        let mut failed = None;
        loop {
            while failed.is_none()
                && calls.running.len() < self.agent.rules.parallel
                && !self.stopped()
                && let Some(dispatch) = waiting.next()
            {
                failed = self.begin(dispatch, &mut calls).err();
            }
            let Some(finished) = self.next_finished(&mut calls).await else {
                break;
            };
            if let Err(error) = self.finish(finished, &mut calls) {
                failed.get_or_insert(error);
            }
        }
        if let Err(error) = self.journal.failed() {
            failed.get_or_insert(error.into());
        }
        failed.map_or(Ok(()), Err)
    }

    /// Waits for the next call to end. After a cancellation it does not wait for ever.
    async fn next_finished(&self, calls: &mut Calls) -> Option<Finished> {
        if !calls.context.cancel.is_cancelled() {
            tokio::select! {
                finished = calls.tasks.join_next_with_id() => return finished,
                () = calls.context.cancel.cancelled() => {}
            }
        }
        match timeout(
            self.agent.rules.cancel_grace,
            calls.tasks.join_next_with_id(),
        )
        .await
        {
            Ok(finished) => finished,
            Err(_) => {
                // Their start is on record and their end is not: a resumed run treats them as interrupted.
                calls.tasks.abort_all();
                None
            }
        }
    }

    fn begin(&mut self, dispatch: Dispatch, calls: &mut Calls) -> Result<(), AgentError> {
        let call = match dispatch {
            Dispatch::Refuse(call, output) => {
                self.tell_start(&call);
                return self.answer(&call, Answer::unrun(output));
            }
            Dispatch::Run(call) => call,
        };
        self.write(&Record::ToolStart {
            id: call.id.clone(),
            tool: call.name.clone(),
            input: call.input.clone(),
        })?;
        self.tell_start(&call);
        let runner = Arc::clone(&self.agent.runner);
        let context = calls.context.clone();
        let id = call_id(&call.id);
        calls.names().insert(id.clone(), call.id.clone());
        let request = ToolCall::new(&call.name, call.input.clone()).with_id(id);
        let task = async move { runner.call(request, &context).await };
        let handle = calls.tasks.spawn(task.in_current_span());
        calls.running.insert(handle.id(), call);
        Ok(())
    }

    fn finish(&mut self, finished: Finished, calls: &mut Calls) -> Result<(), AgentError> {
        let (id, result) = match finished {
            Ok((id, result)) => (id, result.map_err(AgentError::Host)),
            Err(error) => {
                let internal =
                    toolcell::Error::new(ErrorKind::Internal, "a tool call broke inside the host");
                (
                    error.id(),
                    Err(AgentError::Host(internal.with_source(error))),
                )
            }
        };
        let Some(call) = calls.running.remove(&id) else {
            return Ok(());
        };
        let mut result = result?;
        match result.pending.take() {
            Some(approval) => self.wait(&call, approval),
            None => self.answer(&call, Answer::of(result)),
        }
    }

    /// Leaves the call to whoever goes on with the run: it has done nothing, and somebody has to answer first.
    fn wait(&mut self, call: &ToolUse, approval: Box<ApprovalRequest>) -> Result<(), AgentError> {
        self.write(&Record::Asked {
            id: call.id.clone(),
            approval: approval.clone(),
        })?;
        self.waiting.push(*approval.clone());
        self.tell(AgentEvent::ToolCallWaiting {
            call_id: call.id.clone(),
            tool: call.name.clone(),
            approval,
        });
        Ok(())
    }

    /// Writes the answer, gives it to the machine and tells of it, in this order.
    pub(super) fn answer(&mut self, call: &ToolUse, answer: Answer) -> Result<(), AgentError> {
        self.write(&Record::ToolResult {
            id: call.id.clone(),
            time_ms: self.time_ms(),
            output: answer.output.clone(),
            wall_us: answer.wall_us,
            denials: answer.denials.clone(),
        })?;
        self.tell(AgentEvent::ToolCallEnd {
            call_id: call.id.clone(),
            tool: call.name.clone(),
            code: answer.output.code,
            text: text_of(&answer.output.content),
            rule: answer.rule,
            wall_us: answer.wall_us,
            denials: answer.denials,
        });
        let cut = self
            .run
            .on_tool_result(&call.id, answer.output)
            .map_err(broken)?;
        if let Some(cut) = cut {
            self.tell(AgentEvent::ResultCut {
                call_id: call.id.clone(),
                tool: call.name.clone(),
                cut,
            });
        }
        Ok(())
    }

    fn tell_start(&self, call: &ToolUse) {
        self.tell(AgentEvent::ToolCallStart {
            call_id: call.id.clone(),
            tool: call.name.clone(),
            input: call.input.clone(),
        });
    }

    pub(super) fn call_context(&self, names: &Names) -> CallContext {
        let cancel = self.context.cancel.child_token();
        let (sink, redaction) = (self.context.events.clone(), self.agent.redaction.clone());
        let (names, questions, calls) =
            (Arc::clone(names), self.journal.questions(), cancel.clone());
        let events: toolcell::EventSink = Arc::new(move |id: &CallId, event| {
            let name = known(&names).get(id).cloned();
            if let Some(name) = &name {
                questions.hear(name, &event, &calls);
            }
            if let Some(sink) = &sink {
                let event = AgentEvent::ToolCallEvent {
                    call_id: name.unwrap_or_else(|| id.to_string()),
                    event,
                };
                sink(clean::event(&redaction, event));
            }
        });
        CallContext {
            deadline: Instant::now().into_std().checked_add(self.time_left()),
            cancel,
            events: Some(events),
            session: Some(self.id.clone()),
            tenant: self.context.tenant.clone(),
            approver: None,
            answers: self.context.answers.clone(),
        }
    }

    /// Whether no further call should begin.
    fn stopped(&self) -> bool {
        self.context.cancel.is_cancelled() || self.time_left().is_zero()
    }
}
