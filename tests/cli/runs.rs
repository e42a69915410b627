//! `run`: what is shown, how it ends, and how it goes on.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    cell::{Cell, golden},
    common,
};

/// A script of recorded turns: each is a text and the calls it asks for.
pub(crate) fn script(turns: &[(&str, &[(&str, Value)])]) -> String {
    let mut lines = String::new();
    for (number, (text, calls)) in turns.iter().enumerate() {
        let mut content = vec![json!({ "type": "text", "text": text })];
        for (index, (tool, input)) in calls.iter().enumerate() {
            let id = format!("toolu_{number}_{index}");
            content.push(json!({ "type": "tool_use", "id": id, "name": tool, "input": input }));
        }
        let stop_reason = if calls.is_empty() {
            "end_turn"
        } else {
            "tool_use"
        };
        lines.push_str(&json!({ "content": content, "stop_reason": stop_reason }).to_string());
        lines.push('\n');
    }
    lines
}

/// A place with a script that reads a file, is refused another, and ends.
fn with_script() -> Cell {
    let cell = Cell::new();
    let first = (
        "I look.",
        &[("files_read", json!({ "path": "/work/a.txt" }))][..],
    );
    let second = (
        "And there.\u{1b}[2J",
        &[("files_read", json!({ "path": "/etc/passwd" }))][..],
    );
    cell.file("turns.jsonl", script(&[first, second, ("Done.", &[])]));
    cell
}

const RUN: &[&str] = &[
    "run",
    "look around",
    "--policy",
    "policy.toml",
    "--model",
    "scripted:turns.jsonl",
];

#[test]
fn a_run_shows_text_calls_and_refusals() {
    let cell = with_script();
    golden!("run", cell.run(RUN).exits(0));
    let json = cell.run(&[RUN, &["--json"]].concat()).exits(0).json();
    assert_eq!(json["data"]["report"]["outcome"], "finished");
    assert_eq!(json["data"]["calls"][1]["code"], "denied");
}

#[test]
fn events_are_lines_of_json() {
    let cell = with_script();
    let shown = cell.run(&[RUN, &["--events"]].concat()).exits(0);
    let types: Vec<String> = shown
        .stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(types.first().map(String::as_str), Some("session"));
    assert_eq!(types.last().map(String::as_str), Some("done"));
    assert_eq!(
        types.iter().filter(|kind| *kind == "tool_call_end").count(),
        2
    );
}

