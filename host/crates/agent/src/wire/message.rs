//! One message of a conversation.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use super::Block;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person or program that gave the task; tool results travel under this role too.
    User,
    /// The model.
    Assistant,
    /// The operator, in the middle of a conversation.
    System,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; a plain string is read as one text block.
    #[serde(deserialize_with = "blocks_or_text")]
    pub content: Vec<Block>,
    /// The id of the model that wrote it, where that is known. It is kept and never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Message {
    /// A message of the user.
    pub fn user(content: Vec<Block>) -> Self {
        Self::new(Role::User, content)
    }

    /// A message of the model.
    pub fn assistant(content: Vec<Block>) -> Self {
        Self::new(Role::Assistant, content)
    }

    fn new(role: Role, content: Vec<Block>) -> Self {
        Self {
            role,
            content,
            by: None,
            extra: Map::new(),
        }
    }
}

/// Reads content in either of the API's two forms.
pub(crate) fn blocks_or_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Block>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(vec![Block::text(text)]),
        blocks @ Value::Array(_) => serde_json::from_value(blocks).map_err(D::Error::custom),
        _ => Err(D::Error::custom(
            "content must be a string or an array of blocks",
        )),
    }
}
