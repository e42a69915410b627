//! Help, and what a wrong command line gets.

use crate::cell::{Cell, golden};

#[test]
fn help() {
    let cell = Cell::empty();
    golden!(
        "help",
        cell.run(&["--help"]).exits(0),
        cell.run(&["call", "--help"]).exits(0)
    );
    golden!(
        "help_run",
        cell.run(&["run", "--help"]).exits(0),
        cell.run(&["demo", "--help"]).exits(0)
    );
    golden!(
        "help_secure",
        cell.run(&["policy", "--help"]).exits(0),
        cell.run(&["trust", "--help"]).exits(0),
        cell.run(&["audit", "show", "--help"]).exits(0),
    );
    assert_eq!(
        cell.run(&["--version"]).stdout,
        concat!("toolcell ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn help_and_version_as_json() {
    let cell = Cell::empty();
    let version = cell.run(&["--version", "--json"]).exits(0).json();
    assert_eq!(
        version["data"]["text"],
        concat!("toolcell ", env!("CARGO_PKG_VERSION"))
    );
    let help = cell.run(&["call", "--help", "--json"]).exits(0).json();
    let text = help["data"]["text"].as_str().unwrap();
    assert!(text.starts_with("Call one tool\n"), "{text}");
}

#[test]
fn a_wrong_command_line_is_one_line_and_a_hint() {
    let cell = Cell::empty();
    golden!(
        "wrong_command_line",
        cell.run(&[]).exits(2),
        cell.run(&["cal"]).exits(2),
        cell.run(&["call"]).exits(2),
        cell.run(&["call", "x", "--polic", "y"]).exits(2),
        cell.run(&["--json", "call"]).exits(2),
        cell.run(&["run", "task", "--max-turns", "many"]).exits(2),
        cell.run(&["demo", "--events", "--json"]).exits(2),
        cell.run(&["serve"]).exits(2),
        cell.run(&["completions", "tcsh"]).exits(2),
        cell.run(&["policy"]).exits(2),
        cell.run(&["--json"]).exits(2),
        cell.run(&["audit", "--json"]).exits(2),
        cell.run(&["run", "task", "--max-cost", "-1"]).exits(1),
    );
}

#[test]
fn error_codes_are_explained() {
    let cell = Cell::empty();
    golden!(
        "explain",
        cell.run(&["explain"]).exits(0),
        cell.run(&["explain", "denied"]).exits(0),
        cell.run(&["explain", "limit_tme"]).exits(2),
        cell.run(&["explain", "zzz", "--json"]).exits(2),
    );
    let json = cell.run(&["explain", "trap", "--json"]).exits(0).json();
    assert_eq!(json["data"]["exit_status"], 5);
}

#[test]
fn completions_are_for_the_shell_that_was_named() {
    let cell = Cell::empty();
    for (shell, says) in [
        ("bash", "complete -F _toolcell"),
        ("zsh", "#compdef toolcell"),
        ("fish", "complete -c toolcell"),
    ] {
        let shown = cell.run(&["completions", shell]).exits(0);
        assert!(shown.stdout.contains(says), "{shell}");
        assert!(shown.stdout.contains("inspect"), "{shell}");
    }
}
