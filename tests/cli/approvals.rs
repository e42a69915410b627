//! Questions to a person: at the terminal, remembered, and left for later.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process::{Child, ChildStdin, ChildStdout, Command},
};

use serde_json::{Value, json};

use crate::{cell::Cell, runs::script};

const FILES: &str = r#"
[tool.files]
from = "builtin:files"
files = [{ host = "workspace", guest = "/work", access = "write" }]
"#;

const POLICY: &str = r#"
[tool.files]
from = "builtin:files"
files = [{ host = "workspace", guest = "/work", access = "write" }]

[tool.calc]
from = "builtin:calc"
approve = "ask"
"#;

/// A place with a script that writes a file and calculates, and ends.
fn place() -> Cell {
    let cell = Cell::new();
    cell.file("policy.toml", POLICY);
    let write = (
        "files_write",
        json!({ "path": "/work/new.txt", "content": "once" }),
    );
    let calc = ("calc", json!({ "expression": "6*7" }));
    let calls = [write, calc];
    cell.file(
        "turns.jsonl",
        script(&[("I begin.", &calls), ("Done.", &[])]),
    );
    cell
}

const RUN: &[&str] = &[
    "run",
    "go",
    "--policy",
    "policy.toml",
    "--model",
    "scripted:turns.jsonl",
];

fn resume<'a>(id: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let begin = ["run", "--resume", id];
    [&begin[..], &RUN[2..], more].concat()
}

