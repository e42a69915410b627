//! What people, models and tools said, in the words of the conventions, for spans: only where the operator wants that.

use serde_json::{Value, json};
use toolcell::Redaction;

use crate::wire::{Block, Message, Reply, Role, text_of};

/// How much of a conversation one span holds, in bytes of JSON. The newest messages come first into it.
const MAX_BYTES: usize = 48 << 10;
/// How much of one text is kept, in bytes.
const MAX_TEXT_BYTES: usize = 8 << 10;

/// The system prompt, as `gen_ai.system_instructions`.
pub(crate) fn instructions(redaction: &Redaction, system: &str) -> String {
    let mut value = json!([{ "type": "text", "content": short(redaction, system) }]);
    redaction.json(&mut value);
    value.to_string()
}

/// The conversation, as `gen_ai.input.messages`: the newest part of it, where it is long.
pub(crate) fn input(redaction: &Redaction, messages: &[Message]) -> String {
    let mut left = MAX_BYTES;
    let mut kept = Vec::new();
    for message in messages.iter().rev() {
        let mut value = self::message(redaction, message);
        redaction.json(&mut value);
        let size = value.to_string().len();
        if size > left {
            break;
        }
        left -= size;
        kept.push(value);
    }
    kept.reverse();
    Value::from(kept).to_string()
}

/// An answer, as `gen_ai.output.messages`.
pub(crate) fn output(redaction: &Redaction, reply: &Reply) -> String {
    let reason = reply.stop_reason.as_ref().map(|it| it.as_str().to_owned());
    let mut value = json!({
        "role": "assistant",
        "parts": parts(redaction, &reply.content),
        "finish_reason": reason.unwrap_or_default(),
    });
    redaction.json(&mut value);
    match value.to_string() {
        text if text.len() <= MAX_BYTES => format!("[{text}]"),
        _ => "[]".to_owned(),
    }
}

fn message(redaction: &Redaction, message: &Message) -> Value {
    let is_result = |block: &Block| matches!(block, Block::ToolResult(_));
    let role = match message.role {
        // By the conventions, results have a role of their own.
        Role::User if message.content.iter().any(is_result) => "tool",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::System => "system",
    };
    json!({ "role": role, "parts": parts(redaction, &message.content) })
}

fn parts(redaction: &Redaction, blocks: &[Block]) -> Vec<Value> {
    blocks.iter().map(|block| part(redaction, block)).collect()
}

fn part(redaction: &Redaction, block: &Block) -> Value {
    match block {
        Block::Text(block) => {
            json!({ "type": "text", "content": short(redaction, &block.text) })
        }
        Block::ToolUse(call) => {
            let mut input = call.input.clone();
            redaction.json(&mut input);
            let arguments = match input.to_string() {
                text if text.len() <= MAX_TEXT_BYTES => input,
                text => Value::from(short(redaction, &text)),
            };
            json!({ "type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments })
        }
        Block::ToolResult(result) => {
            let text = short(redaction, &text_of(&result.content));
            json!({ "type": "tool_call_response", "id": result.tool_use_id, "response": text })
        }
        Block::Other(value) => match value.get("thinking").and_then(Value::as_str) {
            Some(thinking) => {
                json!({ "type": "reasoning", "content": short(redaction, thinking) })
            }
            // Pictures and what nobody knows: that it was there.
            None => json!({ "type": block.kind() }),
        },
    }
}

/// The text without any secret, and then its beginning: half of a secret would not be found.
fn short(redaction: &Redaction, text: &str) -> String {
    let text = redaction.text(text);
    match text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)) {
        Some(head) if head.len() < text.len() => format!("{head}…"),
        _ => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use toolcell::Secret;

    use super::*;

    const VALUE: &str = "q7Rk2m\"Xw9TbZv4";

    fn conversation() -> Vec<Message> {
        serde_json::from_value(json!([
            { "role": "user", "content": format!("the key is {VALUE}") },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": "s" },
                { "type": "tool_use", "id": "t1", "name": "n", "input": { "k": VALUE } },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "t1", "content": "rain" },
                { "type": "image", "source": { "type": "base64", "data": "AAAA" } },
            ] },
        ]))
        .unwrap()
    }

    #[test]
    fn a_conversation_is_told_in_the_words_of_the_conventions() {
        let redaction = Redaction::new();
        redaction.register("KEY", Secret::new(VALUE).unwrap());
        let told: Value = serde_json::from_str(&input(&redaction, &conversation())).unwrap();
        assert_eq!(
            told,
            json!([
                { "role": "user", "parts": [{ "type": "text", "content": "the key is [secret KEY]" }] },
                { "role": "assistant", "parts": [
                    { "type": "reasoning", "content": "hm" },
                    { "type": "tool_call", "id": "t1", "name": "n", "arguments": { "k": "[secret KEY]" } },
                ] },
                { "role": "tool", "parts": [
                    { "type": "tool_call_response", "id": "t1", "response": "rain" },
                    { "type": "image" },
                ] },
            ])
        );
        assert!(input(&Redaction::new(), &conversation()).contains("q7Rk2m"));
    }

    #[test]
    fn of_a_long_conversation_the_newest_part_is_told() {
        let long: Vec<Message> = (0..100)
            .map(|number| {
                Message::user(vec![Block::text(format!(
                    "{number} {}",
                    "x".repeat(20_000)
                ))])
            })
            .collect();
        let text = input(&Redaction::new(), &long);
        assert!(text.len() <= MAX_BYTES + 100, "{}", text.len());
        let told: Value = serde_json::from_str(&text).unwrap();
        let last = told.as_array().unwrap().last().unwrap();
        assert!(
            last["parts"][0]["content"]
                .as_str()
                .unwrap()
                .starts_with("99 "),
            "{last}"
        );
    }

    #[test]
    fn an_answer_that_is_too_long_is_left_out_whole() {
        let reply: Reply =
            serde_json::from_value(json!({ "content": "hi", "stop_reason": "end_turn" })).unwrap();
        assert_eq!(
            output(&Redaction::new(), &reply),
            r#"[{"finish_reason":"end_turn","parts":[{"content":"hi","type":"text"}],"role":"assistant"}]"#
        );
        let long = Reply {
            content: vec![Block::text("x".repeat(8_000)); 10],
            ..reply
        };
        assert_eq!(output(&Redaction::new(), &long), "[]");
    }
}
