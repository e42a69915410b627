//! `toolcell batch tasks.jsonl`.

mod direct;
mod place;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use toolcell::{ErrorKind, Sink, ToolHost};
use toolcell_agent::{
    Catalog,
    batch::{BatchError, Courier, CourierEnd, Results, Sent, Task, Ticket},
    cache::ResponseCache,
    model::{ModelProvider, RealTimer},
};

use crate::{
    app::Outcome,
    args::{BatchArgs, Via},
    budgets, caches,
    dirs::Dirs,
    env, exit,
    failure::Failure,
    hosts, interrupt,
    models::Models,
    output, policies,
    policies::InForce,
    style::{self, paint},
    telemetry,
    turns::Turns,
};
use place::Place;

/// What a batch remembers of how it began.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Began {
    model: String,
    system: Option<String>,
    via: String,
    no_tools: bool,
}

/// Everything that one batch needs.
struct Batch<'a> {
    arguments: &'a BatchArgs,
    dirs: &'a Dirs,
    in_force: &'a InForce,
    models: Models,
    turns: Turns,
    host: Arc<ToolHost>,
    place: Place,
    ticket: Ticket,
    began: Began,
    tasks: Vec<Task>,
    results: Results,
    cancel: CancellationToken,
}

pub(crate) async fn batch(arguments: BatchArgs) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(&arguments.policy, &dirs)?;
    telemetry::start(&arguments.telemetry, &in_force, &dirs).await?;
    let cache = caches::for_run(&in_force, &dirs, arguments.cache.cache.as_deref()).await?;
    let models = Models::new(&in_force.layers, &dirs)
        .caching(cache.clone())
        .careful(&arguments.care)?;
    let (place, ticket) = match arguments.resume.as_ref().or(arguments.give_up.as_ref()) {
        Some(id) => Place::again(id, &dirs)?,
        None => {
            let began = Began {
                model: models.chosen(arguments.model.as_deref()).to_owned(),
                system: place::system(arguments.system.as_deref())?,
                via: word(arguments.via.unwrap_or(Via::Auto)).to_owned(),
                no_tools: arguments.no_tools,
            };
            Place::fresh(&arguments, &dirs, &began)?
        }
    };
    let began: Began = serde_json::from_value(ticket.settings.clone())
        .map_err(|error| Failure::usage(format!("batch {} is damaged: {error}", place.id)))?;
    let tasks = place::tasks(&ticket)?;
    let host = hosts::start(&in_force, &dirs, arguments.workers, None)?;
    if !began.no_tools {
        host.load_policy_tools().await?;
    }
    if let Some(cache) = &cache {
        cache.search(&host.on_the_way_to(Sink::Cache), host.likely_secrets());
    }
    let mut results = Results::open(&ticket.out, host.redaction()).map_err(|it| failed(&it))?;
    let again = if arguments.retry_failed {
        results.retry_failed()
    } else {
        0
    };
    if again > 0 {
        output::note(format!("{} again", style::count(again, "task")));
    }
    let turns = Turns::new(&arguments.turns, &in_force.layers.model())?;
    let mut batch = Batch {
        arguments: &arguments,
        dirs: &dirs,
        in_force: &in_force,
        models,
        turns,
        host: Arc::new(host),
        place,
        ticket,
        began,
        tasks,
        results,
        cancel: interrupt::token(),
    };
    if arguments.give_up.is_some() {
        return batch.give_up().await;
    }
    output::note(paint(style::DIM, format_args!("batch {}", batch.place.id)));
    let ended = match batch.way().await? {
        Via::Batch => batch.through_the_provider().await,
        _ => batch.one_by_one().await,
    };
    tell_saved(cache.as_deref()).await;
    batch.finish(ended)
}

/// Says what the cache was good for.
async fn tell_saved(cache: Option<&ResponseCache>) {
    let Some(counts) = caches::counted(cache).await else {
        return;
    };
    let found = counts.hits.saturating_add(counts.shared);
    if found > 0 {
        let turns = style::count(usize::try_from(found).unwrap_or(usize::MAX), "turn");
        let saved = super::cache::saved(&counts);
        output::note(format!("{turns} from the cache, which saved {saved}"));
    }
}

fn word(via: Via) -> &'static str {
    match via {
        Via::Auto => "auto",
        Via::Batch => "batch",
        Via::Direct => "direct",
    }
}

