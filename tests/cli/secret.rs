//! `secret`: values are kept, listed by name, checked and removed, and never shown.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path};

use crate::{
    cell::{Cell, Shown, golden},
    lock::{QUIET, guest},
};

const VALUE: &str = "vZq8w-0n3-kQ7tR";
const OTHER: &str = "hJ4m-pL2x-9sWcB";
const PASSPHRASE: &str = "seven lamps under water";

const MANIFEST: &str = r#"
name = "web"
version = "1.0.0"
[[tool]]
name = "look"
description = "Looks"
input = { type = "object" }
[request]
secrets = [{ name = "KEY", to = "https://api.example.com" }]
"#;

/// A policy with one secret of that source, and a tool without any.
fn policy(source: &str) -> String {
    format!(
        "[tool.web]\nfrom = \"web.wasm\"\n\
         net = [{{ to = \"https://api.example.com\" }}]\n\
         secrets.KEY = {{ {source}, to = \"https://api.example.com\", header = \"Authorization: Bearer {{}}\" }}\n\n\
         [tool.calc]\nfrom = \"builtin:calc\"\n"
    )
}

fn from(source: &str) -> String {
    policy(&format!("from = \"{source}\""))
}

/// A place with a passphrase in a file, and a tool that may use a secret.
fn cell() -> Cell {
    let cell = Cell::empty();
    private(&cell, "passphrase", PASSPHRASE);
    cell.file("web.wasm", guest(QUIET, MANIFEST));
    let file = cell.path("passphrase").display().to_string();
    cell.env("TOOLCELL_VAULT_PASSPHRASE_FILE", &file)
}

