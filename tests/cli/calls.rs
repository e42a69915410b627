//! `call`, `tools`, `inspect`, `serve`, `wasi-run`.

use crate::{
    cell::{Cell, golden},
    common,
};

const READ: &str = r#"{"path":"/work/a.txt"}"#;

#[test]
fn a_call_answers() {
    let cell = Cell::new();
    cell.file("input.json", READ);
    golden!(
        "call",
        cell.run(&["call", "--policy", "policy.toml", "files_read", READ])
            .exits(0),
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "files_read",
            READ,
            "--json"
        ])
        .exits(0),
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "files_read",
            "@input.json"
        ])
        .exits(0),
        cell.run_with(
            READ,
            &["call", "--policy", "policy.toml", "files_read", "-"]
        )
        .exits(0),
        cell.run(&[
            "call",
            "--component",
            "builtin:calc",
            "calc",
            r#"{"expression":"2^100"}"#
        ])
        .exits(0),
    );
}

#[test]
fn a_denied_call_names_the_rule_and_exits_3() {
    let cell = Cell::new();
    golden!(
        "call_denied",
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "files_read",
            r#"{"path":"/etc/passwd"}"#
        ])
        .exits(3),
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "files_read",
            r#"{"path":"/etc/passwd"}"#,
            "--json"
        ])
        .exits(3),
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "fetch",
            r#"{"url":"https://example.net/"}"#
        ])
        .exits(3),
        cell.run(&["call", "--component", "builtin:files", "files_read", READ])
            .exits(3),
    );
}

#[test]
fn a_question_without_a_terminal_is_a_no() {
    let cell = Cell::new();
    cell.file(
        "ask.toml",
        "[tool.calc]\nfrom = \"builtin:calc\"\napprove = \"ask\"\n",
    );
    let input = r#"{"expression":"1"}"#;
    golden!(
        "call_asked",
        cell.run(&["call", "--policy", "ask.toml", "calc", input])
            .exits(3)
    );
}

#[test]
fn a_limit_exits_4_and_a_trap_5() {
    let cell = Cell::new();
    cell.file("stack.wasm", common::wat_guest("stack"));
    cell.file("start.wasm", common::wat_guest("start"));
    golden!(
        "call_limits",
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "files_read",
            READ,
            "--limit",
            "memory=64KiB"
        ])
        .exits(4),
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "files_read",
            READ,
            "--limit",
            "output=4B"
        ])
        .exits(4),
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "files_read",
            READ,
            "--limit",
            "fuel=1000",
            "--json"
        ])
        .exits(4),
        cell.run(&[
            "call",
            "--component",
            "start.wasm",
            "start",
            "--limit",
            "time=50ms"
        ])
        .exits(4),
        cell.run(&["call", "--component", "stack.wasm", "stack"])
            .exits(5),
    );
}

#[test]
fn wrong_input_is_told_before_anything_runs() {
    let cell = Cell::new();
    let call = |tool, input| cell.run(&["call", "--policy", "policy.toml", tool, input]);
    golden!(
        "call_wrong_input",
        call("files_red", "{}").exits(2),
        call("files_read", "{}").exits(2),
        call("files_read", r#"{"path":1}"#).exits(2),
        call("files_read", "{path}").exits(2),
        call("files_read", "@none.json").exits(1),
        cell.run(&["call", "files_read", "{}"]).exits(2),
        cell.run(&["call", "--policy", "none.toml", "files_read", "{}"])
            .exits(2),
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "--limit",
            "tme=1s",
            "calc",
            "{}"
        ])
        .exits(2),
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "--limit",
            "time=fast",
            "calc",
            "{}"
        ])
        .exits(2),
    );
}

