//! `toolcell demo`: an agent works on a small project with real tools, and is refused what it was not granted. The demo
//! checks its own effect and fails loudly when something is not as it says.

mod check;
mod project;

use std::sync::Arc;

use serde_json::json;
use toolcell::ErrorKind;
use toolcell_agent::{AgentBuilder, ModelProvider, RunContext, RunOutcome, RunReport};
use toolcell_policy::{Layer, Policy};

use crate::{
    app::Outcome,
    args::{DemoArgs, WorkerOptions},
    describe,
    dirs::Dirs,
    env, exit,
    failure::{Failure, without_number},
    hosts, interrupt,
    models::{self, Models},
    output,
    policies::{self, InForce},
    style::{self, paint},
    timeline::{Show, Timeline},
    verbs::run,
};
use check::Check;
use project::Scratch;

const POLICY: &str = include_str!("../../demo/toolcell.toml");
const TASK: &str = include_str!("../../demo/task.md");
const TURNS: &str = include_str!("../../demo/turns.jsonl");

pub(crate) async fn demo(arguments: DemoArgs) -> Outcome {
    if arguments.events {
        output::stream_events();
    }
    let dirs = Dirs::find()?;
    let model = model(&arguments, &dirs).await?;
    // From here on an interrupt ends cleanly, so the scratch copy goes away with it.
    let cancel = interrupt::token();
    let scratch = Scratch::new(arguments.keep)?;
    let in_force = policy(&dirs, &scratch)?;
    let host = hosts::open(&in_force, &dirs, WorkerOptions::default()).await?;
    let place = run::Place::fresh(&dirs)?;
    let show = match (arguments.events, output::json()) {
        (true, _) => Show::Events,
        (false, true) => Show::Silent,
        (false, false) => Show::Story,
    };
    let timeline = Timeline::new(show);
    if show == Show::Story {
        introduce(&arguments, &scratch)?;
    }
    run::announce(&place, &in_force.audit, show);
    // One call after the other, so that the story reads the same each time.
    let agent = AgentBuilder::new(Arc::new(host), model)
        .parallel(1)
        .build()
        .map_err(run::failed)?;
    let context = RunContext {
        events: Some(timeline.sink()),
        cancel,
        transcript: Some(place.transcript.clone()),
        ..RunContext::default()
    };
    let report = agent
        .run(TASK.trim(), &context)
        .await
        .map_err(run::failed)?;
    timeline.close();
    let checks = check::all(&report, &timeline.called(), &scratch, &in_force.audit);
    finish(&arguments, &report, &checks, &in_force, &place, &timeline)
}

async fn model(arguments: &DemoArgs, dirs: &Dirs) -> Result<Arc<dyn ModelProvider>, Failure> {
    if arguments.live {
        let above = policies::above(dirs)?;
        Models::new(&above.layers, dirs)
            .open(&arguments.model)
            .await
    } else {
        models::scripted("demo/turns.jsonl", TURNS)
    }
}

/// The demo's own policy under those of the system and the user: not even a demo gets around them.
fn policy(dirs: &Dirs, scratch: &Scratch) -> Result<InForce, Failure> {
    let policy = Policy::from_toml(POLICY)?.with_base(scratch.root()?);
    let above = policies::above(dirs)?;
    let layers = above.layers.with(Layer::Project, policy);
    Ok(InForce { layers, ..above })
}

fn introduce(arguments: &DemoArgs, scratch: &Scratch) -> Result<(), Failure> {
    let policy = Policy::from_toml(POLICY)?;
    let mut text = paint(style::BOLD, "An agent checks the invoices of a small shop.");
    text.push_str(&format!(
        "\nIts tools are WebAssembly components. They really run, on a scratch copy in\n{}.\n",
        scratch.root()?
    ));
    text.push_str(if arguments.live {
        "The model is asked for real.\n"
    } else {
        "The model's turns were recorded, so neither a key nor a network is needed.\n"
    });
    text.push_str("\nThe policy grants it this, and nothing else:\n");
    let grants: Vec<_> = policy
        .tools()
        .flat_map(|(_, tool)| describe::tool_policy(tool))
        .collect();
    text.push_str(&describe::text(&grants));
    text.push_str(&format!(
        "\n{}\n{}\n",
        paint(style::BOLD, "Task:"),
        style::wrapped(TASK.trim(), 2, 2)
    ));
    output::data(text);
    Ok(())
}

