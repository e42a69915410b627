//! Many calls at one time: what one tool, or one session, has going on is nothing to another.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

mod common;

use std::time::{Duration, Instant};

use common::{builder, guest, isolation};
use futures_util::future::join_all;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use toolcell::{CallContext, ErrorKind, Policy, SessionId, ToolCall, ToolHost, ToolResult};

/// Far more than any call below needs that does not wait for another one.
const AT_LAST: Duration = Duration::from_secs(60);

/// A host with the default number of places, a tool that sleeps for ever and an honest one.
async fn host(policy: &str) -> ToolHost {
    let host = builder(isolation())
        .policy(Policy::from_toml(policy).unwrap())
        .build()
        .unwrap();
    for name in ["sleep", "env"] {
        host.load_file(guest(name)).await.unwrap();
    }
    host
}

async fn honest(host: &ToolHost, context: &CallContext) -> ToolResult {
    let call = host.call_with(ToolCall::new("env", json!({})), context);
    tokio::time::timeout(AT_LAST, call)
        .await
        .expect("it does not wait for those that sleep")
        .unwrap()
}

/// Begins so many calls that sleep until they are cancelled, and waits until all of them run, wait or are turned away.
async fn sleepers(
    host: &ToolHost,
    calls: u32,
    session: Option<SessionId>,
) -> (CancellationToken, tokio::task::JoinHandle<Vec<ToolResult>>) {
    let cancel = CancellationToken::new();
    let context = CallContext {
        cancel: cancel.clone(),
        session,
        ..CallContext::default()
    };
    let before = host.admission_report();
    let flood = {
        let host = host.clone();
        tokio::spawn(async move {
            let calls =
                (0..calls).map(|_| host.call_with(ToolCall::new("sleep", json!({})), &context));
            let results = join_all(calls).await;
            results.into_iter().map(Result::unwrap).collect()
        })
    };
    let begin = Instant::now();
    loop {
        let now = host.admission_report();
        let arrived = u64::from(now.running - before.running)
            + u64::from(now.waiting - before.waiting)
            + (now.turned_away - before.turned_away);
        if arrived >= calls.into() {
            return (cancel, flood);
        }
        assert!(begin.elapsed() < AT_LAST, "{now:?}");
        tokio::task::yield_now().await;
    }
}

const LONG: &str = "time = \"1h\", concurrency = 1024, queue = 10000";

#[tokio::test]
async fn sixty_four_sleepers_do_not_hold_up_an_honest_call() {
    let host = host(&format!("[tool.sleep]\nlimits = {{ {LONG} }}\n")).await;
    let (cancel, sleeping) = sleepers(&host, 64, None).await;
    let report = host.admission_report();
    // The flood takes half of the places, though its own limit would let it take all.
    assert_eq!((report.running, report.waiting), (32, 32));
    let result = honest(&host, &CallContext::default()).await;
    assert!(!result.is_error(), "{result:?}");
    cancel.cancel();
    for result in sleeping.await.unwrap() {
        let kind = result.failure.unwrap().kind;
        assert!(
            matches!(kind, ErrorKind::Cancelled | ErrorKind::Busy),
            "{kind}"
        );
    }
    assert_eq!(host.admission_report().running, 0);
}

#[tokio::test]
async fn a_flood_of_one_tool_is_nothing_to_its_neighbour() {
    let host = host(&format!("[tool.sleep]\nlimits = {{ {LONG} }}\n")).await;
    let (cancel, sleeping) = sleepers(&host, 2_000, None).await;
    let report = host.admission_report();
    assert_eq!((report.running, report.waiting), (32, 128));
    for _ in 0..20 {
        let result = honest(&host, &CallContext::default()).await;
        assert!(!result.is_error(), "{result:?}");
    }
    cancel.cancel();
    let told: Vec<String> = sleeping
        .await
        .unwrap()
        .iter()
        .map(ToolResult::text)
        .collect();
    let turned_away = told
        .iter()
        .filter(|text| text.contains("has 128 calls waiting"));
    assert_eq!(turned_away.count(), 2_000 - 32 - 128);
}

#[tokio::test]
async fn a_flood_of_one_session_is_nothing_to_another() {
    let policy =
        format!("[session]\nconcurrency = 3\nqueue = 4\n[tool.sleep]\nlimits = {{ {LONG} }}\n");
    let host = host(&policy).await;
    let noisy = SessionId::new("noisy");
    let (cancel, sleeping) = sleepers(&host, 100, Some(noisy.clone())).await;
    let report = host.admission_report();
    assert_eq!((report.running, report.waiting, report.sessions), (3, 4, 1));
    let of = |session| CallContext {
        session: Some(session),
        ..CallContext::default()
    };
    let result = honest(&host, &of(SessionId::random())).await;
    assert!(!result.is_error(), "{result:?}");
    let result = honest(&host, &of(noisy)).await;
    let failure = result.failure.unwrap();
    assert_eq!(failure.kind, ErrorKind::Busy);
    assert_eq!(
        failure.message,
        "the session has as many calls waiting as it may: its limit `queue` is 4; try again in 5 s"
    );
    cancel.cancel();
    sleeping.await.unwrap();
}
