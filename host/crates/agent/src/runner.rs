//! The seam to whatever runs the tools.

use futures_util::future::BoxFuture;
use serde_json::Value;
use toolcell::{
    CallContext, Content, ErrorKind, LikelySecrets, Redaction, Sink, ToolCall, ToolHost, ToolInfo,
    ToolResult,
};

use crate::{
    machine::ToolOutput,
    wire::{Block, ToolDefinition},
};

/// A tool that can be offered to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// The public name: `[a-z0-9_-]`, at most 64 characters.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of the input, an object.
    pub input_schema: Value,
    /// Whether a call that may already have happened can safely be made again: the tool only reads, or doing it twice
    /// is the same as doing it once.
    pub repeatable: bool,
}

impl ToolSpec {
    pub(crate) fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: self.name.clone(),
            description: self.description.clone(),
            input_schema: self.input_schema.clone(),
        }
    }
}

/// Runs tools. [`toolcell::ToolHost`] is the one for real use.
pub trait ToolRunner: Send + Sync {
    /// The tools there are.
    fn tools(&self) -> Vec<ToolSpec>;

    /// Runs one. What the model should hear of, denials included, is an `Ok` with a failure in it.
    ///
    /// # Errors
    /// Only what the embedder must act on, for example an audit log that cannot be written. It ends the run.
    fn call<'a>(
        &'a self,
        call: ToolCall,
        context: &'a CallContext,
    ) -> BoxFuture<'a, toolcell::Result<ToolResult>>;

    /// The search for the secrets that the tools use: what a run tells and keeps goes through it. Default: none.
    fn redaction(&self) -> Redaction {
        Redaction::new()
    }

    /// What everything passes that is kept in this sink, or goes to it. Default: [`redaction`](Self::redaction).
    fn on_the_way_to(&self, sink: Sink) -> Redaction {
        let _ = sink;
        self.redaction()
    }

    /// What is done about texts of the model that look like credentials which nobody registered. Default: nothing.
    fn likely_secrets(&self) -> LikelySecrets {
        LikelySecrets::default()
    }

    /// Hears that a tool was called in the session of a context before, in a run that goes on now. Nothing is to be done
    /// again; what counts for a session may be counted. Default: it is of no interest.
    fn was_called(&self, tool: &str, context: &CallContext) {
        let _ = (tool, context);
    }
}

impl ToolRunner for ToolHost {
    fn tools(&self) -> Vec<ToolSpec> {
        Self::tools(self).into_iter().map(ToolSpec::from).collect()
    }

    fn call<'a>(
        &'a self,
        call: ToolCall,
        context: &'a CallContext,
    ) -> BoxFuture<'a, toolcell::Result<ToolResult>> {
        Box::pin(self.call_with(call, context))
    }

    fn redaction(&self) -> Redaction {
        Self::redaction(self).clone()
    }

    fn on_the_way_to(&self, sink: Sink) -> Redaction {
        Self::on_the_way_to(self, sink)
    }

    fn likely_secrets(&self) -> LikelySecrets {
        Self::likely_secrets(self).clone()
    }

    fn was_called(&self, tool: &str, context: &CallContext) {
        Self::was_called(self, tool, context);
    }
}

impl From<ToolInfo> for ToolSpec {
    fn from(tool: ToolInfo) -> Self {
        let says = |hint: Option<bool>| hint == Some(true);
        Self {
            repeatable: says(tool.annotations.read_only) || says(tool.annotations.idempotent),
            name: tool.public_name,
            description: tool.description,
            input_schema: tool.input_schema,
        }
    }
}

/// The picture formats that the API takes.
const PICTURES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

/// A tool's answer as the model gets it. What the API cannot carry becomes a note in words. A failure is
/// `code: message`, and its help is left out: the model must not learn how to get around a denial.
pub fn output_for_model(result: &ToolResult) -> ToolOutput {
    if let Some(failure) = &result.failure {
        let mut message = failure.message.clone();
        if let Some(code) = &failure.tool_code {
            message.push_str(&format!(" (the tool's code: {code})"));
        }
        if failure.request_sent {
            message.push_str(" (it may already have had an effect; do not repeat it blindly)");
        }
        return ToolOutput::failure(failure.kind, message);
    }
    let mut content: Vec<Block> = result.content.iter().filter_map(block).collect();
    if let (true, Some(structured)) = (content.is_empty(), &result.structured) {
        content.push(Block::text(structured.to_string()));
    }
    ToolOutput {
        content,
        code: None,
    }
}

fn block(piece: &Content) -> Option<Block> {
    Some(match piece {
        // The API refuses blank text.
        Content::Text { text } if text.trim().is_empty() => return None,
        Content::Text { text } => Block::text(text),
        Content::Json { json } => Block::text(json.to_string()),
        Content::Image { mime_type, data } if PICTURES.contains(&mime_type.as_str()) => {
            Block::image(mime_type, data)
        }
        Content::Image { mime_type, data } => note("picture", mime_type, data),
        Content::Audio { mime_type, data } => note("sound", mime_type, data),
        Content::Resource {
            uri,
            mime_type,
            text,
            blob,
        } => {
            let kind = mime_type.as_deref().unwrap_or("unknown type");
            match (text, blob) {
                (Some(text), _) => Block::text(format!("Resource {uri} ({kind}):\n{text}")),
                (None, Some(blob)) => note(&format!("resource {uri}"), kind, blob),
                (None, None) => Block::text(format!("[resource {uri} ({kind})]")),
            }
        }
        _ => Block::text("[content of a kind that cannot be shown]"),
    })
}

fn note(what: &str, kind: &str, base64: &str) -> Block {
    let bytes = base64.trim_end_matches('=').len() * 3 / 4;
    Block::text(format!(
        "[{what} ({kind}, {bytes} bytes) that cannot be shown]"
    ))
}

/// The answer for a call that was under way when the run was interrupted.
pub(crate) fn interrupted() -> ToolOutput {
    ToolOutput::failure(
        ErrorKind::Cancelled,
        "the run was interrupted while this call was under way; it may or may not have happened",
    )
}

#[cfg(test)]
mod tests;