/// The id of the only run.
fn id(cell: &Cell) -> String {
    let mut runs = fs::read_dir(cell.state("runs")).unwrap();
    let run = runs.next().unwrap().unwrap().path();
    run.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// Runs until it waits, and gives the run's id and the question's.
fn parked(cell: &Cell) -> (String, String) {
    let json = cell
        .run(&[RUN, &["--park", "--json"]].concat())
        .exits(75)
        .json();
    assert_eq!(
        (&json["ok"], &json["error"]["code"]),
        (&json!(false), &json!("unavailable"))
    );
    let report = &json["data"]["report"];
    assert_eq!(report["outcome"], "waiting");
    let approval = &report["approvals"][0];
    assert_eq!(
        (&approval["tool"], &approval["access"]),
        (&json!("calc"), &json!("call"))
    );
    assert_eq!(approval["rule"], "policy.toml:8 tool.calc.approve");
    let run = json["data"]["run_id"].as_str().unwrap().to_owned();
    (run, approval["id"].as_str().unwrap().to_owned())
}

/// The answers that a transcript has for calls of a tool.
fn answered(cell: &Cell, run: &str, tool: &str) -> Vec<Value> {
    let text = fs::read_to_string(cell.state(&format!("runs/{run}.jsonl"))).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |id: &Value| {
        let mut all = lines.iter();
        all.any(|it| it["type"] == "tool_start" && it["id"] == *id && it["tool"] == tool)
    };
    let results = lines
        .iter()
        .filter(|it| it["type"] == "tool_result" && of(&it["id"]));
    results.cloned().collect()
}

#[test]
fn without_anybody_to_ask_the_answer_is_no_as_before() {
    let cell = place();
    cell.run(RUN).exits(0);
    let answer = &answered(&cell, &id(&cell), "calc")[0];
    assert_eq!(answer["output"]["code"], "denied");
}

#[test]
fn a_run_waits_and_goes_on_with_the_answer() {
    let cell = place();
    let shown = cell.run(&[RUN, &["--park"]].concat()).exits(75);
    let run = id(&cell);
    assert!(shown.stderr.contains("calc wants: call"), "{shown}");
    let hint = format!(
        "toolcell run --resume {run} --model scripted:turns.jsonl --policy policy.toml --park --approve ask_"
    );
    assert!(shown.stderr.contains(&hint), "{shown}");
    // What finished before is not done again.
    cell.file("workspace/new.txt", "changed since");
    let waits = cell.run(&resume(&run, &["--park", "--events"])).exits(75);
    let last: Value = serde_json::from_str(waits.stdout.lines().last().unwrap()).unwrap();
    let question = last["approvals"][0]["id"].as_str().unwrap();
    assert!(
        waits.stdout.contains("\"type\":\"tool_call_waiting\""),
        "{waits}"
    );

    let shown = cell.run(&resume(&run, &["--approve", question])).exits(0);
    assert!(shown.stdout.contains("Done."), "{shown}");
    let answer = &answered(&cell, &run, "calc")[0];
    assert_eq!(answer["output"]["content"][0]["text"], "42");
    assert_eq!(answered(&cell, &run, "files_write").len(), 1);
    let written = fs::read_to_string(cell.path("workspace/new.txt")).unwrap();
    assert_eq!(written, "changed since");
    let audit = fs::read_to_string(cell.state("audit.jsonl")).unwrap();
    assert!(audit.contains(&format!("approver: given before as {question}")));
}

#[test]
fn a_run_goes_on_with_a_no_and_with_all_answers_at_once() {
    let cell = place();
    let (run, question) = parked(&cell);
    cell.run(&resume(&run, &["--deny", &question])).exits(0);
    assert_eq!(answered(&cell, &run, "calc")[0]["output"]["code"], "denied");
    let cell = place();
    let (run, _) = parked(&cell);
    cell.run(&resume(&run, &["--approve-all"])).exits(0);
    assert_eq!(
        answered(&cell, &run, "calc")[0]["output"]["code"],
        Value::Null
    );
}

#[test]
fn an_answer_that_nobody_asked_for_is_told() {
    let cell = place();
    let (run, question) = parked(&cell);
    let wrong = cell.run(&resume(&run, &["--approve", "ask_0"])).exits(2);
    assert!(
        wrong
            .stderr
            .contains(&format!("the run waits for {question}")),
        "{wrong}"
    );
    let both = ["--approve", question.as_str(), "--deny", &question];
    cell.run(&resume(&run, &both)).exits(2);
    cell.run(&["run", "task", "--approve", &question]).exits(2);
    cell.run(&resume(&run, &["--approve", &question, "--approve-all"]))
        .exits(2);
    cell.run(&resume(&run, &["--approve", &question])).exits(0);
}

/// The transcript is all that another machine needs, beside the policy. Where that says something else by now, the question
/// is asked anew.
#[test]
fn a_run_goes_on_elsewhere_and_asks_anew_where_the_rule_is_another() {
    let cell = place();
    let (run, question) = parked(&cell);
    let transcript = fs::read(cell.state(&format!("runs/{run}.jsonl"))).unwrap();
    let changed = POLICY.replace("approve = \"ask\"", "approve = { calc = \"ask\" }");
    for (policy, status) in [(POLICY, 0), (changed.as_str(), 75)] {
        let other = place();
        other.file("policy.toml", policy);
        other.file("moved.jsonl", &transcript);
        let more = [
            "--approve",
            question.as_str(),
            "--park",
            "--transcript",
            "moved.jsonl",
        ];
        let shown = other.run(&resume(&run, &more)).exits(status);
        assert!(!shown.stderr.contains(&question), "{shown}");
    }
}

#[test]
fn the_policy_may_say_that_runs_wait() {
    let cell = place();
    cell.file(
        "policy.toml",
        format!("{POLICY}\n[approvals]\npark = true\n"),
    );
    cell.run(RUN).exits(75);
}

/// A person at a terminal.
struct Person {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    seen: String,
}

impl Person {
    fn begins(cell: &Cell, arguments: &[&str]) -> Self {
        let around = "trap : INT\nsh -c 'echo $$ > pid; exec \"$0\" \"$@\"' \"$0\" \"$@\"\necho \"ended with $?\"\n";
        let mut child = cell.start_at_terminal(around, arguments);
        Self {
            keys: child.stdin.take().unwrap(),
            screen: child.stdout.take().unwrap(),
            child,
            seen: String::new(),
        }
    }

    /// Waits until the screen shows that, and forgets what was before it.
    fn sees(&mut self, text: &str) -> String {
        let mut piece = [0; 1024];
        loop {
            if let Some((before, rest)) = self.seen.split_once(text) {
                let (before, rest) = (before.to_owned(), rest.to_owned());
                self.seen = rest;
                return before;
            }
            let read = self.screen.read(&mut piece).unwrap();
            assert!(read > 0, "{text:?} is not in {:?}", self.seen);
            let piece = String::from_utf8_lossy(piece.get(..read).unwrap());
            self.seen.push_str(&piece);
        }
    }

    fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
    }

    fn ends(mut self, status: i32) {
        self.sees(&format!("ended with {status}"));
        drop(self.keys);
        self.child.wait().unwrap();
    }
}

