#[cfg(feature = "builtin-tools")]
mod builtin;
mod figures;
mod marks;
mod pinned;
mod program;
mod questions;
mod smuggled;

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    Approval, ApprovalRequest, Approver, CallId, Content, EngineOptions, Policy,
    audit::{AuditError, AuditRecord, AuditSink, MemoryAudit, Outcome},
    sandbox::fixtures::{ECHO, SPIN, tool, tool_with},
};

/// What is on record.
type Seen = MemoryAudit;

trait Reads {
    fn outcomes(&self) -> Vec<Outcome>;
    fn decisions(&self) -> Vec<(String, String, String)>;
    fn pick<T>(&self, pick: impl Fn(&AuditRecord) -> Option<T>) -> Vec<T>;
}

impl Reads for Seen {
    /// The outcome of every call on record.
    fn outcomes(&self) -> Vec<Outcome> {
        self.pick(|record| match record {
            AuditRecord::Call(call) => Some(call.outcome),
            _ => None,
        })
    }

    /// Access, effect and rule of every decision on record.
    fn decisions(&self) -> Vec<(String, String, String)> {
        self.pick(|record| match record {
            AuditRecord::Decision(it) => Some((
                it.access.clone(),
                format!("{:?}", it.effect),
                it.rule.clone(),
            )),
            _ => None,
        })
    }

    fn pick<T>(&self, pick: impl Fn(&AuditRecord) -> Option<T>) -> Vec<T> {
        self.records().iter().filter_map(pick).collect()
    }
}

fn builder(text: &str) -> ToolHostBuilder {
    let engine = EngineOptions {
        concurrency: 4,
        ..EngineOptions::default()
    };
    ToolHost::builder()
        .policy(Policy::from_toml(text).unwrap())
        .engine(engine)
        .default_isolation(toolcell_policy::Isolation::Thread)
}

async fn host_with(text: &str, body: &str) -> (ToolHost, Seen) {
    let seen = Seen::default();
    let host = builder(text).audit(seen.clone()).build().unwrap();
    host.load_bytes("t", tool("", body)).await.unwrap();
    (host, seen)
}

/// A package with this manifest, which echoes its input.
fn package(manifest: &str, body: &str) -> Vec<u8> {
    let manifest = manifest.replace('"', "\\\"").replace('\n', "\\n");
    tool_with(
        &format!("(@custom \"toolcell:manifest\" \"{manifest}\")"),
        "",
        body,
    )
}

fn manifest(name: &str, tool: &str, more: &str) -> String {
    let input = if more.contains("input = ") {
        ""
    } else {
        "input = { type = \"object\" }\n"
    };
    format!(
        "name = \"{name}\"\nversion = \"0.1.0\"\n[[tool]]\nname = \"{tool}\"\ndescription = \"A test\"\n{input}{more}\n"
    )
}

fn call(tool: &str) -> ToolCall {
    ToolCall::new(tool, json!({"a": 1}))
}

/// A caller that waits so many milliseconds.
fn until(millis: u64) -> CallContext {
    CallContext {
        deadline: Some(Instant::now() + Duration::from_millis(millis)),
        ..CallContext::default()
    }
}

fn kind(result: &ToolResult) -> ErrorKind {
    result.failure.as_ref().unwrap().kind
}

#[tokio::test]
async fn a_tool_is_loaded_listed_and_called() {
    let (host, seen) = host_with("", ECHO).await;
    let tools = host.tools();
    assert_eq!(tools.len(), 1);
    assert_eq!(
        (tools[0].public_name.as_str(), tools[0].package.as_str()),
        ("t", "t")
    );
    assert_eq!(tools[0].origin, "bytes named t");
    let result = host
        .call(call("t").with_id(CallId::new("c1")))
        .await
        .unwrap();
    assert_eq!(result.text(), "{\"a\":1}");
    assert!(!result.is_error() && result.usage.wall_us > 0);
    assert_eq!(seen.outcomes(), [Outcome::Ok]);
    let rule = "default: a package that no policy lists runs with nothing granted";
    assert_eq!(
        seen.decisions(),
        [("call".into(), "Allow".into(), rule.into())]
    );
    let sessions = seen.pick(|record| match record {
        AuditRecord::Session(session) => Some(session.policy.clone()),
        _ => None,
    });
    assert_eq!(sessions, [["project toolcell.toml"]]);
}

