//! Puts a turn together from the events of a stream, without I/O.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{ModelError, ModelEvent, http::Assemble, strict::strict_object};
use crate::wire::{Reply, Unparsed};

/// A turn that is arriving. Give it each event's data; it is done when [`Assembler::is_done`] says so.
///
/// Unknown events and deltas are ignored and unknown blocks and fields kept. What contradicts the order of events is an
/// error, since a turn put together wrongly could make a tool run on an input that the model did not write.
#[derive(Debug, Default)]
pub struct Assembler {
    message: Option<Map<String, Value>>,
    blocks: BTreeMap<u64, Partial>,
    done: bool,
}

#[derive(Debug)]
struct Partial {
    block: Map<String, Value>,
    /// The pieces of a tool's input, which are JSON only when all are there.
    input: String,
    open: bool,
}

impl Assemble for Assembler {
    fn on_event(
        &mut self,
        name: Option<&str>,
        data: &str,
        tell: &mut dyn FnMut(ModelEvent),
    ) -> Result<(), ModelError> {
        Self::on_event(self, name, data).map(|seen| seen.into_iter().for_each(tell))
    }

    fn is_done(&self) -> bool {
        Self::is_done(self)
    }

    fn finish(self) -> Result<Reply, ModelError> {
        Self::finish(self)
    }
}

impl Assembler {
    /// Whether the turn is complete. What comes later does not belong to it.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Takes one event: its name, where the stream gave one, and its data.
    ///
    /// # Errors
    /// [`ModelError::Stream`] for an error event, [`ModelError::Protocol`] for an event that cannot be.
    pub fn on_event(
        &mut self,
        name: Option<&str>,
        data: &str,
    ) -> Result<Option<ModelEvent>, ModelError> {
        if self.done || data.is_empty() {
            return Ok(None);
        }
        let event: Value = match serde_json::from_str(data) {
            Ok(event) => event,
            Err(_) if name.is_some_and(|name| !KNOWN.contains(&name)) => return Ok(None),
            Err(error) => {
                let name = name.unwrap_or("unnamed");
                return protocol(format!("the data of a {name} event is no JSON: {error}"));
            }
        };
        let kind = event.get("type").and_then(Value::as_str).or(name);
        match kind.unwrap_or("") {
            "message_start" => self.start(&event),
            "content_block_start" => self.block_start(&event),
            "content_block_delta" => self.block_delta(&event),
            "content_block_stop" => self.block_stop(&event),
            "message_delta" => self.message_delta(&event),
            "message_stop" => self.stop(),
            "error" => Err(stream_error(&event)),
            _ => Ok(None),
        }
    }

    /// The whole turn.
    ///
    /// # Errors
    /// [`ModelError::Truncated`] when it is not complete, [`ModelError::Protocol`] when it is no message.
    pub fn finish(self) -> Result<Reply, ModelError> {
        let (true, Some(mut message)) = (self.done, self.message) else {
            return Err(ModelError::Truncated);
        };
        let mut unparsed = Vec::new();
        let content = self
            .blocks
            .into_values()
            .map(|partial| partial.finish(&mut unparsed))
            .collect();
        message.insert("content".into(), Value::Array(content));
        // These two are ours; the server's word cannot make an input count as unreadable.
        message.remove("unparsed");
        message.remove("request_id");
        let mut reply: Reply = serde_json::from_value(Value::Object(message))
            .map_err(|error| ModelError::Protocol(format!("the turn is no message: {error}")))?;
        reply.unparsed = unparsed;
        Ok(reply)
    }

    fn start(&mut self, event: &Value) -> Step {
        if self.message.is_some() {
            return protocol("a second message_start");
        }
        let Some(message) = event.get("message").and_then(Value::as_object) else {
            return protocol("a message_start without a message");
        };
        self.message = Some(message.clone());
        Ok(None)
    }

    fn block_start(&mut self, event: &Value) -> Step {
        if self.message.is_none() {
            return protocol("a content_block_start before message_start");
        }
        let index = index(event)?;
        let Some(block) = event.get("content_block").and_then(Value::as_object) else {
            return protocol(format!("content block {index} starts without a block"));
        };
        let partial = Partial {
            block: block.clone(),
            input: String::new(),
            open: true,
        };
        if self.blocks.insert(index, partial).is_some() {
            return protocol(format!("content block {index} starts twice"));
        }
        let field = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or("");
        Ok(match field("type") {
            "tool_use" => Some(ModelEvent::ToolUse {
                id: field("id").into(),
                name: field("name").into(),
            }),
            "text" => Some(ModelEvent::Text(field("text").into())),
            _ => None,
        }
        .filter(|event| *event != ModelEvent::Text(String::new())))
    }

