//! Brings tasks to a provider's API for batches, waits, and brings the answers back.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use toolcell::ErrorKind;

use super::{
    Answer, BatchError, Results, Task, Ticket, TicketFile,
    finding::{Found, find, not_taken},
    parts::{divide, request, request_id, task_of},
    ticket::{Part, Place},
};
use crate::{
    budget::{Amount, Budget},
    catalog::{Catalog, Price},
    context::estimate,
    ledger::Purse,
    model::{
        BatchCounts, BatchLine, BatchResult, BatchStatus, Batches, ModelError, ModelProvider, More,
        Timer,
    },
    wire::{ModelRequest, TurnOptions},
};

/// What a turn of a batch costs where the catalog does not say, in percent of its usual price.
const USUAL_PERCENT: u8 = 50;

/// How long until a batch is looked at again, at first and at most.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LAST_LOOK: Duration = Duration::from_secs(60);
/// How often in a row a provider may fail while it is waited for.
const FAILURES: u32 = 10;
/// How long until it is looked a second time for what was not found.
const SECOND_LOOK: Duration = Duration::from_secs(10);
/// Results are there for 29 days, and until then what was really used can be settled.
const HOLD: Duration = Duration::from_secs(29 * 24 * 3600);
/// How often a task is sent at most that was not answered in time, or failed for no fault of its own.
const ROUNDS: u32 = 3;

/// What is the same for all tasks of a batch.
pub struct Courier {
    /// What speaks to the server of each model, by its name as `provider:model`.
    pub models: BTreeMap<String, Arc<dyn ModelProvider>>,
    /// The model of tasks that name none.
    pub model: String,
    /// The longest answer of tasks that do not say.
    pub max_tokens: u32,
    /// What tasks are told that bring no word of their own.
    pub system: Option<String>,
    /// How turns are wanted.
    pub options: TurnOptions,
    /// What each task may spend.
    pub budget: Budget,
    /// The budgets that they share with others.
    pub shared: Option<crate::ledger::Shared>,
    /// Prices.
    pub catalog: Catalog,
    /// The date whose prices hold.
    pub today: Option<String>,
    /// Waits.
    pub timer: Arc<dyn Timer>,
    /// Ends the waiting. What is with a provider stays there.
    pub cancel: CancellationToken,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CourierEnd {
    /// Every task has a line.
    Done,
    /// Somebody stopped it; a later process goes on.
    Stopped,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Parts that are with a provider.
    pub parts: usize,
    /// How their requests stand.
    pub counts: BatchCounts,
}

/// What happens on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A part was taken, under this id.
    Taken(String),
    /// A part was found that had been taken before.
    Found(String),
    /// How far they are.
    Progress(Progress),
    /// Lines of results that belong to no task, or are none: why.
    Strange(String),
}

/// Tells what happens.
type Tell<'t> = &'t (dyn Fn(Sent) + Send + Sync);

impl Courier {
    /// Goes on until every task has its answer. What is on its way from before is collected and not sent again.
    ///
    /// # Errors
    /// [`BatchError`]; the ticket says how far it came.
    pub async fn deliver(
        &self,
        file: &TicketFile,
        ticket: &mut Ticket,
        tasks: &[Task],
        results: &mut Results,
        tell: Tell<'_>,
    ) -> Result<CourierEnd, BatchError> {
        let tasks: HashMap<&str, &Task> =
            tasks.iter().map(|task| (task.id.as_str(), task)).collect();
        let purse = self
            .shared
            .as_ref()
            .map(|it| it.purse(None))
            .unwrap_or_default();
        let mut rounds = 0;
        loop {
            self.plan(ticket, &tasks, results)?;
            file.write(ticket)?;
            if ticket
                .parts
                .iter()
                .all(|part| part.place == Place::Collected)
            {
                return Ok(CourierEnd::Done);
            }
            rounds += 1;
            let mut way = Way {
                courier: self,
                file,
                ticket,
                tasks: &tasks,
                results,
                purse: &purse,
                tell,
                last: rounds >= ROUNDS,
            };
            for at in 0..way.ticket.parts.len() {
                if self.cancel.is_cancelled() {
                    return Ok(CourierEnd::Stopped);
                }
                way.send(at).await?;
            }
            if way.wait().await? == CourierEnd::Stopped {
                return Ok(CourierEnd::Stopped);
            }
        }
    }