#[tokio::test]
async fn an_unknown_tool_gets_the_nearest_names() {
    let host = builder("").build().unwrap();
    host.load_bytes("weather", tool("", ECHO)).await.unwrap();
    let result = host.call(call("wether")).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::UnknownTool);
    assert_eq!(
        result.text(),
        "there is no tool `wether`; did you mean weather?"
    );
    host.load_bytes("f", package(&manifest("files", "read", ""), ECHO))
        .await
        .unwrap();
    let result = host.call(call("read")).await.unwrap();
    assert!(
        result.text().contains("did you mean files_read?"),
        "{}",
        result.text()
    );
    let result = host.call(call("\u{1b}[31mx")).await.unwrap();
    assert!(!result.text().contains('\u{1b}'));
}

#[tokio::test]
async fn an_input_that_does_not_fit_is_refused_with_its_place() {
    let host = builder("").build().unwrap();
    let schema = "input = { type = \"object\", properties = { city = { type = \"string\" } } }";
    let bytes = package(&manifest("w", "w", schema), ECHO);
    host.load_bytes("w", bytes).await.unwrap();
    let result = host
        .call(ToolCall::new("w", json!({"city": 3})))
        .await
        .unwrap();
    assert_eq!(kind(&result), ErrorKind::InvalidInput);
    assert!(result.text().contains("/city: "), "{}", result.text());
    let long = json!({"city": "x".repeat(crate::engine::limits::INPUT_BYTES)});
    let result = host.call(ToolCall::new("w", long)).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::InvalidInput);
    assert!(result.text().contains("1048576 bytes"), "{}", result.text());
}

#[tokio::test]
async fn an_answer_that_does_not_fit_its_schema_is_refused() {
    let host = builder("").build().unwrap();
    let schema = "output = { type = \"object\", required = [\"b\"] }";
    host.load_bytes("o", package(&manifest("o", "o", schema), ECHO))
        .await
        .unwrap();
    let result = host.call(call("o")).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::InvalidOutput);
    assert!(result.structured.is_none());
    let result = host
        .call(ToolCall::new("o", json!({"b": 2})))
        .await
        .unwrap();
    assert_eq!(result.structured, Some(json!({"b": 2})));
}

#[tokio::test]
async fn a_denied_tool_does_not_run_and_names_the_rule() {
    let (host, seen) = host_with("[tool.t]\napprove = \"deny\"", ECHO).await;
    let result = host.call(call("t")).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::Denied);
    let rule = result.failure.unwrap().rule.unwrap();
    assert_eq!(rule, "toolcell.toml:2 tool.t.approve");
    assert_eq!(result.denials.len(), 1);
    assert_eq!(seen.decisions(), [("call".into(), "Deny".into(), rule)]);
    assert_eq!(seen.outcomes(), [Outcome::Failed(ErrorKind::Denied)]);
}

struct Says(Approval, Arc<Mutex<Vec<ApprovalRequest>>>);

impl Approver for Says {
    async fn approve(&self, request: &ApprovalRequest) -> Approval {
        self.1.lock().unwrap().push(request.clone());
        self.0
    }
}

#[tokio::test]
async fn somebody_is_asked_and_nobody_means_no() {
    const ASK: &str = "[tool.t]\napprove = \"ask\"";
    let (host, seen) = host_with(ASK, ECHO).await;
    let result = host.call(call("t")).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::Denied);
    assert_eq!(seen.decisions().len(), 1);

    for (answer, expected) in [
        (Approval::Allow, None),
        (Approval::Deny, Some(ErrorKind::Denied)),
    ] {
        let asked = Arc::default();
        let seen = Seen::default();
        let host = builder(ASK)
            .approver(Says(answer, Arc::clone(&asked)))
            .audit(seen.clone())
            .build()
            .unwrap();
        host.load_bytes("t", tool("", ECHO)).await.unwrap();
        let result = host.call(call("t")).await.unwrap();
        assert_eq!(result.failure.map(|failure| failure.kind), expected);
        let asked = asked.lock().unwrap();
        assert_eq!(asked[0].access, "call");
        assert_eq!(asked[0].input_preview, "{\"a\":1}");
        assert_eq!(asked[0].rule, "toolcell.toml:2 tool.t.approve");
        assert_eq!(seen.decisions().len(), 2);
        assert_eq!(seen.decisions()[1].2, "approver");
    }
}