#[test]
fn a_budget_ends_a_run_and_a_higher_one_lets_it_go_on() {
    let cell = with_script();
    let ended = cell.run(&[RUN, &["--max-turns", "1"]].concat()).exits(4);
    let run = fs::read_dir(cell.state("runs"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let id = run.path().file_stem().unwrap().to_str().unwrap().to_owned();
    assert!(
        ended
            .stderr
            .contains(&format!("toolcell run --resume {id}")),
        "{ended}"
    );
    let resumed = cell
        .run(&[
            "run",
            "--resume",
            &id,
            "--policy",
            "policy.toml",
            "--model",
            "scripted:turns.jsonl",
        ])
        .exits(0);
    golden!("run_budget", ended, resumed);
    golden!(
        "run_resume_wrong",
        cell.run(&[
            "run",
            "--resume",
            "r0",
            "--model",
            "scripted:turns.jsonl",
            "--policy",
            "policy.toml"
        ])
        .exits(2),
        cell.run(&[
            "run",
            "--resume",
            "../x",
            "--model",
            "scripted:turns.jsonl",
            "--policy",
            "policy.toml"
        ])
        .exits(2),
        cell.run(&["run", "task", "--resume", "r0"]).exits(2),
    );
}

#[test]
fn a_model_that_cannot_be_asked_is_one_clear_line() {
    let cell = with_script();
    cell.file("broken.jsonl", "{}\nnot json\n");
    let run = |model| cell.run(&["run", "task", "--policy", "policy.toml", "--model", model]);
    golden!(
        "run_no_model",
        run("anthropic:claude-sonnet-5-5").exits(1),
        cell.run(&["run", "task", "--policy", "policy.toml", "--json"])
            .exits(1),
        cell.run(&["run", "task", "--policy", "policy.toml", "--events"])
            .exits(1),
        run("claude").exits(2),
        run("scripted:none.jsonl").exits(1),
        run("scripted:broken.jsonl").exits(2),
        cell.run(&["demo", "--live"]).exits(1),
    );
}

#[test]
fn an_api_that_cannot_be_reached_ends_the_run_and_keeps_it() {
    // A port that was free a moment ago: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let cell = Cell::new()
        .env("ANTHROPIC_API_KEY", "sk-test-not-shown")
        .env("ANTHROPIC_BASE_URL", &format!("http://127.0.0.1:{port}"));
    let shown = cell
        .run(&["run", "task", "--policy", "policy.toml"])
        .exits(1);
    assert!(
        shown
            .stderr
            .contains("unavailable: cannot reach the model's server"),
        "{shown}"
    );
    assert!(shown.stderr.contains("toolcell run --resume r"), "{shown}");
    assert!(shown.stderr.contains("check the network"), "{shown}");
    assert!(!shown.stderr.contains("os error"), "{shown}");
    assert!(
        !shown.stderr.contains("ended:"),
        "nothing came about: {shown}"
    );
    assert!(!shown.to_string().contains("sk-test"), "{shown}");
}

#[test]
fn ctrl_c_ends_cleanly_and_keeps_the_transcript() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let cell = Cell::new().env("ANTHROPIC_API_KEY", "key").env(
        "ANTHROPIC_BASE_URL",
        &format!("http://{}", silent.local_addr().unwrap()),
    );
    let arguments = ["run", "task", "--policy", "policy.toml"];
    let child = cell.start(&arguments);
    // The model was asked and never answers.
    let (connection, _) = silent.accept().unwrap();
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line).unwrap();
    assert!(line.starts_with("POST /v1/messages"), "{line}");
    let interrupt = ["-INT", &child.id().to_string()];
    assert!(
        Command::new("kill")
            .args(interrupt)
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    drop(connection);
    let shown = cell.shown(&arguments, &output).exits(130);
    golden!("run_interrupted", shown);
    let run = fs::read_dir(cell.state("runs"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let mut transcript = String::new();
    fs::File::open(run.path())
        .unwrap()
        .read_to_string(&mut transcript)
        .unwrap();
    assert!(
        transcript.ends_with('\n') && transcript.contains("cancelled"),
        "{transcript}"
    );
}

#[test]
fn the_examples_of_the_repository_hold() {
    let cell = Cell::empty();
    // The examples grant the whole repository, and the usual cache of these tests may lie in it.
    let cache = cell.path("cache").display().to_string();
    let cell = cell.env("TOOLCELL_CACHE_DIR", &cache);
    let examples = common::tests().join("../examples");
    let policy = examples.join("policy.toml").display().to_string();
    let model = format!("scripted:{}", examples.join("turns.jsonl").display());
    cell.run(&["policy", "test", "--policy", &policy]).exits(0);
    let json = cell
        .run(&[
            "run", "try it", "--policy", &policy, "--model", &model, "--json",
        ])
        .exits(0)
        .json();
    let codes: Vec<_> = json["data"]["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| &call["code"])
        .collect();
    assert_eq!(
        codes.iter().filter(|code| ***code == "denied").count(),
        1,
        "{json}"
    );
    assert_eq!(json["data"]["report"]["outcome"], "finished");
}

#[test]
fn a_transcript_that_is_none_is_told_without_a_way_to_go_on() {
    let cell = with_script();
    cell.file("broken.jsonl", "{}\n");
    let shown = cell
        .run(&[
            "run",
            "--resume",
            "r1",
            "--transcript",
            "broken.jsonl",
            "--policy",
            "policy.toml",
            "--model",
            "scripted:turns.jsonl",
        ])
        .exits(2);
    assert!(shown.stderr.contains("broken.jsonl, line 1"), "{shown}");
    assert!(shown.stderr.contains("begin a new run"), "{shown}");
    assert!(!shown.stderr.contains("go on with it"), "{shown}");
}