    /// Asks the providers to give up what is with them.
    ///
    /// # Errors
    /// [`BatchError::Model`].
    pub async fn give_up(&self, ticket: &Ticket) -> Result<usize, BatchError> {
        let mut count = 0;
        for (model, id) in ticket.with_provider() {
            self.batches(model)?.cancel(id).await?;
            count += 1;
        }
        Ok(count)
    }

    fn model_of<'a>(&'a self, task: &'a Task) -> &'a str {
        task.model.as_deref().unwrap_or(&self.model)
    }

    fn batches(&self, model: &str) -> Result<&dyn Batches, BatchError> {
        let provider = self.models.get(model);
        provider
            .and_then(|provider| provider.batches())
            .ok_or_else(|| BatchError::Config(format!("{model} has no API for batches")))
    }

    /// What a turn of a batch costs.
    fn price(&self, model: &str) -> Option<Price> {
        let id = model.split_once(':').map_or(model, |(_, id)| id);
        let share = self.catalog.info(id).batch_percent;
        let price = self.catalog.price(id, self.today.as_deref())?;
        Some(price.at_percent(share.unwrap_or(USUAL_PERCENT)))
    }

    /// Makes parts of the tasks that have no line and are in no part.
    fn plan(
        &self,
        ticket: &mut Ticket,
        tasks: &HashMap<&str, &Task>,
        results: &mut Results,
    ) -> Result<(), BatchError> {
        let open = ticket
            .parts
            .iter()
            .filter(|part| part.place != Place::Collected);
        let on_the_way: HashSet<String> = open.flat_map(|part| part.tasks.clone()).collect();
        let mut of_model: BTreeMap<&str, Vec<&Task>> = BTreeMap::new();
        for task in tasks.values() {
            if results.done(&task.id).is_none() && !on_the_way.contains(&task.id) {
                of_model.entry(self.model_of(task)).or_default().push(task);
            }
        }
        for (model, mut tasks) in of_model {
            tasks.sort_by(|a, b| a.id.cmp(&b.id));
            let batches = self.batches(model)?;
            let mut refused = Vec::new();
            let mut wanted = Vec::new();
            for task in tasks {
                let request = self.request(task, model);
                match self.fits(model, &request) {
                    Ok(()) => wanted.push((task, request)),
                    Err(answer) => {
                        refused.push(Answer::none(task, model, ErrorKind::BudgetExceeded, answer))
                    }
                }
            }
            let parts = divide(&wanted, model, batches, |task, error| {
                refused.push(Answer::none(task, model, error.code(), error.to_string()));
            });
            ticket.parts.extend(parts);
            refused.iter().try_for_each(|answer| results.add(answer))?;
        }
        Ok(())
    }

    fn request(&self, task: &Task, model: &str) -> ModelRequest {
        let id = model.split_once(':').map_or(model, |(_, id)| id);
        let mut request = request(task, id, self.max_tokens, &self.options);
        request.system = request.system.or_else(|| self.system.clone());
        request
    }

    /// Whether a task fits what each may spend.
    fn fits(&self, model: &str, request: &ModelRequest) -> Result<(), String> {
        let price = self.price(model);
        let allowance = self.budget.allowance(price.is_some());
        let nothing = Amount::default();
        let worst = worst(request, price.as_ref());
        let room = allowance.room(None, &nothing, &nothing, &worst);
        room.map_err(|exceeded| exceeded.to_string())
    }