fn private(cell: &Cell, name: &str, content: &str) {
    cell.file(name, content);
    mode(&cell.path(name), 0o600);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn vault(cell: &Cell) -> std::path::PathBuf {
    cell.state("secrets.vault")
}

fn set(cell: &Cell, name: &str, value: &str) -> Shown {
    cell.run_with(value, &["secret", "set", name, "--in", "vault"])
}

fn call(cell: &Cell, tool: &str, input: &str) -> Shown {
    cell.run(&["call", "--policy", "policy.toml", tool, input])
}

#[test]
fn a_value_is_kept_listed_checked_used_and_removed_and_never_shown() {
    let cell = cell();
    cell.file("policy.toml", from("vault:TOKEN"));
    let policy = ["--policy", "policy.toml"];
    let nothing = cell.run(&["secret", "list"]).exits(0);
    let missing = cell
        .run(&["secret", "check", policy[0], policy[1]])
        .exits(1);
    let kept = set(&cell, "TOKEN", &format!("{VALUE}\n")).exits(0);
    let again = set(&cell, "TOKEN", OTHER).exits(0);
    set(&cell, "UNUSED", VALUE).exits(0);
    let listed = cell.run(&["secret", "list", policy[0], policy[1]]).exits(0);
    let checked = cell
        .run(&["secret", "check", policy[0], policy[1]])
        .exits(0);
    let json = cell
        .run(&["secret", "list", "--json", policy[0], policy[1]])
        .exits(0);
    call(&cell, "web_look", "{}").exits(0);
    let removed = cell.run(&["secret", "remove", "TOKEN"]).exits(0);
    let gone = cell.run(&["secret", "remove", "TOKEN"]).exits(2);
    let all = [
        nothing, missing, kept, again, listed, checked, json, removed, gone,
    ];
    for shown in &all {
        let text = shown.to_string();
        assert!(
            ![VALUE, OTHER, PASSPHRASE]
                .iter()
                .any(|it| text.contains(it)),
            "{text}"
        );
    }
    let [
        nothing,
        missing,
        kept,
        again,
        listed,
        checked,
        json,
        removed,
        gone,
    ] = all;
    golden!(
        "secret", nothing, missing, kept, again, listed, checked, json, removed, gone
    );
    let file = fs::read(vault(&cell)).unwrap();
    for value in [VALUE, OTHER] {
        assert!(!file.windows(value.len()).any(|it| it == value.as_bytes()));
    }
    assert_eq!(
        fs::metadata(vault(&cell)).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

/// Whoever has the list of processes, or the history of a shell, would have it.
#[test]
fn a_value_on_the_command_line_is_refused_and_not_repeated() {
    let cell = cell();
    let wrong = [
        cell.run(&["secret", "set", "TOKEN", VALUE]),
        cell.run(&["secret", "set", "TOKEN", "--", VALUE]),
        cell.run(&[
            "secret",
            "set",
            "--in",
            "vault",
            "TOKEN",
            &format!("-{VALUE}"),
        ]),
        cell.run(&["secret", "set", "TOKEN", &format!("--value={VALUE}")]),
        cell.run(&["secret", "set", &format!("TOKEN={VALUE}")]),
        cell.run(&["secret", "set", "TOKEN", VALUE, "--json"]),
    ];
    for shown in wrong {
        let shown = shown.exits(2);
        let text = format!("{}{}", shown.stdout, shown.stderr);
        assert!(!text.contains(VALUE), "{text}");
    }
    assert!(!vault(&cell).exists());
    let shown = cell.run(&["secret", "set", "TOKEN", "something"]).exits(2);
    golden!("secret_on_the_command_line", shown);
}

#[test]
fn weak_values_are_refused_with_the_reason() {
    let cell = cell();
    let shown: Vec<Shown> = ["test", "aaaaaaaaaa", "changeme123", "two\nlines-of-it-7"]
        .into_iter()
        .map(|value| set(&cell, "TOKEN", value).exits(2))
        .collect();
    assert!(!vault(&cell).exists());
    golden!("secret_weak", shown[0], shown[1], shown[2], shown[3]);
    let long = "vZq8w-".repeat(20_000);
    let shown = set(&cell, "TOKEN", &long).exits(2);
    assert!(shown.stderr.contains("more than 65536 bytes"), "{shown}");
}

#[test]
fn a_wrong_passphrase_and_a_changed_file_are_told_and_change_nothing() {
    let cell = cell();
    cell.file("policy.toml", from("vault:TOKEN"));
    set(&cell, "TOKEN", VALUE).exits(0);
    let before = fs::read(vault(&cell)).unwrap();
    private(&cell, "passphrase", "another one entirely");
    let wrong = set(&cell, "TOKEN", OTHER).exits(1);
    let called = call(&cell, "web_look", "{}").exits(1);
    let checked = cell
        .run(&["secret", "check", "--policy", "policy.toml"])
        .exits(1);
    let message = called.stderr.lines().next().unwrap();
    assert!(!message.contains("[DIR]"), "a model sees it: {message}");
    golden!("secret_wrong_passphrase", wrong, called, checked);
    assert_eq!(fs::read(vault(&cell)).unwrap(), before);

    private(&cell, "passphrase", PASSPHRASE);
    for (content, says) in [
        (&before[..before.len() - 1], "does not open"),
        (&before[..20], "ends too early"),
        (&b""[..], "no file of toolcell's secrets"),
        (
            &b"garbage that is no vault at all"[..],
            "no file of toolcell's secrets",
        ),
    ] {
        fs::write(vault(&cell), content).unwrap();
        mode(&vault(&cell), 0o600);
        let shown = set(&cell, "TOKEN", OTHER).exits(1);
        assert!(shown.stderr.contains(says), "{says}: {shown}");
        assert_eq!(fs::read(vault(&cell)).unwrap(), content);
    }
    // One that asks for all memory of the machine.
    let mut greedy = before.clone();
    greedy[17..21].copy_from_slice(&u32::MAX.to_le_bytes());
    fs::write(vault(&cell), greedy).unwrap();
    let shown = set(&cell, "TOKEN", OTHER).exits(1);
    assert!(shown.stderr.contains("more than 256 MiB"), "{shown}");
}

#[test]
fn without_a_terminal_and_a_passphrase_file_a_call_says_what_to_do() {
    let with = cell();
    set(&with, "TOKEN", VALUE).exits(0);
    let cell = Cell::empty();
    cell.file("web.wasm", guest(QUIET, MANIFEST));
    cell.file("policy.toml", from("vault:TOKEN"));
    // A tool without a secret is called without any question, and so is one whose value nobody kept.
    assert_eq!(
        call(&cell, "calc", r#"{"expression":"6*7"}"#)
            .exits(0)
            .stdout,
        "42\n"
    );
    let absent = call(&cell, "web_look", "{}").exits(0);
    fs::create_dir_all(cell.state("")).unwrap();
    fs::copy(vault(&with), vault(&cell)).unwrap();
    mode(&vault(&cell), 0o600);
    assert_eq!(
        call(&cell, "calc", r#"{"expression":"6*7"}"#)
            .exits(0)
            .stdout,
        "42\n"
    );
    let locked = call(&cell, "web_look", "{}").exits(1);
    // A model sees the message, which names no path of this machine.
    let json = cell
        .run(&[
            "call",
            "--json",
            "--policy",
            "policy.toml",
            "web_look",
            "{}",
        ])
        .exits(1)
        .json();
    assert_eq!(json["error"]["code"], "auth_required");
    assert_eq!(json["error"]["rule"], "policy.toml:4 tool.web.secrets.KEY");
    let told = json["data"]["content"].to_string();
    assert!(
        told.contains("is locked") && !told.contains("[DIR]"),
        "{told}"
    );
    let set = set(&cell, "TOKEN", OTHER).exits(1);
    golden!("secret_locked", absent, locked, set);
}

#[test]
fn without_a_keyring_the_other_places_are_named() {
    let cell = Cell::empty();
    cell.file("web.wasm", guest(QUIET, MANIFEST));
    cell.file("policy.toml", from("keyring:TOKEN"));
    let set = cell
        .run_with(VALUE, &["secret", "set", "TOKEN", "--in", "keyring"])
        .exits(1);
    let called = call(&cell, "web_look", "{}").exits(1);
    golden!("secret_no_keyring", set, called);
}

#[test]
fn check_looks_at_every_source() {
    let cell = cell().env("GIVEN", VALUE).env("WEAK", "hunter2hunter2");
    private(&cell, "good.key", &format!("{VALUE}\n"));
    cell.file("open.key", VALUE);
    mode(&cell.path("open.key"), 0o644);
    std::os::unix::fs::symlink("good.key", cell.path("link.key")).unwrap();
    set(&cell, "TOKEN", OTHER).exits(0);
    let mut policy = String::new();
    for (name, source) in [
        ("A", "from = \"env:GIVEN\""),
        ("B", "from = \"env:NOT_GIVEN\""),
        ("C", "from = \"env:WEAK\""),
        ("D", "from = \"file:good.key\""),
        ("E", "from = \"file:open.key\""),
        ("F", "from = \"file:link.key\""),
        ("G", "from = \"file:none.key\""),
        ("H", "from = \"vault:TOKEN\""),
        ("I", "from = \"keyring:TOKEN\""),
        (
            "J",
            "oauth = { grant = \"client_credentials\", token_url = \"https://auth.example.com/t\", client_id = \"me\", \
             client_secret = \"env:GIVEN\" }",
        ),
    ] {
        let package = format!("p{}", name.to_lowercase());
        policy.push_str(&format!(
            "[tool.{package}]\nfrom = \"web.wasm\"\nnet = [{{ to = \"https://api.example.com\" }}]\n\
             secrets.{name} = {{ {source}, to = \"https://api.example.com\", header = \"X-Key: {{}}\" }}\n"
        ));
    }
    cell.file("policy.toml", policy);
    let arguments = ["secret", "check", "--policy", "policy.toml"];
    let shown = cell.run(&arguments).exits(1);
    golden!("secret_check", shown);
    let json = cell
        .run(&[&arguments[..], &["--json"]].concat())
        .exits(1)
        .json();
    assert_eq!(json["data"]["failed"], 6);
    let statuses: Vec<&str> = json["data"]["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["status"].as_str().unwrap())
        .collect();
    let expected = [
        "found",
        "missing",
        "refused",
        "found",
        "unsafe_file",
        "unsafe_file",
        "missing",
        "found",
        "unavailable",
        "found",
    ];
    assert_eq!(statuses, expected);
}

/// Where the disk is full, the old file stays whole.
#[test]
fn a_write_that_fails_leaves_the_old_values() {
    let cell = cell();
    set(&cell, "TOKEN", VALUE).exits(0);
    let before = fs::read(vault(&cell)).unwrap();
    let arguments = ["secret", "set", "TOKEN", "--in", "vault"];
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
    let mut child = cell.start_in_shell(script, &arguments);
    child
        .stdin
        .take()
        .unwrap()
        .write_all(OTHER.as_bytes())
        .unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(fs::read(vault(&cell)).unwrap(), before);
    let left: Vec<_> = fs::read_dir(cell.state(""))
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| name == "secrets.vault" || name == "secrets.lock"),
        "{left:?}"
    );
}

/// What the kernel says of a process.
#[cfg(target_os = "linux")]
fn of_process(pid: u32, name: &str) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{name}")).unwrap()).into_owned()
}

/// How many of its two limits on core dumps are zero.
#[cfg(target_os = "linux")]
fn core_limits(pid: u32) -> usize {
    let limits = of_process(pid, "limits");
    let mut lines = limits.lines();
    let line = lines.find(|line| line.starts_with("Max core file size"));
    let words = line.unwrap().split_whitespace();
    words.filter(|word| *word == "0").count()
}

/// The processes that one has started, from whichever of its threads.
#[cfg(target_os = "linux")]
fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let children = fs::read_to_string(task.unwrap().path().join("children")).unwrap();
        found.extend(
            children
                .split_whitespace()
                .map(|pid| pid.parse::<u32>().unwrap()),
        );
    }
    found
}

/// S12: what this process knows is neither in a core dump nor in what its workers are given.
#[cfg(target_os = "linux")]
#[test]
fn a_process_that_knows_secrets_is_closed() {
    use std::io::{BufRead as _, BufReader};

    use serde_json::json;

    let cell = cell().env("GIVEN", VALUE);
    cell.file("policy.toml", from("env:GIVEN"));
    let report = cell.run(&["doctor", "--json"]).json();
    let closed = json!({ "no_core": true, "not_dumpable": true });
    assert_eq!(report["data"]["process"], closed);

    // Started where core dumps are allowed; whatever is started there has them, apart from this program.
    let twin = cell.start_in_shell("ulimit -c unlimited; exec sleep 600", &[]);
    let serve = ["serve", "--stdio", "--policy", "policy.toml"];
    let mut child = cell.start_in_shell("ulimit -c unlimited; exec \"$0\" \"$@\"", &serve);
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap()).lines();
    let client = json!({ "name": "test", "version": "1" });
    let initialize =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
    let call = json!({ "name": "web_look", "arguments": {} });
    for (id, method, params) in [(1, "initialize", initialize), (2, "tools/call", call)] {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        writeln!(to, "{message}").unwrap();
        from.next().unwrap().unwrap();
        writeln!(
            to,
            r#"{{"jsonrpc":"2.0","method":"notifications/initialized"}}"#
        )
        .unwrap();
    }

    assert_eq!((core_limits(twin.id()), core_limits(child.id())), (0, 2));
    // The first environment of a process stays where its parent put it, which is why files are better.
    assert!(of_process(child.id(), "environ").contains(VALUE));
    let workers = children(child.id());
    assert!(!workers.is_empty(), "a worker waits for its next call");
    for worker in workers {
        assert_eq!(of_process(worker, "environ"), "");
        assert!(!of_process(worker, "cmdline").contains(VALUE));
        assert_eq!(core_limits(worker), 2);
    }
    for mut started in [twin, child] {
        started.kill().unwrap();
        started.wait().unwrap();
    }
}
