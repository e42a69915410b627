//! What a model is asked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Block, Message, Role};

/// A tool as the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// The public name: `[a-z0-9_-]`, at most 64 characters.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of the input, an object.
    pub input_schema: Value,
}

/// One request for one turn. It never holds sampling parameters: the API refuses them since version 2026-10-21.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRequest {
    /// The number of the turn, from 0. It is not sent.
    pub turn: u32,
    /// The model's id.
    pub model: String,
    /// The longest answer wanted, in tokens.
    pub max_tokens: u32,
    /// The operator's instructions.
    pub system: Option<String>,
    /// The tools offered, sorted by name, so that the prompt's prefix stays the same and can be cached.
    pub tools: Vec<ToolDefinition>,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Further fields of the request, for example `thinking` or `output_config`.
    pub extra: Map<String, Value>,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tools: &'a [ToolDefinition],
    messages: Vec<Message>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

impl ModelRequest {
    /// The JSON body of a streaming `POST /v1/messages`.
    pub fn to_body(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Body {
            model: &self.model,
            max_tokens: self.max_tokens,
            stream: true,
            system: self.system.as_deref(),
            tools: &self.tools,
            messages: self.messages.iter().filter_map(sendable).collect(),
            extra: &self.extra,
        })
    }

    /// The results in the last message, if it is the answer to a turn's tool uses.
    pub fn last_results(&self) -> impl Iterator<Item = &super::ToolResultBlock> {
        let last = self
            .messages
            .last()
            .filter(|message| message.role == Role::User);
        last.into_iter()
            .flat_map(|message| &message.content)
            .filter_map(|block| match block {
                Block::ToolResult(result) => Some(result),
                _ => None,
            })
    }
}

/// Models sometimes write blank text blocks, and the API refuses to take those back. They hold nothing, so they are
/// left out of the request (and only there).
fn sendable(message: &Message) -> Option<Message> {
    let blank = |block: &Block| matches!(block, Block::Text(text) if text.text.trim().is_empty());
    let content: Vec<Block> = message
        .content
        .iter()
        .filter(|block| !blank(block))
        .cloned()
        .collect();
    (!content.is_empty()).then(|| Message {
        content,
        ..message.clone()
    })
}
