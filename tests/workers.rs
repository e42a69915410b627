//! Tools in processes of their own: how workers are started, kept and ended, and what they hold.

#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use common::{builder, guest, worker};
use serde_json::{Value, json};
use toolcell::{
    CallContext, ConfinementLevel, Error, ErrorKind, Isolation, Policy, Stdio, ToolCall, ToolHost,
    ToolHostBuilder, ToolResult, WasiProgram,
    audit::{AuditRecord, MemoryAudit},
    worker::Workers,
};

/// These tests look at all processes that this one has started, so where they share a process they take turns, and each
/// waits for the last worker of the one before.
async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let turn = TURN.lock().await;
    until("those of the test before are gone", || {
        all_children().is_empty()
    })
    .await;
    turn
}

/// Far more than anything below takes.
const AT_LAST: Duration = Duration::from_secs(60);

fn making(policy: &str) -> ToolHostBuilder {
    builder(Isolation::Process).policy(Policy::parse("policy.toml", policy).unwrap())
}

async fn host(name: &str, policy: &str) -> ToolHost {
    let host = making(policy).build().unwrap();
    host.load_file(guest(name)).await.unwrap();
    host
}

async fn call(host: &ToolHost, tool: &str, input: Value) -> ToolResult {
    let call = host.call(ToolCall::new(tool, input));
    let result = tokio::time::timeout(AT_LAST, call).await;
    result.expect("the call ends by itself").unwrap()
}

async fn echo(host: &ToolHost) {
    let result = call(host, "echo_back", json!({ "text": "hello" })).await;
    assert_eq!(result.text(), "hello", "{result:?}");
}

#[track_caller]
fn kind(result: &ToolResult) -> ErrorKind {
    result.failure.as_ref().expect("it failed").kind
}

/// The processes that this one started, without those that were killed and are not reaped yet. A process whose first
/// thread has ended has not ended while it has others.
fn children() -> BTreeSet<u32> {
    let threads = |pid| fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    all_children()
        .into_iter()
        .filter_map(|(pid, state)| (state != 'Z' || threads(pid) > 1).then_some(pid))
        .collect()
}

fn all_children() -> Vec<(u32, char)> {
    let own = std::process::id();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may hold anything: the state, and the parent.
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut words = rest.split(' ');
        let state = words.next()?.chars().next()?;
        (words.next()?.parse() == Ok(own)).then_some((pid, state))
    });
    processes.collect()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < AT_LAST, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn only_child() -> u32 {
    let children = children();
    assert_eq!(children.len(), 1, "{children:?}");
    *children.first().unwrap()
}

#[tokio::test]
async fn one_worker_carries_out_a_thousand_calls_and_each_is_fresh() {
    let _alone = alone().await;
    let host = making("[tool.counter]\n[tool.echo]\nlimits = { rate = \"1000000/s\" }")
        .build()
        .unwrap();
    host.load_bytes("counter", common::wat_guest("counter"))
        .await
        .unwrap();
    let first = only_child();
    for _ in 0..999 {
        let result = call(&host, "counter", json!({})).await;
        assert_eq!(result.text(), "1", "{result:?}");
        assert_eq!(only_child(), first);
    }
    // The thousandth is its last.
    call(&host, "counter", json!({})).await;
    until("it ends", || !children().contains(&first)).await;
    call(&host, "counter", json!({})).await;
    assert_ne!(only_child(), first);
}

#[tokio::test]
async fn a_worker_is_replaced_after_its_calls() {
    let _alone = alone().await;
    let host = builder(Isolation::Process)
        .workers(Workers::program(worker()).calls_each(3))
        .build()
        .unwrap();
    host.load_file(guest("echo")).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..7 {
        seen.push(children());
        echo(&host).await;
        until("the old one is gone", || children().len() <= 1).await;
    }
    assert!(seen[0] == seen[1] && seen[1] == seen[2], "{seen:?}");
    assert!(!seen[4].is_empty() && seen[4] != seen[0], "{seen:?}");
}

#[tokio::test]
async fn what_never_ends_is_killed_at_its_deadline() {
    let _alone = alone().await;
    for (name, input) in [("sleep", json!({})), ("spin", json!({}))] {
        let policy = format!("[tool.{name}]\nlimits = {{ time = \"300ms\", cpu = \"20s\" }}");
        let host = host(name, &policy).await;
        let first = only_child();
        let begin = Instant::now();
        let result = call(&host, name, input).await;
        assert_eq!(kind(&result), ErrorKind::LimitTime, "{result:?}");
        assert!(begin.elapsed() < Duration::from_secs(10));
        until("it is gone, and reaped", || {
            all_children().iter().all(|(pid, _)| *pid != first)
        })
        .await;
    }
}

