//! `audit verify` and `audit show`.

use std::fs;

use crate::cell::{Cell, golden};

#[test]
fn a_changed_line_is_found() {
    let cell = Cell::new();
    for path in ["/work/a.txt", "/etc/passwd"] {
        let input = format!(r#"{{"path":"{path}"}}"#);
        cell.run(&["call", "--policy", "policy.toml", "files_read", &input]);
    }
    let intact = cell.run(&["audit", "verify"]).exits(0);
    let shown = cell.run(&["audit", "show"]).exits(0);
    let last = cell
        .run(&["audit", "show", "--last", "1", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        last["data"]["records"][0]["denials"][0]["access"],
        "read /etc/passwd"
    );

    let log = cell.state("audit.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replacen("/work/a.txt", "/work/b.txt", 1)).unwrap();
    let changed = cell.run(&["audit", "verify"]).exits(1);
    let json = cell.run(&["audit", "verify", "--json"]).exits(1).json();
    assert_eq!(json["error"]["code"], "digest_mismatch");
    assert_eq!(json["data"]["intact"], false);
    golden!("audit", intact, shown, changed);
}

#[test]
fn a_log_may_be_named_and_must_be_there() {
    let cell = Cell::new();
    let calc = [
        "call",
        "--policy",
        "policy.toml",
        "calc",
        r#"{"expression":"1"}"#,
    ];
    cell.run(&[&calc[..], &["--audit", "logs/my.jsonl"]].concat())
        .exits(0);
    cell.run(&["audit", "verify", "logs/my.jsonl"]).exits(0);
    golden!(
        "audit_missing",
        cell.run(&["audit", "verify"]).exits(1),
        cell.run(&["audit", "show", "none.jsonl"]).exits(1),
    );
}

#[test]
fn a_call_that_was_not_logged_is_told() {
    let cell = Cell::new();
    let call = [
        "call",
        "--policy",
        "policy.toml",
        "calc",
        r#"{"expression":"1"}"#,
    ];
    cell.run(&call).exits(0);
    let shown = cell.run(&["audit", "show", "--call", "call_none"]).exits(0);
    assert_eq!(shown.stderr, "no record of the call call_none\n");
}
