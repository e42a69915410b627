//! The key of a request: the same only for requests that ask the same of the same model for the same tenant.

use std::fmt;

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use super::SharedKey;
use crate::wire::{Block, ModelRequest};

/// The form of what is hashed. It changes with the rules of this file, so that no answer is found that was kept under
/// other rules.
const FORM: u32 = 1;

/// The key of a request: SHA-256 of its canonical form, or a keyed hash of it where the hosts share a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a request. `answers` says who answers: the provider, where its server is, and the version of its API,
    /// since two servers may know different models by one name. The number of the turn and the id of the conversation
    /// are no part of it. `None` for a request that has no JSON.
    pub fn of(answers: &str, request: &ModelRequest, shared: Option<&SharedKey>) -> Option<Self> {
        let canonical = canonical(answers, request)?;
        Some(Self(match shared {
            Some(key) => key.tag("toolcell cache key", &[&canonical]),
            None => Sha256::digest(&canonical).into(),
        }))
    }

    #[cfg(test)]
    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Why a request's answer is neither kept nor looked for; nothing where it may be.
///
/// Models of today take no temperature, so a request says of itself only that it is *not* deterministic. For the rest,
/// whoever turns the cache on says that the same request may have the same answer.
pub fn left_out(request: &ModelRequest) -> Option<&'static str> {
    let own = request.options.sampling.temperature;
    let field = request.extra.get("temperature").and_then(Value::as_f64);
    if [own, field].into_iter().flatten().any(|it| it > 0.0) {
        return Some("its temperature is above 0, so a new answer is wanted each time");
    }
    if let Some(why) = request.extra.keys().find_map(|key| elsewhere(key)) {
        return Some(why);
    }
    let blocks = request.messages.iter().flat_map(|it| &it.content);
    blocks.into_iter().find_map(points_elsewhere)
}

/// Why a field of a request ties its answer to what only the server has.
fn elsewhere(field: &str) -> Option<&'static str> {
    match field {
        "container" | "thread" | "previous_response_id" | "conversation" => {
            Some("it goes on from what the server keeps")
        }
        "mcp_servers" | "web_search_options" => Some("the server asks others for its answer"),
        "fallbacks" => Some("the server may have another model answer"),
        "n" => Some("it asks for several answers"),
        _ => None,
    }
}

/// Why a block stands for a content that may be another one tomorrow.
fn points_elsewhere(block: &Block) -> Option<&'static str> {
    match block {
        Block::ToolResult(result) => result.content.iter().find_map(points_elsewhere),
        Block::Other(value) => {
            let source = value.get("source").and_then(|source| source.get("type"));
            match source.and_then(Value::as_str) {
                Some("url" | "file") => Some("a picture or document in it is only named"),
                _ if block.kind() == "container_upload" => {
                    Some("it goes on from what the server keeps")
                }
                _ => None,
            }
        }
        Block::Text(_) | Block::ToolUse(_) => None,
    }
}

fn canonical(answers: &str, request: &ModelRequest) -> Option<Vec<u8>> {
    let ModelRequest {
        turn: _,
        conversation: _,
        cache: _,
        tenant,
        model,
        max_tokens,
        system,
        tools,
        messages,
        options,
        extra,
    } = request;
    let mut messages = serde_json::to_value(messages).ok()?;
    without_breakpoints(&mut messages);
    let whole = [
        ("answers", Value::from(answers)),
        ("extra", Value::Object(extra.clone())),
        ("form", Value::from(FORM)),
        ("max_tokens", Value::from(*max_tokens)),
        ("messages", messages),
        ("model", Value::from(model.as_str())),
        ("options", serde_json::to_value(options).ok()?),
        ("system", system.as_deref().map_or(Value::Null, Value::from)),
        (
            "tenant",
            tenant.as_ref().map_or(Value::Null, |it| it.as_str().into()),
        ),
        ("tools", serde_json::to_value(tools).ok()?),
    ];
    let whole: Map<String, Value> = whole
        .map(|(key, it)| (key.to_owned(), it))
        .into_iter()
        .collect();
    let mut bytes = Vec::with_capacity(4096);
    write(&Value::Object(whole), &mut bytes)?;
    Some(bytes)
}

/// Where the provider's own prompt cache begins and ends changes what a request costs and not what it means.
fn without_breakpoints(messages: &mut Value) {
    let blocks = |value: &mut Value, each: &mut dyn FnMut(&mut Value)| {
        if let Some(blocks) = value.get_mut("content").and_then(Value::as_array_mut) {
            blocks.iter_mut().for_each(each);
        }
    };
    let remove = |block: &mut Value| {
        if let Some(fields) = block.as_object_mut() {
            fields.remove("cache_control");
        }
    };
    for message in messages.as_array_mut().into_iter().flatten() {
        blocks(message, &mut |block| {
            remove(block);
            if block.get("type").and_then(Value::as_str) == Some("tool_result") {
                blocks(block, &mut |inner| remove(inner));
            }
        });
    }
}

/// JSON in one form only: members sorted by name, no blanks, and each number in its shortest form.
fn write(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => {
            serde_json::to_writer(out, value).ok()?;
        }
        Value::Number(number) => serde_json::to_writer(out, &shortest(number)).ok()?,
        Value::Array(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(value, out)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| name.as_bytes());
            out.push(b'{');
            for (index, (name, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name).ok()?;
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
    }
    Some(())
}

/// `1.0`, `1e0` and `1` are one number.
fn shortest(number: &Number) -> Number {
    /// Up to here every whole number has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => {
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            let whole = float as i64;
            Number::from(whole)
        }
        _ => number.clone(),
    }
}

#[cfg(test)]
mod tests;
