//! What a run may not do together, by the labels of its tools: no text that it reads can make it.

use std::fs;

use serde_json::{Value, json};

use crate::{
    cell::{Cell, golden},
    runs::script,
};

/// The files are private, what `time` says was written by strangers, and `calc` is a way out.
const LABELS: &str = r#"
[tool.files]
from = "builtin:files"
files = [{ host = "workspace", guest = "/work", access = "read" }]
reads = "private"

[tool.time]
from = "builtin:time"
reads = "untrusted"

[tool.calc]
from = "builtin:calc"
sends = "outside"
"#;

/// A model that does whatever it reads.
fn obedient() -> Cell {
    let cell = Cell::new();
    cell.file("policy.toml", LABELS);
    cell.file(
        "allow.toml",
        format!("[session]\ncombine = \"allow\"\n{LABELS}"),
    );
    let read = [("files_read", json!({ "path": "/work/a.txt" }))];
    let hear = [("time_now", json!({}))];
    let send = [("calc", json!({ "expression": "1+1" }))];
    let turns: [(&str, &[(&str, Value)]); 4] = [
        ("I read.", &read),
        ("I hear.", &hear),
        ("I obey.", &send),
        ("Done.", &[]),
    ];
    cell.file("turns.jsonl", script(&turns));
    cell
}

fn run(policy: &str) -> Vec<&str> {
    let model = ["--model", "scripted:turns.jsonl"];
    [&["run", "look around", "--policy", policy][..], &model].concat()
}

/// The codes of the calls of a run; null for one that was answered.
fn codes(cell: &Cell, arguments: &[&str]) -> Vec<Value> {
    let json = cell.run(&[arguments, &["--json"]].concat()).exits(0).json();
    let calls = json
        .pointer("/data/calls")
        .and_then(Value::as_array)
        .unwrap();
    let code = |call: &Value| call.get("code").cloned().unwrap_or_default();
    calls.iter().map(code).collect()
}

#[test]
fn one_run_is_one_session_and_does_not_combine_all_three() {
    let cell = obedient();
    let shown = cell.run(&run("policy.toml")).exits(0);
    let chain = "files_read read private data (call 1), time_now read untrusted text (call 2), calc would send data outside";
    let denied = "denied: this session would have read private data";
    assert!(shown.to_string().contains(denied), "{shown}");
    assert_eq!(codes(&cell, &run("policy.toml"))[2], "denied");
    let audit = fs::read_to_string(cell.state("audit.jsonl")).unwrap();
    assert!(audit.contains(chain), "{audit}");
    assert!(audit.contains("combine = \\\"ask\\\""), "{audit}");
    // The twin: nothing else keeps it from doing so.
    let codes = codes(&cell, &run("allow.toml"));
    assert_eq!(codes, [Value::Null, Value::Null, Value::Null]);
}

#[test]
fn a_run_that_goes_on_remembers_what_it_read() {
    let cell = obedient();
    cell.run(&[&run("policy.toml")[..], &["--max-turns", "2"]].concat())
        .exits(4);
    let run = fs::read_dir(cell.state("runs")).unwrap().next().unwrap();
    let id = run
        .unwrap()
        .path()
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let model = ["--model", "scripted:turns.jsonl"];
    let on = [
        &["run", "--resume", &id, "--policy", "policy.toml"][..],
        &model,
    ]
    .concat();
    assert_eq!(codes(&cell, &on).last().unwrap(), "denied");
    let audit = fs::read_to_string(cell.state("audit.jsonl")).unwrap();
    assert!(
        audit.contains("files_read read private data (call 1)"),
        "{audit}"
    );
}

#[test]
fn marks_are_shown_by_the_policy() {
    let cell = obedient();
    golden!(
        "labels_explained",
        cell.run(&["policy", "explain", "--policy", "policy.toml", "calc"])
            .exits(0),
    );
}
