//! One turn of the model.

use std::sync::{Mutex, PoisonError};

use tokio::time::timeout;

use super::{AgentError, Session, clean, context::Purpose, heard::Heard};
use crate::{
    catalog::{Catalog, Price},
    event::AgentEvent,
    model::{ModelError, ModelEvent},
    outcome::RunOutcome,
    transcript::Record,
    wire::{ModelRequest, Reply},
};

/// Why nobody waits for the model any more.
enum Stopped {
    /// Somebody stopped the run.
    Cancelled,
    /// A budget's time was up.
    OutOfTime,
}

/// What the model said, or why nobody waited for it.
type Answer = Result<Result<Reply, ModelError>, Stopped>;

/// What an answer means for the run.
pub(super) enum Taken {
    /// It has one turn more, which stopped for this reason.
    Turn(Option<String>),
    /// The machine says what comes next.
    GoOn,
    /// The session ends.
    End(RunOutcome),
}

impl Session<'_> {
    /// One turn of the model. An outcome ends this session, but not necessarily the run.
    pub(super) async fn turn(
        &mut self,
        mut request: ModelRequest,
        purpose: Purpose,
    ) -> Result<Option<RunOutcome>, AgentError> {
        request.tenant = self.context.tenant.clone();
        let turn = request.turn.saturating_add(1);
        self.tell(match purpose {
            Purpose::Turn => AgentEvent::TurnStart { turn },
            Purpose::Summary(_) => AgentEvent::SummaryStart { turn },
        });
        let hold = match self.reserve(&mut request).await? {
            Ok(hold) => hold,
            Err(outcome) => return Ok(Some(outcome)),
        };
        let heard = Mutex::new(Heard::default());
        let answer = self.ask(&request, &purpose, &heard).await;
        let mut heard = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
        match &answer {
            Err(_) => heard.give_up(),
            Ok(Err(error)) => heard.fail(error),
            Ok(Ok(reply)) => self.learn_prompt(&hold, reply.usage.prompt_tokens()),
        }
        self.lose(heard, hold.prompt)?;
        let out_of_time = hold.out_of_time();
        let taken = match answer {
            Err(Stopped::Cancelled) => Ok(Taken::End(RunOutcome::Cancelled)),
            // Where the run's own time is up, the machine says so.
            Err(Stopped::OutOfTime) if self.own_time_left().is_zero() => Ok(Taken::GoOn),
            Err(Stopped::OutOfTime) => Ok(Taken::End(out_of_time)),
            Ok(Err(error)) => Ok(self.failed(&error, &purpose)),
            Ok(Ok(reply)) => self.take(turn, reply, purpose),
        };
        // What was used is settled whatever became of the turn.
        let left = self.settle(hold, 0).await;
        match taken? {
            Taken::GoOn => left.map(|_| None),
            Taken::End(outcome) => left.map(|_| Some(outcome)),
            Taken::Turn(stop_reason) => {
                self.tell(AgentEvent::Usage {
                    turn,
                    stop_reason,
                    spent: self.run.spent().clone(),
                    left: left?,
                });
                Ok(None)
            }
        }
    }

    /// Asks the model, for as long as the budgets allow.
    async fn ask(&self, request: &ModelRequest, purpose: &Purpose, heard: &Mutex<Heard>) -> Answer {
        let coming = Mutex::new(clean::Turn::new(&self.agent.redaction, &self.agent.likely));
        let coming = || coming.lock().unwrap_or_else(PoisonError::into_inner);
        let (provider, model) = (self.agent.model.provider(), self.agent.model.id());
        let sink = |event| {
            if let ModelEvent::Retry { .. } = event {
                self.agent.metrics.retried(provider, model);
            }
            heard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .hear(&event);
            let told = coming().take(event);
            let told = told.into_iter().filter(|event| purpose.shows(event));
            told.for_each(|event| self.tell(event));
        };
        let asked = timeout(self.time_left(), self.agent.model.stream(request, &sink));
        let answer = tokio::select! {
            () = self.context.cancel.cancelled() => Err(Stopped::Cancelled),
            answer = asked => answer.map_err(|_| Stopped::OutOfTime),
        };
        let held = coming().finish();
        let held = held.into_iter().filter(|event| purpose.shows(event));
        held.for_each(|event| self.tell(event));
        answer
    }

    fn take(&mut self, turn: u32, mut reply: Reply, purpose: Purpose) -> Result<Taken, AgentError> {
        reply.cost_micro_usd = self.cost(&reply);
        for likely in clean::reply(&self.agent.likely, &mut reply) {
            self.tell(AgentEvent::LikelySecret { turn, likely });
        }
        let stop_reason = reply.stop_reason.as_ref().map(|r| r.as_str().to_owned());
        if let Purpose::Summary(draft) = purpose {
            self.take_summary(draft, reply)?;
            return Ok(Taken::Turn(stop_reason));
        }
        let missed = match self.run.on_reply(reply.clone()) {
            Ok(missed) => missed,
            Err(error) => {
                self.refuse(&reply)?;
                return Ok(Taken::End(RunOutcome::Failed {
                    code: toolcell::ErrorKind::Unavailable,
                    message: error.to_string(),
                }));
            }
        };
        let time_ms = self.time_ms();
        self.write(&Record::Reply { time_ms, reply })?;
        self.run.set_time(self.time());
        if let Some(miss) = missed {
            self.tell(AgentEvent::CacheMiss { turn, miss });
        }
        Ok(Taken::Turn(stop_reason))
    }

    /// Counts a turn that makes no sense: it is paid for, and no part of the run.
    fn refuse(&mut self, reply: &Reply) -> Result<(), AgentError> {
        let (usage, cost_micro_usd) = (reply.usage.clone(), reply.cost_micro_usd);
        self.run.on_lost(&usage, cost_micro_usd);
        let time_ms = self.time_ms();
        self.write(&Record::Lost {
            time_ms,
            usage,
            cost_micro_usd,
        })?;
        Ok(())
    }

    /// What a turn cost, where the price of who answered is known.
    fn cost(&self, reply: &Reply) -> Option<u64> {
        let agent = self.agent;
        cost(
            reply,
            agent.price.as_ref(),
            &agent.catalog,
            agent.today.as_deref(),
        )
    }

    fn failed(&mut self, error: &ModelError, purpose: &Purpose) -> Taken {
        let what = match purpose {
            Purpose::Turn => String::new(),
            Purpose::Summary(_) => "no summary of the conversation: ".into(),
        };
        match (error.context_overflow(), purpose) {
            (Some(message), Purpose::Turn) => {
                self.on_overflow(message);
                Taken::GoOn
            }
            _ => Taken::End(RunOutcome::Failed {
                code: error.code(),
                message: format!("{what}{error}"),
            }),
        }
    }
}

/// What a turn cost, where `price` is that of the model which was asked.
pub(super) fn cost(
    reply: &Reply,
    price: Option<&Price>,
    catalog: &Catalog,
    today: Option<&str>,
) -> Option<u64> {
    if reply.cached.is_some() {
        return Some(0);
    }
    let price = match reply.answered_by.as_deref() {
        Some(name) => {
            let model = name.split_once(':').map_or(name, |(_, model)| model);
            catalog.price(model, today)?
        }
        None => price.cloned()?,
    };
    Some(price.cost_micro_usd(&reply.usage))
}
