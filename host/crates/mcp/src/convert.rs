//! Tools and results in the words of the protocol.

use std::sync::Arc;

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents, Tool, ToolAnnotations};
use serde_json::{Map, Value};
use toolcell::{Content, ToolInfo, ToolResult};

/// A tool as a client sees it.
pub(crate) fn tool(info: &ToolInfo, modern: bool) -> Tool {
    let input = object(&info.input_schema).unwrap_or_default();
    let mut tool = Tool::new(info.public_name.clone(), info.description.clone(), input);
    tool.output_schema = info
        .output_schema
        .as_ref()
        .filter(|schema| modern || describes_an_object(schema))
        .and_then(object);
    let hints = &info.annotations;
    let annotations = ToolAnnotations::from_raw(
        None,
        hints.read_only,
        hints.destructive,
        hints.idempotent,
        hints.open_world,
    );
    if annotations != ToolAnnotations::default() {
        tool.annotations = Some(annotations);
    }
    tool
}

/// A result as a client sees it.
pub(crate) fn result(result: ToolResult, modern: bool) -> CallToolResult {
    let failed = result.is_error();
    let mut content: Vec<ContentBlock> = result.content.into_iter().map(block).collect();
    // Only objects are structured content before 2026-07-28.
    let structured = result
        .structured
        .filter(|value| !failed && (modern || value.is_object()));
    if content.is_empty()
        && let Some(value) = &structured
    {
        content.push(ContentBlock::text(value.to_string()));
    }
    if failed {
        return CallToolResult::error(content);
    }
    let mut result = CallToolResult::success(content);
    result.structured_content = structured;
    result
}

fn block(content: Content) -> ContentBlock {
    match content {
        Content::Text { text } => ContentBlock::text(text),
        Content::Json { json } => ContentBlock::text(json.to_string()),
        Content::Image { mime_type, data } => ContentBlock::image(data, mime_type),
        Content::Audio { mime_type, data } => ContentBlock::audio(data, mime_type),
        Content::Resource {
            uri,
            mime_type,
            text,
            blob: Some(blob),
        } if text.is_none() => ContentBlock::resource(ResourceContents::BlobResourceContents {
            uri,
            mime_type,
            blob,
            meta: None,
        }),
        Content::Resource {
            uri,
            mime_type,
            text,
            ..
        } => ContentBlock::resource(ResourceContents::TextResourceContents {
            uri,
            mime_type,
            text: text.unwrap_or_default(),
            meta: None,
        }),
        // Kinds of content that this version does not know yet stay readable.
        other => ContentBlock::text(serde_json::to_string(&other).unwrap_or_default()),
    }
}

fn object(schema: &Value) -> Option<Arc<Map<String, Value>>> {
    schema.as_object().cloned().map(Arc::new)
}

/// Before 2026-07-28 an output schema had to describe an object, and clients refuse the whole list over another one.
fn describes_an_object(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
}

#[cfg(test)]
mod tests;
