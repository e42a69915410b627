//! `toolcell run TASK`.

mod waiting;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};
use toolcell::{Answers, CallId, ErrorKind, Sink};
use toolcell_agent::{
    Agent, AgentBuilder, AgentError, RunContext, RunOutcome, RunReport, TranscriptError,
    budget::{BudgetKind, Period},
    cache::Counts,
};

use super::cache;
use crate::{
    app::Outcome,
    args::RunArgs,
    budgets, caches,
    context::{self, Told},
    dirs::{self, Dirs},
    env, exit,
    failure::{Failure, without_number},
    files, hosts, interrupt,
    models::{Models, catalog},
    output, policies,
    style::{self, paint},
    telemetry,
    timeline::{Show, Timeline},
    turns::Turns,
};

/// The longest task or system prompt that is read, in bytes.
const MAX_TASK_BYTES: u64 = 1 << 20;

/// Where a run is written down.
pub(crate) struct Place {
    pub(crate) id: String,
    pub(crate) transcript: PathBuf,
    /// Whether it lies where `--resume` looks by itself.
    usual: bool,
}

impl Place {
    /// A new run in the state directory.
    pub(crate) fn fresh(dirs: &Dirs) -> Result<Self, Failure> {
        let id = fresh_id();
        dirs::create_private(&dirs.runs())?;
        let transcript = dirs.runs().join(format!("{id}.jsonl"));
        Ok(Self {
            id,
            transcript,
            usual: true,
        })
    }
}

/// Eight of the random digits tell the runs of one user apart, and a file that is there is never overwritten.
fn fresh_id() -> String {
    format!(
        "r{:.8}",
        CallId::random().as_str().trim_start_matches("call_")
    )
}

pub(crate) async fn run(arguments: RunArgs) -> Outcome {
    if arguments.events {
        output::stream_events();
    }
    waiting::check(&arguments)?;
    let dirs = Dirs::find()?;
    let mut in_force = policies::load(&arguments.policy, &dirs)?;
    let told = Told::prepare(&arguments.context, &mut in_force.layers)?;
    telemetry::start(&arguments.telemetry, &in_force, &dirs).await?;
    let settings = in_force.layers.model();
    let cache = caches::for_run(&in_force, &dirs, arguments.cache.cache.as_deref()).await?;
    let models = Models::new(&in_force.layers, &dirs)
        .caching(cache.clone())
        .careful(&arguments.care)?;
    let spec = models.chosen(arguments.model.as_deref());
    let model = models.open(spec).await?;
    let turns = Turns::new(&arguments.turns, &settings)?;
    let task = arguments.task.as_deref().map(task_text).transpose()?;
    let place = place(&arguments, &dirs)?;
    let answers = waiting::answers(&arguments, &place)?;
    super::runs::tidy(&dirs, &in_force);
    let host =
        hosts::open_for_run(&in_force, &dirs, arguments.workers, arguments.approval.park).await?;
    hosts::note_if_empty(&host);
    if let Some(cache) = &cache {
        cache.search(&host.on_the_way_to(Sink::Cache), host.likely_secrets());
    }
    let told = told.granted_by(&host);
    let watched = host.on_the_way_to(Sink::Telemetry);
    let mut builder = AgentBuilder::new(Arc::new(host), model)
        .budget(budgets::of_run(&in_force.layers, &arguments.budget)?)
        .metrics(telemetry::metrics())
        .catalog(catalog(&arguments.catalog, &settings)?)
        .today(budgets::day(budgets::unix_ms()));
    if let Some(shared) = budgets::shared(&in_force.layers, &arguments.budget, &dirs) {
        builder = builder.shared_budgets(shared);
    }
    builder = turns.of(builder);
    let system = arguments.system.as_deref().map(text_or_file).transpose()?;
    builder = told.of(builder, system, task.is_some())?;
    if telemetry::content() {
        builder = builder.content(watched);
    }
    if let Some(name) = &arguments.budget.agent {
        builder = builder.name(name);
    }
    let agent = builder.build().map_err(failed)?;
    let show = match (arguments.events, output::json()) {
        (true, _) => Show::Events,
        (false, true) => Show::Silent,
        (false, false) => Show::Human,
    };
    let timeline = Timeline::new(show);
    announce(&place, &in_force.audit, show);
    let began = work(&agent, task.as_deref(), &place, &timeline, answers).await;
    timeline.close();
    let counted = caches::counted(cache.as_deref()).await;
    let asked = Asked {
        arguments: &arguments,
        spec,
        turns: &turns,
        cache: counted.as_ref(),
    };
    finish(&asked, &place, &in_force.audit, &timeline, began)
}

