//! The last nets: whatever the command says, writes down or answers, no key of its environment is in it. Each of them is
//! also run with the same value where nobody knows that it is a key, to see that it would have been there.

use std::fs;

use serde_json::{Value, json};

use crate::{
    cell::{Cell, POLICY},
    common,
};

const KEY: &str = "ANTHROPIC_API_KEY";

fn random() -> String {
    format!("tk-{:032x}", rand::random::<u128>())
}

/// A place whose workspace holds a value: as a key of the environment, and as one that nobody knows.
fn places(value: &str) -> [(bool, Cell); 2] {
    [true, false].map(|known| {
        let cell = Cell::new();
        cell.file("workspace/a.txt", format!("the key is {value}\n"));
        let cell = if known { cell.env(KEY, value) } else { cell };
        (known, cell)
    })
}

/// Everything below a directory, as text.
fn all(dir: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => text += &all(&path),
            _ => text += &String::from_utf8_lossy(&fs::read(&path).unwrap()),
        }
    }
    text
}

#[test]
fn a_call_shows_no_key_in_any_shape() {
    let value = random();
    let call = ["call", "files_read", r#"{"path":"/work/a.txt"}"#];
    let policy = ["--policy", "policy.toml"];
    for (known, cell) in places(&value) {
        let plain = cell.run(&[&call[..], &policy].concat()).exits(0);
        let as_json = cell.run(&[&call[..], &policy, &["--json"]].concat());
        let data = &as_json.json()["data"];
        let log = all(&cell.state(""));
        assert!(log.contains("\"type\":\"call\""), "{log}");
        if known {
            assert_eq!(plain.stdout, format!("the key is [secret {KEY}]\n"));
            assert_eq!(data["redactions"], json!({ KEY: 1 }));
            let counted = format!(r#""redactions":[{{"secret":"{KEY}","count":1}}]"#);
            assert_eq!(log.matches(&counted).count(), 2, "{log}");
        } else {
            assert!(plain.stdout.contains(&value));
            assert_eq!(data.get("redactions"), None);
        }
        let seen = format!("{plain}{as_json}{log}");
        assert_eq!(seen.contains(&value), !known, "{seen}");
    }
}

#[test]
fn a_failure_shows_no_key() {
    let value = random();
    for (known, cell) in places(&value) {
        let tool = format!("files_{value}");
        for arguments in [
            &["call", &tool, "--policy", "policy.toml"][..],
            &["call", &tool, "--policy", "policy.toml", "--json"],
            &["call", "calc", "--policy", &value],
            &["call", "calc", &value, "--policy", "policy.toml"],
            &["explain", &value],
            &["run", "x", "--model", &value],
            &["--no-such-flag", &value],
        ] {
            let shown = cell.run(arguments);
            assert_ne!(shown.status, Some(0));
            let said = format!("{}{}", shown.stdout, shown.stderr);
            let told = said.contains(&value);
            assert!(!(known && told), "{arguments:?}: {said}");
            // The parser of JSON, and that of flags, say only where they stumbled.
            let quoted = told || said.contains("no JSON") || said.contains("--no-such-flag");
            assert!(known || quoted, "{arguments:?}: {said}");
        }
    }
}

/// Turns in which a model repeats the value: in what it thinks, in what it says and in what it asks for.
fn turns(value: &str) -> String {
    let thinking =
        json!({ "type": "thinking", "thinking": format!("hm, {value}"), "signature": "s" });
    let text = |text: &str| json!({ "type": "text", "text": format!("{text} {value} .") });
    let call = |id: &str, input: Value| json!({ "type": "tool_use", "id": id, "name": "files_read", "input": input });
    let path = format!("/work/{value}");
    [
        json!({
            "content": [
                thinking,
                text("first"),
                call("t1", json!({ "path": "/work/a.txt" })),
                call("t2", json!({ "path": path })),
            ],
            "stop_reason": "tool_use",
        }),
        json!({ "content": [text("last")], "stop_reason": "end_turn" }),
    ]
    .map(|turn| format!("{turn}\n"))
    .concat()
}

#[test]
fn a_run_shows_and_keeps_no_key() {
    let value = random();
    for (known, cell) in places(&value) {
        cell.file("turns.jsonl", turns(&value));
        let task = format!("use {value}");
        let run = [
            "run",
            &task,
            "--policy",
            "policy.toml",
            "--model",
            "scripted:turns.jsonl",
        ];
        let mut seen = String::new();
        for more in [&[][..], &["--json"], &["--events"]] {
            let shown = cell.run(&[&run[..], more].concat()).exits(0);
            if more == ["--events"] {
                let texts = shown.stdout.lines().filter_map(|line| {
                    let event: Value = serde_json::from_str(line).unwrap();
                    let text = event["text"].as_str().unwrap_or_default().to_owned();
                    (event["type"] == "text").then_some(text)
                });
                seen += &texts.collect::<String>();
            }
            seen += &shown.stdout;
            seen += &shown.stderr;
        }
        // Transcripts and the audit log.
        let kept = all(&cell.state(""));
        assert!(kept.contains("\"type\":\"header\"") && kept.contains("\"type\":\"call\""));
        seen += &kept;
        assert_eq!(seen.contains(&value), !known, "{seen}");
        if known {
            assert!(seen.contains(&format!("last [secret {KEY}]")), "{seen}");
            let refused = format!("the input holds the value of the secret {KEY}");
            assert!(seen.contains(&refused), "{seen}");
        }
    }
}

#[test]
fn a_client_sees_no_key() {
    let value = random();
    let call = |id: u32, tool: &str, arguments: Value| {
        let params = json!({ "name": tool, "arguments": arguments });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    let messages = [
        json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" },
        }}),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        call(1, "files_read", json!({ "path": "/work/a.txt" })),
        call(2, &value, json!({})),
        call(3, "files_read", json!({ "path": format!("/work/{value}") })),
    ];
    let input: String = messages
        .iter()
        .map(|message| format!("{message}\n"))
        .collect();
    for (known, cell) in places(&value) {
        let shown = cell
            .run_with(&input, &["serve", "--stdio", "--policy", "policy.toml"])
            .exits(0);
        let answers: Vec<Value> = shown
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(answers.len(), 4, "{shown}");
        let seen = format!("{}{}", shown.stdout, shown.stderr);
        assert_eq!(seen.contains(&value), !known, "{seen}");
        if known {
            assert!(seen.contains(&format!("[secret {KEY}]")), "{seen}");
        }
    }
}

