//! What a model is asked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toolcell::TenantId;

use super::{Block, CachePlan, Message, Role, TurnOptions};

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

/// One request for one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRequest {
    /// The number of the turn, from 0. It is not sent.
    pub turn: u32,
    /// The conversation: the same in all requests of a run, and in no other run's.
    pub conversation: String,
    /// Whose request it is, where an embedder serves several. It is not sent; what is kept of an answer is kept for this
    /// tenant alone.
    pub tenant: Option<TenantId>,
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
    /// How the turn is wanted.
    pub options: TurnOptions,
    /// What of the prompt the server shall keep; only the Messages API is told.
    pub cache: Option<CachePlan>,
    /// Further fields of the request, in the provider's own words.
    pub extra: Map<String, Value>,
}

impl ModelRequest {
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