    /// Whether somebody stopped it before the time was over.
    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.cancel.cancelled() => true,
            () = self.timer.wait(time) => false,
        }
    }
}

/// The most that a request of a batch can use.
fn worst(request: &ModelRequest, price: Option<&Price>) -> Amount {
    let (prompt, output) = (estimate(request), u64::from(request.max_tokens));
    Amount {
        turns: 1,
        calls: 0,
        tokens: prompt.saturating_add(output),
        cost_micro_usd: price.map_or(0, |price| price.worst_micro_usd(prompt, output, false)),
        time_ms: 0,
    }
}

/// One round: everything that is needed on the way.
struct Way<'w, 't> {
    courier: &'w Courier,
    file: &'w TicketFile,
    ticket: &'w mut Ticket,
    tasks: &'w HashMap<&'t str, &'t Task>,
    results: &'w mut Results,
    purse: &'w Purse,
    tell: Tell<'w>,
    /// Whether what fails now is not sent once more.
    last: bool,
}

impl Way<'_, '_> {
    /// Sends a part that is here, and looks for one of which nobody knows where it is.
    async fn send(&mut self, at: usize) -> Result<(), BatchError> {
        let Some(part) = self.ticket.parts.get(at).cloned() else {
            return Ok(());
        };
        let batches = self.courier.batches(&part.model)?;
        match &part.place {
            Place::There { .. } | Place::Collected => return Ok(()),
            Place::Sending { newest_before } => {
                match self.look(batches, &part, newest_before.as_deref()).await? {
                    Some(Found::Yes(id)) => {
                        (self.tell)(Sent::Found(id.clone()));
                        return self.place(at, Place::There { id });
                    }
                    // Its place is found out while it is waited for.
                    Some(Found::NotYet) | None => return Ok(()),
                    Some(Found::No) => {}
                }
            }
            Place::Here => self.reserve(at, &part).await?,
        }
        // Written down before it is sent: a process that is killed from here on knows where to look.
        let newest_before = batches.newest().await?.map(|batch| batch.id);
        self.place(at, Place::Sending { newest_before })?;
        let entries = self.entries(batches, &part)?;
        match batches.submit(&entries).await {
            Ok(batch) => {
                (self.tell)(Sent::Taken(batch.id.clone()));
                self.place(at, Place::There { id: batch.id })
            }
            Err(error) if not_taken(&error) => {
                let held = self.ticket.parts.get(at).map(|part| part.held.clone());
                self.purse
                    .settle(&held.unwrap_or_default(), Amount::default())
                    .await?;
                if let Some(part) = self.ticket.parts.get_mut(at) {
                    part.held.clear();
                }
                self.place(at, Place::Here)?;
                Err(error.into())
            }
            Err(error) => Err(BatchError::Unsure(error)),
        }
    }

    /// Looks for a part, twice where it is not there: a list may be a little late. Nothing where somebody stopped it.
    async fn look(
        &self,
        batches: &dyn Batches,
        part: &Part,
        newest_before: Option<&str>,
    ) -> Result<Option<Found>, BatchError> {
        let others = self.ticket.with_provider();
        let known: HashSet<String> = others.map(|(_, id)| id.to_owned()).collect();
        let found = find(batches, part, newest_before, &known).await?;
        if !matches!(found, Found::No) {
            return Ok(Some(found));
        }
        if self.courier.pause(SECOND_LOOK).await {
            return Ok(None);
        }
        Ok(Some(find(batches, part, newest_before, &known).await?))
    }

    async fn reserve(&mut self, at: usize, part: &Part) -> Result<(), BatchError> {
        let price = self.courier.price(&part.model);
        let bounded = self
            .courier
            .shared
            .as_ref()
            .is_some_and(crate::ledger::Shared::bounds_cost);
        if price.is_none() && bounded {
            let model = &part.model;
            return Err(BatchError::Config(format!(
                "the price of {model} is not known, so its cost cannot be bounded"
            )));
        }
        let mut amount = Amount::default();
        for task in self.tasks_of(part) {
            let request = self.courier.request(task, &part.model);
            amount = amount.plus(&worst(&request, price.as_ref()));
        }
        let held = self.purse.reserve(amount, HOLD).await?;
        if let Some(part) = self.ticket.parts.get_mut(at) {
            part.held = held;
        }
        Ok(())
    }

