//! What must not be stored: an answer that holds a secret, or personal data where the policy says so. Without it, it would be
//! another answer, so it is not kept at all.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use toolcell::{LikelySecrets, Redaction};

use crate::wire::{Block, Reply};

/// The search that every answer passes before it is kept.
#[derive(Default)]
pub(crate) struct Search(Mutex<(Redaction, LikelySecrets)>);

impl Search {
    /// Searches for these from now on.
    pub(super) fn set(&self, redaction: &Redaction, likely: &LikelySecrets) {
        let both = (redaction.clone(), likely.clone());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = both;
    }

    /// Whether an answer holds a known secret, or what looks like one that nobody registered.
    pub(crate) fn finds_in(&self, reply: &Reply) -> bool {
        let (redaction, likely) = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Ok(mut value) = serde_json::to_value(reply) else {
            return true;
        };
        if redaction.json(&mut value) {
            return true;
        }
        let looks = |text: &str| !likely.look(&mut text.to_owned()).is_empty();
        reply.content.iter().any(|block| match block {
            Block::Text(block) => looks(&block.text),
            Block::ToolUse(call) => any_text(&call.input, &looks),
            Block::ToolResult(_) | Block::Other(_) => false,
        })
    }
}

/// Whether a text of a value, the names of members included, is one of those.
fn any_text(value: &Value, is: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is(text),
        Value::Array(values) => values.iter().any(|value| any_text(value, is)),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| is(name) || any_text(value, is)),
        _ => false,
    }
}