#[test]
fn an_answer_is_remembered_as_it_was_shown() {
    let cell = place();
    let mut person = Person::begins(&cell, RUN);
    let before = person.sees("[d] never: ");
    assert!(before.contains("calc wants: call"), "{before}");
    person.types("a\r");
    let shown = person.sees("Remember this? [y/N]: ");
    for part in [
        "for 30d",
        "every call, whatever its input",
        "policy.toml:8 tool.calc.approve",
        "approve = \"ask\"",
        "sha256:",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    person.types("y\r");
    person.ends(0);
    let file = cell.state("approvals.json");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );

    // From now on nobody has to be there.
    let call = [
        "call",
        "--policy",
        "policy.toml",
        "calc",
        r#"{"expression":"1+1"}"#,
    ];
    assert_eq!(cell.run(&call).exits(0).stdout, "2\n");
    let audit = fs::read_to_string(cell.state("audit.jsonl")).unwrap();
    assert!(audit.contains("remembered: policy.toml:8 tool.calc.approve"));

    let list = cell.run(&["approvals", "list", "--json"]).exits(0).json();
    let answer = &list["data"]["answers"][0];
    assert_eq!(
        (&answer["allow"], &answer["for"]["tool"]),
        (&json!(true), &json!("calc"))
    );
    let shown = cell.run(&["approvals", "list"]).exits(0).stdout;
    assert!(shown.contains("allow  calc: call"), "{shown}");

    // Another rule, another place, another word in the same table: asked again, and nobody is there.
    let reworded = POLICY.replace(
        "approve = \"ask\"",
        "approve = \"ask\"\nenv = { A = \"b\" }",
    );
    let spaced = POLICY.replace("approve = \"ask\"", "approve  =  \"ask\"");
    for policy in [&reworded, &spaced] {
        cell.file("policy.toml", policy);
        cell.run(&call).exits(3);
    }
    cell.file("policy.toml", format!("# a remark\n{POLICY}"));
    cell.run(&call).exits(0);
    cell.file("elsewhere/policy.toml", POLICY);
    cell.file("elsewhere/workspace/a.txt", "");
    let there = [
        "call",
        "--policy",
        "elsewhere/policy.toml",
        "calc",
        r#"{"expression":"1"}"#,
    ];
    cell.run(&there).exits(3);
    let never = format!("{POLICY}\n[approvals]\nremember = false\n");
    cell.file("policy.toml", never);
    cell.run(&call).exits(3);

    cell.file("policy.toml", POLICY);
    cell.run(&["approvals", "forget", "none"]).exits(2);
    let id = answer["id"].as_str().unwrap();
    cell.run(&["approvals", "forget", id]).exits(0);
    cell.run(&call).exits(3);
}

#[test]
fn a_no_is_remembered_too_and_nothing_that_was_not_confirmed() {
    let cell = place();
    let mut person = Person::begins(&cell, RUN);
    person.sees("[d] never: ");
    person.types("a\r");
    person.sees("Remember this? [y/N]: ");
    person.types("\r");
    // The question is open again.
    person.sees("[d] never: ");
    person.types("d\r");
    assert!(person.sees("Remember this? [y/N]: ").contains("deny"));
    person.types("y\r");
    person.ends(0);
    let answer = &answered(&cell, &id(&cell), "calc")[0];
    assert_eq!(answer["output"]["code"], "denied");
    let list = cell.run(&["approvals", "list", "--json"]).exits(0).json();
    assert_eq!(list["data"]["answers"][0]["allow"], false);
    // It holds where runs would wait, too.
    cell.run(&[RUN, &["--park"]].concat()).exits(0);
    cell.run(&["approvals", "forget", "--all"]).exits(0);
    cell.run(&[RUN, &["--park"]].concat()).exits(75);
}

#[test]
fn a_list_that_is_damaged_or_not_private_allows_nothing() {
    let cell = place();
    let mut person = Person::begins(&cell, RUN);
    person.sees("[d] never: ");
    person.types("a\r");
    person.sees("Remember this? [y/N]: ");
    person.types("y\r");
    person.ends(0);
    let file = cell.state("approvals.json");
    let whole = fs::read(&file).unwrap();
    let calc = [
        "call",
        "--policy",
        "policy.toml",
        "calc",
        r#"{"expression":"1"}"#,
    ];
    let others = String::from_utf8(whole.clone()).unwrap();
    let others = [
        "{".to_owned(),
        others.replace("\"format\": 1", "\"format\": 2"),
        others.replace("\"allow\": true", "\"allow\": true, \"more\": 1"),
    ];
    for content in others {
        fs::write(&file, content).unwrap();
        let shown = cell.run(&calc).exits(2);
        assert!(
            shown
                .stderr
                .contains("untrusted: the list of remembered answers"),
            "{shown}"
        );
    }
    fs::write(&file, &whole).unwrap();
    cell.run(&calc).exits(0);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let shown = cell.run(&calc).exits(2);
    assert!(
        shown.stderr.contains("others may read or write it"),
        "{shown}"
    );
}