    fn block_delta(&mut self, event: &Value) -> Step {
        let partial = self.open_block(event)?;
        let delta = event.get("delta").unwrap_or(&Value::Null);
        let piece = |key: &str| match delta.get(key).and_then(Value::as_str) {
            Some(piece) => Ok(piece),
            None => Err(ModelError::Protocol(format!("a delta without {key}"))),
        };
        Ok(
            match delta.get("type").and_then(Value::as_str).unwrap_or("") {
                "text_delta" => {
                    partial.append("text", piece("text")?);
                    Some(ModelEvent::Text(piece("text")?.into()))
                }
                "thinking_delta" => {
                    partial.append("thinking", piece("thinking")?);
                    Some(ModelEvent::Thinking(piece("thinking")?.into()))
                }
                "signature_delta" => {
                    let signature = piece("signature")?.into();
                    partial.block.insert("signature".into(), signature);
                    None
                }
                "input_json_delta" => {
                    partial.input.push_str(piece("partial_json")?);
                    None
                }
                "citations_delta" => {
                    partial.cite(delta.get("citation"));
                    None
                }
                _ => None,
            },
        )
    }

    fn block_stop(&mut self, event: &Value) -> Step {
        self.open_block(event)?.open = false;
        Ok(None)
    }

    fn message_delta(&mut self, event: &Value) -> Step {
        let Some(message) = &mut self.message else {
            return protocol("a message_delta before message_start");
        };
        overlay(message, event.get("delta"));
        let usage = message.entry("usage").or_insert_with(|| json!({}));
        if !usage.is_object() {
            *usage = json!({});
        }
        if let Some(usage) = usage.as_object_mut() {
            overlay(usage, event.get("usage"));
        }
        Ok(None)
    }

    fn stop(&mut self) -> Step {
        if self.message.is_none() {
            return protocol("a message_stop before message_start");
        }
        if let Some((index, _)) = self.blocks.iter().find(|(_, partial)| partial.open) {
            return protocol(format!("message_stop while content block {index} is open"));
        }
        self.done = true;
        Ok(None)
    }

    fn open_block(&mut self, event: &Value) -> Result<&mut Partial, ModelError> {
        let index = index(event)?;
        match self.blocks.get_mut(&index) {
            Some(partial) if partial.open => Ok(partial),
            _ => Err(ModelError::Protocol(format!(
                "content block {index} is not open"
            ))),
        }
    }
}

type Step = Result<Option<ModelEvent>, ModelError>;

/// The events whose data must be JSON.
const KNOWN: &[&str] = &[
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "error",
];

fn protocol<T>(message: impl Into<String>) -> Result<T, ModelError> {
    Err(ModelError::Protocol(message.into()))
}

fn index(event: &Value) -> Result<u64, ModelError> {
    match event.get("index").and_then(Value::as_u64) {
        Some(index) => Ok(index),
        None => protocol("a content block event without an index"),
    }
}

/// The counts and fields of a `message_delta` replace earlier ones, unless they are null.
fn overlay(onto: &mut Map<String, Value>, from: Option<&Value>) {
    for (key, value) in from.and_then(Value::as_object).into_iter().flatten() {
        if !value.is_null() {
            onto.insert(key.clone(), value.clone());
        }
    }
}

/// The error of an `error` event or of an error body.
fn stream_error(event: &Value) -> ModelError {
    let error = event.get("error").unwrap_or(&Value::Null);
    let field = |key: &str| error.get(key).and_then(Value::as_str);
    ModelError::Stream {
        kind: field("type").unwrap_or("unknown_error").into(),
        message: field("message").unwrap_or("no message").into(),
        request_id: event
            .get("request_id")
            .and_then(Value::as_str)
            .map(str::to_owned),
    }
}

impl Partial {
    fn append(&mut self, key: &str, piece: &str) {
        if let Some(Value::String(text)) = self.block.get_mut(key) {
            text.push_str(piece);
        } else {
            self.block.insert(key.into(), piece.into());
        }
    }

    fn cite(&mut self, citation: Option<&Value>) {
        let Some(citation) = citation else { return };
        if let Some(Value::Array(citations)) = self.block.get_mut("citations") {
            citations.push(citation.clone());
        } else {
            self.block.insert("citations".into(), json!([citation]));
        }
    }

    /// The whole block. An input that cannot be read is noted, and put into an object that the API takes back.
    fn finish(mut self, unparsed: &mut Vec<Unparsed>) -> Value {
        let is_call = self.block.get("type").and_then(Value::as_str) == Some("tool_use");
        let raw = std::mem::take(&mut self.input);
        if raw.trim().is_empty() {
            // Some servers send the whole input with the start of the block.
            if is_call {
                self.block.entry("input").or_insert_with(|| json!({}));
            }
            return Value::Object(self.block);
        }
        let input = match strict_object(&raw) {
            Ok(input) => input,
            Err(error) => {
                if let (true, Some(id)) = (is_call, self.block.get("id").and_then(Value::as_str)) {
                    unparsed.push(Unparsed {
                        id: id.into(),
                        error,
                    });
                }
                json!({ "INVALID_JSON": raw })
            }
        };
        self.block.insert("input".into(), input);
        Value::Object(self.block)
    }
}

#[cfg(test)]
mod tests;
