//! What a host counts, and that nobody can make it count under names of their own.

#[path = "../../../../tests/common/figures.rs"]
mod reader;

use serde_json::json;

use self::reader::Figures;
use super::*;
use crate::telemetry;

const ALLOWED: &str = "[tool.t]\n[default]\napprove = \"allow\"\n";

async fn counted(policy: &str, body: &str) -> (ToolHost, Figures) {
    let figures = Figures::new();
    let host = builder(policy).meter(figures.meter()).build().unwrap();
    host.load_bytes("t", tool("", body)).await.unwrap();
    (host, figures)
}

#[tokio::test]
async fn calls_count_by_tool_and_outcome() {
    let (host, figures) = counted(ALLOWED, ECHO).await;
    for _ in 0..3 {
        host.call(ToolCall::new("t", json!({}))).await.unwrap();
    }
    host.call(ToolCall::new("t", json!("no object")))
        .await
        .unwrap();
    let read = figures.read();
    for (line, value) in [
        (
            "toolcell.tool.calls{gen_ai.tool.name=t,toolcell.outcome=ok}",
            3.0,
        ),
        (
            "toolcell.tool.calls{gen_ai.tool.name=t,toolcell.outcome=invalid_input}",
            1.0,
        ),
        (
            "gen_ai.execute_tool.duration.count{gen_ai.tool.name=t,gen_ai.tool.type=extension}",
            3.0,
        ),
        ("toolcell.admission.running{}", 0.0),
        ("toolcell.admission.waiting{}", 0.0),
        ("toolcell.admission.turned_away{}", 0.0),
    ] {
        assert_eq!(read.get(line), Some(&value), "{line} in {read:#?}");
    }
}

#[tokio::test]
async fn a_flood_of_invented_names_is_one_label() {
    let (host, figures) = counted(ALLOWED, ECHO).await;
    for number in 0..500 {
        let name = format!("secret-{number}-{:x}", rand::random::<u64>());
        host.call(ToolCall::new(name, json!({}))).await.unwrap();
    }
    let read = figures.read();
    assert!(!format!("{read:?}").contains("secret-"), "{read:#?}");
    let line = "toolcell.tool.calls{gen_ai.tool.name=_other,toolcell.outcome=unknown_tool}";
    assert_eq!(read.get(line), Some(&500.0));
    let series = read.keys().filter(|it| it.contains("_other")).count();
    assert_eq!(series, 3, "{read:#?}");
}

#[tokio::test]
async fn refusals_and_questions_count() {
    let (host, figures) = counted("[tool.t]\n[default]\napprove = \"deny\"\n", ECHO).await;
    host.call(ToolCall::new("t", json!({}))).await.unwrap();
    let read = figures.read();
    let line = "toolcell.tool.denials{gen_ai.tool.name=t,toolcell.capability=approve}";
    assert_eq!(read.get(line), Some(&1.0), "{read:#?}");

    let (host, figures) = counted("[tool.t]\n[default]\napprove = \"ask\"\n", ECHO).await;
    host.call(ToolCall::new("t", json!({}))).await.unwrap();
    let read = figures.read();
    let line = "toolcell.approvals{gen_ai.tool.name=t,toolcell.approval.answer=nobody}";
    assert_eq!(read.get(line), Some(&1.0), "{read:#?}");
}

#[tokio::test]
async fn a_call_that_its_caller_gave_up_counts_as_cancelled() {
    let (host, figures) = counted(ALLOWED, SPIN).await;
    let call = host.call(ToolCall::new("t", json!({})));
    let given_up = tokio::time::timeout(Duration::from_millis(20), call).await;
    assert!(given_up.is_err());
    let line = "toolcell.tool.calls{gen_ai.tool.name=t,toolcell.outcome=cancelled}";
    assert_eq!(figures.read().get(line), Some(&1.0));
}

#[tokio::test]
async fn a_host_that_is_gone_has_no_queue() {
    let (host, figures) = counted(ALLOWED, ECHO).await;
    assert!(figures.read().contains_key("toolcell.admission.waiting{}"));
    drop(host);
    assert!(!figures.read().contains_key("toolcell.admission.waiting{}"));
}

/// Everything that is counted is in the catalogue, under the labels that it says.
#[tokio::test]
async fn nothing_is_counted_that_is_not_documented() {
    let (host, figures) = counted("[tool.t]\n[default]\napprove = \"deny\"\n", ECHO).await;
    host.call(ToolCall::new("t", json!({}))).await.unwrap();
    for key in figures.read().keys() {
        let (name, labels) = key.trim_end_matches('}').split_once('{').unwrap();
        let name = name.trim_end_matches(".count").trim_end_matches(".sum");
        let info = telemetry::METRICS.iter().find(|it| it.name == name);
        let info = info.unwrap_or_else(|| panic!("{key}"));
        for label in labels.split(',').filter(|it| !it.is_empty()) {
            let (label, _) = label.split_once('=').unwrap();
            assert!(info.labels.contains(&label), "{key}");
        }
    }
}
