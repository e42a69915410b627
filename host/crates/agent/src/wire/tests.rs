use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn same_after_a_round_trip(value: Value) {
    let message: Message = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&message).unwrap(), value);
}

#[test]
fn what_is_not_known_comes_back_as_it_was() {
    same_after_a_round_trip(json!({
        "role": "assistant",
        "future": [1],
        "content": [
            { "type": "text", "text": "a", "citations": null, "later": { "x": 1.5 } },
            { "type": "thinking", "thinking": "", "signature": "s" },
            { "type": "redacted_thinking", "data": "d" },
            { "type": "tool_use", "id": "t", "name": "n", "input": { "k": [null] },
              "caller": { "type": "direct" }, "toolset_name": "q" },
            { "type": "server_tool_use", "id": "s", "name": "web_search", "input": {} },
            { "type": "from_the_future", "deep": { "er": [1, 2, 3] } },
            { "no_type": true },
            "not even an object",
            { "type": "tool_use", "id": 5 },
            { "type": "text" },
        ],
    }));
    same_after_a_round_trip(json!({
        "role": "user",
        "content": [{
            "type": "tool_result", "tool_use_id": "t", "is_error": true, "cache_control": { "type": "ephemeral" },
            "content": [{ "type": "text", "text": "x" }, { "type": "image", "source": {} }],
        }],
    }));
}

#[test]
fn a_string_is_one_text_block() {
    let message: Message = serde_json::from_value(json!({"role":"user","content":"hi"})).unwrap();
    assert_eq!(message.content, [Block::text("hi")]);
    let wrong = serde_json::from_value::<Message>(json!({"role":"user","content":5}));
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .contains("string or an array")
    );
}

#[test]
fn a_reply_is_an_api_response() {
    let value = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "container": null,
        "content": [{ "type": "text", "text": "hi" }],
        "stop_reason": "brand_new", "stop_sequence": null,
        "usage": {
            "input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 6,
            "cache_creation": { "ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3 },
            "service_tier": "standard",
        },
    });
    let reply: Reply = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(
        reply.stop_reason,
        Some(StopReason::Other("brand_new".into()))
    );
    assert_eq!(reply.usage.prompt_tokens(), 14);
    assert_eq!(serde_json::to_value(&reply).unwrap(), value);
    let bare: Reply = serde_json::from_value(
        json!({"content":"","stop_reason":null,"usage":{"input_tokens":null}}),
    )
    .unwrap();
    assert_eq!(bare.stop_reason, None);
    assert_eq!(bare.usage, TokenUsage::default());
}

#[test]
fn every_stop_reason_keeps_its_word() {
    for word in [
        "end_turn",
        "stop_sequence",
        "tool_use",
        "max_tokens",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
        "compaction",
    ] {
        let reason = StopReason::from(word.to_owned());
        assert_eq!(reason.as_str(), word);
        assert_eq!(matches!(reason, StopReason::Other(_)), word == "compaction");
    }
}

/// Any JSON, without floats: their last digit is a matter of the printer.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof![
            Just("type".to_owned()),
            Just("text".to_owned()),
            Just("id".to_owned()),
            Just("name".to_owned()),
            "[a-z]{1,4}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever a server sends as a block goes back to it as the same value.
    #[test]
    fn any_block_survives(kind in "text|tool_use|thinking|zzz", mut value in any_json()) {
        if let Some(fields) = value.as_object_mut() {
            fields.insert("type".into(), kind.into());
        }
        let block: Block = serde_json::from_value(value.clone()).unwrap();
        let again = serde_json::to_value(&block).unwrap();
        // A tool use without input is the one thing that gains a field: the API wants it back with one.
        if !matches!(&block, Block::ToolUse(_)) || value.get("input").is_some() {
            prop_assert_eq!(&again, &value);
        }
        let text = serde_json::to_string(&block).unwrap();
        prop_assert_eq!(serde_json::from_str::<Block>(&text).unwrap(), block);
    }
}