    fn tasks_of<'s>(&'s self, part: &'s Part) -> impl Iterator<Item = &'s Task> {
        part.tasks
            .iter()
            .filter_map(|id| self.tasks.get(id.as_str()).copied())
    }

    fn entries(&self, batches: &dyn Batches, part: &Part) -> Result<Vec<Vec<u8>>, BatchError> {
        let tasks = part.tasks.iter().enumerate();
        let entries = tasks.filter_map(|(number, id)| {
            let task = self.tasks.get(id.as_str())?;
            let request = self.courier.request(task, &part.model);
            Some(batches.entry(&request_id(&part.prefix, number), &request))
        });
        Ok(entries.collect::<Result<_, ModelError>>()?)
    }

    fn place(&mut self, at: usize, place: Place) -> Result<(), BatchError> {
        if let Some(part) = self.ticket.parts.get_mut(at) {
            part.place = place;
        }
        self.file.write(self.ticket)
    }

    /// Waits until everything is collected.
    async fn wait(&mut self) -> Result<CourierEnd, BatchError> {
        let (mut pause, mut failures) = (FIRST_LOOK, 0_u32);
        loop {
            match self.look_at_all().await {
                Ok(0) => return Ok(CourierEnd::Done),
                Ok(_) => failures = 0,
                Err(BatchError::Model(error)) if failures < FAILURES && passes(&error) => {
                    failures += 1
                }
                Err(error) => return Err(error),
            }
            if self.courier.pause(pause).await {
                return Ok(CourierEnd::Stopped);
            }
            pause = pause.saturating_mul(2).min(LAST_LOOK);
        }
    }

    /// Looks at every part once, collects what has ended, and says how many have not.
    async fn look_at_all(&mut self) -> Result<usize, BatchError> {
        let mut progress = Progress::default();
        let mut open = 0;
        for at in 0..self.ticket.parts.len() {
            let Some(part) = self.ticket.parts.get(at).cloned() else {
                continue;
            };
            let id = match &part.place {
                Place::Here | Place::Collected => continue,
                Place::There { id } => id.clone(),
                Place::Sending { .. } => {
                    open += 1;
                    self.send(at).await?;
                    continue;
                }
            };
            let batch = self.courier.batches(&part.model)?.status(&id).await?;
            progress.parts += 1;
            progress.counts = sum(progress.counts, batch.counts);
            if batch.status == BatchStatus::Ended {
                self.collect(at, &part, &id).await?;
            } else {
                open += 1;
            }
        }
        (self.tell)(Sent::Progress(progress));
        Ok(open)
    }

    /// Adds the results of a part to the answers, settles what it cost, and forgets it, in this order.
    async fn collect(&mut self, at: usize, part: &Part, id: &str) -> Result<(), BatchError> {
        let mut spent = Amount::default();
        let mut failed = None;
        let batches = self.courier.batches(&part.model)?;
        let mut each = |line: BatchLine| match self.take(part, line, &mut spent) {
            Ok(()) => More::Next,
            Err(error) => {
                failed = Some(error);
                More::Enough
            }
        };
        batches.results(id, &mut each).await?;
        if let Some(error) = failed {
            return Err(error);
        }
        if self.last {
            self.give_up(part)?;
        }
        self.results.sync()?;
        self.purse.settle(&part.held, spent).await?;
        self.place(at, Place::Collected)
    }

