//! `toolcell runs list|show|archive|prune`.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use toolcell::{ErrorKind, Redaction, Sink, text::escape_control};
use toolcell_agent::{
    budget::BudgetKind,
    transcript::{Summary, Told, story, story_of, summary},
};
use toolcell_policy::{Scrub, parse_age, parse_size};

use crate::{
    app::Outcome,
    archive::{self, Archive},
    args::{ArchiveArgs, PruneArgs, RunsVerb, WorkerOptions},
    budgets,
    dirs::Dirs,
    exit,
    failure::{Failure, without_number},
    hosts, net, output,
    policies::{self, InForce},
    retention::{self, Kept, Pruned, Reach},
    style::{self, paint},
};

/// How many runs are looked at where a run itself tidies up before it begins.
const MOST_AT_START: usize = 100;

pub(crate) fn runs(verb: RunsVerb) -> Outcome {
    let dirs = Dirs::find()?;
    match verb {
        RunsVerb::List {
            last,
            archived,
            policy,
        } => {
            let in_force = policies::load(&policy, &dirs)?;
            list(&dirs, &in_force, last, archived)
        }
        RunsVerb::Show { id, policy } => show(&dirs, &policies::load(&policy, &dirs)?, &id),
        RunsVerb::Archive(arguments) => archive(&dirs, &arguments),
        RunsVerb::Prune(arguments) => prune(&dirs, &arguments),
    }
}

/// Where the policy wants runs to be archived.
fn archive_dir(in_force: &InForce) -> Option<PathBuf> {
    let settings = in_force.layers.retention();
    let path = settings.archive_path?;
    Some(Path::new(settings.base.as_deref().unwrap_or(".")).join(path))
}

/// What everything passes on its way into the archive. A host knows what the policy says about personal data; it is only
/// made where the policy says something.
fn on_the_way(in_force: &InForce, dirs: &Dirs) -> Result<Redaction, Failure> {
    match in_force.layers.privacy(Sink::Archive).0 {
        Scrub::Off => Ok(net::redaction().clone()),
        _ => {
            let host = hosts::start(in_force, dirs, WorkerOptions::default(), None)?;
            Ok(host.on_the_way_to(Sink::Archive))
        }
    }
}

fn list(dirs: &Dirs, in_force: &InForce, last: usize, archived: bool) -> Outcome {
    let mut kept = match (archived, archive_dir(in_force)) {
        (false, _) => retention::runs(dirs)?,
        (true, Some(dir)) => archive::list(&dir)?,
        (true, None) => return Err(no_archive()),
    };
    let all = kept.len();
    if last > 0 {
        kept.truncate(last);
    }
    let rows: Vec<(Kept, Result<Value, String>)> = kept
        .into_iter()
        .map(|run| {
            let short = match archived {
                true => archive::manifest(&run)
                    .map(|it| it.summary)
                    .map_err(|it| it.message),
                false => summary(&run.path)
                    .map(|short| serde_json::to_value(short).unwrap_or_default())
                    .map_err(|error| without_number(&error.to_string())),
            };
            (run, short)
        })
        .collect();
    let to_json = |(run, short): &(Kept, Result<Value, String>)| {
        json!({
            "id": run.id,
            "path": run.path.display().to_string(),
            "bytes": run.bytes,
            "changed": moment(run.changed),
            "run": short.as_ref().ok(),
            "unreadable": short.as_ref().err(),
        })
    };
    let value = json!({ "total": all, "runs": rows.iter().map(to_json).collect::<Vec<_>>() });
    output::answer(value, |_| {
        let mut text: String = rows.iter().map(|(run, short)| row(run, short)).collect();
        if rows.is_empty() {
            text.push_str("no run was kept yet\n");
        } else if rows.len() < all {
            text.push_str(&format!("{} of {all}; `--last 0` lists all\n", rows.len()));
        }
        text
    });
    Ok(exit::OK)
}