#[test]
fn the_log_says_as_much_as_is_asked_for_and_no_key() {
    let value = random();
    let call = ["call", "files_read", r#"{"path":"/work/a.txt"}"#];
    let policy = ["--policy", "policy.toml"];
    for (known, cell) in places(&value) {
        let quiet = cell.run(&[&call[..], &policy].concat());
        assert_eq!(quiet.stderr, "");
        for more in ["-v", "-vv"] {
            let shown = cell.run(&[&call[..], &policy, &[more]].concat()).exits(0);
            assert!(!shown.stderr.contains(&value), "{shown}");
        }
        // A package has its name from its file, and the span of a call has it from there. That this one traps is told.
        let file = format!("{value}.wasm");
        cell.file(&file, common::wat_guest("stack"));
        let traced = cell.env("TOOLCELL_LOG", "trace");
        let here = ["--component", &file, "--isolation", "thread"];
        let shown = traced.run(&[&["call", &value], &here[..]].concat());
        assert!(shown.stderr.contains("execute_tool"), "{shown}");
        let seen = format!("{}{}", shown.stdout, shown.stderr);
        assert_eq!(seen.contains(&value), !known, "{seen}");
        assert!(!known || seen.contains("[secret"), "{seen}");
    }
}

#[test]
fn a_filter_that_makes_no_sense_is_refused() {
    let cell = Cell::new().env("TOOLCELL_LOG", "toolcell=loud");
    let shown = cell.run(&["tools", "--policy", "policy.toml"]).exits(2);
    assert!(
        shown.stderr.contains("TOOLCELL_LOG is no filter"),
        "{shown}"
    );
    assert!(shown.stderr.contains("help: write a level"), "{shown}");
}

#[test]
fn a_policy_that_is_wrong_is_shown_without_a_key() {
    let value = random();
    for (known, cell) in places(&value) {
        cell.file(
            "wrong.toml",
            format!("{POLICY}\n[tool.x]\nfroom = \"{value}\"\n"),
        );
        let shown = cell.run(&["policy", "check", "wrong.toml"]);
        assert!(shown.stderr.contains("froom"), "{shown}");
        assert_eq!(shown.stderr.contains(&value), !known, "{shown}");
    }
}

/// What nobody was ever given. It is put together here, so that no other search finds it in this file.
fn likely() -> String {
    format!("ghp_{}", "a8Kd03mZq7LxW2vRtY5nB9cE4uHs6JpG1fTo")
}

const SAID: &str =
    "files_read's answer holds what looks like a GitHub access token (rule github-token)";

#[test]
fn what_looks_like_a_credential_is_told_and_on_record() {
    let token = likely();
    for (mode, told, replaced) in [
        ("off", false, false),
        ("warn", true, false),
        ("redact", true, true),
    ] {
        let cell = Cell::new();
        cell.file(
            "policy.toml",
            format!("{POLICY}\n[secrets]\nunknown = \"{mode}\"\n"),
        );
        cell.file("workspace/a.txt", format!("it is {token}\n"));
        let call = [
            "call",
            "files_read",
            r#"{"path":"/work/a.txt"}"#,
            "--policy",
            "policy.toml",
        ];
        let plain = cell.run(&call).exits(0);
        assert_eq!(plain.stdout.contains(&token), !replaced, "{plain}");
        let as_json = cell.run(&[&call[..], &["--json"]].concat()).exits(0);
        let run = [
            "run",
            "look",
            "--policy",
            "policy.toml",
            "--model",
            "scripted:turns.jsonl",
        ];
        cell.file("turns.jsonl", turns("a.txt"));
        let ran = cell.run(&run).exits(0);
        let events = cell.run(&[&run[..], &["--events"]].concat()).exits(0);
        assert_eq!(
            events.stdout.contains("\"likely_secret\""),
            told,
            "{events}"
        );
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "files_read", "arguments": { "path": "/work/a.txt" },
        }});
        let begin = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" },
        }});
        let begun = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let served = cell.run_with(
            &format!("{begin}\n{begun}\n{message}\n"),
            &["serve", "--stdio", "--policy", "policy.toml"],
        );
        for shown in [&plain, &as_json, &ran, &served] {
            assert_eq!(shown.stderr.contains(SAID), told, "{shown}");
            assert_eq!(
                shown.stderr.contains("which was taken out"),
                replaced,
                "{shown}"
            );
            assert!(!shown.stderr.contains(&token), "{shown}");
        }
        let log = all(&cell.state(""));
        let record = format!(
            r#""likely_secrets":[{{"rule":"github-token","about":"a GitHub access token","count":1,"replaced":{replaced}}}]"#
        );
        assert_eq!(log.contains(&record), told, "{log}");
    }
}

#[test]
fn rules_for_what_looks_like_a_credential_come_from_a_file() {
    let cell = Cell::new();
    cell.file(
        "policy.toml",
        format!("{POLICY}\n[secrets]\nrules = \"./rules.toml\"\n"),
    );
    cell.file("workspace/a.txt", "the pass is pass-493021\n");
    let call = [
        "call",
        "files_read",
        r#"{"path":"/work/a.txt"}"#,
        "--policy",
        "policy.toml",
    ];
    let missing = cell.run(&call).exits(2);
    assert!(missing.stderr.contains("rules.toml"), "{missing}");
    cell.file(
        "rules.toml",
        "[[rule]]\nid = \"ours\"\ndescription = \"A pass of ours\"\nregex = 'pass-[0-9]{6}'\nkeywords = [\"pass-\"]\n",
    );
    let shown = cell.run(&call).exits(0);
    assert!(
        shown
            .stderr
            .contains("what looks like a pass of ours (rule ours)"),
        "{shown}"
    );
}
