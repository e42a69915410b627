//! The transcript of a session. Calls that ask somebody write to it themselves: a question and its answer are on record
//! before anything happens because of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio_util::sync::CancellationToken;
use toolcell::{ApprovalId, CallEvent};

use crate::transcript::{Record, Transcript, TranscriptError};

/// The transcript, if there is one.
pub(super) struct Journal(Option<Arc<Mutex<State>>>);

/// What calls write to it. It does not keep the file open: a call may outlive its session for a moment.
#[derive(Clone)]
pub(super) struct Questions(Option<Weak<Mutex<State>>>);

struct State {
    transcript: Transcript,
    /// The model's ids of the calls that were asked about and have no answer yet, by the question.
    asked: HashMap<ApprovalId, String>,
    /// Why a question or an answer could not be written.
    failed: Option<TranscriptError>,
}

impl Journal {
    pub(super) fn new(transcript: Option<Transcript>) -> Self {
        Self(transcript.map(|transcript| {
            Arc::new(Mutex::new(State {
                transcript,
                asked: HashMap::new(),
                failed: None,
            }))
        }))
    }

    /// Adds a line.
    pub(super) fn write(&self, record: &Record) -> Result<(), TranscriptError> {
        match self.lock() {
            Some(mut state) => state.transcript.append(record),
            None => Ok(()),
        }
    }

    /// For calls.
    pub(super) fn questions(&self) -> Questions {
        Questions(self.0.as_ref().map(Arc::downgrade))
    }

    /// Why something that a call asked could not be written.
    pub(super) fn failed(&self) -> Result<(), TranscriptError> {
        match self.lock().and_then(|mut state| state.failed.take()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        Some(lock(self.0.as_ref()?))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A line is written whole or not at all, whatever happened to the thread.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Questions {
    /// Writes down what is asked and answered about the call that the model knows as `id`. Where that is impossible, the
    /// call must not go on, so all calls are cancelled.
    pub(super) fn hear(&self, id: &str, event: &CallEvent, calls: &CancellationToken) {
        let Some(state) = &self.0 else {
            return;
        };
        let Some(state) = state.upgrade() else {
            return calls.cancel();
        };
        let mut state = lock(&state);
        let record = match event {
            CallEvent::Asked {
                request,
                unbegun: true,
            } => {
                state.asked.insert(request.id.clone(), id.to_owned());
                Record::Asked {
                    id: id.to_owned(),
                    approval: request.clone(),
                }
            }
            CallEvent::Answered {
                id: question,
                allowed,
                ..
            } => match state.asked.remove(question) {
                Some(id) => Record::Answered {
                    id,
                    approval: question.clone(),
                    allowed: *allowed,
                },
                None => return,
            },
            _ => return,
        };
        if let Err(error) = state.transcript.append(&record) {
            state.failed.get_or_insert(error);
            calls.cancel();
        }
    }
}
