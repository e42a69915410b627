//! One turn of the model.

use std::sync::{Mutex, PoisonError};

use tokio::time::timeout;

use super::{AgentError, Session, clean};
use crate::{
    event::AgentEvent,
    model::{ModelError, ModelEvent},
    outcome::RunOutcome,
    transcript::Record,
    wire::{ModelRequest, Reply},
};

impl Session<'_> {
    /// One turn of the model. An outcome ends this session, but not necessarily the run.
    pub(super) async fn turn(
        &mut self,
        mut request: ModelRequest,
    ) -> Result<Option<RunOutcome>, AgentError> {
        request.tenant = self.context.tenant.clone();
        let turn = request.turn.saturating_add(1);
        self.tell(AgentEvent::TurnStart { turn });
        let coming = Mutex::new(clean::Turn::new(&self.agent.redaction, &self.agent.likely));
        let coming = || coming.lock().unwrap_or_else(PoisonError::into_inner);
        let (provider, model) = (self.agent.model.provider(), self.agent.model.id());
        let sink = |event| {
            if let ModelEvent::Retry { .. } = event {
                self.agent.metrics.retried(provider, model);
            }
            let told = coming().take(event);
            told.into_iter().for_each(|event| self.tell(event));
        };
        let asked = timeout(self.time_left(), self.agent.model.stream(&request, &sink));
        let answer = tokio::select! {
            () = self.context.cancel.cancelled() => None,
            answer = asked => Some(answer),
        };
        let held = coming().finish();
        held.into_iter().for_each(|event| self.tell(event));
        let Some(answer) = answer else {
            return Ok(Some(RunOutcome::Cancelled));
        };
        match answer {
            // The time is up, and the machine says so.
            Err(_) => Ok(None),
            Ok(Err(error)) => Ok(self.failed(&error)),
            Ok(Ok(reply)) => self.take(turn, reply),
        }
    }

    fn take(&mut self, turn: u32, mut reply: Reply) -> Result<Option<RunOutcome>, AgentError> {
        reply.cost_micro_usd = self.cost(&reply);
        for likely in clean::reply(&self.agent.likely, &mut reply) {
            self.tell(AgentEvent::LikelySecret { turn, likely });
        }
        let stop_reason = reply.stop_reason.as_ref().map(|r| r.as_str().to_owned());
        if let Err(error) = self.run.on_reply(reply.clone()) {
            return Ok(Some(RunOutcome::Failed {
                code: toolcell::ErrorKind::Unavailable,
                message: error.to_string(),
            }));
        }
        let time_ms = self.time_ms();
        self.write(&Record::Reply { time_ms, reply })?;
        self.run.set_time(self.time());
        self.tell(AgentEvent::Usage {
            turn,
            stop_reason,
            spent: self.run.spent().clone(),
        });
        Ok(None)
    }

    /// What a turn cost, where the price of who answered is known.
    fn cost(&self, reply: &Reply) -> Option<u64> {
        if reply.cached.is_some() {
            return Some(0);
        }
        let agent = self.agent;
        let other = reply.answered_by.as_deref().map(|name| {
            let model = name.split_once(':').map_or(name, |(_, model)| model);
            agent.catalog.price(model, agent.today.as_deref())
        });
        let price = other.unwrap_or_else(|| agent.price.clone())?;
        Some(price.cost_micro_usd(&reply.usage))
    }

    fn failed(&mut self, error: &ModelError) -> Option<RunOutcome> {
        if let Some(message) = error.context_overflow() {
            self.run.on_context_overflow(message.to_owned());
            return None;
        }
        Some(RunOutcome::Failed {
            code: error.code(),
            message: error.to_string(),
        })
    }
}
