//! Drives a [`Run`]: asks the model, runs the tools, writes the transcript, tells what happens.

mod builder;
mod calls;
mod clean;
mod context;
mod heard;
mod journal;
mod observe;
mod reserve;
mod turn;

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use toolcell::{
    Answers, ApprovalId, ApprovalRequest, LikelySecrets, Redaction, SessionId, TenantId,
};

pub use builder::AgentBuilder;
use context::{Purpose, Room};
use journal::Journal;
pub use reserve::LEAST_OUTPUT;

use crate::{
    budget::{Budget, Spent},
    catalog::{Catalog, Price},
    context::{ContextReport, ContextRules},
    event::{AgentEvent, AgentSink},
    ledger::{LedgerError, Purse, Shared},
    machine::{MachineError, Run, RunSettings, Step},
    metrics::Metrics,
    model::ModelProvider,
    outcome::RunOutcome,
    repeat::RepeatLimits,
    runner::{ToolRunner, ToolSpec, interrupted},
    transcript::{Record, Transcript, TranscriptError, replay},
    wire::TurnOptions,
};

/// An agent: a model, tools, and the rules of its runs. It can run many tasks, also at the same time.
#[derive(Clone)]
pub struct Agent {
    runner: Arc<dyn ToolRunner>,
    model: Arc<dyn ModelProvider>,
    rules: Rules,
    price: Option<Price>,
    /// The known prices of all models that may answer.
    prices: Vec<Price>,
    shared: Option<Shared>,
    catalog: Arc<Catalog>,
    today: Option<String>,
    metrics: Metrics,
    name: Option<String>,
    redaction: Redaction,
    /// What a transcript passes.
    kept: Redaction,
    likely: LikelySecrets,
}

#[derive(Clone)]
struct Rules {
    system: Option<String>,
    max_tokens: u32,
    options: TurnOptions,
    extra: Map<String, Value>,
    budget: Budget,
    repeat: RepeatLimits,
    context: ContextRules,
    parallel: usize,
    cancel_grace: Duration,
}

/// What surrounds a run.
#[derive(Clone, Default)]
pub struct RunContext {
    /// Hears of everything that happens.
    pub events: Option<AgentSink>,
    /// Ends the run early. Calls under way are cancelled, and their results still written.
    pub cancel: CancellationToken,
    /// Where a new run's transcript is written. The file must not exist.
    pub transcript: Option<PathBuf>,
    /// Whose run it is, where an embedder serves several: secrets are looked up for this tenant.
    pub tenant: Option<TenantId>,
    /// Answers to the questions that a resumed run waits for; [`Transcript::waiting`] lists them. Each is used for the very
    /// question that was asked: where input, package or rule are others by now, it is asked anew.
    pub answers: Answers,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RunReport {
    /// How it ended.
    #[serde(flatten)]
    pub outcome: RunOutcome,
    /// The model's last text.
    pub text: String,
    /// What it spent.
    pub spent: Spent,
    /// What its context went through.
    pub context: ContextReport,
}

/// Why a run could not go on at all. What the model or a tool did wrong is none of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The agent's settings cannot be used.
    #[error("{0}")]
    Config(String),
    /// An answer was given that the run does not wait for.
    #[error("{0}")]
    Answer(String),
    /// The transcript cannot be read or written.
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
    /// What was spent cannot be looked up or written down.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The tool host failed in a way that its embedder must act on.
    #[error(transparent)]
    Host(toolcell::Error),
}

impl Agent {
    /// Begins to make an agent that asks `model` and runs the tools of `runner`.
    pub fn builder(
        runner: impl ToolRunner + 'static,
        model: impl ModelProvider + 'static,
    ) -> AgentBuilder {
        AgentBuilder::new(Arc::new(runner), Arc::new(model))
    }

    /// Works on a task until the model is done or something ends the run.
    ///
    /// # Errors
    /// [`AgentError`] when the transcript or the tool host fails. How the run itself went, a model that cannot be
    /// reached included, is in the report.
    pub async fn run(&self, task: &str, context: &RunContext) -> Result<RunReport, AgentError> {
        unasked(&context.answers, |_| false)?;
        let run = Run::new(self.settings(), task, SessionId::random().to_string());
        let transcript = match &context.transcript {
            Some(path) => {
                let mut transcript = Transcript::create(path)?.searching(&self.kept);
                transcript.begin(&run)?;
                Some(transcript)
            }
            None => None,
        };
        Session::new(self, context, run, transcript)
            .drive(None)
            .await
    }

