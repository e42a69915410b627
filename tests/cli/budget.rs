//! `budget`, and what runs may spend.

use std::{fs, process::Command, sync::mpsc};

use serde_json::Value;

use crate::{
    api::{Answer, Api},
    cell::{Cell, golden},
};

const TENANT: &str =
    "[budget.tenant]\ntokens = 30000\nper = \"month\"\n\n[budget.agent]\nturns = 2\n";

/// A place whose policy lists no tools and has these budgets.
fn cell(api: &Api, policy: &str) -> Cell {
    let cell = Cell::empty()
        .env("ANTHROPIC_API_KEY", "key")
        .env("ANTHROPIC_BASE_URL", &api.url);
    cell.file("policy.toml", policy);
    cell
}

const RUN: &[&str] = &["run", "say hello", "--policy", "policy.toml"];
const SHOW: &[&str] = &["budget", "show", "--policy", "policy.toml"];

/// What is said of one scope and period.
fn row(cell: &Cell, kind: &str, per: &str) -> Value {
    let shown = cell.run(&[SHOW, &["--json"]].concat()).exits(0).json();
    let rows = shown["data"]["budgets"].as_array().unwrap().clone();
    let mut fit = rows
        .into_iter()
        .filter(|row| row["kind"] == kind && row["per"] == per);
    fit.next().unwrap()
}

#[test]
fn what_was_spent_outlives_the_process() {
    let api = Api::start(|_, _| Answer::turn("Hello.", 400, 600));
    let cell = cell(&api, TENANT);
    let nothing = cell.run(SHOW).exits(0).stdout;
    assert!(
        nothing.contains(
            "turns  0 spent, 2 left of 2
"
        ),
        "{nothing}"
    );
    for _ in 0..2 {
        let run = cell.run(RUN).exits(0);
        assert!(
            run.stderr.contains("left of agent default per day: "),
            "{run}"
        );
    }
    let spent = row(&cell, "tenant", "month");
    assert_eq!(spent["spent"]["tokens"], 2_000);
    assert_eq!(spent["limit"]["tokens"], 30_000);
    assert_eq!(spent["reserved"]["tokens"], 0);
    assert!(spent["ends"].as_str().unwrap().ends_with("-01T00:00:00Z"));
    // The agent's two turns of the day are spent, and another agent's are not.
    let refused = cell.run(RUN).exits(4);
    assert_eq!(api.requests().len(), 2, "nothing was sent: {refused}");
    cell.run(&[RUN, &["--agent", "other"]].concat()).exits(0);
    let reset = cell
        .run(&["budget", "reset", "--agent", "default", "--yes"])
        .exits(0);
    cell.run(RUN).exits(0);
    assert_eq!(api.requests().len(), 4);
    golden!(
        "budget",
        refused,
        reset,
        cell.run(&["budget", "reset", "--agent", "default"])
            .exits(3),
        cell.run(&["budget", "reset", "--agent", "nobody", "--yes"])
            .exits(2),
        cell.run(&["budget", "reset", "--yes"]).exits(2),
        cell.run(&["run", "x", "--agent", "a b"]).exits(2),
    );
}

#[test]
fn what_a_server_refuses_is_not_spent() {
    let api = Api::start(|_, _| Answer::error(400, "invalid_request_error", "no"));
    let cell = cell(&api, TENANT);
    cell.run(RUN).exits(2);
    let request = &api.requests()[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/v1/messages")
    );
    let row = row(&cell, "agent", "day");
    assert_eq!(
        (&row["spent"]["turns"], &row["reserved"]["turns"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn a_run_that_was_killed_has_spent_what_it_reserved() {
    let (asked, hears) = mpsc::channel();
    let api = Api::start(move |number, _| match number {
        0 => {
            asked.send(()).unwrap();
            Answer::Silence
        }
        _ => Answer::turn("Hello.", 400, 600),
    });
    let cell = cell(&api, "[budget.tenant]\ntokens = 20000\n");
    let mut killed = cell.start(RUN);
    hears.recv().unwrap();
    let kill = Command::new("kill")
        .args(["-9", &killed.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    killed.wait().unwrap();
    let held = row(&cell, "tenant", "day");
    let reserved = held["reserved"]["tokens"].as_u64().unwrap();
    assert!(reserved > 16_000, "{held}");
    assert_eq!(held["spent"]["tokens"], 0);
    // The next run gets a shorter answer, and only what is left.
    cell.run(RUN).exits(0);
    let longest = api.requests()[1].json()["max_tokens"].as_u64().unwrap();
    assert!(longest < 20_000 - reserved, "{longest}");
    // As if its time had run out: then it is spent, and stays so.
    let path = cell.state("ledger/tenant-default.json");
    let mut book: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    book["held"][0]["until_ms"] = 1.into();
    fs::write(&path, book.to_string()).unwrap();
    let spent = row(&cell, "tenant", "day");
    assert_eq!(spent["spent"]["tokens"], reserved + 1_000);
    assert_eq!(spent["reserved"]["tokens"], 0);
}

#[test]
fn a_damaged_ledger_stops_runs_and_loses_nothing() {
    let api = Api::start(|_, _| Answer::turn("Hello.", 400, 600));
    let cell = cell(&api, "[budget.tenant]\ntokens = 20000\n");
    cell.run(RUN).exits(0);
    let path = cell.state("ledger/tenant-default.json");
    fs::write(&path, "{").unwrap();
    let run = cell.run(RUN).exits(1);
    assert!(run.stderr.contains("is damaged"), "{run}");
    assert!(run.stderr.contains("toolcell budget reset"), "{run}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{");
    assert_eq!(api.requests().len(), 1);
    let reset = cell.run(&["budget", "reset", "--tenant", "default", "--yes", "--json"]);
    let kept = reset.exits(0).json()["data"]["kept"]
        .as_str()
        .unwrap()
        .to_owned();
    let kept = kept.rsplit('/').next().unwrap();
    assert_eq!(
        fs::read_to_string(cell.state(&format!("ledger/{kept}"))).unwrap(),
        "{"
    );
    cell.run(RUN).exits(0);
}

#[test]
fn a_policy_is_not_raised_by_a_flag() {
    let api = Api::start(|_, _| Answer::turn("Hello.", 400, 600));
    let cell = cell(&api, "[budget.run]\ntokens = 5000\ncost = \"0.50\"\n");
    let refused = cell
        .run(&[RUN, &["--max-tokens", "5001"]].concat())
        .exits(2);
    assert!(
        refused.stderr.contains("policy.toml:2 budget.run.tokens"),
        "{refused}"
    );
    cell.run(&[RUN, &["--max-tokens", "4000"]].concat())
        .exits(0);
    let longest = api.requests()[0].json()["max_tokens"].as_u64().unwrap();
    assert!((3_000..4_000).contains(&longest), "{longest}");
    // Too little for an answer: nothing is sent.
    let ended = cell.run(&[RUN, &["--max-tokens", "900"]].concat()).exits(4);
    assert!(
        ended.stderr.contains("the budget on tokens is 900"),
        "{ended}"
    );
    assert_eq!(api.requests().len(), 1);
}