struct Never;

impl Approver for Never {
    async fn approve(&self, _: &ApprovalRequest) -> Approval {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_question_without_an_answer_is_given_up() {
    let host = builder("[tool.t]\napprove = \"ask\"")
        .approver(Never)
        .build()
        .unwrap();
    host.load_bytes("t", tool("", ECHO)).await.unwrap();
    let context = until(20);
    let result = host.call_with(call("t"), &context).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::LimitTime);
    let context = CallContext::default();
    context.cancel.cancel();
    let result = host.call_with(call("t"), &context).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::Cancelled);
}

#[tokio::test]
async fn limits_of_the_policy_hold() {
    let (host, seen) = host_with("[default.limits]\ntime = \"50ms\"", SPIN).await;
    let begin = Instant::now();
    let result = host.call(call("t")).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::LimitTime);
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(seen.outcomes(), [Outcome::Failed(ErrorKind::LimitTime)]);

    let (host, _) = host_with("[default.limits]\nfuel = 1000000", SPIN).await;
    let result = host.call(call("t")).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::LimitCpu);
    assert_eq!(result.usage.fuel, Some(1_000_000));
}

#[tokio::test]
async fn an_earlier_deadline_of_the_caller_holds() {
    let (host, _) = host_with("", SPIN).await;
    let context = until(30);
    let result = host.call_with(call("t"), &context).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::LimitTime);
}

/// Starts a call that spins until its token is cancelled.
fn spin(
    host: &ToolHost,
) -> (
    tokio::task::JoinHandle<Result<ToolResult>>,
    CancellationToken,
) {
    let context = CallContext::default();
    let cancel = context.cancel.clone();
    let host = host.clone();
    let running = tokio::spawn(async move { host.call_with(call("t"), &context).await });
    (running, cancel)
}

#[tokio::test]
async fn a_call_too_many_is_busy_after_a_bounded_wait() {
    let (host, _) = host_with("[default.limits]\nconcurrency = 1", SPIN).await;
    let (running, cancel) = spin(&host);
    tokio::task::yield_now().await;
    let context = until(50);
    let result = host.call_with(call("t"), &context).await.unwrap();
    assert!(
        matches!(kind(&result), ErrorKind::Busy | ErrorKind::LimitTime),
        "{result:?}"
    );
    cancel.cancel();
    assert_eq!(kind(&running.await.unwrap().unwrap()), ErrorKind::Cancelled);
    assert!(crate::admission::MAX_WAIT <= Duration::from_secs(5));
}

#[tokio::test]
async fn a_stack_is_as_large_as_the_policy_says() {
    const DEEPER: &str = "(func $deeper (param $n i32) (result i32)
        (if (result i32) (local.get $n)
          (then (i32.add (call $deeper (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))
          (else (i32.const 0))))";
    let body = format!("(drop (call $deeper (i32.const 3000))) {ECHO}");
    let mut policy = String::new();
    for (name, kib) in [("small", 16), ("large", 1024)] {
        policy += &format!("[tool.{name}.limits]\nstack = \"{kib}KiB\"\n");
    }
    let host = builder(&policy).build().unwrap();
    for name in ["small", "plain", "large"] {
        host.load_bytes(name, tool(DEEPER, &body)).await.unwrap();
    }
    for name in ["plain", "large"] {
        let result = host.call(call(name)).await.unwrap();
        assert_eq!(result.text(), "{\"a\":1}", "{name}");
    }
    let result = host.call(call("small")).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::Trap);
    assert!(
        result.text().ends_with("its limit `stack` is 16KiB"),
        "{}",
        result.text()
    );
}