/// Runs the agent, new or resumed.
async fn work(
    agent: &Agent,
    task: Option<&str>,
    place: &Place,
    timeline: &Timeline,
    answers: Answers,
) -> Result<RunReport, Failure> {
    let context = RunContext {
        events: Some(timeline.sink()),
        cancel: interrupt::token(),
        answers,
        transcript: task.is_some().then(|| place.transcript.clone()),
        ..RunContext::default()
    };
    match task {
        Some(task) => agent.run(task, &context).await,
        None => agent.resume(&place.transcript, &context).await,
    }
    .map_err(failed)
}

pub(crate) fn announce(place: &Place, audit: &Path, show: Show) {
    let (transcript, audit) = (place.transcript.display(), audit.display());
    match show {
        Show::Events => output::value(json!({
            "type": "session",
            "run_id": place.id,
            "transcript": transcript.to_string(),
            "audit": audit.to_string(),
        })),
        Show::Human => output::note(paint(style::DIM, format_args!("run {}", place.id))),
        Show::Story | Show::Silent => {}
    }
}

/// What was asked for.
struct Asked<'a> {
    arguments: &'a RunArgs,
    spec: &'a str,
    turns: &'a Turns,
    /// What the cache of answers was good for, where there is one.
    cache: Option<&'a Counts>,
}

/// Tells how it ended.
fn finish(
    asked: &Asked<'_>,
    place: &Place,
    audit: &Path,
    timeline: &Timeline,
    ended: Result<RunReport, Failure>,
) -> Outcome {
    let Asked {
        arguments,
        spec,
        cache,
        ..
    } = asked;
    let resume = || resume_hint(arguments, spec, place);
    let report = ended.map_err(|failure| Failure {
        help: failure.help.or_else(resume),
        ..failure
    })?;
    let mut data = json!({
        "run_id": place.id,
        "report": report,
        "left": timeline.left(),
        "calls": timeline.called().iter().map(|called| called.to_json()).collect::<Vec<_>>(),
        "transcript": place.transcript.display().to_string(),
        "audit": audit.display().to_string(),
        "cache": cache,
    });
    // Where nothing came about, the error alone says everything.
    let failed = matches!(report.outcome, RunOutcome::Failed { .. });
    let anything = !failed || report.spent.turns > 0;
    if anything && !output::json() && !arguments.events {
        summary(&report, place, audit, timeline, *cache);
    }
    if report.outcome == RunOutcome::Finished {
        match asked.turns.structured(&report.text) {
            Ok(Some(value)) => put(&mut data, "structured", value),
            Ok(None) => {}
            Err(failure) => return Err(failure.data(data)),
        }
    }
    match (report.outcome.code(), arguments.events) {
        (None, true) => Ok(exit::OK),
        (None, false) => {
            output::answer(data, |_| String::new());
            Ok(exit::OK)
        }
        // The last event has told it already.
        (Some(kind), true) => Ok(waiting::failure(&report.outcome, None)
            .map_or_else(|| exit::status(kind), |failure| failure.status())),
        (Some(kind), false) => {
            if let Some(failure) = waiting::failure(&report.outcome, resume().as_deref()) {
                return Err(failure.data(data));
            }
            let resume = resume().map(|resume| first_check(kind, spec, resume));
            Err(outcome_failure(kind, &report.outcome, resume).data(data))
        }
    }
}