    /// Tells of the tasks that no line was about. It is no use to send them for ever.
    fn give_up(&mut self, part: &Part) -> Result<(), BatchError> {
        for id in &part.tasks {
            let task = self.tasks.get(id.as_str()).copied();
            let Some(task) = task.filter(|task| self.results.done(&task.id).is_none()) else {
                continue;
            };
            let why = "the provider has no result of it";
            let none = Answer::none(task, &part.model, ErrorKind::Unavailable, why);
            self.results.add(&none)?;
        }
        Ok(())
    }

    /// Takes one result.
    fn take(&mut self, part: &Part, line: BatchLine, spent: &mut Amount) -> Result<(), BatchError> {
        let task = line.id.as_deref().and_then(|id| task_of(part, id));
        let Some(task) = task.and_then(|id| self.tasks.get(id).copied()) else {
            let why = match (line.id, line.result) {
                (_, BatchResult::Broken(why)) => why,
                (id, _) => format!("`{}` is the id of no task", id.unwrap_or_default()),
            };
            (self.tell)(Sent::Strange(why));
            return Ok(());
        };
        let answer = self.answer(task, &part.model, line.result, spent);
        // A task that has its line already keeps it: this is a second look at the same results.
        match answer {
            Some(answer) if self.results.done(&task.id).is_none() => self.results.add(&answer),
            _ => Ok(()),
        }
    }

    /// The line of a task; none where it is to be sent once more.
    fn answer(
        &self,
        task: &Task,
        model: &str,
        result: BatchResult,
        spent: &mut Amount,
    ) -> Option<Answer> {
        let none = |code, message: String| Some(Answer::none(task, model, code, message));
        match result {
            BatchResult::Answered(reply) => {
                let price = self.courier.price(model);
                let cost = price.map(|price| price.cost_micro_usd(&reply.usage));
                *spent = spent.plus(&Amount {
                    turns: 1,
                    tokens: reply.usage.total_tokens(),
                    cost_micro_usd: cost.unwrap_or(0),
                    ..Amount::default()
                });
                Some(Answer {
                    id: task.id.clone(),
                    ok: true,
                    text: Some(reply.text()),
                    stop_reason: reply.stop_reason.as_ref().map(|it| it.as_str().to_owned()),
                    error: None,
                    usage: Some(reply.usage),
                    cost_micro_usd: cost,
                    model: model.to_owned(),
                    run_id: None,
                })
            }
            BatchResult::Failed { kind, .. } if !self.last && passes_by(&kind) => None,
            BatchResult::Expired if !self.last => None,
            BatchResult::Failed { kind, message } => {
                let code = if passes_by(&kind) {
                    ErrorKind::Unavailable
                } else {
                    ErrorKind::InvalidInput
                };
                none(code, format!("{kind}: {message}"))
            }
            BatchResult::Expired => {
                none(ErrorKind::Unavailable, "it was not answered in time".into())
            }
            BatchResult::Canceled => none(
                ErrorKind::Cancelled,
                "it was given up before it was answered".into(),
            ),
            BatchResult::Broken(why) => none(
                ErrorKind::Unavailable,
                format!("its result cannot be read: {why}"),
            ),
        }
    }
}

/// Whether a failure of one request may be another's luck.
fn passes_by(kind: &str) -> bool {
    matches!(
        kind,
        "api_error" | "overloaded_error" | "rate_limit_error" | "timeout_error"
    )
}

/// Whether a failure to look is worth another look.
fn passes(error: &ModelError) -> bool {
    match error {
        ModelError::Http { status, .. } => matches!(status, 408 | 409 | 429 | 500..),
        ModelError::Connect(_) | ModelError::Timeout { .. } | ModelError::Transport(_) => true,
        _ => false,
    }
}

fn sum(one: BatchCounts, other: BatchCounts) -> BatchCounts {
    BatchCounts {
        processing: one.processing.saturating_add(other.processing),
        succeeded: one.succeeded.saturating_add(other.succeeded),
        errored: one.errored.saturating_add(other.errored),
        canceled: one.canceled.saturating_add(other.canceled),
        expired: one.expired.saturating_add(other.expired),
    }
}