#[test]
fn what_is_no_component_is_refused() {
    let cell = Cell::empty();
    cell.file("core.wasm", [0, b'a', b's', b'm', 1, 0, 0, 0]);
    cell.file("text.wasm", "hello");
    cell.file("empty.wasm", "");
    cell.file("undeclared.wasm", common::wat_guest("undeclared"));
    golden!(
        "no_component",
        cell.run(&["call", "--component", "core.wasm", "x"])
            .exits(2),
        cell.run(&["call", "--component", "text.wasm", "x", "--json"])
            .exits(2),
        cell.run(&["call", "--component", "empty.wasm", "x"])
            .exits(2),
        cell.run(&["call", "--component", "none.wasm", "x"])
            .exits(2),
        cell.run(&["call", "--component", "undeclared.wasm", "x"])
            .exits(2),
        cell.run(&["call", "--component", "builtin:none", "x"])
            .exits(2),
        cell.run(&["inspect", "core.wasm"]).exits(2),
        cell.run(&["inspect", "none.wasm"]).exits(2),
    );
}

/// A component that knows nothing of toolcell: one function adds, and one has a resource.
const ADDER: &str = r#"(component
  (type $pen (resource (rep i32)))
  (export $own "pen" (type $pen))
  (core module $m
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "open") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (func (export "add") (param "x" u32) (param "y" u32) (result u32)
    (canon lift (core func $i "add")))
  (func (export "open") (result (own $own)) (canon lift (core func $i "open"))))"#;