impl Batch<'_> {
    /// Which way it goes. What is with a provider already is collected there, whatever else holds now.
    async fn way(&self) -> Result<Via, Failure> {
        let tools = self.host.tools().len();
        let begun = self.ticket.with_provider().next().is_some();
        match self.began.via.as_str() {
            "direct" => Ok(Via::Direct),
            "batch" if tools > 0 && !begun => Err(Failure::usage(format!(
                "a batch of the provider is one turn each without tools, and the policy offers {}",
                style::count(tools, "tool")
            ))
            .help("say --no-tools, or --via direct for runs that use them")),
            "batch" => Ok(Via::Batch),
            _ if begun => Ok(Via::Batch),
            _ if tools > 0 => Ok(Via::Direct),
            _ => {
                let models = self.providers().await?;
                let certain = |model: &Arc<dyn ModelProvider>| {
                    model.batches().is_some_and(|batches| batches.certain())
                };
                Ok(if models.values().all(certain) {
                    Via::Batch
                } else {
                    Via::Direct
                })
            }
        }
    }

    /// The model of each task, by its name.
    fn specs(&self) -> impl Iterator<Item = &str> {
        let own = self.tasks.iter().filter_map(|task| task.model.as_deref());
        own.chain([self.began.model.as_str()])
    }

    async fn providers(&self) -> Result<BTreeMap<String, Arc<dyn ModelProvider>>, Failure> {
        let mut providers = BTreeMap::new();
        for spec in self.specs() {
            if !providers.contains_key(spec) {
                providers.insert(spec.to_owned(), self.models.provider(spec).await?);
            }
        }
        Ok(providers)
    }

    async fn courier(&self) -> Result<Courier, Failure> {
        let layers = &self.in_force.layers;
        Ok(Courier {
            models: self.providers().await?,
            model: self.began.model.clone(),
            max_tokens: self.turns.max_output(),
            system: self.began.system.clone(),
            options: self.turns.options().clone(),
            budget: budgets::of_run(layers, &self.arguments.budget)?,
            shared: budgets::shared(layers, &self.arguments.budget, self.dirs),
            catalog: Catalog::embedded(),
            today: Some(budgets::day(budgets::unix_ms())),
            timer: Arc::new(RealTimer),
            cancel: self.cancel.clone(),
        })
    }

    async fn through_the_provider(&mut self) -> Result<CourierEnd, Failure> {
        let courier = self.courier().await?;
        let tell = |sent| tell(&sent);
        let delivered = courier.deliver(
            &self.place.file,
            &mut self.ticket,
            &self.tasks,
            &mut self.results,
            &tell,
        );
        delivered.await.map_err(|error| failed(&error))
    }

    async fn give_up(&self) -> Outcome {
        let courier = self.courier().await?;
        let count = courier
            .give_up(&self.ticket)
            .await
            .map_err(|it| failed(&it))?;
        let data = json!({ "batch_id": self.place.id, "given_up": count });
        output::answer(data, |_| {
            let hint = self.place.hint();
            format!(
                "{} given up; what was answered before: {hint}",
                style::count(count, "part")
            )
        });
        Ok(exit::OK)
    }

    /// Tells how it ended.
    fn finish(self, ended: Result<CourierEnd, Failure>) -> Outcome {
        let (answered, without) = self.results.count();
        let open = self
            .tasks
            .iter()
            .filter(|task| self.results.done(&task.id).is_none())
            .count();
        let data = json!({
            "batch_id": self.place.id,
            "answered": answered,
            "without_answer": without,
            "open": open,
            "out": self.ticket.out.display().to_string(),
        });
        let hint = self.place.hint();
        let told = |failure: Failure, data: Value| {
            Failure {
                help: Some(
                    failure
                        .help
                        .clone()
                        .map_or_else(|| hint.clone(), |help| format!("{help}; {hint}")),
                ),
                ..failure
            }
            .data(data)
        };
        match ended {
            Err(failure) => Err(told(failure, data)),
            Ok(CourierEnd::Stopped) => {
                let failure = Failure::new(ErrorKind::Cancelled, "the batch was interrupted");
                Err(told(failure, data))
            }
            Ok(CourierEnd::Done) => {
                let out = self.ticket.out.display();
                let line = format!("{answered} answered, {without} without an answer: {out}");
                if without == 0 {
                    output::answer(data, |_| line);
                    return Ok(exit::OK);
                }
                let failure = Failure::check(ErrorKind::Unavailable, line);
                Err(failure.help(format!("{hint} --retry-failed")).data(data))
            }
        }
    }
}

fn tell(sent: &Sent) {
    let line = match sent {
        Sent::Taken(id) => format!("with the provider as {id}"),
        Sent::Found(id) => format!("found with the provider as {id}"),
        Sent::Strange(why) => format!("a result that belongs to no task: {why}"),
        Sent::Progress(progress) => {
            let counts = progress.counts;
            format!(
                "{} of {} have a result",
                counts.all().saturating_sub(counts.processing),
                counts.all()
            )
        }
    };
    output::note(paint(style::DIM, style::one_line(&line, 300)));
}

/// Why a batch cannot go on, and what to do about it.
fn failed(error: &BatchError) -> Failure {
    match error {
        BatchError::Model(error) => Failure::new(error.code(), error.to_string()),
        BatchError::Budget(exceeded) => {
            Failure::new(ErrorKind::BudgetExceeded, exceeded.to_string())
                .help("`toolcell budget show` says what is left")
        }
        BatchError::Ledger(error) => budgets::failed(error),
        BatchError::Config(message) => Failure::usage(message),
        BatchError::Unsure(_) => Failure::new(ErrorKind::Unavailable, error.to_string())
            .help("nothing is sent twice: it is looked for when the batch goes on"),
        BatchError::Busy { .. } => Failure::new(ErrorKind::Busy, error.to_string()),
        BatchError::Io { path, source } => Failure::io("use", path, source),
        error => Failure::usage(error.to_string()),
    }
}

/// A path in a command that is shown for copying.
fn program() -> String {
    env::program()
}

/// A path that no longer depends on the working directory.
fn absolute(path: &Path) -> Result<std::path::PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::io("use", path, &error))
}
