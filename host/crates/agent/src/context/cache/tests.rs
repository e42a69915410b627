use serde_json::json;

use super::*;
use crate::wire::{Cached, TokenUsage};

const TTL: CacheTtl = CacheTtl::Minutes5;

fn reply(read: u64, written: u64) -> Reply {
    Reply {
        usage: TokenUsage {
            input_tokens: 5,
            cache_read_input_tokens: read,
            cache_creation_input_tokens: written,
            ..TokenUsage::default()
        },
        ..Reply::default()
    }
}

fn tool(name: &str) -> ToolDefinition {
    ToolDefinition {
        name: name.into(),
        description: String::new(),
        input_schema: json!({}),
    }
}

fn sent(at_ms: u64) -> Sent {
    Sent::new("m", Some("s"), &[tool("a")], at_ms)
}

/// A cache that holds 2,000 tokens since the moment 0.
fn warm() -> CacheState {
    let mut state = CacheState::default();
    assert_eq!(state.judge(sent(0), &reply(0, 2_000), TTL), None);
    state
}

fn reason(state: &mut CacheState, sent: Sent, reply: &Reply) -> Option<MissReason> {
    state.judge(sent, reply, TTL).map(|miss| miss.reason)
}

#[test]
fn what_was_left_there_is_read_again() {
    let mut state = warm();
    assert_eq!(reason(&mut state, sent(1_000), &reply(2_000, 500)), None);
    // A little less is no miss, the twentieth part is.
    assert_eq!(reason(&mut state, sent(2_000), &reply(2_400, 0)), None);
    let miss = state.judge(sent(3_000), &reply(2_279, 0), TTL).unwrap();
    assert_eq!((miss.expected_tokens, miss.read_tokens), (2_400, 2_279));
    assert_eq!(miss.reason, MissReason::Unknown);
}

#[test]
fn every_reason_is_found() {
    let cold = reply(0, 2_000);
    let other = Sent::new("n", Some("s"), &[tool("a")], 1);
    assert_eq!(
        reason(&mut warm(), other, &cold),
        Some(MissReason::ModelChanged)
    );
    let by_other = Reply {
        answered_by: Some("openai:x".into()),
        ..cold.clone()
    };
    assert_eq!(
        reason(&mut warm(), sent(1), &by_other),
        Some(MissReason::ModelChanged)
    );
    let system = Sent::new("m", None, &[tool("a")], 1);
    assert_eq!(
        reason(&mut warm(), system, &cold),
        Some(MissReason::SystemChanged)
    );
    let tools = Sent::new("m", Some("s"), &[tool("b")], 1);
    assert_eq!(
        reason(&mut warm(), tools, &cold),
        Some(MissReason::ToolsChanged)
    );
    let mut compacted = warm();
    compacted.compacted = true;
    assert_eq!(
        reason(&mut compacted, sent(1), &cold),
        Some(MissReason::MessagesChanged)
    );
    // Five minutes are over, not a millisecond before.
    assert_eq!(
        reason(&mut warm(), sent(300_000), &cold),
        Some(MissReason::Expired)
    );
    assert_eq!(
        reason(&mut warm(), sent(299_999), &cold),
        Some(MissReason::Unknown)
    );
    let mut resumed = warm();
    resumed.resumed = true;
    assert_eq!(
        reason(&mut resumed, sent(1), &cold),
        Some(MissReason::Expired)
    );
}

#[test]
fn the_server_knows_best() {
    let said = |word: &str| {
        let mut reply = reply(0, 2_000);
        let why = json!({ "cache_miss_reason": { "type": word } });
        reply.extra.insert("diagnostics".into(), why);
        reply
    };
    for (word, wanted) in [
        ("tools_changed", MissReason::ToolsChanged),
        ("system_changed", MissReason::SystemChanged),
        ("model_changed", MissReason::ModelChanged),
        ("messages_changed", MissReason::MessagesChanged),
        // No reason, so what is known here counts.
        ("unavailable", MissReason::Expired),
        ("previous_message_not_found", MissReason::Expired),
        ("something_new", MissReason::Expired),
    ] {
        assert_eq!(
            reason(&mut warm(), sent(900_000), &said(word)),
            Some(wanted),
            "{word}"
        );
    }
}

#[test]
fn too_short_a_prompt_is_told_once() {
    let mut state = CacheState::default();
    assert_eq!(reason(&mut state, sent(0), &reply(0, 0)), None);
    assert_eq!(
        reason(&mut state, sent(1), &reply(0, 0)),
        Some(MissReason::TooShort)
    );
    assert_eq!(reason(&mut state, sent(2), &reply(0, 0)), None);
    // The conversation has grown.
    assert_eq!(reason(&mut state, sent(3), &reply(0, 1_500)), None);
    assert_eq!(
        reason(&mut state, sent(4), &reply(0, 1_600)),
        Some(MissReason::Unknown)
    );
}

#[test]
fn an_answer_that_was_kept_elsewhere_says_nothing() {
    let mut state = warm();
    let kept = Reply {
        cached: Some(Cached::default()),
        ..reply(0, 0)
    };
    assert_eq!(reason(&mut state, sent(1), &kept), None);
    assert_eq!(reason(&mut state, sent(2), &reply(2_000, 0)), None);
}

#[test]
fn the_id_of_the_answer_before_is_kept() {
    let mut state = CacheState::default();
    assert_eq!(state.previous_message(), None);
    let mut first = reply(0, 10);
    first.extra.insert("id".into(), "msg_1".into());
    state.judge(sent(0), &first, TTL);
    assert_eq!(state.previous_message(), Some("msg_1"));
}