/// What a tool could reach is never where answers are kept.
#[test]
fn no_grant_reaches_the_remembered_answers() {
    let cell = place();
    cell.run(&["approvals", "list"]).exits(0);
    fs::create_dir_all(cell.state("")).unwrap();
    let state = cell.state("").display().to_string();
    for access in ["read", "write"] {
        let grant = format!(
            "[tool.files]\nfrom = \"builtin:files\"\nfiles = [{{ host = {state:?}, guest = \"/s\", access = \"{access}\" }}]\n"
        );
        cell.file("policy.toml", grant);
        let read = [
            "call",
            "--policy",
            "policy.toml",
            "files_read",
            r#"{"path":"/s/approvals.json"}"#,
        ];
        cell.run(&read).exits(2);
    }
}

#[test]
fn a_person_may_answer_later() {
    let cell = place();
    let mut person = Person::begins(&cell, &[RUN, &["--park"]].concat());
    person.sees("[l] later: ");
    person.types("l\r");
    person.ends(75);
    let run = id(&cell);
    cell.run(&resume(&run, &["--approve-all"])).exits(0);
}

#[test]
fn nobody_who_answers_in_time_is_nobody() {
    let cell = place();
    cell.file(
        "policy.toml",
        format!("{POLICY}\n[approvals]\nwait = \"1s\"\n"),
    );
    let mut person = Person::begins(&cell, RUN);
    person.sees("nobody answered within 1s");
    person.ends(0);
    let answer = &answered(&cell, &id(&cell), "calc")[0];
    assert_eq!(answer["output"]["code"], "denied");
}

/// Ends a run at its open question, and goes on to the same question.
fn ended_at_the_question(status: i32, end: impl FnOnce(&Cell, &mut Person)) {
    let cell = place();
    let mut person = Person::begins(&cell, RUN);
    person.sees("[d] never: ");
    let run = id(&cell);
    end(&cell, &mut person);
    person.ends(status);
    let waits = cell.run(&resume(&run, &["--park", "--json"]));
    let waits = waits.exits(75).json();
    let question = &waits["data"]["report"]["approvals"][0];
    assert_eq!(question["tool"], "calc");
    cell.run(&resume(&run, &["--approve-all"])).exits(0);
    assert_eq!(answered(&cell, &run, "files_write").len(), 1);
    let answer = &answered(&cell, &run, "calc")[0];
    assert_eq!(answer["output"]["content"][0]["text"], "42");
}

#[test]
fn ctrl_c_at_a_question_leaves_the_question() {
    ended_at_the_question(130, |_, person| person.types("\u{3}"));
}

#[test]
fn kill_at_a_question_leaves_the_question() {
    ended_at_the_question(137, |cell, _| {
        kill(&fs::read_to_string(cell.path("pid")).unwrap())
    });
}

fn kill(pid: &str) {
    let killed = Command::new("kill").args(["-KILL", pid.trim()]).status();
    assert!(killed.unwrap().success());
}

/// `kill -9` while a call is under way: what finished before is not done again.
#[test]
fn a_run_that_is_killed_goes_on_and_finished_calls_do_not_run_twice() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let cell = Cell::new();
    cell.file(
        "policy.toml",
        format!("{FILES}\n[tool.fetch]\nfrom = \"builtin:fetch\"\nnet = [{{ to = \"http://{address}\" }}]\n"),
    );
    let write = (
        "files_write",
        json!({ "path": "/work/new.txt", "content": "once" }),
    );
    let fetch = ("fetch", json!({ "url": format!("http://{address}/") }));
    let turns = script(&[("One.", &[write]), ("Two.", &[fetch]), ("Done.", &[])]);
    cell.file("turns.jsonl", turns);
    let child = cell.start(RUN);
    // The tool has sent its request and waits for ever.
    let (connection, _) = server.accept().unwrap();
    kill(&child.id().to_string());
    child.wait_with_output().unwrap();
    drop(connection);
    cell.file("workspace/new.txt", "changed since");
    let answering = std::thread::spawn(move || {
        let (mut connection, _) = server.accept().unwrap();
        let mut request = [0; 4096];
        let _ = connection.read(&mut request).unwrap();
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        connection.write_all(answer.as_bytes()).unwrap();
    });
    let run = id(&cell);
    cell.run(&resume(&run, &[])).exits(0);
    answering.join().unwrap();
    let written = fs::read_to_string(cell.path("workspace/new.txt")).unwrap();
    assert_eq!(written, "changed since");
    assert_eq!(answered(&cell, &run, "files_write").len(), 1);
    // It only reads, so it is made again.
    let fetched = &answered(&cell, &run, "fetch")[0];
    assert_eq!(fetched["output"]["code"], Value::Null);
}
