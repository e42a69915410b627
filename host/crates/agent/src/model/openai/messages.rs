//! A conversation as chat messages.

use serde_json::{Map, Value, json};

use super::{
    OWN,
    lacks::{Lack, Lacks},
    names::{Names, call_id},
};
use crate::wire::{Block, Message, ModelRequest, Role, ToolResultBlock, ToolUse};

/// Says a conversation in the words of one server.
pub(super) struct Chat<'a> {
    lacks: &'a Lacks,
    names: &'a Names,
    said: Vec<Value>,
    /// Whether reasoning goes back: then every message of the model has the field, or the server refuses them all.
    reasons: bool,
    /// Instructions that wait for the first message of the user, where there is no role for them.
    waiting: Option<String>,
}

/// The messages of a request. `system` is what the model is told first.
pub(super) fn messages(
    request: &ModelRequest,
    system: Option<String>,
    lacks: &Lacks,
    names: &Names,
) -> Vec<Value> {
    let mut chat = Chat {
        lacks,
        names,
        said: Vec::new(),
        reasons: !lacks.has(Lack::ReasoningContent) && request.messages.iter().any(reasons),
        waiting: None,
    };
    if let Some(text) = system {
        chat.instruct(text);
    }
    for message in &request.messages {
        match message.role {
            Role::Assistant => chat.assistant(message),
            Role::User => chat.user(message),
            Role::System => chat.instruct(crate::wire::text_of(&message.content)),
        }
    }
    if let Some(text) = chat.waiting.take() {
        chat.push("user", text.into());
    }
    chat.said
}