#[tokio::test]
async fn stacks_of_very_many_sizes_are_refused() {
    let policy: String = (1..=7)
        .map(|n| format!("[tool.t{n}.limits]\nstack = \"{n}KiB\"\n"))
        .collect();
    let host = builder(&policy).build().unwrap();
    for n in 1..=6 {
        host.load_bytes(format!("t{n}"), tool("", ECHO))
            .await
            .unwrap();
    }
    let error = host.load_bytes("t7", tool("", ECHO)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidPolicy);
    assert!(error.message().contains("`stack`"), "{error}");
}

#[tokio::test]
async fn a_rate_holds() {
    let (host, _) = host_with("[tool.t.limits]\nrate = \"2/h\"", ECHO).await;
    assert!(!host.call(call("t")).await.unwrap().is_error());
    assert!(!host.call(call("t")).await.unwrap().is_error());
    let result = host.call(call("t")).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::Busy);
    assert!(
        result
            .text()
            .starts_with("the tool is called too often: its limit `rate` is 2/h; try again in "),
        "{}",
        result.text()
    );
    let help = result.failure.unwrap().help.unwrap();
    assert!(help.contains("`rate` under `[tool.t.limits]`"), "{help}");
}

#[tokio::test]
async fn a_call_whose_caller_goes_away_is_on_record() {
    let (host, seen) = host_with("", SPIN).await;
    let ended = tokio::time::timeout(Duration::from_millis(20), host.call(call("t"))).await;
    assert!(ended.is_err());
    assert_eq!(seen.outcomes(), [Outcome::Failed(ErrorKind::Cancelled)]);
    let wall_us = seen.pick(|record| match record {
        AuditRecord::Call(call) => Some(call.usage.wall_us),
        _ => None,
    });
    assert!(wall_us[0] >= 20_000, "{wall_us:?}");
}

/// A person who never answers, and the questions that wait.
struct Thinks(Arc<Mutex<Vec<ApprovalRequest>>>);

impl Approver for Thinks {
    async fn approve(&self, request: &ApprovalRequest) -> Approval {
        self.0.lock().unwrap().push(request.clone());
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_flood_is_turned_away_before_a_person_is_asked() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let host = builder("[tool.t]\napprove = \"ask\"\nlimits = { questions = 3, rate = \"20/h\" }")
        .approver(Thinks(Arc::clone(&asked)))
        .build()
        .unwrap();
    host.load_bytes("t", tool("", ECHO)).await.unwrap();
    let context = until(200);
    let calls = (0..100).map(|_| host.call_with(call("t"), &context));
    let results = futures_util::future::try_join_all(calls).await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), 3);
    let said = |part: &str| {
        let told = results.iter().filter(|result| result.text().contains(part));
        told.filter(|result| kind(result) == ErrorKind::Busy)
            .count()
    };
    assert_eq!(said("its limit `questions` is 3"), 17);
    assert_eq!(said("its limit `rate` is 20/h"), 80);
    let report = host.admission_report();
    assert_eq!((report.questions, report.running), (0, 0));
    assert_eq!(report.turned_away, 97);
}

#[tokio::test]
async fn a_session_that_floods_leaves_places_to_another() {
    let policy = "[session]\nconcurrency = 1\nqueue = 1\n";
    let host = builder(policy).build().unwrap();
    host.load_bytes("t", tool("", SPIN)).await.unwrap();
    host.load_bytes("e", tool("", ECHO)).await.unwrap();
    let of = |session: &str, millis| CallContext {
        session: Some(crate::SessionId::new(session)),
        ..until(millis)
    };
    let flood = of("noisy", 2_000);
    let spinning = (0..10).map(|_| host.call_with(call("t"), &flood));
    let flood = futures_util::future::join_all(spinning);
    let other = async {
        tokio::task::yield_now().await;
        host.call_with(call("e"), &of("quiet", 60_000)).await
    };
    let (flood, other) = tokio::join!(flood, other);
    assert!(!other.unwrap().is_error());
    let waited = "the session has as many calls waiting as it may: its limit `queue` is 1";
    let refused = flood.iter().flatten();
    let refused = refused.filter(|result| result.text().contains(waited));
    assert_eq!(refused.count(), 8);
}