fn row(run: &Kept, short: &Result<Value, String>) -> String {
    let changed = moment(run.changed);
    let when = changed.get(..16).unwrap_or(&changed).replace('T', " ");
    let head = format!("{}  {}", run.id, paint(style::DIM, when));
    let Ok(short) = short else {
        let why = short.as_ref().err().map(String::as_str).unwrap_or_default();
        return format!("{head}  {}\n", paint(style::BAD, escape_control(why)));
    };
    let text = |name: &str| {
        short
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let number = |name: &str| short.get(name).and_then(Value::as_u64).unwrap_or(0);
    let going = short.get("going").and_then(Value::as_bool) == Some(true);
    let ended = match (going, text("outcome")) {
        (true, _) => "going".to_owned(),
        (false, outcome) if outcome.is_empty() => "interrupted".to_owned(),
        (false, outcome) => outcome,
    };
    let style = match ended.as_str() {
        "finished" => style::GOOD,
        "going" | "waiting" | "interrupted" => style::NOTE,
        _ => style::BAD,
    };
    let cost = match short.get("cost_micro_usd").and_then(Value::as_u64) {
        Some(cost) => BudgetKind::Cost.show(cost),
        None => "unknown cost".to_owned(),
    };
    let facts = [
        escape_control(&text("model")).into_owned(),
        style::count(
            usize::try_from(number("turns")).unwrap_or(usize::MAX),
            "turn",
        ),
        cost,
    ];
    format!(
        "{head}  {}  {}\n          {}\n",
        paint(style, format_args!("{:<12}", escape_control(&ended))),
        paint(style::DIM, facts.join(", ")),
        style::one_line(&text("task"), 90)
    )
}

/// A moment in UTC: `2026-11-21T10:03:00Z`.
fn moment(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let second = since.as_secs() % 86_400;
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{}T{hour:02}:{minute:02}:{:02}Z",
        budgets::day(millis),
        second % 60
    )
}

/// The run of an id, in the state directory or else in the archive; whether it is archived.
fn find(dirs: &Dirs, in_force: &InForce, id: &str) -> Result<(Kept, bool), Failure> {
    let named = |kept: Vec<Kept>| kept.into_iter().find(|run| run.id == id);
    if let Some(run) = named(retention::runs(dirs)?) {
        return Ok((run, false));
    }
    if let Some(dir) = archive_dir(in_force)
        && let Some(run) = named(archive::list(&dir)?)
    {
        return Ok((run, true));
    }
    let message = format!("there is no run {}", escape_control(id));
    Err(Failure::usage(message).help("`toolcell runs list` names them"))
}

fn show(dirs: &Dirs, in_force: &InForce, id: &str) -> Outcome {
    let (run, archived) = find(dirs, in_force, id)?;
    let mut steps = Vec::new();
    let told = match archived {
        true => story_of(&run.path, archive::transcript(&run)?, |step| {
            steps.push(step)
        }),
        false => story(&run.path, |step| steps.push(step)),
    };
    told.map_err(|error| Failure::usage(without_number(&error.to_string())))?;
    let value = json!({
        "id": run.id,
        "archived": archived,
        "path": run.path.display().to_string(),
        "steps": steps.iter().map(step_json).collect::<Vec<_>>(),
    });
    output::answer(value, |_| steps.iter().map(step_text).collect());
    Ok(exit::OK)
}

fn step_json(step: &Told) -> Value {
    match step {
        Told::Task(text) => json!({ "step": "task", "text": text }),
        Told::Thinking(text) => json!({ "step": "thinking", "text": text }),
        Told::Text(text) => json!({ "step": "text", "text": text }),
        Told::Call { tool, input } => json!({ "step": "call", "tool": tool, "input": input }),
        Told::Answer {
            text,
            code,
            denials,
        } => json!({ "step": "answer", "text": text, "code": code, "denials": denials }),
        Told::Cached => json!({ "step": "cached" }),
        Told::Resumed => json!({ "step": "resumed" }),
        Told::Ended { outcome, message } => {
            json!({ "step": "ended", "outcome": outcome, "message": message })
        }
        Told::Other(kind) => json!({ "step": "other", "kind": kind }),
        _ => Value::Null,
    }
}

