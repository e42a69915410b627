//! One piece of a message.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// One content block. Only the kinds that the loop itself must look into have a type of their own.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Text.
    Text(TextBlock),
    /// The model asks for a tool.
    ToolUse(ToolUse),
    /// The answer to a [`ToolUse`].
    ToolResult(ToolResultBlock),
    /// Everything else: thinking, images, server tools, kinds that came later, and malformed blocks of a known kind.
    /// It goes back to the model exactly as it came, since signatures cover it.
    Other(Value),
}

/// The texts of a message, a line each; other blocks are left out.
pub fn text_of(blocks: &[Block]) -> String {
    let texts: Vec<&str> = blocks
        .iter()
        .filter_map(|block| match block {
            Block::Text(block) => Some(block.text.as_str()),
            _ => None,
        })
        .collect();
    texts.join("\n")
}

/// Text, with whatever else the block carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextBlock {
    /// The text.
    pub text: String,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A tool the model wants to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolUse {
    /// The model's name for this call; the result is keyed by it.
    pub id: String,
    /// The tool's public name.
    pub name: String,
    /// The input: an object, unless the model got it wrong.
    #[serde(default)]
    pub input: Value,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolResultBlock {
    /// The id of the [`ToolUse`] that this answers.
    pub tool_use_id: String,
    /// Whether the call failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
    /// The answer; a plain string is read as one text block.
    #[serde(default, deserialize_with = "super::message::blocks_or_text")]
    pub content: Vec<Block>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Block {
    /// A block of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(TextBlock {
            text: text.into(),
            extra: Map::new(),
        })
    }

    /// A picture; `data` is standard base64.
    pub fn image(media_type: &str, data: &str) -> Self {
        Self::Other(json!({
            "type": "image",
            "source": { "type": "base64", "media_type": media_type, "data": data },
        }))
    }

    /// Whether the block's JSON is nested deeper than so many levels.
    pub(crate) fn deeper_than(&self, levels: usize) -> bool {
        match self {
            Self::Text(block) => block.extra.values().any(|v| deeper(v, levels)),
            Self::ToolUse(call) => {
                deeper(&call.input, levels) || call.extra.values().any(|v| deeper(v, levels))
            }
            Self::ToolResult(result) => result
                .content
                .iter()
                .any(|block| levels == 0 || block.deeper_than(levels - 1)),
            Self::Other(value) => deeper(value, levels),
        }
    }

    /// The block's `type`, where it has one.
    pub fn kind(&self) -> &str {
        match self {
            Self::Text(_) => "text",
            Self::ToolUse(_) => "tool_use",
            Self::ToolResult(_) => "tool_result",
            Self::Other(value) => value.get("type").and_then(Value::as_str).unwrap_or(""),
        }
    }
}

/// Whether a value has containers within containers for more than so many levels.
pub(crate) fn deeper(value: &Value, levels: usize) -> bool {
    let inner = |value| levels == 0 || deeper(value, levels - 1);
    match value {
        Value::Array(values) => values.iter().any(inner),
        Value::Object(fields) => fields.values().any(inner),
        _ => false,
    }
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(body) => Tagged { kind: "text", body }.serialize(serializer),
            Self::ToolUse(body) => {
                let kind = "tool_use";
                Tagged { kind, body }.serialize(serializer)
            }
            Self::ToolResult(body) => {
                let kind = "tool_result";
                Tagged { kind, body }.serialize(serializer)
            }
            Self::Other(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(
            match value.get("type").and_then(Value::as_str).unwrap_or("") {
                "text" => known(value, Self::Text),
                "tool_use" => known(value, Self::ToolUse),
                "tool_result" => known(value, Self::ToolResult),
                _ => Self::Other(value),
            },
        )
    }
}

/// Reads a block of a known kind. One that lacks what its kind needs is kept raw rather than lost.
fn known<T: DeserializeOwned>(value: Value, wrap: fn(T) -> Block) -> Block {
    let mut body = value.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("type");
    }
    serde_json::from_value(body).map_or(Block::Other(value), wrap)
}