    /// Goes on with the run of a transcript, under this agent's model, tools and budget. Calls that finished are not
    /// made again. A call that may have begun is made again only when its tool says that this is safe; otherwise the
    /// model is told that it was interrupted.
    ///
    /// # Errors
    /// As [`Agent::run`].
    pub async fn resume(
        &self,
        path: impl Into<PathBuf>,
        context: &RunContext,
    ) -> Result<RunReport, AgentError> {
        let (transcript, records) = Transcript::open(path)?;
        let mut transcript = transcript.searching(&self.kept);
        let resumed = replay(records).map_err(|(line, message)| TranscriptError::Line {
            path: transcript.path().into(),
            line,
            message,
        })?;
        unasked(&context.answers, |id| resumed.asks(id))?;
        let settings = self.settings();
        transcript.append(&Record::Resume {
            model: Some(settings.model.clone()),
            context: Some(settings.context.clone()),
        })?;
        let mut run = resumed.run.clone();
        run.change_settings(settings);
        let mut session = Session::new(self, context, run, Some(transcript));
        let before = session.call_context(&calls::Names::default());
        for tool in resumed.called() {
            self.runner.was_called(tool, &before);
        }
        session.drive(Some(resumed.interrupted)).await
    }

    /// The most that a request can cost, whichever model answers; 0 where no price is known.
    fn worst_cost(&self, prompt: u64, output: u64, hour: bool) -> u64 {
        let costs = self.prices.iter();
        let costs = costs.map(|price| price.worst_micro_usd(prompt, output, hour));
        costs.max().unwrap_or(0)
    }

    fn purse(&self, context: &RunContext) -> Purse {
        let shared = self.shared.as_ref();
        let purse = shared.map(|shared| shared.purse(context.tenant.as_ref()));
        purse.unwrap_or_default()
    }

    fn settings(&self) -> RunSettings {
        let tools = self.runner.tools();
        let context = self.context_rules(&tools);
        let tools = tools.iter().map(ToolSpec::definition);
        let reader = context.reader.as_deref().map(crate::context::reader);
        RunSettings {
            model: self.model.id().into(),
            max_tokens: self.rules.max_tokens,
            system: self.rules.system.clone(),
            tools: tools.chain(reader).collect(),
            options: self.rules.options.clone(),
            extra: self.rules.extra.clone(),
            budget: self.rules.budget.clone(),
            repeat: self.rules.repeat.clone(),
            price: self.price.clone(),
            context,
        }
    }
}

/// One process's part of a run.
struct Session<'a> {
    /// What the host counts the run's calls for.
    id: SessionId,
    agent: &'a Agent,
    context: &'a RunContext,
    run: Run,
    journal: Journal,
    /// The questions of calls that wait for somebody.
    waiting: Vec<ApprovalRequest>,
    /// When the run would have begun, had it never been interrupted.
    began: Instant,
    earlier: Duration,
    /// What the server said, where it said that the conversation is too long and no room was made since.
    overflow: Option<String>,
    /// The budgets that it shares with other runs.
    purse: Purse,
    /// When the time that was taken out of those is up.
    held_until: Option<Instant>,
    /// How far estimates of prompts were off.
    off: u64,
}

impl<'a> Session<'a> {
    fn new(
        agent: &'a Agent,
        context: &'a RunContext,
        run: Run,
        transcript: Option<Transcript>,
    ) -> Self {
        Self {
            id: SessionId::random(),
            agent,
            context,
            began: Instant::now(),
            earlier: Duration::from_millis(run.spent().time_ms),
            overflow: None,
            run,
            journal: Journal::new(transcript),
            waiting: Vec::new(),
            purse: agent.purse(context),
            held_until: None,
            off: reserve::EXACT,
        }
    }

