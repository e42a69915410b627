//! Puts a turn together from the chunks of a stream, without I/O.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{
    REASONING,
    calls::{Calls, Piece},
    names::Names,
    usage::{estimated, usage},
};
use crate::{
    model::{
        ModelError, ModelEvent,
        http::{Assemble, said},
        strict::strict_object,
    },
    wire::{Block, ModelRequest, Reply, StopReason, deeper},
};

/// How deep a value that nobody knows may be nested.
const MAX_DEPTH: usize = 32;

/// A turn that is arriving. Give it each event's data; it is done when [`ChatAssembler::is_done`] says so.
///
/// Unknown fields are kept. A turn is whole once the server said why the model stopped: without that no call of it may
/// run, even where the connection ended in good order.
#[derive(Debug, Default)]
pub struct ChatAssembler {
    names: Names,
    calls: Calls,
    parts: Vec<Part>,
    refusal: String,
    finish: Option<String>,
    usage: Option<Map<String, Value>>,
    /// What the prompt has about, should the server not count.
    prompt_tokens: u64,
    /// Whether the server's counts are not believed.
    estimate: bool,
    /// Whether any choice arrived.
    began: bool,
    extra: Map<String, Value>,
    done: bool,
}

/// A piece of the content, in the order in which the pieces began.
#[derive(Debug)]
enum Part {
    /// Reasoning, and the field that it came in.
    Thinking(&'static str, String),
    Text(String),
    Call(usize),
}

type Tell<'t> = &'t mut dyn FnMut(ModelEvent);

impl Assemble for ChatAssembler {
    fn on_event(
        &mut self,
        name: Option<&str>,
        data: &str,
        tell: &mut dyn FnMut(ModelEvent),
    ) -> Result<(), ModelError> {
        Self::on_event(self, name, data, tell)
    }

    fn is_done(&self) -> bool {
        Self::is_done(self)
    }

    fn finish(self) -> Result<Reply, ModelError> {
        Self::finish(self)
    }
}

impl ChatAssembler {
    /// For the answer to a request.
    pub(super) fn answering(
        request: &ModelRequest,
        names: Names,
        prompt_tokens: u64,
        estimate: bool,
    ) -> Self {
        let blocks = request.messages.iter().flat_map(|message| &message.content);
        let taken: HashSet<String> = blocks
            .filter_map(|block| match block {
                Block::ToolUse(call) => Some(call.id.clone()),
                _ => None,
            })
            .collect();
        Self {
            names,
            calls: Calls::new(taken),
            prompt_tokens,
            estimate,
            ..Self::default()
        }
    }

    /// Whether the turn is complete. What comes later does not belong to it.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Takes one event: its name, where the stream gave one, and its data. It tells what people may see.
    ///
    /// # Errors
    /// [`ModelError::Stream`] for an error that the server reports, [`ModelError::Protocol`] for what is no chunk.
    pub fn on_event(
        &mut self,
        name: Option<&str>,
        data: &str,
        tell: &mut dyn FnMut(ModelEvent),
    ) -> Result<(), ModelError> {
        if self.done || data.trim().is_empty() {
            return Ok(());
        }
        if data.starts_with("[DONE]") {
            self.done = true;
            return Ok(());
        }
        let chunk: Value = match serde_json::from_str(data) {
            Ok(chunk) => chunk,
            Err(_) if name == Some("error") => return Err(broken_off(&json!({ "error": data }))),
            Err(error) => return protocol(format!("a chunk is no JSON: {error}")),
        };
        let Some(fields) = chunk.as_object() else {
            return protocol("a chunk is no JSON object");
        };
        let has = |key: &str| fields.get(key).is_some_and(|it| !it.is_null());
        if has("error") || name == Some("error") || fields.get("object") == Some(&"error".into()) {
            return Err(broken_off(&chunk));
        }
        self.head(fields);
        self.calls.next_chunk();
        match fields.get("choices") {
            None | Some(Value::Null) => {}
            Some(Value::Array(choices)) => {
                for choice in choices {
                    self.choice(choice, data, tell)?;
                }
            }
            Some(_) => return protocol("the choices of a chunk are no list"),
        }
        Ok(())
    }

    /// What is no choice: the counts, and what is kept as it is.
    fn head(&mut self, fields: &Map<String, Value>) {
        for (key, value) in fields {
            match key.as_str() {
                "usage" => self.count(Some(value)),
                "choices" | "obfuscation" => {}
                _ if !keepable(value) => {}
                _ => {
                    self.extra.insert(key.clone(), value.clone());
                }
            }
        }
    }

