use serde_json::json;

use super::*;
use crate::{
    testing::tool_use,
    wire::{TextBlock, ToolResultBlock},
};

const TTL: CacheTtl = CacheTtl::Minutes5;

fn tools() -> Vec<ToolDefinition> {
    vec![ToolDefinition {
        name: "read".into(),
        description: "x".repeat(700),
        input_schema: json!({}),
    }]
}

fn result(id: &str) -> Block {
    Block::ToolResult(ToolResultBlock {
        tool_use_id: id.into(),
        is_error: false,
        content: vec![Block::text("answer")],
        extra: serde_json::Map::new(),
    })
}

/// A conversation of turns with so many calls each, the last of them answered.
fn conversation(turns: &[usize]) -> Vec<Message> {
    let mut messages = vec![Message::user(vec![Block::text("task")])];
    for (turn, calls) in turns.iter().enumerate() {
        let ids: Vec<String> = (0..*calls).map(|call| format!("t{turn}-{call}")).collect();
        let thinking =
            Block::Other(json!({ "type": "thinking", "thinking": "hm", "signature": "s" }));
        let asked = ids.iter().map(|id| tool_use(id, "read", json!({})));
        messages.push(Message::assistant(
            std::iter::once(thinking).chain(asked).collect(),
        ));
        messages.push(Message::user(ids.iter().map(|id| result(id)).collect()));
    }
    messages
}

fn plan_of(messages: &[Message]) -> CachePlan {
    plan(TTL, 0, Some("instructions"), &tools(), messages).unwrap()
}

#[test]
fn a_request_marks_its_end_and_where_the_one_before_ended() {
    let plan = plan_of(&conversation(&[]));
    assert_eq!((plan.tools, plan.system), (true, true));
    assert_eq!(plan.blocks, [(0, 0)]);
    assert_eq!(plan_of(&conversation(&[1])).blocks, [(0, 0), (2, 0)]);
    assert_eq!(plan_of(&conversation(&[1, 2])).blocks, [(2, 0), (4, 1)]);
}

#[test]
fn a_long_turn_is_marked_on_the_way_and_there_are_never_more_than_four() {
    // Thinking, ten calls and ten results: the mark stands fifteen blocks after the one before.
    let plan = plan_of(&conversation(&[1, 10]));
    assert_eq!(plan.blocks, [(2, 0), (4, 3), (4, 9)]);
    assert_eq!((plan.system, plan.tools), (true, false));
    assert_eq!(plan.len(), MAX_BREAKPOINTS);
}

#[test]
fn thinking_and_blank_text_are_never_marked() {
    let blank = Block::Text(TextBlock {
        text: " \n".into(),
        extra: serde_json::Map::new(),
    });
    let thinking = Block::Other(json!({ "type": "redacted_thinking", "data": "x" }));
    let messages = vec![Message::user(vec![
        Block::text("a"),
        blank.clone(),
        thinking.clone(),
    ])];
    assert_eq!(plan_of(&messages).blocks, [(0, 0)]);
    let messages = vec![Message::user(vec![blank, thinking])];
    assert_eq!(plan_of(&messages).blocks, []);
}

#[test]
fn nothing_below_the_minimum_is_marked() {
    let messages = conversation(&[1]);
    let all = |min| plan(TTL, min, Some("instructions"), &tools(), &messages);
    assert_eq!(all(100_000), None);
    let tools_tokens = estimate::tools(&tools());
    let fixed = tools_tokens + estimate::text("instructions");
    let plan = all(fixed).unwrap();
    assert_eq!((plan.tools, plan.system), (false, true));
    let plan = all(fixed + 1).unwrap();
    assert_eq!((plan.tools, plan.system), (false, false));
    assert_eq!(plan.blocks, [(0, 0), (2, 0)]);
    // Without instructions the tools have a mark of their own.
    let plan = super::plan(TTL, 0, None, &tools(), &messages).unwrap();
    assert_eq!((plan.tools, plan.system), (true, false));
}