#[tokio::test]
async fn a_worker_that_does_not_listen_any_more_is_killed_at_the_deadline() {
    let _alone = alone().await;
    let host = host("sleep", "[tool.sleep]\nlimits = { time = \"500ms\" }").await;
    let pid = only_child();
    // It can neither answer nor notice that its time is over.
    signal(pid, rustix::process::Signal::STOP);
    let begin = Instant::now();
    let result = call(&host, "sleep", json!({})).await;
    assert_eq!(kind(&result), ErrorKind::LimitTime, "{result:?}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    until("it is gone, and reaped", || all_children().is_empty()).await;
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[tokio::test]
async fn a_worker_that_is_killed_ends_its_call_alone() {
    let _alone = alone().await;
    let host = host("sleep", "[tool.sleep]\nlimits = { time = \"30s\" }").await;
    host.load_file(guest("echo")).await.unwrap();
    let running = {
        let host = host.clone();
        let sleep = ToolCall::new("sleep", json!({}));
        tokio::spawn(async move { host.call(sleep).await.unwrap() })
    };
    let all = children();
    echo(&host).await;
    for pid in &all {
        signal(*pid, rustix::process::Signal::KILL);
    }
    let result = running.await.unwrap();
    assert_eq!(kind(&result), ErrorKind::Unavailable, "{result:?}");
    assert!(result.text().contains("was killed"), "{result:?}");
    // The other package's worker died while nobody used it.
    until("they have ended", || children().is_disjoint(&all)).await;
    echo(&host).await;
    until("none is left behind", || {
        all_children().iter().all(|(_, state)| *state != 'Z')
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_dropped_kills_its_worker() {
    let _alone = alone().await;
    let host = host("sleep", "[tool.sleep]\nlimits = { time = \"30s\" }").await;
    let sleep = host.call(ToolCall::new("sleep", json!({})));
    let dropped = tokio::time::timeout(Duration::from_millis(100), sleep).await;
    assert!(dropped.is_err());
    until("it is gone", || all_children().is_empty()).await;
}

#[tokio::test]
async fn a_host_that_is_dropped_ends_its_workers() {
    let _alone = alone().await;
    let host = host("echo", "").await;
    echo(&host).await;
    assert_eq!(children().len(), 1);
    drop(host);
    until("all are gone", || all_children().is_empty()).await;
}

#[tokio::test]
async fn workers_that_wait_too_long_or_are_too_many_are_ended() {
    let _alone = alone().await;
    let host = builder(Isolation::Process)
        .workers(
            Workers::program(worker())
                .idle(2, 2)
                .idle_time(Duration::from_millis(50)),
        )
        .build()
        .unwrap();
    host.load_file(guest("echo")).await.unwrap();
    let calls = (0..6).map(|_| echo(&host));
    futures_util::future::join_all(calls).await;
    until("two are kept at most", || children().len() <= 2).await;
    until("and not for ever", || all_children().is_empty()).await;
    echo(&host).await;
}

#[tokio::test]
async fn descriptors_and_processes_of_the_host_stay_flat() {
    let _alone = alone().await;
    let host = host("echo", "[tool.echo]\nlimits = { rate = \"1000000/s\" }").await;
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    echo(&host).await;
    let before = open();
    for _ in 0..500 {
        echo(&host).await;
    }
    assert_eq!(open(), before);
    assert_eq!(all_children().len(), 1);
}

#[tokio::test]
async fn two_packages_never_share_a_worker() {
    let _alone = alone().await;
    let host = host("echo", "").await;
    let first = only_child();
    host.load_file(guest("clocks")).await.unwrap();
    let both = children();
    assert_eq!(both.len(), 2);
    echo(&host).await;
    assert_eq!(children(), both);
    assert!(both.contains(&first));
}

#[tokio::test]
async fn a_worker_holds_nothing_of_its_host() {
    let _alone = alone().await;
    // Open in this process, and not closed on exec: whatever is executed inherits it.
    let secret = tempfile::NamedTempFile::new().unwrap();
    rustix::io::fcntl_setfd(secret.as_file(), rustix::io::FdFlags::empty()).unwrap();
    let host = host("echo", "").await;
    echo(&host).await;
    let pid = only_child();
    let proc = |name: &str| Path::new("/proc").join(pid.to_string()).join(name);

    let status = fs::read_to_string(proc("status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default()
            .trim_start_matches(':')
            .trim()
            .to_owned()
    };
    let report = host.try_worker().await.unwrap().unwrap();
    if report.seccomp.is_reached() {
        assert_eq!(field("Seccomp"), "2");
    }
    assert_eq!(field("NoNewPrivs"), "1");
    let arguments = fs::read(proc("cmdline")).unwrap();
    assert!(arguments.ends_with(b"\0toolcell-worker\0"), "{arguments:?}");
    assert_eq!(arguments.iter().filter(|byte| **byte == 0).count(), 2);

    // Nobody but the superuser can look at the rest, since it cannot be dumped.
    let Ok(environment) = fs::read(proc("environ")) else {
        return;
    };
    assert!(environment.is_empty(), "{environment:?}");
    assert_eq!(fs::read_link(proc("cwd")).unwrap(), Path::new("/"));
    for entry in fs::read_dir(proc("fd")).unwrap() {
        let open = fs::read_link(entry.unwrap().path()).unwrap();
        let open = open.to_string_lossy().into_owned();
        let known = ["socket:", "anon_inode:", "/dev/null", "pipe:", "/memfd:"];
        let own = format!("/proc/{pid}/pagemap");
        assert!(
            open == own
                || open.ends_with("/pagemap")
                || known.iter().any(|start| open.starts_with(start)),
            "{open} is open in the worker"
        );
    }
}

#[tokio::test]
async fn a_program_that_is_no_worker_is_named() {
    let _alone = alone().await;
    for (program, part) in [
        ("/bin/true", "is no worker"),
        ("/bin/cat", "is no worker"),
        ("/does/not/exist", "cannot open the worker"),
        ("relative/path", "is not absolute"),
    ] {
        let workers = Workers::program(program);
        let error = match ToolHost::builder().workers(workers).build() {
            Ok(host) => host.try_worker().await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_program_that_says_nothing_is_killed() {
    let _alone = alone().await;
    // It writes for ever, to a standard output that leads nowhere, and never reads its input.
    let workers = Workers::program("/usr/bin/yes").start_time(Duration::from_millis(200));
    let host = ToolHost::builder().workers(workers).build().unwrap();
    let error = host.try_worker().await.unwrap_err();
    refused(&error, &["did not answer within 0.2 s", "run_if_worker()"]);
    until("it is gone", || all_children().is_empty()).await;
}

#[tokio::test]
async fn a_program_that_takes_the_place_of_the_worker_is_not_started() {
    let _alone = alone().await;
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("worker");
    fs::copy(worker(), &program).unwrap();
    let workers = Workers::program(&program);
    let host = builder(Isolation::Process)
        .workers(workers)
        .build()
        .unwrap();
    fs::remove_file(&program).unwrap();
    fs::copy("/bin/true", &program).unwrap();
    host.load_file(guest("echo")).await.unwrap();
    echo(&host).await;
}

fn refused(error: &Error, parts: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let text = format!("{error}\n{}", error.help().unwrap_or_default());
    for part in parts {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[tokio::test]
async fn without_workers_what_is_not_built_in_is_not_loaded() {
    let _alone = alone().await;
    let host = ToolHost::builder().build().unwrap();
    assert!(host.try_worker().await.unwrap().is_none());
    let error = host.load_file(guest("echo")).await.unwrap_err();
    refused(
        &error,
        &[
            "`echo`",
            "run_if_worker()",
            "ToolHostBuilder::workers",
            "isolation = \"thread\"",
        ],
    );
    let policy = Policy::from_toml("[tool.echo]\nisolation = \"thread\"").unwrap();
    let host = ToolHost::builder().policy(policy).build().unwrap();
    host.load_file(guest("echo")).await.unwrap();
    echo(&host).await;
    if let Some(calc) = toolcell::builtin("calc") {
        let host = ToolHost::builder().build().unwrap();
        host.load_bytes("calc", calc).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_required_is_reached_or_nothing_is_loaded() {
    let _alone = alone().await;
    let level = making("")
        .build()
        .unwrap()
        .try_worker()
        .await
        .unwrap()
        .unwrap()
        .level();
    let requiring = |required| making("").require_confinement(required).build().unwrap();
    for required in [
        ConfinementLevel::None,
        ConfinementLevel::Partial,
        ConfinementLevel::Full,
    ] {
        let loaded = requiring(required).load_file(guest("echo")).await;
        match loaded {
            Ok(_) => assert!(level >= required),
            Err(error) => {
                assert!(level < required);
                refused(&error, &["is required"]);
            }
        }
    }
    let host = making("[tool.echo]\nisolation = \"thread\"")
        .require_confinement(ConfinementLevel::None)
        .build()
        .unwrap();
    let error = host.load_file(guest("echo")).await.unwrap_err();
    refused(
        &error,
        &["policy.toml:2 tool.echo.isolation", "is required"],
    );
}

#[tokio::test]
async fn the_log_says_where_calls_ran_and_how_workers_are_confined() {
    let _alone = alone().await;
    let audit = MemoryAudit::default();
    let host = making("").audit(audit.clone()).build().unwrap();
    host.load_file(guest("echo")).await.unwrap();
    echo(&host).await;
    let level = host
        .try_worker()
        .await
        .unwrap()
        .unwrap()
        .level()
        .to_string();
    let records = audit.records();
    let workers = records.iter().find_map(|record| match record {
        AuditRecord::Workers(record) => Some(record),
        _ => None,
    });
    let workers = workers.unwrap();
    assert_eq!(
        (workers.package.as_str(), &workers.confinement),
        ("echo", &level)
    );
    let call = records.iter().find_map(|record| match record {
        AuditRecord::Call(record) => record.isolation,
        _ => None,
    });
    assert_eq!(call, Some(Isolation::Process));
}

#[tokio::test]
async fn what_takes_too_long_to_compile_is_no_component() {
    let _alone = alone().await;
    let workers = Workers::program(worker()).compile_time(Duration::from_millis(1));
    let host = ToolHost::builder().workers(workers).build().unwrap();
    let error = host.load_file(guest("echo")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidComponent, "{error}");
    assert!(error.message().contains("longer than 0.001 s"), "{error}");
    until("its worker is gone", || all_children().is_empty()).await;
}

#[tokio::test]
async fn many_calls_at_once_have_a_worker_each() {
    let _alone = alone().await;
    let host = host("echo", "[tool.echo]\nlimits = { rate = \"1000000/s\" }").await;
    let calls = (0..32).map(|_| echo(&host));
    futures_util::future::join_all(calls).await;
    // The package's own limit on calls at the same time bounds them.
    assert!(all_children().len() <= 16);
}

/// A stream that a program writes to.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_program_has_its_streams_files_and_status_wherever_it_runs() {
    let _alone = alone().await;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.txt"), "from a file\n").unwrap();
    let component: Arc<[u8]> = fs::read(guest("program")).unwrap().into();
    let input = "word ".repeat(50_000);
    let host = making("").build().unwrap();
    for isolation in Isolation::ALL {
        for (arguments, status, output, errors) in [
            (
                vec!["/data/a.txt"],
                0,
                format!("{}from a file\nvalue", input.to_uppercase()),
                "",
            ),
            (
                vec!["/etc/passwd", "fail"],
                1,
                input.to_uppercase(),
                "failed as asked\n",
            ),
        ] {
            let (stdout, stderr) = (Written::default(), Written::default());
            let program = WasiProgram {
                component: Arc::clone(&component),
                args: std::iter::once("program")
                    .chain(arguments)
                    .map(str::to_owned)
                    .collect(),
                env: vec![("GIVEN".into(), "value".into())],
                files: vec![
                    format!("read:{}=/data", dir.path().display())
                        .parse()
                        .unwrap(),
                ],
                stdio: Stdio {
                    stdin: Box::new(std::io::Cursor::new(input.clone().into_bytes())),
                    stdout: Box::new(stdout.clone()),
                    stderr: Box::new(stderr.clone()),
                },
                isolation: Some(isolation),
            };
            let exit = host
                .run_program(program, &CallContext::default())
                .await
                .unwrap();
            assert_eq!(
                (exit.status, &exit.failure),
                (Some(status), &None),
                "{isolation}: {exit:?}"
            );
            assert_eq!(stdout.text(), output, "{isolation}");
            assert!(
                stderr.text().ends_with(errors),
                "{isolation}: {}",
                stderr.text()
            );
        }
    }
    until("its workers end with it", || all_children().is_empty()).await;
}
