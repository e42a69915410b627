use std::sync::Mutex;

use futures_util::FutureExt;
use serde_json::{Map, json};

use super::*;
use crate::model::ModelEvent;
use crate::wire::{Message, ToolDefinition};

fn request(turn: u32, last: Vec<Block>) -> ModelRequest {
    ModelRequest {
        turn,
        model: "scripted".into(),
        max_tokens: 1,
        system: None,
        tools: vec![ToolDefinition {
            name: "calc".into(),
            description: String::new(),
            input_schema: json!({}),
        }],
        messages: vec![Message::user(last)],
        conversation: "c".into(),
        tenant: None,
        options: crate::wire::TurnOptions::default(),
        cache: None,
        extra: Map::new(),
    }
}

fn ask(script: &Scripted, request: &ModelRequest) -> (Result<Reply, ModelError>, Vec<ModelEvent>) {
    let told = Mutex::new(Vec::new());
    let sink = |event| told.lock().unwrap().push(event);
    let reply = script.stream(request, &sink).now_or_never().unwrap();
    (reply, told.into_inner().unwrap())
}

fn result(is_error: bool, text: &str) -> Block {
    Block::ToolResult(ToolResultBlock {
        tool_use_id: "t".into(),
        is_error,
        content: vec![Block::text(text)],
        extra: Map::new(),
    })
}

const SCRIPT: &str = r#"{"content": [{"type": "text", "text": "I will add."}, {"type": "tool_use", "id": "t", "name": "calc", "input": {}}], "stop_reason": "tool_use", "usage": {"input_tokens": 5}}

{"content": "It is 2.", "stop_reason": "end_turn", "expect": {"results": [{"is_error": false, "contains": ["2"], "lacks": "3"}], "tools": ["calc"]}}
"#;

#[test]
fn turns_come_in_order_and_word_by_word() {
    let script = Scripted::parse("s.jsonl", SCRIPT).unwrap();
    assert_eq!(script.turns(), 2);
    let (reply, told) = ask(&script, &request(0, vec![Block::text("1+1?")]));
    let reply = reply.unwrap();
    assert_eq!(
        (reply.stop_reason, reply.usage.input_tokens),
        (Some(StopReason::ToolUse), 5)
    );
    let text = |piece: &str| ModelEvent::Text(piece.into());
    let tool = ModelEvent::ToolUse {
        id: "t".into(),
        name: "calc".into(),
    };
    assert_eq!(told, [text("I "), text("will "), text("add."), tool]);
    let (reply, _) = ask(&script, &request(1, vec![result(false, "2")]));
    assert_eq!(reply.unwrap().text(), "It is 2.");
}

#[test]
fn a_conversation_that_goes_another_way_is_an_error_with_its_line() {
    let script = Scripted::parse("s.jsonl", SCRIPT).unwrap();
    let mut other_tools = request(1, vec![result(false, "2")]);
    other_tools.tools.clear();
    let cases = [
        (
            request(1, vec![result(true, "denied: no")]),
            "3: tool result 1: expected an answer, got an error: denied: no",
        ),
        (
            request(1, vec![result(false, "4")]),
            "3: tool result 1: expected it to contain `2`, got: 4",
        ),
        (
            request(1, vec![result(false, "23")]),
            "3: tool result 1: expected it not to contain `3`, got: 23",
        ),
        (
            request(1, vec![]),
            "3: expected 1 tool results, there are 0",
        ),
        (
            other_tools,
            "3: expected the tool `calc` to be offered; offered: ",
        ),
        (
            request(2, vec![]),
            "3: the script has only 2 turns and turn 3 was asked for; end it with a line whose stop_reason is \"end_turn\"",
        ),
    ];
    for (request, expected) in cases {
        let (reply, told) = ask(&script, &request);
        assert_eq!(
            reply.unwrap_err().to_string(),
            format!("s.jsonl:{expected}")
        );
        assert_eq!(told, []);
    }
}

#[test]
fn all_wrong_lines_are_named_at_once() {
    let text = r#"{"content": "a", "stop_reason": "end_turn", "typo": 1}
{"content": "a"}
not json
{"content": 5, "stop_reason": "end_turn"}
{"content": [{"type": "tool_use", "name": "x", "input": {}}], "stop_reason": "tool_use"}
{"content": [{"type": "text"}], "stop_reason": "end_turn"}
{"content": [{"kind": "text"}], "stop_reason": "end_turn"}
{"content": "a", "stop_reason": "tool_use"}
{"content": "a", "stop_reason": "done"}
{"content": "a", "stop_reason": "end_turn", "expect": {"result": []}}
{"content": "fine", "stop_reason": "end_turn"}"#;
    let error = Scripted::parse("s.jsonl", text).unwrap_err();
    let lines: Vec<usize> = error.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let text = error.to_string();
    for expected in [
        "s.jsonl:1: unknown field `typo`",
        "s.jsonl:2: missing field `stop_reason`",
        "s.jsonl:3: expected ident",
        "s.jsonl:4: content must be a string or an array of blocks",
        "s.jsonl:5: a tool_use block needs id, name and input",
        "s.jsonl:6: a text block needs text",
        "s.jsonl:7: a content block needs a type",
        "s.jsonl:8: stop_reason is \"tool_use\" and there is no tool_use block",
        "s.jsonl:9: `done` is no stop_reason",
        "s.jsonl:10: unknown field `result`",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let empty = Scripted::parse("s.jsonl", " \n\n").unwrap_err().to_string();
    assert!(
        empty.starts_with("s.jsonl:1: the script holds no turn"),
        "{empty}"
    );
}

#[test]
fn a_pasted_response_of_the_api_is_a_turn() {
    let line = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "container": null, "diagnostics": null,
        "content": [{ "type": "thinking", "thinking": "hm", "signature": "s" }], "stop_reason": "refusal",
        "stop_sequence": null, "stop_details": { "category": "bio" }, "usage": {},
    });
    let script = Scripted::parse("s", &line.to_string()).unwrap();
    let (reply, told) = ask(&script, &request(0, vec![]));
    assert_eq!(
        reply.unwrap().stop_details,
        Some(json!({ "category": "bio" }))
    );
    assert_eq!(told, [ModelEvent::Thinking("hm".into())]);
}
