//! One run for each task, several at a time. Each has a transcript, so that a run that was cut off goes on and no finished
//! call of a tool runs twice.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
    sync::Arc,
};

use futures_util::{StreamExt as _, future, stream};
use toolcell::ErrorKind;
use toolcell_agent::{
    Agent, AgentBuilder, ModelProvider, RunContext, RunOutcome, RunReport,
    batch::{Answer, CourierEnd, Task},
};

use super::{Batch, failed};
use crate::{
    budgets, dirs,
    failure::Failure,
    output,
    style::{self, paint},
    telemetry,
    verbs::run,
};

/// What one run needs.
struct Work<'a> {
    task: &'a Task,
    model: String,
    agent: Agent,
    run_id: String,
    transcript: PathBuf,
}

impl Batch<'_> {
    pub(super) async fn one_by_one(&mut self) -> Result<CourierEnd, Failure> {
        dirs::create_private(&self.dirs.runs())?;
        let mut models: BTreeMap<String, Arc<dyn ModelProvider>> = BTreeMap::new();
        let specs: Vec<String> = self.specs().map(str::to_owned).collect();
        for spec in specs {
            if let Entry::Vacant(place) = models.entry(spec) {
                let model = self.models.open(place.key()).await?;
                place.insert(model);
            }
        }
        let mut works = Vec::new();
        for (number, task) in self.tasks.iter().enumerate() {
            if self.results.done(&task.id).is_none() {
                works.push(self.work(number, task, &models)?);
            }
        }
        let (all, cancel) = (works.len(), self.cancel.clone());
        let context = || RunContext {
            cancel: cancel.clone(),
            ..RunContext::default()
        };
        // After an interruption no further run begins.
        let works = stream::iter(works).take_while(|_| future::ready(!cancel.is_cancelled()));
        let going = works.map(|work| {
            let context = context();
            async move {
                let report = work.go(context).await;
                (work, report)
            }
        });
        let mut going =
            std::pin::pin!(going.buffer_unordered(usize::from(self.arguments.concurrency)));
        let mut done = 0_usize;
        while let Some((work, report)) = going.next().await {
            let report = report?;
            match judged(&work, &report) {
                Judged::Line(answer) => {
                    self.results.add(&answer).map_err(|error| failed(&error))?
                }
                Judged::Stop(failure) => return Err(failure),
                Judged::Later => {}
            }
            done = done.saturating_add(1);
            let line = format!("{done} of {all}: {}", style::one_line(&work.task.id, 60));
            output::note(paint(style::DIM, line));
        }
        self.results.sync().map_err(|error| failed(&error))?;
        Ok(if cancel.is_cancelled() {
            CourierEnd::Stopped
        } else {
            CourierEnd::Done
        })
    }

    fn work<'t>(
        &self,
        number: usize,
        task: &'t Task,
        models: &BTreeMap<String, Arc<dyn ModelProvider>>,
    ) -> Result<Work<'t>, Failure> {
        let spec = task.model.as_deref().unwrap_or(&self.began.model);
        let Some(model) = models.get(spec) else {
            return Err(Failure::usage(format!("`{spec}` names no model")));
        };
        let layers = &self.in_force.layers;
        let builder = AgentBuilder::new(self.host.clone(), Arc::clone(model))
            .budget(budgets::of_run(layers, &self.arguments.budget)?)
            .metrics(telemetry::metrics())
            .today(budgets::day(budgets::unix_ms()));
        let mut builder = self.turns.of(builder);
        if let Some(shared) = budgets::shared(layers, &self.arguments.budget, self.dirs) {
            builder = builder.shared_budgets(shared);
        }
        if let Some(tokens) = task.max_tokens {
            builder = builder.max_tokens(tokens);
        }
        if let Some(system) = task.system.as_ref().or(self.began.system.as_ref()) {
            builder = builder.system(system);
        }
        let run_id = format!("{}t{number}", self.place.id);
        Ok(Work {
            task,
            model: spec.to_owned(),
            agent: builder.build().map_err(run::failed)?,
            transcript: self.dirs.runs().join(format!("{run_id}.jsonl")),
            run_id,
        })
    }
}

impl Work<'_> {
    /// Begins, or goes on with what an earlier process began.
    async fn go(&self, mut context: RunContext) -> Result<RunReport, Failure> {
        let report = if self.transcript.exists() {
            self.agent.resume(&self.transcript, &context).await
        } else {
            context.transcript = Some(self.transcript.clone());
            self.agent.run(&self.task.task, &context).await
        };
        report.map_err(run::failed)
    }
}

/// What became of a run.
enum Judged {
    /// Its line.
    Line(Box<Answer>),
    /// It goes on another time.
    Later,
    /// Nothing can go on.
    Stop(Failure),
}

fn judged(work: &Work<'_>, report: &RunReport) -> Judged {
    match &report.outcome {
        RunOutcome::Cancelled => return Judged::Later,
        // What is shared is used up for the others as well.
        RunOutcome::BudgetExceeded(exceeded) if exceeded.scope.is_some() => {
            let failure = Failure::new(ErrorKind::BudgetExceeded, exceeded.to_string());
            return Judged::Stop(failure.help("`toolcell budget show` says until when"));
        }
        _ => {}
    }
    let mut answer = match report.outcome.code() {
        Some(code) => Answer::none(work.task, &work.model, code, report.outcome.to_string()),
        None => Answer {
            ok: true,
            text: Some(report.text.clone()),
            error: None,
            ..Answer::none(work.task, &work.model, ErrorKind::Internal, "")
        },
    };
    answer.cost_micro_usd = report.spent.cost_micro_usd;
    answer.run_id = Some(work.run_id.clone());
    Judged::Line(Box::new(answer))
}