#[test]
fn functions_of_any_component_are_tools() {
    let cell = Cell::empty();
    cell.file("adder.wasm", wat::parse_str(ADDER).unwrap());
    let call = |name, input| cell.run(&["call", "--component", "adder.wasm", name, input]);
    golden!(
        "plain",
        cell.run(&["inspect", "adder.wasm"]).exits(0),
        call("add", r#"{"x": 1, "y": 2}"#).exits(0),
        call("adder_add", r#"{"x": 4294967295, "y": 2}"#).exits(0),
        call("add", r#"{"x": 1, "y": -2}"#).exits(2),
        call("add", r#"{"x": 1, "y": 2.0}"#).exits(2),
        call("open", "{}").exits(2),
    );
    let json = cell
        .run(&["inspect", "adder.wasm", "--json"])
        .exits(0)
        .json();
    let data = &json["data"];
    assert_eq!(data["world"], serde_json::Value::Null);
    assert_eq!(data["left_out"][0]["function"], "open");
    let output = &data["tools"][0]["output_schema"]["properties"]["result"];
    assert_eq!(output["maximum"], 4_294_967_295_u32);
}

#[test]
fn tools_are_listed_and_looked_into_without_running() {
    let cell = Cell::new();
    cell.file("stack.wasm", common::wat_guest("stack"));
    golden!(
        "tools",
        cell.run(&["tools", "--policy", "policy.toml"]).exits(0),
        cell.run(&["tools"]).exits(0),
        cell.run(&["inspect", "stack.wasm"]).exits(0),
    );
    let json = cell
        .run(&["inspect", "builtin:files", "--json"])
        .exits(0)
        .json();
    let tools = json["data"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools
        .iter()
        .map(|tool| tool["public_name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "files_read",
            "files_write",
            "files_edit",
            "files_list",
            "files_search"
        ]
    );
    assert_eq!(json["data"]["requests"]["files"][0]["access"], "write");
    let json = cell
        .run(&["tools", "--policy", "policy.toml", "--json"])
        .exits(0)
        .json();
    assert_eq!(json["data"]["tools"][0]["public_name"], "calc");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let cell = Cell::empty();
    let mut child = cell.start(&["explain"]);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let shown = cell.shown(&["explain"], &output);
    assert_eq!((shown.status, shown.stderr.as_str()), (Some(0), ""));
}

#[test]
fn serve_ends_when_its_client_goes_away() {
    let cell = Cell::new();
    let shown = cell
        .run(&["serve", "--stdio", "--policy", "policy.toml"])
        .exits(0);
    assert_eq!(shown.stdout, "");
}

#[test]
fn a_plain_wasi_program_runs_and_its_status_is_ours() {
    const PROGRAM: &str = r#"(component
        (core module $m (func (export "run") (result i32) (i32.const STATUS)))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $r (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $r)))"#;
    let cell = Cell::new();
    for status in ["0", "1"] {
        let program = wat::parse_str(PROGRAM.replace("STATUS", status)).unwrap();
        cell.file("program.wasm", program);
        cell.run(&[
            "wasi-run",
            "--grant",
            "read:workspace=/",
            "program.wasm",
            "--flag",
        ])
        .exits(status.parse().unwrap());
    }
    golden!(
        "wasi_run",
        cell.run(&["wasi-run", "--grant", "all:workspace=/", "program.wasm"])
            .exits(2),
        cell.run(&["wasi-run", "--grant", "read:none=/", "program.wasm"])
            .exits(2),
        cell.run(&["wasi-run", "policy.toml"]).exits(2),
    );
}

#[test]
fn a_program_has_its_streams_and_its_status_in_both_isolations() {
    let cell = Cell::new();
    let program = common::guest("program").display().to_string();
    for isolation in ["process", "thread"] {
        let run = |argument: &str| {
            let arguments = [
                "wasi-run",
                "--isolation",
                isolation,
                "--grant",
                "read:workspace=/data",
                &program,
                argument,
            ];
            cell.run_with("hello\n", &arguments)
        };
        let shown = run("/data/a.txt").exits(0);
        assert_eq!(shown.stdout, "HELLO\nfirst\nsecond\n", "{shown}");
        let shown = run("fail").exits(1);
        assert_eq!(
            (shown.stdout.as_str(), shown.stderr.as_str()),
            ("HELLO\n", "failed as asked\n")
        );
    }
}

#[test]
fn tools_that_are_not_built_in_run_in_workers_and_what_is_required_holds() {
    let cell = Cell::empty();
    let echo = common::guest("echo").display().to_string();
    let call = |cell: &Cell, more: &[&str]| {
        let first = ["call", "--component", &echo, "back", r#"{"text":"hello"}"#];
        cell.run(&[&first, more].concat())
    };
    for (more, ran) in [
        (&[][..], "process"),
        (&["--isolation", "thread"], "thread"),
        (&["--require-confinement=partial"], "process"),
    ] {
        let shown = call(&cell, more).exits(0);
        assert_eq!(shown.stdout, "hello\n");
        let log = std::fs::read_to_string(cell.state("audit.jsonl")).unwrap();
        let last = log.lines().last().unwrap();
        assert!(last.contains(&format!("\"isolation\":\"{ran}\"")), "{last}");
    }
    let cell = cell.env("TOOLCELL_REQUIRE_CONFINEMENT", "partial");
    cell.file("policy.toml", "[tool.echo]\nisolation = \"thread\"\n");
    let shown = call(&cell, &["--policy", "policy.toml"]);
    assert_ne!(shown.status, Some(0));
    assert!(shown.stderr.contains("`partial` is required"), "{shown}");
}

#[test]
fn an_answer_that_does_not_go_to_a_terminal_stays_as_it_is() {
    let cell = Cell::new();
    let text = "\u{1b}[31mred\u{1b}[0m \u{202e}text\n";
    cell.file("workspace/colour.txt", text);
    let input = r#"{"path":"/work/colour.txt"}"#;
    let call = ["call", "--policy", "policy.toml", "files_read", input];
    assert_eq!(cell.run(&call).exits(0).stdout, text);
}

#[test]
fn a_place_without_a_policy_says_so() {
    let cell = Cell::empty();
    let says = "offers no tools";
    assert!(cell.run(&["tools"]).exits(0).stderr.contains(says));
    assert!(
        cell.run(&["serve", "--stdio"])
            .exits(0)
            .stderr
            .contains(says)
    );
    cell.file(
        "hello.jsonl",
        r#"{"content":"Hello","stop_reason":"end_turn"}"#,
    );
    let run = ["run", "x", "--model", "scripted:hello.jsonl"];
    assert!(cell.run(&run).exits(0).stderr.contains(says));
    let explained = cell.run(&["policy", "explain"]).exits(0);
    assert!(explained.stderr.contains("lists no tools"), "{explained}");
}

#[test]
fn inspect_does_not_wait_for_a_pipe() {
    let cell = Cell::new();
    let made = std::process::Command::new("mkfifo")
        .arg(cell.path("pipe.wasm"))
        .status();
    assert!(made.unwrap().success());
    let shown = cell.run(&["inspect", "pipe.wasm"]).exits(2);
    assert!(
        shown.stderr.contains("pipe.wasm: is no regular file"),
        "{shown}"
    );
}