fn put(data: &mut Value, key: &str, value: Value) {
    if let Some(fields) = data.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

/// What to look at before a model of the network is asked again.
fn first_check(kind: ErrorKind, spec: &str, resume: String) -> String {
    let (key, url) = match spec.split_once(':') {
        Some(("anthropic", _)) => (env::ANTHROPIC_API_KEY, env::ANTHROPIC_BASE_URL),
        Some(("openai", _)) => (env::OPENAI_API_KEY, env::OPENAI_BASE_URL),
        _ => return resume,
    };
    let check = match kind {
        ErrorKind::AuthRequired => format!("check {key}"),
        ErrorKind::InvalidInput => format!("check the name of the model and {url}"),
        ErrorKind::Unavailable => format!("check the network and {url}"),
        _ => return resume,
    };
    format!("{check}; {resume}")
}

fn outcome_failure(kind: ErrorKind, outcome: &RunOutcome, resume: Option<String>) -> Failure {
    let (message, help) = match outcome {
        RunOutcome::Failed { message, .. } => (without_number(message), resume),
        RunOutcome::Cancelled => ("the run was interrupted".to_owned(), resume),
        RunOutcome::BudgetExceeded(exceeded) => {
            let budget = exceeded.budget;
            let higher = match &exceeded.scope {
                None => resume.map(|resume| format!("{resume} --max-{budget} …")),
                Some(scope) => Some(format!(
                    "raise {budget} of [budget.{}], or wait for the next {}",
                    scope.kind.name(),
                    exceeded.per.map_or("period", Period::name)
                )),
            };
            (outcome.to_string(), higher)
        }
        other => (other.to_string(), None),
    };
    let failure = Failure::new(kind, message);
    Failure { help, ..failure }
}

fn summary(
    report: &RunReport,
    place: &Place,
    audit: &Path,
    timeline: &Timeline,
    cache: Option<&Counts>,
) {
    let spent = &report.spent;
    let calls = timeline.called();
    let refused = calls
        .iter()
        .filter(|called| !called.denials.is_empty())
        .count();
    let mut facts = vec![
        style::count(spent.turns as usize, "turn"),
        style::count(calls.len(), "tool call"),
    ];
    if refused > 0 {
        facts.push(format!("{refused} of them met a refusal"));
    }
    if spent.total_tokens() > 0 {
        facts.push(format!("{} tokens", spent.total_tokens()));
    }
    facts.extend(context::summary(&report.context, spent));
    if let Some(cost) = spent.cost_micro_usd.filter(|cost| *cost > 0) {
        facts.push(BudgetKind::Cost.show(cost));
    }
    if let Some(counts) = cache.filter(|it| it.hits > 0 || it.shared > 0) {
        let turns =
            usize::try_from(counts.hits.saturating_add(counts.shared)).unwrap_or(usize::MAX);
        let saved = cache::saved(counts);
        facts.push(format!(
            "{} from the cache, which saved {saved}",
            style::count(turns, "turn")
        ));
    }
    facts.push(style::duration(spent.time_ms.saturating_mul(1000)));
    let ended = match report.outcome.code() {
        None => "finished",
        Some(_) => "ended",
    };
    let mut lines = vec![
        format!("{ended}: {}", facts.join(", ")),
        format!("transcript: {}", place.transcript.display()),
        format!("audit log:  {}", audit.display()),
    ];
    lines.extend(timeline.left().iter().filter_map(budgets::left));
    for line in lines {
        output::note(paint(style::DIM, line));
    }
}

/// The command that goes on with the run.
fn resume_hint(arguments: &RunArgs, spec: &str, place: &Place) -> Option<String> {
    if !place.transcript.exists() {
        return None;
    }
    let file = |path: &Path| quoted(&path.display().to_string());
    let program = env::program();
    let mut command = format!("go on with it: {program} run --resume {}", place.id);
    command.push_str(&format!(" --model {}", quoted(spec)));
    if let Some(policy) = &arguments.policy.policy {
        command.push_str(&format!(" --policy {}", file(policy)));
    }
    if let Some(catalog) = &arguments.catalog.catalog {
        command.push_str(&format!(" --catalog {}", file(catalog)));
    }
    if let Some(agent) = &arguments.budget.agent {
        command.push_str(&format!(" --agent {agent}"));
    }
    if let Some(system) = &arguments.system {
        command.push_str(&format!(" --system {}", quoted(system)));
    }
    for word in arguments.turns.words() {
        command.push_str(&format!(" {}", quoted(&word)));
    }
    if let Some(memory) = &arguments.context.memory {
        command.push_str(&format!(" --memory {}", file(memory)));
    }
    if arguments.approval.park {
        command.push_str(" --park");
    }
    if !place.usual {
        command.push_str(&format!(" --transcript {}", file(&place.transcript)));
    }
    Some(command)
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn place(arguments: &RunArgs, dirs: &Dirs) -> Result<Place, Failure> {
    let Some(id) = &arguments.resume else {
        return match &arguments.transcript {
            Some(file) => Ok(Place {
                id: fresh_id(),
                transcript: file.clone(),
                usual: false,
            }),
            None => Place::fresh(dirs),
        };
    };
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(Failure::usage(format!("`{id}` is no id of a run"))
            .help("an id looks like `r1a2b3c4d`; name a file with --transcript"));
    }
    if let Some(file) = &arguments.transcript {
        return Ok(Place {
            id: id.clone(),
            transcript: file.clone(),
            usual: false,
        });
    }
    let transcript = dirs.runs().join(format!("{id}.jsonl"));
    if !transcript.exists() {
        return Err(Failure::usage(format!("there is no run {id}")).help(recent(dirs)));
    }
    Ok(Place {
        id: id.clone(),
        transcript,
        usual: true,
    })
}

/// The newest runs, for whoever mistyped an id.
fn recent(dirs: &Dirs) -> String {
    let mut runs: Vec<_> = fs::read_dir(dirs.runs())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    runs.sort();
    let names: Vec<String> = runs
        .iter()
        .rev()
        .take(5)
        .filter_map(|(_, path)| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    match names.as_slice() {
        [] => "no run was kept yet".to_owned(),
        names => format!("the newest are {}", names.join(", ")),
    }
}

/// The task itself, or standard input for `-`.
fn task_text(task: &str) -> Result<String, Failure> {
    if task != "-" {
        return Ok(task.to_owned());
    }
    let text = files::read_text_from(io::stdin().lock(), MAX_TASK_BYTES)
        .map_err(|error| Failure::io("read", Path::new("standard input"), &error))?;
    if text.trim().is_empty() {
        return Err(Failure::usage("standard input holds no task"));
    }
    Ok(text)
}

fn text_or_file(text: &str) -> Result<String, Failure> {
    match text.strip_prefix('@') {
        Some(file) => {
            let path = Path::new(file);
            files::read_text(path, MAX_TASK_BYTES)
                .map_err(|error| Failure::io("read", path, &error))
        }
        None => Ok(text.to_owned()),
    }
}

pub(crate) fn failed(error: AgentError) -> Failure {
    match error {
        AgentError::Config(message) => Failure::usage(message),
        AgentError::Host(error) => error.into(),
        AgentError::Transcript(TranscriptError::Io { path, source }) => {
            Failure::io("use the transcript", &path, &source)
        }
        AgentError::Transcript(error @ TranscriptError::Locked { .. }) => {
            Failure::new(ErrorKind::Busy, error.to_string())
        }
        AgentError::Ledger(error) => budgets::failed(&error),
        error @ AgentError::Transcript(_) => Failure::usage(without_number(&error.to_string()))
            .help("nothing can go on from this transcript; begin a new run"),
        error => Failure::usage(error.to_string()),
    }
}