fn step_text(step: &Told) -> String {
    /// The longest answer of a tool that is shown, in characters; `--json` has all of it.
    const MOST: usize = 2000;
    let lines = |text: &str| output::safe_lines(text.trim_end());
    let dim = |text: String| paint(style::DIM, text);
    match step {
        Told::Task(text) => format!("{}\n{}\n\n", paint(style::BOLD, "task"), lines(text)),
        Told::Thinking(text) => format!("{}\n\n", dim(lines(text))),
        Told::Text(text) => format!("{}\n\n", lines(text)),
        Told::Call { tool, input } => format!(
            "{} {} {}\n",
            paint(style::BOLD, "→"),
            escape_control(tool),
            style::one_line(&input.to_string(), 160)
        ),
        Told::Answer {
            text,
            code,
            denials,
        } => {
            let mut shown: String = text.chars().take(MOST).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            let mut all = format!("{}\n", dim(lines(&shown)));
            if let Some(code) = code {
                all = format!("{} {all}", paint(style::BAD, escape_control(code)));
            }
            for denial in denials {
                all.push_str(&format!(
                    "  {} {}\n",
                    paint(style::BAD, "denied"),
                    escape_control(denial)
                ));
            }
            all.push('\n');
            all
        }
        Told::Cached => format!("{}\n", dim("(from the cache)".to_owned())),
        Told::Resumed => format!("{}\n\n", dim("— it goes on —".to_owned())),
        Told::Ended { outcome, message } => {
            let message = message
                .as_ref()
                .map(|text| format!(": {}", escape_control(text)));
            let ended = escape_control(outcome).replace('_', " ");
            dim(format!("— {ended}{} —\n\n", message.unwrap_or_default()))
        }
        Told::Other(kind) => format!("{}\n", dim(format!("({})", escape_control(kind)))),
        _ => String::new(),
    }
}

fn no_archive() -> Failure {
    Failure::new(
        ErrorKind::InvalidPolicy,
        "the policy names no place for archived runs",
    )
    .help("add archive = { path = \"./archive\" } to [retention], or name one with --to DIR")
}

fn archive(dirs: &Dirs, arguments: &ArchiveArgs) -> Outcome {
    let in_force = policies::load(&arguments.policy, dirs)?;
    let dir = arguments
        .to
        .clone()
        .or_else(|| archive_dir(&in_force))
        .ok_or_else(no_archive)?;
    let archive = Archive {
        dir,
        audit: &in_force.audit,
        redaction: on_the_way(&in_force, dirs)?,
    };
    let mut runs = retention::runs(dirs)?;
    if !arguments.all {
        for id in &arguments.ids {
            if !runs.iter().any(|run| run.id == *id) {
                let message = format!("there is no run {}", escape_control(id));
                return Err(Failure::usage(message).help("`toolcell runs list` names them"));
            }
        }
        runs.retain(|run| arguments.ids.contains(&run.id));
    }
    let mut packed = Vec::new();
    for run in runs {
        // Nobody can go on with it meanwhile.
        let held = retention::hold(&run.path)?;
        let over = held.and_then(|(file, short)| Some((file, short.filter(Summary::is_over)?)));
        let Some((_held, short)) = over else {
            if arguments.all {
                continue;
            }
            let message = format!("the run {} is not over, or is no run", run.id);
            return Err(Failure::new(ErrorKind::Busy, message));
        };
        let manifest = archive.pack(&run, &short)?;
        if arguments.remove {
            std::fs::remove_file(&run.path)
                .map_err(|error| Failure::io("remove", &run.path, &error))?;
        }
        packed.push((run, manifest));
    }
    let value: Vec<Value> = packed
        .iter()
        .map(|(run, manifest)| json!({ "id": run.id, "files": manifest.files, "removed": arguments.remove }))
        .collect();
    let place = archive.dir.display().to_string();
    output::answer(json!({ "archive": place, "runs": value }), |_| {
        let line = |(run, manifest): &(Kept, archive::Manifest)| {
            let bytes = manifest
                .files
                .iter()
                .fold(0_u64, |sum, it| sum.saturating_add(it.bytes));
            let records = manifest
                .files
                .iter()
                .filter(|it| it.name.starts_with("audit"))
                .map(|it| it.lines)
                .sum::<u64>();
            let records = style::count(
                usize::try_from(records).unwrap_or(usize::MAX),
                "audit record",
            );
            format!("{}  {}, {records}\n", run.id, style::size(bytes))
        };
        let mut text: String = packed.iter().map(line).collect();
        text.push_str(&format!(
            "{} archived in {place}\n",
            style::count(packed.len(), "run")
        ));
        text
    });
    Ok(exit::OK)
}

