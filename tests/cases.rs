//! The cases of `tests/cases`: what is granted works, what is not granted is denied, in these very words.
//!
//! A case is a directory with a `policy.toml`, a `call.json` (or several, run in the order of their names) and an
//! `expected.txt`. It runs in a directory of its own, where `work/` holds a file, `guests/` the guests that the policy
//! names, and a server listens on the port that stands for `@PORT@`. Set `BLESS=1` to write what came out as what is
//! expected, and read the difference before you keep it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

mod common;

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    thread,
    time::SystemTime,
};

use common::{builder, guest, isolation, names, tests};
use serde::Deserialize;
use serde_json::Value;
use toolcell::{
    CallContext, Policy, SessionId, ToolCall, ToolResult,
    audit::{FileAudit, verify_file},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    tool: String,
    input: Value,
    /// Calls that name one are of this session.
    session: Option<String>,
}

#[tokio::test]
async fn every_case_comes_out_as_expected() {
    let port = serve().to_string();
    let bless = std::env::var_os("BLESS").is_some();
    let mut differences = String::new();
    for name in names(&tests().join("cases")) {
        let case = tests().join("cases").join(&name);
        let came = run(&case, &port)
            .await
            .replace(&format!(":{port}"), ":@PORT@");
        let file = case.join("expected.txt");
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if bless {
            fs::write(&file, came).unwrap();
        } else if came != expected {
            let _ = write!(
                differences,
                "\n=== {name}\n--- expected\n{expected}--- came\n{came}"
            );
        }
    }
    assert!(differences.is_empty(), "cases differ:{differences}");
}

/// Runs the calls of a case, and tells what came of each.
async fn run(case: &Path, port: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    fs::create_dir_all(base.join("work/sub")).unwrap();
    fs::create_dir(base.join("guests")).unwrap();
    fs::write(base.join("work/a.txt"), "one\ntwo\n").unwrap();
    fs::write(base.join("outside.txt"), "outside\n").unwrap();
    let policy = read(&case.join("policy.toml"), port);
    for name in policy
        .split('"')
        .filter_map(|text| text.strip_prefix("guests/"))
    {
        let name = name.trim_end_matches(".wasm");
        fs::copy(guest(name), base.join(format!("guests/{name}.wasm"))).unwrap();
    }
    let log = base.join("audit.jsonl");
    let host = builder(isolation())
        .policy(
            Policy::parse("policy.toml", &policy)
                .unwrap_or_else(|problems| panic!("{case:?}: {problems}")),
        )
        .base_dir(base)
        .audit(FileAudit::open(&log, SystemTime::now).unwrap())
        .build()
        .unwrap();
    let mut came = String::new();
    if let Err(error) = host.load_policy_tools().await {
        let message = error
            .message()
            .replace(&base.display().to_string(), "@BASE@");
        let _ = writeln!(came, "refused {}\n{message}", error.kind());
        return came;
    }
    for name in names(case).iter().filter(|name| name.starts_with("call")) {
        let call: Call =
            serde_json::from_str(&read(&case.join(format!("{name}.json")), port)).unwrap();
        let context = CallContext {
            session: call.session.as_deref().map(SessionId::new),
            ..CallContext::default()
        };
        let result = host
            .call_with(ToolCall::new(call.tool, call.input), &context)
            .await
            .unwrap();
        came += &told(&result);
    }
    assert_discreet(base, &came, &log);
    came
}

/// Neither what came out nor the audit log, which is whole, tells a path of the host; and the log tells no values.
fn assert_discreet(base: &Path, came: &str, log: &Path) {
    assert!(verify_file(log).unwrap().is_intact());
    let log = fs::read_to_string(log).unwrap();
    let base = base.to_str().unwrap();
    for text in [came, &log] {
        assert!(!text.contains(base), "a path of the host came out: {text}");
    }
    assert!(log.contains(r#""type":"call""#), "{log}");
    for value in ["hello-from-the-policy", "one\\ntwo"] {
        assert!(!log.contains(value), "the audit log tells {value:?}: {log}");
    }
}

fn read(path: &Path, port: &str) -> String {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace("@PORT@", port)
}

fn told(result: &ToolResult) -> String {
    let mut told = match &result.failure {
        None => "ok\n".to_owned(),
        Some(failure) => format!("error {}\n", failure.kind),
    };
    let _ = writeln!(told, "{}", result.text().trim_end());
    if let Some(rule) = result
        .failure
        .as_ref()
        .and_then(|failure| failure.rule.as_ref())
    {
        let _ = writeln!(told, "rule: {rule}");
    }
    for denial in &result.denials {
        let _ = writeln!(told, "denied: {} {}", denial.capability, denial.access);
        let _ = writeln!(told, "    by {} ({})", denial.rule, denial.reason);
    }
    told
}

/// A server on the loopback interface that answers every request with its first line. It ends with the process.
fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request);
            let body = request.lines().next().unwrap_or_default();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    port
}