fn finish(
    arguments: &DemoArgs,
    report: &RunReport,
    checks: &[Check],
    in_force: &InForce,
    place: &run::Place,
    timeline: &Timeline,
) -> Outcome {
    let (audit, transcript) = (
        in_force.audit.display().to_string(),
        place.transcript.display().to_string(),
    );
    let value = json!({
        "run_id": place.id,
        "recorded": !arguments.live,
        "report": report,
        "calls": timeline.called().iter().map(|called| called.to_json()).collect::<Vec<_>>(),
        "checks": checks,
        "audit": audit,
        "transcript": transcript,
    });
    let early = match report.outcome {
        RunOutcome::Cancelled => true,
        // A recorded model only fails when the tools do not do what the demo shows.
        RunOutcome::Failed { .. } => arguments.live,
        _ => false,
    };
    if early {
        return Err(ended_early(&report.outcome, &transcript).data(value));
    }
    if arguments.events {
        output::data(json!({ "type": "demo", "checks": checks }));
    } else if !output::json() {
        output::data(conclusion(arguments, checks, &audit, &transcript));
    }
    let missed: Vec<&str> = checks
        .iter()
        .filter(|check| check.required && !check.passed)
        .map(|check| check.what.as_str())
        .collect();
    if missed.is_empty() {
        if output::json() {
            output::answer(value, |_| String::new());
        }
        return Ok(exit::OK);
    }
    let kind = report.outcome.code().unwrap_or(ErrorKind::ToolError);
    let mut failure = Failure::new(
        kind,
        format!("the demo did not do what it shows: {}", report.outcome),
    );
    failure.details = missed
        .iter()
        .map(|what| format!("not so: {what}"))
        .collect();
    Err(failure
        .help("`toolcell doctor` checks this machine")
        .data(value))
}

/// The demo neither kept nor broke its promises.
fn ended_early(outcome: &RunOutcome, transcript: &str) -> Failure {
    let message = match outcome {
        RunOutcome::Failed { message, .. } => without_number(message),
        _ => "the demo was interrupted".to_owned(),
    };
    Failure::new(outcome.code().unwrap_or(ErrorKind::Internal), message)
        .help(format!("what happened so far is in {transcript}"))
}

fn conclusion(arguments: &DemoArgs, checks: &[Check], audit: &str, transcript: &str) -> String {
    let mut text = format!(
        "\n{}\n",
        paint(style::BOLD, "What really happened, checked afterwards:")
    );
    for check in checks {
        let mark = if check.passed {
            paint(style::GOOD, "✓")
        } else {
            paint(style::BAD, "✗")
        };
        text.push_str(&format!("  {mark} {}\n", check.what));
        if let Some(rule) = &check.rule {
            text.push_str(&format!("      {}\n", paint(style::DIM, rule)));
        }
    }
    text.push_str(if arguments.live {
        "\nThe model was asked for real, and every tool call ran for real.\n"
    } else {
        "\nThe model's turns were recorded; every tool call ran for real.\n"
    });
    text.push_str(&format!(
        "  audit log   {audit}\n  transcript  {transcript}\n"
    ));
    text.push_str("\nTry next:\n");
    let next = [
        ("audit verify", "any changed line is found"),
        ("explain denied", "what a denial means, and what to do"),
        (
            "call --component builtin:calc calc '{\"expression\":\"2^100\"}'",
            "one tool by itself",
        ),
        (
            "demo --live",
            "the same with a real model; needs ANTHROPIC_API_KEY",
        ),
    ];
    let shown = if arguments.live { 3 } else { 4 };
    let program = env::program();
    for (command, what) in next.iter().take(shown) {
        text.push_str(&format!(
            "  {}\n  {program} {command}\n",
            paint(style::DIM, format_args!("# {what}"))
        ));
    }
    text.pop();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_is_valid() {
        assert_eq!(Policy::from_toml(POLICY).unwrap().tools().count(), 3);
        assert!(models::scripted("turns", TURNS).is_ok());
        assert!(TASK.contains("/etc/passwd") && TASK.contains("https://example.net/"));
    }
}
