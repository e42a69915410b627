//! Calls that wait for a person at a client which must not be asked while its request is open (from 2026-07-28 on).
//!
//! A call is put aside under a random name that only the client of this connection is told. The client makes its request
//! again with that name and the answer; then the call goes on where it was. Nothing that the client sends says what is
//! called or allowed: the name finds the call, and the request has to be the very same.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rmcp::model::{ElicitRequest, ElicitResult, InputRequest, InputRequiredResult, InputResponses};
use serde_json::{Map, Value};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use toolcell::{CallContext, CallId, SharedApprover, ToolCall, ToolHost, ToolResult};

use crate::ask::{self, Allowed, Aside, Question, Said};

/// The most calls of one connection that wait for an answer.
pub(crate) const MAX_ASIDE: usize = 64;

/// The name of the one question in a result.
const KEY: &str = "approval";

/// What the client asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) tool: String,
    pub(crate) arguments: Map<String, Value>,
}

/// A call under way. Dropping it cancels the call.
pub(crate) struct Running {
    wanted: Wanted,
    task: JoinHandle<toolcell::Result<ToolResult>>,
    questions: mpsc::Receiver<Question>,
    cancel: DropGuard,
}

/// How far a call went.
pub(crate) enum Came {
    /// It ended.
    Ended(Result<toolcell::Result<ToolResult>, JoinError>),
    /// It asks.
    Asks(Question),
}

impl Running {
    /// Begins a call, which ends when this is dropped.
    pub(crate) fn begin(
        host: &ToolHost,
        wanted: Wanted,
        surroundings: CallContext,
        allowed: &Allowed,
        wait: Duration,
    ) -> Self {
        let (sender, questions) = mpsc::channel(1);
        let approver = Aside {
            questions: sender,
            allowed: allowed.clone(),
            wait,
        };
        let cancel = CancellationToken::new();
        let context = CallContext {
            cancel: cancel.clone(),
            approver: Some(SharedApprover::new(approver)),
            ..surroundings
        };
        let input = Value::Object(wanted.arguments.clone());
        let call = ToolCall::new(wanted.tool.clone(), input);
        let host = host.clone();
        let task = tokio::spawn(async move { host.call_with(call, &context).await });
        Self {
            wanted,
            task,
            questions,
            cancel: cancel.drop_guard(),
        }
    }

    /// Waits until the call asks or ends. When the client gives up, so does the call, whose end is still waited for.
    pub(crate) async fn go_on(&mut self, client: &CancellationToken) -> Came {
        loop {
            tokio::select! {
                biased;
                ended = &mut self.task => return Came::Ended(ended),
                Some(question) = self.questions.recv() => {
                    // It may have been given up in the queue.
                    if !question.answer.is_closed() {
                        return Came::Asks(question);
                    }
                }
                () = client.cancelled(), if !self.cancel.token().is_cancelled() => {
                    self.cancel.token().cancel();
                }
            }
        }
    }
}

/// A call that waits for an answer.
struct Waiting {
    running: Running,
    question: Question,
    until: Instant,
}

/// The calls of one connection that wait.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<HashMap<String, Waiting>>>);

/// Why a call does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// No call waits under this name, or not any more.
    Unknown,
    /// The request is another one than that which the call was made for.
    Other,
}

impl Calls {
    /// Puts a call aside, and gives what its client is told. A question that cannot be put to it is dropped, and so is
    /// answered by nobody.
    pub(crate) fn put(
        &self,
        running: Running,
        question: Question,
        wait: Duration,
    ) -> Result<InputRequiredResult, Running> {
        let Some(form) = ask::form(&question.request) else {
            return Err(running);
        };
        let mut calls = self.lock();
        calls.retain(|_, waiting| !waiting.is_over());
        if calls.len() >= MAX_ASIDE {
            return Err(running);
        }
        // 256 random bits.
        let name = format!("{}{}", random(), random());
        let waiting = Waiting {
            running,
            question,
            until: Instant::now() + wait,
        };
        calls.insert(name.clone(), waiting);
        let request = InputRequest::Elicitation(ElicitRequest::new(form));
        let requests = [(KEY.to_owned(), request)].into_iter().collect();
        Ok(InputRequiredResult::new(Some(requests), Some(name)))
    }

    /// Takes the call that waits under a name, and gives it the client's answer. Where there is none, the question is given
    /// back, to be put again.
    pub(crate) fn take(
        &self,
        name: &str,
        wanted: &Wanted,
        responses: Option<&InputResponses>,
    ) -> Result<(Running, Option<Question>), Gone> {
        let mut calls = self.lock();
        let waiting = calls.get(name).ok_or(Gone::Unknown)?;
        if waiting.running.wanted != *wanted {
            return Err(Gone::Other);
        }
        // A name counts once.
        let Some(waiting) = calls.remove(name).filter(|waiting| !waiting.is_over()) else {
            return Err(Gone::Unknown);
        };
        let Waiting {
            running, question, ..
        } = waiting;
        let Some(response) = responses.and_then(|responses| responses.get(KEY)) else {
            return Ok((running, Some(question)));
        };
        let said = serde_json::from_value::<ElicitResult>(response.clone());
        // What is no answer at all is a no.
        let said = said.map_or(Said::Deny, |result| Said::read(&result));
        // The call may have ended meanwhile, and says so itself.
        let _ = question.answer.send(said);
        Ok((running, None))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether nobody wants the answer any more.
    fn is_over(&self) -> bool {
        self.question.answer.is_closed() || Instant::now() >= self.until
    }
}

fn random() -> String {
    let id = CallId::random();
    id.as_str().trim_start_matches("call_").to_owned()
}