    /// Runs until something ends the session. A resumed one brings the calls that may have begun before.
    async fn go(&mut self, resumed: Option<HashSet<String>>) -> Result<RunReport, AgentError> {
        let settings = self.run.settings();
        self.tell(AgentEvent::RunStart {
            model: settings.model.clone(),
            tools: settings
                .tools
                .iter()
                .map(|tool| tool.name.clone())
                .collect(),
            resumed: resumed.is_some(),
        });
        self.answer_interrupted(&resumed.unwrap_or_default())?;
        let outcome = loop {
            self.run.set_time(self.time());
            match self.run.next() {
                Step::Done(outcome) => break outcome,
                _ if self.context.cancel.is_cancelled() => break RunOutcome::Cancelled,
                Step::CallModel(request) => match self.make_room(&request).await? {
                    // The budget is looked at again: a summary is a turn too.
                    Room::Made => {}
                    Room::Ended(outcome) => break outcome,
                    Room::Same => {
                        if let Some(outcome) = self.turn(*request, Purpose::Turn).await? {
                            break outcome;
                        }
                    }
                },
                Step::CallTools(calls) => {
                    if let Some(outcome) = self.calls_in_budget(calls).await? {
                        break outcome;
                    }
                    if !self.waiting.is_empty() && !self.context.cancel.is_cancelled() {
                        let approvals = std::mem::take(&mut self.waiting);
                        break RunOutcome::Waiting { approvals };
                    }
                }
            }
        };
        self.end(outcome)
    }

    /// Answers the calls that may have begun before a kill, unless they can safely be made again.
    fn answer_interrupted(&mut self, interrupted_ids: &HashSet<String>) -> Result<(), AgentError> {
        let Step::CallTools(waiting) = self.run.next() else {
            return Ok(());
        };
        let tools = self.agent.runner.tools();
        for call in waiting.iter().map(|dispatch| dispatch.call()) {
            let repeatable = tools
                .iter()
                .any(|tool| tool.name == call.name && tool.repeatable);
            if interrupted_ids.contains(&call.id) && !repeatable {
                self.answer(call, calls::Answer::unrun(interrupted()))?;
            }
        }
        Ok(())
    }

    fn end(&mut self, mut outcome: RunOutcome) -> Result<RunReport, AgentError> {
        let redaction = &self.agent.redaction;
        clean::outcome(redaction, &mut outcome);
        self.run.set_time(self.time());
        self.write(&Record::End {
            time_ms: self.time_ms(),
            outcome: outcome.clone(),
        })?;
        let report = RunReport {
            outcome,
            text: redaction.text(&self.run.text()).into_owned(),
            spent: self.run.spent().clone(),
            context: self.run.context_report().clone(),
        };
        self.tell(AgentEvent::Done {
            outcome: report.outcome.clone(),
            text: report.text.clone(),
            spent: report.spent.clone(),
        });
        Ok(report)
    }

    fn write(&mut self, record: &Record) -> Result<(), TranscriptError> {
        self.journal.write(record)
    }

    fn tell(&self, event: AgentEvent) {
        if let Some(sink) = &self.context.events {
            sink(clean::event(&self.agent.redaction, event));
        }
    }

    fn time(&self) -> Duration {
        self.earlier.saturating_add(self.began.elapsed())
    }

    fn time_ms(&self) -> u64 {
        u64::try_from(self.time().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long what is under way may take.
    fn time_left(&self) -> Duration {
        let own = self.own_time_left();
        match self.held_until {
            Some(until) => own.min(until.saturating_duration_since(Instant::now())),
            None => own,
        }
    }

    fn own_time_left(&self) -> Duration {
        self.run
            .settings()
            .budget
            .time()
            .saturating_sub(self.time())
    }
}

/// Refuses answers that nobody waits for.
fn unasked(answers: &Answers, asks: impl Fn(&ApprovalId) -> bool) -> Result<(), AgentError> {
    match answers.iter().find(|(id, _)| !asks(id)) {
        Some((id, _)) => Err(AgentError::Answer(format!(
            "the run does not wait for an answer to `{id}`"
        ))),
        None => Ok(()),
    }
}

/// The machine refuses a result only when the driver itself is wrong.
fn broken(error: MachineError) -> AgentError {
    AgentError::Host(toolcell::Error::new(
        toolcell::ErrorKind::Internal,
        error.to_string(),
    ))
}

#[cfg(test)]
mod failing;
#[cfg(test)]
mod tests;
