//! What a call that no tool made, and all the calls that tools make of it, have in common: they end together, and a
//! question of one of them is a question of the first.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::{
    CallId,
    call::{Answers, ApprovalId, ApprovalRequest},
    capability::effects::Effects,
};

/// A first call. Clones are one.
#[derive(Clone, Debug)]
pub(super) struct First(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: CallId,
    cancel: CancellationToken,
    answers: Answers,
    effects: Effects,
    questions: Mutex<Questions>,
}

#[derive(Debug, Default)]
struct Questions {
    /// How often each was asked before, by the id that it has the first time.
    asked: HashMap<ApprovalId, u32>,
    /// Those that nobody has answered yet.
    open: Vec<ApprovalRequest>,
    /// The one that is to be answered later.
    later: Option<ApprovalRequest>,
}

impl First {
    /// A call with answers that were given before it.
    pub(super) fn new(id: &CallId, cancel: &CancellationToken, answers: Answers) -> Self {
        Self(Arc::new(Inner {
            id: id.clone(),
            cancel: cancel.child_token(),
            answers,
            effects: Effects::default(),
            questions: Mutex::default(),
        }))
    }

    /// The first call's id.
    pub(super) fn id(&self) -> &CallId {
        &self.0.id
    }

    /// Ends the first call and all others of it.
    pub(super) fn cancel(&self) -> &CancellationToken {
        &self.0.cancel
    }

    /// Whether any of the calls changed something outside.
    pub(super) fn effects(&self) -> &Effects {
        &self.0.effects
    }

    /// How often this question was asked before. Guests may ask the same twice, and an answer counts once.
    pub(super) fn again(&self, id: &ApprovalId) -> u32 {
        let mut questions = self.lock();
        let asked = questions.asked.entry(id.clone()).or_default();
        let before = *asked;
        *asked = before.saturating_add(1);
        before
    }

    /// The answer that was given before the call.
    pub(super) fn answer(&self, id: &ApprovalId) -> Option<bool> {
        self.0.answers.get(id)
    }

    /// A question is open from here on.
    pub(super) fn open(&self, request: &ApprovalRequest) {
        self.lock().open.push(request.clone());
    }

    /// A question has its answer.
    pub(super) fn close(&self, id: &ApprovalId) {
        self.lock().open.retain(|open| open.id != *id);
    }

    /// Ends everything: the question is to be answered later.
    pub(super) fn put_off(&self, request: ApprovalRequest) {
        self.lock().later.get_or_insert(request);
        self.0.cancel.cancel();
    }

    /// The question that was put off.
    pub(super) fn later(&self) -> Option<ApprovalRequest> {
        self.lock().later.clone()
    }

    /// The question that was open when everything ended.
    pub(super) fn unanswered(&self) -> Option<ApprovalRequest> {
        self.lock().open.first().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Questions> {
        // Whole after every single statement, whatever happened to the thread.
        self.0
            .questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
