//! Personal data in what a run leaves behind.

use std::fs;

use serde_json::json;

use crate::{cell::Cell, runs::script};

const MAIL: &str = "ada@example.org";
const CARD: &str = "4111 1111 1111 1111";

/// A run that reads a person's file and speaks of what is in it.
fn cell(table: &str) -> Cell {
    let cell = Cell::new();
    let path = format!("/work/{MAIL}.txt");
    cell.file(
        &format!("work/{MAIL}.txt"),
        format!("paid by {MAIL} with {CARD}"),
    );
    let says = format!("{MAIL} paid with {CARD}.");
    let reads = ("I look.", &[("files_read", json!({ "path": path }))][..]);
    cell.file("turns.jsonl", script(&[reads, (&says, &[])]));
    let policy = format!(
        "[tool.files]\nfrom = \"builtin:files\"\nfiles = [{{ host = \"./work\", guest = \"/work\", access = \"read\" }}]\n{table}"
    );
    cell.file("own.toml", policy);
    cell
}

fn run(cell: &Cell) -> (String, String, String) {
    let arguments = [
        "run",
        "who paid?",
        "--policy",
        "own.toml",
        "--model",
        "scripted:turns.jsonl",
        "--json",
    ];
    let json = cell.run(&arguments).exits(0).json();
    let id = json["data"]["run_id"].as_str().unwrap();
    let read = |name: &str| fs::read_to_string(cell.state(name)).unwrap();
    let transcript = read(&format!("runs/{id}.jsonl"));
    let audit = read("audit.jsonl");
    (json.to_string(), transcript, audit)
}

#[test]
fn what_is_stored_is_masked_and_what_is_answered_is_not() {
    let cell = cell("[privacy]\ntranscript = \"mask\"\naudit = \"mask\"\n");
    let (answer, transcript, audit) = run(&cell);
    assert!(answer.contains(MAIL) && answer.contains(CARD), "{answer}");
    for stored in [&transcript, &audit] {
        assert!(!stored.contains(MAIL) && !stored.contains(CARD), "{stored}");
        assert!(stored.contains("[email]"), "{stored}");
    }
    assert!(transcript.contains("[card]"), "{transcript}");
    cell.run(&["audit", "verify"]).exits(0);
}

#[test]
fn dropping_leaves_nothing_of_a_text() {
    let cell = cell("[privacy]\ntranscript = \"drop\"\n");
    let (_, transcript, audit) = run(&cell);
    assert!(
        transcript.contains("[dropped: card, email]"),
        "{transcript}"
    );
    assert!(!transcript.contains("paid by"), "{transcript}");
    // The twin: nothing is said of the audit log, and it has the path as it is.
    assert!(audit.contains(MAIL), "{audit}");
}

#[test]
fn without_the_table_everything_is_kept() {
    let cell = cell("");
    let (_, transcript, _) = run(&cell);
    assert!(transcript.contains(MAIL) && transcript.contains(CARD));
}

#[test]
fn a_kind_that_no_rule_knows_is_told() {
    let cell = cell("[privacy]\naudit = \"mask\"\nkinds = [\"name\"]\n");
    let shown = cell.run(&["tools", "--policy", "own.toml"]).exits(2);
    assert!(
        shown.stderr.contains("`name`") && shown.stderr.contains("email"),
        "{}",
        shown.stderr
    );
}