impl Chat<'_> {
    fn push(&mut self, role: &str, content: Value) {
        self.said.push(json!({ "role": role, "content": content }));
    }

    /// Instructions of the operator.
    fn instruct(&mut self, text: String) {
        let role = match self.lacks.has(Lack::DeveloperRole) {
            true => "system",
            false => "developer",
        };
        if !self.lacks.has(Lack::SystemRole) {
            return self.push(role, text.into());
        }
        self.waiting = Some(match self.waiting.take() {
            Some(earlier) => format!("{earlier}\n\n{text}"),
            None => text,
        });
    }

    /// Results of tools, each a message of its own and all before anything else, and then what the user says. A result
    /// holds text only, so its images and files come with the user's words.
    fn user(&mut self, message: &Message) {
        let mut parts = Vec::new();
        if let Some(text) = self.waiting.take() {
            parts.push(text_part(&text));
        }
        for block in &message.content {
            if let Block::ToolResult(result) = block {
                self.result(result, &mut parts);
            }
        }
        for block in &message.content {
            match block {
                Block::ToolResult(_) => {}
                block => parts.extend(self.part(block)),
            }
        }
        if !parts.is_empty() {
            self.push("user", plain_if_text(parts));
        }
    }

    fn result(&mut self, result: &ToolResultBlock, parts: &mut Vec<Value>) {
        let id = self.call_id(&result.tool_use_id);
        let mut texts: Vec<String> = Vec::new();
        let mut shown = Vec::new();
        for part in result.content.iter().filter_map(|block| self.part(block)) {
            match part.get("text").and_then(Value::as_str) {
                Some(text) => texts.push(text.to_owned()),
                None => shown.push(part),
            }
        }
        if !shown.is_empty() {
            texts.push("[shown in the next message of the user]".to_owned());
            parts.push(text_part(&format!("[from the result of {id}]")));
            parts.append(&mut shown);
        }
        // The API has no word for a failed call.
        let failed = if result.is_error { "Error: " } else { "" };
        let content = format!("{failed}{}", texts.join("\n"));
        self.said
            .push(json!({ "role": "tool", "tool_call_id": id, "content": content }));
    }

    fn assistant(&mut self, message: &Message) {
        let mut said = Map::new();
        let texts = message.content.iter().filter_map(|block| match block {
            Block::Text(text) if !text.text.trim().is_empty() => Some(text.text.as_str()),
            _ => None,
        });
        let text = texts.collect::<Vec<_>>().join("\n");
        let calls: Vec<Value> = message
            .content
            .iter()
            .filter_map(|block| match block {
                Block::ToolUse(call) => Some(self.call(call)),
                _ => None,
            })
            .collect();
        let reasoning: String = message.content.iter().filter_map(own_reasoning).collect();
        let thought = self.reasons && !reasoning.is_empty();
        if text.is_empty() && calls.is_empty() && !thought {
            return;
        }
        said.insert("role".to_owned(), "assistant".into());
        let content = match text.is_empty() {
            true if !calls.is_empty() => Value::Null,
            _ => text.into(),
        };
        said.insert("content".to_owned(), content);
        if self.reasons {
            said.insert("reasoning_content".to_owned(), reasoning.into());
        }
        if !calls.is_empty() {
            said.insert("tool_calls".to_owned(), calls.into());
        }
        self.said.push(said.into());
    }

    fn call(&self, call: &ToolUse) -> Value {
        let mut said = json!({
            "id": self.call_id(&call.id),
            "type": "function",
            "function": { "name": self.names.sent(&call.name), "arguments": call.input.to_string() },
        });
        // What the server put beside a call, such as a signature, it wants back.
        if let (Some(fields), Some(Value::Object(own))) =
            (said.as_object_mut(), call.extra.get(OWN))
        {
            for (key, value) in own {
                fields.entry(key.as_str()).or_insert_with(|| value.clone());
            }
        }
        said
    }

    fn call_id(&self, id: &str) -> String {
        call_id(id, self.lacks.has(Lack::CallIds))
    }

    /// A block as a part of a message; nothing for what is empty.
    fn part(&self, block: &Block) -> Option<Value> {
        match block {
            Block::Text(text) if text.text.trim().is_empty() => None,
            Block::Text(text) => Some(text_part(&text.text)),
            Block::Other(value) => Some(match block.kind() {
                "image" => self.image(value),
                "document" => self.document(value),
                _ => text_part(&value.to_string()),
            }),
            Block::ToolUse(_) | Block::ToolResult(_) => None,
        }
    }

    fn image(&self, block: &Value) -> Value {
        let url = match source(block) {
            Source::Data { media_type, data } => format!("data:{media_type};base64,{data}"),
            Source::Url(url) => url.to_owned(),
            _ => return text_part("[an image that is stored elsewhere is left out]"),
        };
        if self.lacks.has(Lack::Images) {
            return text_part("[an image is left out: the model's server takes none]");
        }
        json!({ "type": "image_url", "image_url": { "url": url } })
    }

    fn document(&self, block: &Value) -> Value {
        let title = block.get("title").and_then(Value::as_str);
        match source(block) {
            Source::Text(text) => match title {
                Some(title) => text_part(&format!("{title}:\n{text}")),
                None => text_part(text),
            },
            Source::Data { media_type, data } if !self.lacks.has(Lack::Files) => {
                let name = title.unwrap_or("document.pdf");
                let data = format!("data:{media_type};base64,{data}");
                json!({ "type": "file", "file": { "filename": name, "file_data": data } })
            }
            Source::Data { .. } => {
                text_part("[a document is left out: the model's server takes none]")
            }
            Source::Url(url) => text_part(&format!("[a document at {url}]")),
            Source::Other => text_part("[a document that is stored elsewhere is left out]"),
        }
    }
}

fn reasons(message: &Message) -> bool {
    message
        .content
        .iter()
        .any(|block| own_reasoning(block).is_some())
}

/// Reasoning that came in the field `reasoning_content`: servers that send it there want it back.
fn own_reasoning(block: &Block) -> Option<&str> {
    match block {
        Block::Other(block) if block.get(OWN) == Some(&"reasoning_content".into()) => {
            block.get("thinking")?.as_str()
        }
        _ => None,
    }
}

/// Where the content of an image or a document is.
enum Source<'b> {
    Data { media_type: &'b str, data: &'b str },
    Text(&'b str),
    Url(&'b str),
    Other,
}

fn source(block: &Value) -> Source<'_> {
    let field = |key: &str| block.get("source")?.get(key)?.as_str();
    match (
        field("type"),
        field("media_type"),
        field("data"),
        field("url"),
    ) {
        (Some("base64"), Some(media_type), Some(data), _) => Source::Data { media_type, data },
        (Some("text"), _, Some(text), _) => Source::Text(text),
        (Some("url"), _, _, Some(url)) => Source::Url(url),
        _ => Source::Other,
    }
}

fn text_part(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// A plain text where all parts are texts: every server takes that, and some take nothing else.
fn plain_if_text(parts: Vec<Value>) -> Value {
    let texts: Option<Vec<&str>> = parts
        .iter()
        .map(|part| part.get("text").and_then(Value::as_str))
        .collect();
    match texts {
        Some(texts) => texts.join("\n").into(),
        None => parts.into(),
    }
}
