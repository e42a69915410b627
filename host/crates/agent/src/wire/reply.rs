//! What a model answers.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Block, ToolUse};

/// A whole turn of the model. A turn that was cut off never becomes one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// All content, in the model's order.
    #[serde(deserialize_with = "super::message::blocks_or_text")]
    pub content: Vec<Block>,
    /// Why the model stopped; absent when the server did not say.
    #[serde(default)]
    pub stop_reason: Option<StopReason>,
    /// More on it, for example the category of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_details: Option<Value>,
    /// What the turn used.
    #[serde(default)]
    pub usage: TokenUsage,
    /// Tool inputs that were no JSON object. The block holds them as `{"INVALID_JSON": "<the raw text>"}`, since the
    /// API only takes objects back; such a call is answered with an error and never run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unparsed: Vec<Unparsed>,
    /// The server's id of the request, for support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Who answered, as `provider:model`, where it was not the model that was asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// What the turn cost in millionths of a US dollar, where its price is known. The run's driver says so before it
    /// writes the turn down; a provider leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<u64>,
    /// That the answer was kept from an earlier, identical request. Nothing was spent on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<Cached>,
    /// Fields that this crate does not know, or has no use for.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An answer out of the response cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cached {
    /// What it cost when it was asked for, in millionths of a US dollar, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_micro_usd: Option<u64>,
}

/// A tool input that could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unparsed {
    /// The id of the tool use.
    pub id: String,
    /// What is wrong with it.
    pub error: String,
}

impl Reply {
    /// The tool uses, in the model's order.
    pub fn tool_uses(&self) -> impl Iterator<Item = &ToolUse> {
        self.content.iter().filter_map(|block| match block {
            Block::ToolUse(call) => Some(call),
            _ => None,
        })
    }

    /// All text of the turn; blocks are joined as they are.
    pub fn text(&self) -> String {
        self.content
            .iter()
            .filter_map(|block| match block {
                Block::Text(block) => Some(block.text.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// Why a model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It is done.
    EndTurn,
    /// It wrote one of the stop sequences.
    StopSequence,
    /// It waits for tool results. The only reason for which tools run.
    ToolUse,
    /// The answer reached its maximum length and is cut off.
    MaxTokens,
    /// A long server-side turn was interrupted; sending it back continues it.
    PauseTurn,
    /// It declines to go on.
    Refusal,
    /// The conversation fills the model's context.
    ContextWindowExceeded,
    /// A reason that this crate does not know.
    Other(String),
}

impl StopReason {
    /// The API's word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::EndTurn => "end_turn",
            Self::StopSequence => "stop_sequence",
            Self::ToolUse => "tool_use",
            Self::MaxTokens => "max_tokens",
            Self::PauseTurn => "pause_turn",
            Self::Refusal => "refusal",
            Self::ContextWindowExceeded => "model_context_window_exceeded",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for StopReason {
    fn from(word: String) -> Self {
        match word.as_str() {
            "end_turn" => Self::EndTurn,
            "stop_sequence" => Self::StopSequence,
            "tool_use" => Self::ToolUse,
            "max_tokens" => Self::MaxTokens,
            "pause_turn" => Self::PauseTurn,
            "refusal" => Self::Refusal,
            "model_context_window_exceeded" => Self::ContextWindowExceeded,
            _ => Self::Other(word),
        }
    }
}

impl Serialize for StopReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for StopReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// The tokens of one turn. The four counts are disjoint: a prompt token is either plain input, written to the cache,
/// or read from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Prompt tokens that the cache had no part in.
    #[serde(default, deserialize_with = "null_is_zero")]
    pub input_tokens: u64,
    /// Tokens the model wrote, thinking included.
    #[serde(default, deserialize_with = "null_is_zero")]
    pub output_tokens: u64,
    /// Prompt tokens written to the cache.
    #[serde(default, deserialize_with = "null_is_zero")]
    pub cache_creation_input_tokens: u64,
    /// Prompt tokens read from the cache.
    #[serde(default, deserialize_with = "null_is_zero")]
    pub cache_read_input_tokens: u64,
    /// How the cache writes divide by lifetime, where the server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_creation: Option<CacheWrites>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Cache writes by lifetime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheWrites {
    /// Tokens kept for five minutes.
    #[serde(default, deserialize_with = "null_is_zero")]
    pub ephemeral_5m_input_tokens: u64,
    /// Tokens kept for an hour.
    #[serde(default, deserialize_with = "null_is_zero")]
    pub ephemeral_1h_input_tokens: u64,
}

impl TokenUsage {
    /// The whole prompt, cached or not.
    pub fn prompt_tokens(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.cache_creation_input_tokens)
            .saturating_add(self.cache_read_input_tokens)
    }

    /// Tokens of thinking among the output, where the server says.
    pub fn thinking_tokens(&self) -> Option<u64> {
        let details = self.extra.get("output_tokens_details")?;
        let words = ["thinking_tokens", "reasoning_tokens"];
        words.iter().find_map(|word| details.get(word)?.as_u64())
    }

    /// Prompt and answer together.
    pub fn total_tokens(&self) -> u64 {
        self.prompt_tokens().saturating_add(self.output_tokens)
    }
}

fn null_is_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Option::<u64>::deserialize(deserializer)?.unwrap_or(0))
}
