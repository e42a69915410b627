//! `demo`.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::Command,
};

use serde_json::Value;

use crate::cell::{Cell, golden};

#[test]
fn the_demo_does_what_it_shows() {
    let cell = Cell::empty();
    golden!(
        "demo",
        cell.run(&["demo"]).exits(0),
        cell.run(&["audit", "verify"]).exits(0)
    );
}

#[test]
fn the_demo_as_json() {
    let cell = Cell::empty();
    let json = cell.run(&["demo", "--json"]).exits(0).json();
    let checks = json["data"]["checks"].as_array().unwrap();
    assert!(
        checks.len() >= 6 && checks.iter().all(|check| check["passed"] == true),
        "{json}"
    );
    assert_eq!(json["data"]["recorded"], true);
    let shown = cell.run(&["demo", "--events"]).exits(0);
    let last: Value = serde_json::from_str(shown.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "demo");
}

#[test]
fn a_demo_that_is_held_back_by_the_users_policy_says_so() {
    let cell = Cell::empty();
    cell.file(
        "../config/toolcell.toml",
        "[tool.calc]\nfrom = \"builtin:calc\"\n",
    );
    let shown = cell.run(&["demo"]);
    assert_ne!(shown.status, Some(0), "{shown}");
    assert!(
        shown
            .stderr
            .contains("not so: the wrong total was corrected"),
        "{shown}"
    );
}

#[test]
fn ctrl_c_ends_the_demo_without_judging_it() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", silent.local_addr().unwrap());
    let cell = Cell::empty()
        .env("ANTHROPIC_API_KEY", "sk-test-not-shown")
        .env("ANTHROPIC_BASE_URL", &base);
    let arguments = ["demo", "--live"];
    let child = cell.start(&arguments);
    // The model was asked and never answers.
    let (connection, _) = silent.accept().unwrap();
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line).unwrap();
    let interrupt = ["-INT", &child.id().to_string()];
    assert!(
        Command::new("kill")
            .args(interrupt)
            .status()
            .unwrap()
            .success()
    );
    let shown = cell
        .shown(&arguments, &child.wait_with_output().unwrap())
        .exits(130);
    assert!(
        shown.stderr.contains("cancelled: the demo was interrupted"),
        "{shown}"
    );
    assert!(!shown.to_string().contains("not so"), "{shown}");
    assert!(!shown.to_string().contains("Try next"), "{shown}");
}
