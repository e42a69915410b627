use serde_json::json;

use super::*;
use crate::{
    testing::{reply, tool_use},
    wire::{TextBlock, Unparsed},
};

fn block(value: Value) -> Block {
    serde_json::from_value(value).unwrap()
}

#[test]
fn whole_answers_are_kept() {
    for stop in [
        StopReason::EndTurn,
        StopReason::ToolUse,
        StopReason::StopSequence,
    ] {
        let content = vec![
            block(json!({ "type": "thinking", "thinking": "", "signature": "s" })),
            block(json!({ "type": "redacted_thinking", "data": "d" })),
            Block::text("a"),
            tool_use("t", "read", json!({})),
            block(
                json!({ "type": "tool_use", "id": "u", "name": "n", "input": {}, "caller": { "type": "direct" } }),
            ),
            block(
                json!({ "type": "text", "text": "b", "citations": [{ "type": "char_location" }] }),
            ),
        ];
        assert_eq!(refused(&reply(stop, content)), None);
    }
}

#[test]
fn answers_that_did_not_end_are_not() {
    for stop in [
        "max_tokens",
        "refusal",
        "pause_turn",
        "model_context_window_exceeded",
        "compaction",
    ] {
        let reply = reply(StopReason::from(stop.to_owned()), vec![Block::text("a")]);
        assert!(refused(&reply).is_some(), "{stop}");
    }
    let unknown = Reply {
        stop_reason: None,
        ..reply(StopReason::EndTurn, vec![Block::text("a")])
    };
    assert!(refused(&unknown).is_some());
    assert!(refused(&reply(StopReason::EndTurn, Vec::new())).is_some());
}

#[test]
fn what_a_server_found_at_one_moment_is_not() {
    for kind in [
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "container_upload",
        "mcp_tool_use",
        "mcp_tool_result",
        "compaction",
        "fallback",
        "of_a_later_day",
    ] {
        let content = vec![Block::text("a"), block(json!({ "type": kind }))];
        assert!(
            refused(&reply(StopReason::EndTurn, content)).is_some(),
            "{kind}"
        );
    }
    let of_the_web = json!({ "type": "text", "text": "b", "citations": [{ "type": "web_search_result_location" }] });
    let by_code = json!({
        "type": "tool_use", "id": "u", "name": "n", "input": {},
        "caller": { "type": "code_execution_20260521", "tool_id": "s" },
    });
    for value in [of_the_web, by_code] {
        let reply = reply(StopReason::ToolUse, vec![block(value.clone())]);
        assert!(refused(&reply).is_some(), "{value}");
    }
}

#[test]
fn answers_of_others_and_broken_ones_are_not() {
    let good = || {
        reply(
            StopReason::EndTurn,
            vec![Block::Text(TextBlock {
                text: "a".into(),
                extra: serde_json::Map::new(),
            })],
        )
    };
    assert_eq!(refused(&good()), None);
    let mut other = good();
    other.answered_by = Some("openai:x".into());
    assert!(refused(&other).is_some());
    let mut unparsed = good();
    unparsed.unparsed.push(Unparsed {
        id: "t".into(),
        error: "e".into(),
    });
    assert!(refused(&unparsed).is_some());
    let mut contained = good();
    contained
        .extra
        .insert("container".into(), json!({ "id": "c" }));
    assert!(refused(&contained).is_some());
    contained.extra.insert("container".into(), Value::Null);
    assert_eq!(refused(&contained), None);
}