fn prune(dirs: &Dirs, arguments: &PruneArgs) -> Outcome {
    let in_force = policies::load(&arguments.policy, dirs)?;
    let mut settings = in_force.layers.retention();
    if let Some(age) = &arguments.age {
        let age = parse_age(age).ok_or_else(|| {
            Failure::usage("--age is no time").help("write for example `30d` or `12h`")
        })?;
        settings.runs.age = Some(age);
    }
    if let Some(size) = &arguments.size {
        let size = parse_size(size)
            .ok_or_else(|| Failure::usage("--size is no size").help("write for example `1GiB`"))?;
        settings.runs.size = Some(size);
    }
    if settings.runs.is_unbounded() && settings.archive.is_unbounded() {
        return Err(Failure::usage("nothing says what is to go")
            .help("add runs = { age = \"30d\" } to [retention], or give --age or --size"));
    }
    let reach = Reach {
        dry_run: arguments.dry_run,
        most: usize::MAX,
    };
    let archive = archive_of(&in_force, dirs)?;
    let pruned = retention::prune(dirs, &settings, archive.as_ref(), reach, SystemTime::now())?;
    let ids = |kept: &[Kept]| kept.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
    let value = json!({
        "dry_run": arguments.dry_run,
        "runs": ids(&pruned.runs),
        "bytes": bytes(&pruned.runs),
        "packed": pruned.packed,
        "archived": ids(&pruned.archived),
        "held": ids(&pruned.held),
        "failed": pruned.failed.iter().map(|(it, why)| json!({ "id": it.id, "why": why })).collect::<Vec<_>>(),
    });
    output::answer(value, |_| {
        let line =
            told(&pruned, arguments.dry_run).unwrap_or_else(|| "nothing is to go".to_owned());
        let mut text: String = pruned
            .runs
            .iter()
            .map(|run| format!("{}\n", run.id))
            .collect();
        text.push_str(&format!("{line}\n"));
        text
    });
    match pruned.failed.first() {
        None => Ok(exit::OK),
        Some((run, why)) => {
            let message = format!(
                "{} cannot be removed: {}",
                run.path.display(),
                without_number(why)
            );
            Err(Failure::new(ErrorKind::Unavailable, message))
        }
    }
}

fn archive_of<'a>(in_force: &'a InForce, dirs: &Dirs) -> Result<Option<Archive<'a>>, Failure> {
    let Some(dir) = archive_dir(in_force) else {
        return Ok(None);
    };
    Ok(Some(Archive {
        dir,
        audit: &in_force.audit,
        redaction: on_the_way(in_force, dirs)?,
    }))
}

fn bytes(kept: &[Kept]) -> u64 {
    kept.iter().fold(0, |sum, it| sum.saturating_add(it.bytes))
}

/// What came of pruning, in one line; nothing where nothing came of it.
fn told(pruned: &Pruned, dry_run: bool) -> Option<String> {
    let mut parts = Vec::new();
    if !pruned.runs.is_empty() {
        let mut part = format!(
            "{} ({}) {}",
            style::count(pruned.runs.len(), "run"),
            style::size(bytes(&pruned.runs)),
            if dry_run {
                "would be removed"
            } else {
                "removed"
            }
        );
        if pruned.packed > 0 {
            part.push_str(&format!(", {} of them archived first", pruned.packed));
        }
        parts.push(part);
    }
    if !pruned.archived.is_empty() {
        let count = style::count(pruned.archived.len(), "archived run");
        parts.push(format!(
            "{count} {}",
            if dry_run {
                "would be removed"
            } else {
                "removed"
            }
        ));
    }
    if !pruned.held.is_empty() {
        let count = style::count(pruned.held.len(), "run");
        parts.push(format!("{count} kept, going on or waiting for a person"));
    }
    if !pruned.failed.is_empty() {
        parts.push(format!("{} could not be removed", pruned.failed.len()));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Tidies up before a run begins, where the policy says what is kept. It never keeps the run from beginning.
pub(crate) fn tidy(dirs: &Dirs, in_force: &InForce) {
    let settings = in_force.layers.retention();
    if settings.runs.is_unbounded() && settings.archive.is_unbounded() {
        return;
    }
    let reach = Reach {
        dry_run: false,
        most: MOST_AT_START,
    };
    let pruned = archive_of(in_force, dirs).and_then(|archive| {
        retention::prune(dirs, &settings, archive.as_ref(), reach, SystemTime::now())
    });
    let line = match pruned {
        Ok(pruned)
            if pruned.runs.is_empty() && pruned.archived.is_empty() && pruned.failed.is_empty() =>
        {
            None
        }
        Ok(pruned) => told(&pruned, false),
        Err(failure) => Some(failure.message),
    };
    if let Some(line) = line {
        output::note(paint(style::DIM, format_args!("retention: {line}")));
    }
}
