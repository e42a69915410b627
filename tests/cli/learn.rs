//! `policy learn`.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use crate::cell::{Cell, golden};

/// A server that answers every request with a few words, and its port.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.extend(byte);
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    port
}

/// What is learned suffices, and what was not tried is not in it.
#[test]
fn what_is_learned_suffices_and_grants_nothing_more() {
    let cell = Cell::empty();
    let place = format!("http://127.0.0.1:{}", server());
    let input = |path: &str| format!("{{\"url\":\"{place}{path}\"}}");
    let learn = |more: &[&str]| {
        let input = input("/v1/a?token=hidden");
        let mut arguments = vec!["policy", "learn", "fetch", input.as_str()];
        arguments.extend(["--component", "builtin:fetch"]);
        arguments.extend(more);
        cell.run(&arguments).exits(0)
    };
    // Nobody is there to be asked: it is denied, and learned all the same.
    let denied = learn(&[]);
    assert!(
        denied.stdout.contains("the call ended with denied"),
        "{denied}"
    );
    let shown = learn(&["--yes"]);
    assert!(shown.stdout.contains("the call succeeded"), "{shown}");
    assert!(
        shown
            .stderr
            .contains(&format!("allowed: fetch GET {place}/v1/a")),
        "{shown}"
    );
    let rule = format!("    {{ to = \"{place}\", methods = [\"GET\"], paths = [\"/v1/a\"] }},\n");
    for shown in [&denied, &shown] {
        assert!(
            shown.stdout.contains("from = \"builtin:fetch\"\n"),
            "{shown}"
        );
        assert!(shown.stdout.contains(&rule), "{shown}");
        assert!(!shown.to_string().contains("paths = [\"/**\"]"), "{shown}");
        assert!(!shown.stdout.contains("hidden"), "{shown}");
    }

    learn(&["--yes", "--out", "learned.toml"]);
    let call = |path: &str| cell.run(&["call", "--policy", "learned.toml", "fetch", &input(path)]);
    let answer = call("/v1/a").exits(0);
    assert!(answer.stdout.contains("hello"), "{answer}");
    call("/v1/b").exits(3);

    let again = cell.run(&[
        "policy",
        "learn",
        "fetch",
        &input("/"),
        "--component",
        "builtin:fetch",
        "--out",
        "learned.toml",
    ]);
    assert!(
        again
            .exits(1)
            .stderr
            .contains("name a file that does not exist yet")
    );
}

/// The host that was not asked to learn denies the same call.
#[test]
fn a_yes_counts_only_while_learning_and_only_for_what_is_requested() {
    let cell = Cell::empty();
    let place = format!("http://127.0.0.1:{}", server());
    let input = format!("{{\"url\":\"{place}/\"}}");
    cell.run(&["call", "fetch", &input, "--component", "builtin:fetch"])
        .exits(3);
    // Reading a file is nothing that `fetch` requests, and a rule that denies holds.
    cell.file(
        "denies.toml",
        format!("[tool.fetch]\nfrom = \"builtin:fetch\"\nnet = [{{ to = \"{place}\", approve = \"deny\" }}]\n"),
    );
    let shown = cell
        .run(&[
            "policy",
            "learn",
            "fetch",
            &input,
            "--policy",
            "denies.toml",
            "--yes",
        ])
        .exits(0);
    assert!(
        shown.stdout.contains("the call ended with denied"),
        "{shown}"
    );
    assert!(shown.stderr.contains("stays denied by"), "{shown}");
    assert!(!shown.stdout.contains("net = "), "{shown}");
}

#[test]
fn directories_are_learned_from_a_policy_or_lent() {
    let cell = Cell::new();
    cell.file("workspace/deep/down/b.txt", "below");
    golden!(
        "policy_learn",
        cell.run(&[
            "policy",
            "learn",
            "files_read",
            r#"{"path":"/work/deep/down/b.txt"}"#,
            "--policy",
            "policy.toml",
        ])
        .exits(0),
        cell.run(&[
            "policy",
            "learn",
            "read",
            r#"{"path":"/work/deep/down/b.txt"}"#,
            "--component",
            "builtin:files",
            "--dir",
            "./workspace=/work",
            "--json",
        ])
        .exits(0),
        cell.run(&[
            "policy",
            "learn",
            "read",
            r#"{"path":"/etc/hostname"}"#,
            "--component",
            "builtin:files",
        ])
        .exits(0),
        cell.run(&["policy", "learn", "files_read"]).exits(2),
        cell.run(&["policy", "learn"]).exits(2),
        cell.run(&["policy", "learn", "nothing", "--component", "builtin:files",]),
        cell.run(&[
            "policy",
            "learn",
            "read",
            "{}",
            "--component",
            "builtin:files",
            "--dir",
            "workspace",
        ])
        .exits(2),
    );
}

#[test]
fn a_task_is_learned_from_all_its_calls() {
    let cell = Cell::new();
    cell.file(
        "turns.jsonl",
        concat!(
            r#"{"content":[{"type":"tool_use","id":"t1","name":"files_read","input":{"path":"/work/a.txt"}},{"type":"tool_use","id":"t2","name":"calc","input":{"expression":"1+1"}}],"stop_reason":"tool_use"}"#,
            "\n",
            r#"{"content":[{"type":"text","text":"done"}],"stop_reason":"end_turn"}"#,
            "\n"
        ),
    );
    golden!(
        "policy_learn_task",
        cell.run(&[
            "policy",
            "learn",
            "--task",
            "look",
            "--model",
            "scripted:turns.jsonl",
            "--policy",
            "policy.toml",
        ])
        .exits(0),
    );
}
