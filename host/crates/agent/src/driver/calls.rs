//! The calls of one turn, several at a time.

use std::{collections::HashMap, sync::Arc};

use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, timeout},
};
use toolcell::{CallContext, CallId, Denial, ErrorKind, ToolCall, ToolResult};
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
}

impl Session<'_> {
    /// Answers all calls of a turn. When the host fails, no further call begins, but those under way still end and are
    /// written, so that a resumed run does not repeat them.
    pub(super) async fn call_tools(&mut self, waiting: Vec<Dispatch>) -> Result<(), AgentError> {
        let mut calls = Calls {
            tasks: JoinSet::new(),
            running: HashMap::new(),
            context: self.call_context(),
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
        let request = ToolCall::new(&call.name, call.input.clone()).with_id(CallId::new(&call.id));
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
        self.answer(&call, Answer::of(result?))
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

    pub(super) fn call_context(&self) -> CallContext {
        let sink = self.context.events.clone().map(|sink| {
            let redaction = self.agent.redaction.clone();
            Arc::new(move |id: &CallId, event| {
                let event = AgentEvent::ToolCallEvent {
                    call_id: id.to_string(),
                    event,
                };
                sink(clean::event(&redaction, event));
            }) as toolcell::EventSink
        });
        CallContext {
            deadline: Instant::now().into_std().checked_add(self.time_left()),
            cancel: self.context.cancel.child_token(),
            events: sink,
            session: Some(self.id.clone()),
            tenant: self.context.tenant.clone(),
        }
    }

    /// Whether no further call should begin.
    fn stopped(&self) -> bool {
        self.context.cancel.is_cancelled() || self.time_left().is_zero()
    }
}
