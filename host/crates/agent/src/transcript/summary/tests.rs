use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    Agent, Budget, RunContext,
    model::Scripted,
    testing::{Tools, tool_use},
    transcript::Transcript,
};

/// The transcript of a run that calls a tool, runs out of turns, goes on, and ends.
async fn resumed(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("r1.jsonl");
    let context = RunContext {
        transcript: Some(path.clone()),
        ..RunContext::default()
    };
    let turns = [
        json!({ "content": [{ "type": "thinking", "thinking": "hm", "signature": "s" }, { "type": "text", "text": "I look." },
            tool_use("t1", "read", json!({ "a": 1 }))], "stop_reason": "tool_use",
            "usage": { "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 100 } }),
        json!({ "content": "Done.", "stop_reason": "end_turn", "usage": { "input_tokens": 20, "output_tokens": 1 } }),
    ];
    let script = Scripted::parse("s", &format!("{}\n{}\n", turns[0], turns[1])).unwrap();
    let agent = |turns| {
        let budget = Budget {
            turns,
            ..Budget::default()
        };
        Agent::builder(Tools::echo(), script.clone())
            .budget(budget)
            .build()
            .unwrap()
    };
    agent(1).run("look around", &context).await.unwrap();
    agent(9)
        .resume(&path, &RunContext::default())
        .await
        .unwrap();
    path
}

#[tokio::test]
async fn a_run_is_told_in_short_and_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = resumed(dir.path()).await;
    let short = summary(&path).unwrap();
    assert_eq!(
        (short.task.as_str(), short.model.as_str()),
        ("look around", "scripted")
    );
    assert_eq!((short.turns, short.calls, short.tokens), (2, 1, 136));
    assert_eq!(
        (short.cost_micro_usd, short.outcome.as_deref()),
        (Some(0), Some("finished"))
    );
    assert_eq!(short.call_ids, ["t1"]);
    assert!(!short.going && short.is_over());

    let mut steps = Vec::new();
    story(&path, |step| steps.push(step)).unwrap();
    let ended = |outcome: &str| Told::Ended {
        outcome: outcome.into(),
        message: None,
    };
    let expected = [
        Told::Task("look around".into()),
        Told::Thinking("hm".into()),
        Told::Text("I look.".into()),
        ended("budget_exceeded"),
        Told::Resumed,
        Told::Call {
            tool: "read".into(),
            input: json!({ "a": 1 }),
        },
        Told::Answer {
            text: "did t1".into(),
            code: None,
            denials: Vec::new(),
        },
        Told::Text("Done.".into()),
        ended("finished"),
    ];
    assert_eq!(steps, expected);
    let mut again = Vec::new();
    story_of(&path, fs::File::open(&path).unwrap(), |step| {
        again.push(step)
    })
    .unwrap();
    assert_eq!(again, steps);
}

#[tokio::test]
async fn a_run_that_somebody_writes_is_going() {
    let dir = tempfile::tempdir().unwrap();
    let path = resumed(dir.path()).await;
    let (held, _) = Transcript::open(&path).unwrap();
    let short = summary(&path).unwrap();
    assert!(short.going && !short.is_over());
    // Whoever looked is not in the way of who wants to write.
    drop(held);
    assert!(!summary(&path).unwrap().going);
    Transcript::open(&path).unwrap();
}

#[test]
fn what_came_out_of_the_cache_cost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.jsonl");
    let usage = json!({ "input_tokens": 10, "output_tokens": 5 });
    let lines = [
        json!({ "type": "header", "format": 9, "run": { "settings": { "model": "m" }, "messages": [{ "content": "go" }] } }),
        json!({ "type": "reply", "time_ms": 5, "reply": { "content": [], "usage": usage, "cost_micro_usd": 7 } }),
        json!({ "type": "reply", "time_ms": 6, "reply": { "content": [], "usage": usage, "cost_micro_usd": 0,
            "cached": { "saved_micro_usd": 30 } } }),
        json!({ "type": "of_a_later_version", "time_ms": 9 }),
    ];
    fs::write(
        &path,
        lines.map(|line| format!("{line}\n")).concat() + "{\"type\":\"rep",
    )
    .unwrap();
    let short = summary(&path).unwrap();
    assert_eq!(
        (
            short.task.as_str(),
            short.turns,
            short.tokens,
            short.time_ms
        ),
        ("go", 2, 15, 9)
    );
    assert_eq!(
        (short.cost_micro_usd, short.saved_micro_usd, short.outcome),
        (Some(7), 30, None)
    );
    let unpriced = json!({ "type": "reply", "reply": { "content": [], "usage": usage } });
    let more = fs::read_to_string(&path).unwrap() + &format!("\n{unpriced}\n");
    fs::write(&path, more).unwrap();
    assert_eq!(summary(&path).unwrap().cost_micro_usd, None);
}

#[test]
fn what_is_no_transcript_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.jsonl");
    assert!(matches!(summary(&path), Err(TranscriptError::Io { .. })));
    for text in ["", "\n", "hello", "{\"type\":\"reply\"}\n", "[]\n"] {
        fs::write(&path, text).unwrap();
        let told = summary(&path).unwrap_err().to_string();
        assert!(
            told.contains("line 1: it does not begin with a header"),
            "{text:?}: {told}"
        );
    }
}

proptest! {
    #[test]
    fn any_lines_can_be_read(lines in prop::collection::vec("[{}\\[\\]\",:a-z0-9]{0,20}", 0..6), cut in 0..80_usize) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let mut text = format!("{}\n{}", json!({ "type": "header", "run": 5 }), lines.join("\n"));
        text.truncate(cut.min(text.len()));
        fs::write(&path, text).unwrap();
        let _ = summary(&path);
        let _ = story(&path, |_| ());
    }
}
