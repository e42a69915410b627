//! Models that fail: what is tried again, who stands in, and what of it stands in the output.

use std::fs;

use serde_json::Value;

use crate::{
    api::{Answer, Api},
    cell::Cell,
};

fn cell(api: &Api, policy: &str) -> Cell {
    let cell = Cell::empty()
        .env("ANTHROPIC_API_KEY", "key")
        .env("ANTHROPIC_BASE_URL", &api.url);
    cell.file("policy.toml", policy);
    cell
}

const RUN: &[&str] = &["run", "say hello", "--policy", "policy.toml"];

fn overloaded() -> Answer {
    Answer::error(529, "overloaded_error", "busy")
}

/// The models that were asked, one after the other.
fn asked(api: &Api) -> Vec<String> {
    let model = |request: crate::api::Request| request.json()["model"].as_str().unwrap().to_owned();
    api.requests().into_iter().map(model).collect()
}

#[test]
fn another_model_stands_in() {
    let api = Api::start(|_, request| match request.json()["model"].as_str() {
        Some("claude-haiku-5-5") => Answer::turn("Hello.", 1_000, 100),
        _ => overloaded(),
    });
    let policy = "[model]\nuse = \"anthropic:claude-opus-5-5\"\nretries = 0\n\
                  fallback = [\"anthropic:claude-sonnet-5-5\", \"anthropic:claude-haiku-5-5\"]\n";
    let cell = cell(&api, policy);
    let run = cell.run(RUN).exits(0);
    assert_eq!(run.stdout, "Hello.\n");
    let stands_in = "anthropic:claude-haiku-5-5 instead of anthropic:claude-sonnet-5-5";
    assert!(run.stderr.contains(stands_in), "{run}");
    let three = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"];
    assert_eq!(asked(&api), three);
    // 1,000 tokens at 0.10 USD and 100 at 0.50 USD a million: the price of the one that answered.
    let kept = ["--json", "--transcript", "run.jsonl"];
    let run = cell.run(&[RUN, &kept].concat()).exits(0).json();
    assert_eq!(run["data"]["report"]["spent"]["cost_micro_usd"], 150);
    let transcript = fs::read_to_string(cell.path("run.jsonl")).unwrap();
    let answered_by = r#""answered_by":"anthropic:claude-haiku-5-5""#;
    assert!(transcript.contains(answered_by), "{transcript}");

    let events = cell.run(&[RUN, &["--events"]].concat()).exits(0).stdout;
    let moved: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["type"] == "model_fallback")
        .collect();
    assert_eq!(moved.len(), 2, "{events}");
    assert_eq!(moved[0]["from"], "anthropic:claude-opus-5-5");
    assert_eq!(moved[0]["discarded"], false);
}

#[test]
fn what_is_wrong_with_the_request_is_not_hidden_behind_another_model() {
    let api = Api::start(|_, _| Answer::error(400, "invalid_request_error", "no such field"));
    let cell = cell(&api, "");
    let fallback = ["--fallback", "anthropic:claude-haiku-5-5"];
    let run = cell.run(&[RUN, &fallback].concat()).exits(2);
    assert!(run.stderr.contains("no such field"), "{run}");
    assert_eq!(asked(&api), ["claude-sonnet-5-5"]);
}

/// What a program reads cannot be taken back, so it gets the text of whole turns only.
#[test]
fn half_an_answer_is_no_output() {
    let api = Api::start(|number, _| {
        let Answer::Whole(status, media, events) = Answer::turn("Hello.", 10, 5) else {
            panic!("a turn is a whole answer")
        };
        let end = match number {
            0 => events.find("event: content_block_stop").unwrap(),
            _ => events.len(),
        };
        Answer::Whole(status, media, events[..end].to_owned())
    });
    let cell = cell(&api, "");
    let run = cell.run(RUN).exits(0);
    assert_eq!(run.stdout, "Hello.\n");
    assert!(run.stderr.contains("attempt 2 in "), "{run}");
    assert_eq!(api.requests().len(), 2);
}

#[test]
fn the_command_line_goes_before_the_policy() {
    let api = Api::start(|_, _| overloaded());
    let cell = cell(&api, "[model]\nretries = 0\n");
    cell.run(RUN).exits(1);
    assert_eq!(api.requests().len(), 1);
    cell.run(&[RUN, &["--retries", "1"]].concat()).exits(1);
    assert_eq!(api.requests().len(), 3);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let api = Api::start(|_, _| overloaded());
    let cell = cell(&api, "");
    for (flags, words) in [
        (["--retries", "21"], "21"),
        (["--longest-wait", "soon"], "`soon` is no time"),
        (["--idle-timeout", "0s"], "`0s` is no time"),
        (["--requests-per-minute", "0"], "0"),
        (["--fallback", "gpt"], "`gpt` names no model"),
        (["--fallback", "nobody:x"], "there is no provider `nobody`"),
    ] {
        let refused = cell.run(&[RUN, &flags].concat()).exits(2);
        assert!(refused.stderr.contains(words), "{refused}");
    }
    cell.file("policy.toml", "[model]\nretries = 21\n");
    let refused = cell.run(RUN).exits(2);
    assert!(
        refused.stderr.contains("it can be from 0 to 20"),
        "{refused}"
    );
    assert_eq!(api.requests().len(), 0);
}