    /// The newest counts are those of the whole turn.
    fn count(&mut self, usage: Option<&Value>) {
        let usage = usage.filter(|it| keepable(it)).and_then(Value::as_object);
        if let Some(usage) = usage.filter(|it| !it.is_empty()) {
            self.usage = Some(usage.clone());
        }
    }

    /// A choice of a chunk, or of a whole answer. Only one was asked for.
    fn choice(&mut self, choice: &Value, data: &str, tell: Tell<'_>) -> Result<(), ModelError> {
        if choice.get("index").and_then(Value::as_u64).unwrap_or(0) != 0 {
            return Ok(());
        }
        if choice.get("error").is_some_and(|it| !it.is_null()) {
            return Err(broken_off(choice));
        }
        self.began = true;
        self.count(choice.get("usage"));
        let delta = choice.get("delta").filter(|it| it.is_object());
        if let Some(delta) = delta.or_else(|| choice.get("message")) {
            self.delta(delta, data, tell)?;
        }
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str)
            && !reason.is_empty()
        {
            self.finish = Some(reason.to_owned());
        }
        Ok(())
    }

    fn delta(&mut self, delta: &Value, data: &str, tell: Tell<'_>) -> Result<(), ModelError> {
        let text = |key: &str| delta.get(key).and_then(Value::as_str).unwrap_or("");
        // Some servers say the same in both fields.
        let reasoning = REASONING.iter().find(|field| !text(field).is_empty());
        if let Some(field) = reasoning {
            self.think(field, text(field), tell);
        }
        match delta.get("content") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => self.say(text, tell),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| self.part(part, tell)),
            Some(_) => return protocol("the content of a chunk is no text"),
        }
        let refusal = text("refusal");
        if !refusal.is_empty() {
            self.refusal.push_str(refusal);
            self.say(refusal, tell);
        }
        if let Some(function) = delta.get("function_call").filter(|it| !it.is_null()) {
            self.call(&Piece::function(function), data, tell)?;
        }
        match delta.get("tool_calls") {
            None | Some(Value::Null) => {}
            Some(Value::Array(entries)) => {
                for entry in entries {
                    self.call(&Piece::of(entry), data, tell)?;
                }
            }
            Some(_) => return protocol("the tool calls of a chunk are no list"),
        }
        self.keep(delta);
        Ok(())
    }

    /// A part of content that comes as a list, as Mistral's models with reasoning send it.
    fn part(&mut self, part: &Value, tell: Tell<'_>) {
        match part.get("type").and_then(Value::as_str) {
            Some("text") => {
                let text = part.get("text").and_then(Value::as_str).unwrap_or("");
                self.say(text, tell);
            }
            Some("thinking") => {
                let inner = part.get("thinking").and_then(Value::as_array);
                for text in inner.into_iter().flatten() {
                    let text = text.get("text").and_then(Value::as_str).unwrap_or("");
                    self.think("thinking", text, tell);
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, text: &str, tell: Tell<'_>) {
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some(Part::Text(so_far)) => so_far.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
        tell(ModelEvent::Text(text.to_owned()));
    }

    fn think(&mut self, field: &'static str, text: &str, tell: Tell<'_>) {
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some(Part::Thinking(same, so_far)) if *same == field => so_far.push_str(text),
            _ => self.parts.push(Part::Thinking(field, text.to_owned())),
        }
        tell(ModelEvent::Thinking(text.to_owned()));
    }

    fn call(&mut self, piece: &Piece<'_>, data: &str, tell: Tell<'_>) -> Result<(), ModelError> {
        // Of two members with one name only one is left in the chunk that was read, so the text is looked at again.
        let wrong = match piece.is_whole() {
            true => strict_object(data).err(),
            false => None,
        };
        let placed = self.calls.take(piece, wrong)?;
        if placed.new {
            self.parts.push(Part::Call(placed.at));
        }
        if placed.named
            && let Some((id, name)) = self.calls.called(placed.at)
        {
            tell(ModelEvent::ToolUse {
                id: id.to_owned(),
                name: self.names.back(name).to_owned(),
            });
        }
        Ok(())
    }

    /// Fields of a message that this crate does not know: texts and lists grow, of the rest the newest counts.
    fn keep(&mut self, delta: &Value) {
        let known = ["role", "content", "refusal", "function_call", "tool_calls"];
        for (key, value) in delta.as_object().into_iter().flatten() {
            let key = key.as_str();
            if !keepable(value) || known.contains(&key) || REASONING.contains(&key) {
                continue;
            }
            let message = self.extra.entry("message").or_insert_with(|| json!({}));
            let Some(message) = message.as_object_mut() else {
                return;
            };
            match (message.get_mut(key), value) {
                (Some(Value::String(text)), Value::String(more)) => text.push_str(more),
                (Some(Value::Array(list)), Value::Array(more)) => list.extend(more.iter().cloned()),
                _ => {
                    message.insert(key.to_owned(), value.clone());
                }
            }
        }
    }

    /// The whole turn.
    ///
    /// # Errors
    /// [`ModelError::Truncated`] when the server did not say that the turn is over.
    pub fn finish(mut self) -> Result<Reply, ModelError> {
        if self.finish.is_none() && !(self.done && self.began) {
            return Err(ModelError::Truncated);
        }
        let (any_calls, mut written) = (self.calls.any(), self.calls.len());
        let mut unparsed = Vec::new();
        let mut content = Vec::new();
        for part in self.parts {
            match part {
                Part::Thinking(field, text) => {
                    written = written.saturating_add(text.len());
                    content.push(thinking(field, text));
                }
                Part::Text(text) => {
                    written = written.saturating_add(text.len());
                    content.push(Block::text(text));
                }
                Part::Call(at) => content.extend(self.calls.finish(at, &self.names, &mut unparsed)),
            }
        }
        let stop_reason = self
            .finish
            .as_deref()
            .map(|word| stopped(word, any_calls, &self.refusal));
        let stop_details = (stop_reason == Some(StopReason::Refusal)).then(|| {
            let category = self.finish.filter(|word| word == "content_filter");
            let explanation = Some(self.refusal).filter(|text| !text.is_empty());
            json!({ "type": "refusal", "category": category, "explanation": explanation })
        });
        let usage = match self.usage.filter(|_| !self.estimate) {
            Some(counts) => usage(counts),
            None => estimated(self.prompt_tokens, written),
        };
        OURS.iter().for_each(|key| drop(self.extra.remove(*key)));
        Ok(Reply {
            content,
            stop_reason,
            stop_details,
            usage,
            unparsed,
            extra: self.extra,
            ..Reply::default()
        })
    }
}

/// Whether a value that nobody knows is worth keeping. What is nested very deep could be written to a transcript and not
/// be read from it again.
pub(super) fn keepable(value: &Value) -> bool {
    !value.is_null() && !deeper(value, MAX_DEPTH)
}

/// The fields of a [`Reply`], which a server's own fields must not be called.
const OURS: [&str; 9] = [
    "content",
    "stop_reason",
    "stop_details",
    "usage",
    "unparsed",
    "request_id",
    "answered_by",
    "cost_micro_usd",
    "cached",
];

/// Reasoning as a block. It says which field it came in, and has no signature: no other provider takes it.
fn thinking(field: &str, text: String) -> Block {
    let mut block = json!({ "type": "thinking", "thinking": text });
    if let Some(block) = block.as_object_mut() {
        block.insert(super::OWN.to_owned(), field.into());
    }
    Block::Other(block)
}

/// Why the model stopped. Many servers say `stop` for a turn with calls; a turn that was cut off is none of those.
fn stopped(word: &str, any_calls: bool, refusal: &str) -> StopReason {
    match word {
        "stop" | "tool_calls" | "function_call" if !refusal.is_empty() => StopReason::Refusal,
        "stop" if any_calls => StopReason::ToolUse,
        "stop" => StopReason::EndTurn,
        "tool_calls" | "function_call" => StopReason::ToolUse,
        "length" => StopReason::MaxTokens,
        "content_filter" => StopReason::Refusal,
        other => StopReason::Other(other.to_owned()),
    }
}

fn protocol<T>(message: impl Into<String>) -> Result<T, ModelError> {
    Err(ModelError::Protocol(message.into()))
}

/// The error that a chunk reports.
fn broken_off(chunk: &Value) -> ModelError {
    let said = said(chunk);
    ModelError::Stream {
        kind: said.kind.unwrap_or_else(|| "unknown_error".into()),
        message: said.message.unwrap_or_else(|| "no message".into()),
        request_id: None,
    }
}