#[tokio::test]
async fn a_result_that_is_not_on_record_is_withheld() {
    let (host, seen) = host_with("", ECHO).await;
    seen.set_full(true);
    let error = host.call(call("t")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    let full = Seen::default();
    full.set_full(true);
    assert!(builder("").audit(full).build().is_err());
}

/// Takes no record of how a call ended.
struct NoEnds;

impl AuditSink for NoEnds {
    fn append(&self, record: &AuditRecord) -> Result<(), AuditError> {
        match record {
            AuditRecord::Call(_) => Err(AuditError::Write {
                path: "audit.jsonl".into(),
                source: std::io::ErrorKind::StorageFull.into(),
            }),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn an_answer_is_withheld_when_only_its_end_is_not_on_record() {
    let host = builder("").audit(NoEnds).build().unwrap();
    host.load_bytes("t", tool("", ECHO)).await.unwrap();
    assert!(host.call(call("t")).await.is_err());
}

#[tokio::test]
async fn names_that_are_taken_or_look_alike_are_refused() {
    let host = builder("").build().unwrap();
    host.load_bytes("t", tool("", ECHO)).await.unwrap();
    let error = host.load_bytes("t", tool("", ECHO)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    assert!(error.message().contains("loaded already"), "{error}");
    host.load_bytes("tool", package(&manifest("tool", "a-b", ""), ECHO))
        .await
        .unwrap();
    let alike = package(&manifest("tool-a", "b", ""), ECHO);
    let error = host.load_bytes("x", alike).await.unwrap_err();
    assert!(error.message().contains("looks like `tool_a-b`"), "{error}");
    assert_eq!(host.tools().len(), 2);
}

#[tokio::test]
async fn packages_whose_names_look_alike_are_refused_whatever_their_tools_are_called() {
    let named = |name: &str, tool: &str| {
        let manifest = format!(
            "name = \"{name}\"\nversion = \"1.0.0\"\n[[tool]]\nname = \"{tool}\"\ninput = {{ type = \"object\" }}\n"
        );
        package(&manifest, ECHO)
    };
    let host = builder("").build().unwrap();
    host.load_bytes("a", named("modem", "dial")).await.unwrap();
    let error = host
        .load_bytes("b", named("modern", "art"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    assert!(error.message().contains("looks like `modem`"), "{error}");
    host.load_bytes("c", named("modest", "art")).await.unwrap();
}

#[tokio::test]
async fn a_rule_for_a_tool_that_does_not_exist_is_refused() {
    let host = builder("[tool.t]\napprove = { tt = \"deny\" }\n")
        .build()
        .unwrap();
    let t = package(&manifest("t", "t", ""), ECHO);
    let error = host.load_bytes("t", t).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidPolicy);
    assert_eq!(
        error.message(),
        "toolcell.toml:2: the package `t` has no tool `tt`"
    );
    assert!(host.tools().is_empty());
}

#[tokio::test]
async fn a_package_is_reloaded_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.wasm");
    let host = builder("").build().unwrap();
    std::fs::write(&path, tool("", ECHO)).unwrap();
    host.load_file(&path).await.unwrap();
    std::fs::write(&path, tool("", "(call $text (i32.const 0) (i32.const 0))")).unwrap();
    host.reload_file(&path).await.unwrap();
    assert_eq!(
        host.call(call("t")).await.unwrap().content,
        [Content::text("")]
    );
    std::fs::write(&path, "broken").unwrap();
    assert!(host.reload_file(&path).await.is_err());
    assert_eq!(host.tools().len(), 1);
}

#[tokio::test]
async fn the_policys_own_packages_are_loaded() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.wasm"), tool("", ECHO)).unwrap();
    std::fs::write(
        dir.path().join("b.wasm"),
        package(&manifest("c", "c", ""), ECHO),
    )
    .unwrap();
    let text =
        "[tool.a]\nfrom = \"a.wasm\"\n[tool.b]\nfrom = \"b.wasm\"\n[tool.d]\nfrom = \"d.wasm\"";
    let host = builder(text).base_dir(dir.path()).build().unwrap();
    let error = host.load_policy_tools().await.unwrap_err();
    assert!(
        error.message().contains("toolcell.toml:3 tool.b: "),
        "{error}"
    );
    assert!(error.message().contains("is called `c`"), "{error}");
    assert!(error.message().contains("d.wasm"), "{error}");
    assert_eq!(host.tools().len(), 1);
    assert_eq!(host.tools()[0].origin, "a.wasm");

    let host = builder("[tool.a]\nfrom = \"a.wasm\"").build().unwrap();
    let error = host.load_policy_tools().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidPolicy);
    let host = builder("[tool.a]\nfrom = \"builtin:nothing\"")
        .build()
        .unwrap();
    let error = host.load_policy_tools().await.unwrap_err();
    assert!(
        error.message().contains("no built-in package `nothing`"),
        "{error}"
    );
}

#[tokio::test]
async fn the_name_alone_does_not_get_what_another_package_was_granted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wasm");
    std::fs::write(&path, package(&manifest("a", "a", ""), ECHO)).unwrap();
    let impostor = package(&manifest("a", "a", ""), SPIN);
    let build = || {
        let builder = builder("[tool.a]\nfrom = \"a.wasm\"").base_dir(dir.path());
        builder.build().unwrap()
    };
    let host = build();
    let error = host.load_bytes("a", impostor.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    assert!(
        error.message().contains("toolcell.toml:1") && error.message().contains("`a.wasm`"),
        "{error}"
    );
    assert!(host.tools().is_empty());

    host.load_file(&path).await.unwrap();
    std::fs::write(&path, &impostor).unwrap();
    host.reload_file(&path).await.unwrap();
    // A policy that says nothing about the origin leaves it to who loads.
    let host = builder("[tool.a]").build().unwrap();
    host.load_bytes("a", impostor).await.unwrap();
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_is_no_failure() {
    let host = builder("").cache_dir("/proc/none/cache").build().unwrap();
    assert!(host.engine_report().cache.starts_with("not used: "));
    host.load_bytes("t", tool("", ECHO)).await.unwrap();
    assert!(!host.call(call("t")).await.unwrap().is_error());
    assert_eq!(host.engine_report().wasmtime, "48.0.8");
}

#[tokio::test]
async fn a_wrong_schema_is_a_load_error() {
    let host = builder("").build().unwrap();
    let schema = "output = { \"$ref\" = \"https://example.com/schema.json\" }";
    let error = host
        .load_bytes("o", package(&manifest("o", "o", schema), ECHO))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    assert!(host.tools().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_that_never_rest_do_not_hold_up_another_tool() {
    let host = builder("[default.limits]\ntime = \"60s\"\ncpu = \"60s\"\nconcurrency = 3")
        .build()
        .unwrap();
    host.load_bytes("t", tool("", SPIN)).await.unwrap();
    host.load_bytes("quick", tool("", ECHO)).await.unwrap();
    let spinning: Vec<_> = (0..3).map(|_| spin(&host)).collect();
    for _ in 0..20 {
        let result = host.call_with(call("quick"), &until(20_000)).await.unwrap();
        assert!(!result.is_error(), "{result:?}");
    }
    for (running, cancel) in spinning {
        cancel.cancel();
        assert_eq!(kind(&running.await.unwrap().unwrap()), ErrorKind::Cancelled);
    }
}

#[tokio::test]
async fn more_calls_than_places_wait_for_their_turn() {
    let (host, seen) = host_with("", ECHO).await;
    let calls = (0..40).map(|n| {
        let host = host.clone();
        tokio::spawn(async move { host.call(ToolCall::new("t", json!({ "n": n }))).await })
    });
    for (n, running) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        let result = running.await.unwrap().unwrap();
        assert_eq!(result.text(), format!("{{\"n\":{n}}}"));
    }
    assert_eq!(seen.outcomes(), [Outcome::Ok; 40]);
}

#[tokio::test]
async fn nothing_of_a_host_outlives_it() {
    let (host, _) = host_with("", ECHO).await;
    host.call(call("t")).await.unwrap();
    let engine = host.shared.engines.fast().wasmtime.weak();
    drop(host);
    // The clock's thread may hold the engine for one more tick.
    let begin = Instant::now();
    while engine.upgrade().is_some() {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "the engine is still there"
        );
        std::thread::yield_now();
    }
}
