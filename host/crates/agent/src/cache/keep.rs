//! Which answers may be kept: whole ones, that ended well, and that hold as well tomorrow.

use serde_json::Value;

use crate::wire::{Block, Reply, StopReason};

/// Why an answer is not kept; nothing where it may be.
pub(crate) fn refused(reply: &Reply) -> Option<&'static str> {
    match reply.stop_reason {
        Some(StopReason::EndTurn | StopReason::ToolUse | StopReason::StopSequence) => {}
        _ => return Some("it did not come to its end"),
    }
    if reply.content.is_empty() {
        return Some("it is empty");
    }
    if !reply.unparsed.is_empty() {
        return Some("the input of a tool in it cannot be read");
    }
    if reply.answered_by.is_some() {
        return Some("another model answered than the one that was asked");
    }
    if reply.extra.get("container").is_some_and(|it| !it.is_null()) {
        return Some("it goes on from what the server keeps");
    }
    reply.content.iter().find_map(passing)
}

/// Why a block holds only for a time. The list is of what may be kept, so that kinds which come later are not: results of
/// searches, fetched pages, run code and connected servers say what was so at one moment.
fn passing(block: &Block) -> Option<&'static str> {
    match block {
        Block::Text(text) => cites(text.extra.get("citations")),
        Block::ToolUse(call) => {
            let caller = call.extra.get("caller").and_then(|it| it.get("type"));
            match caller.and_then(Value::as_str) {
                None | Some("direct") => None,
                Some(_) => Some("code that runs at the server asks for a tool"),
            }
        }
        Block::Other(_) if matches!(block.kind(), "thinking" | "redacted_thinking") => None,
        Block::Other(_) | Block::ToolResult(_) => {
            Some("it holds what a tool of the server found at that moment")
        }
    }
}

/// Quotations of the request's own documents stay true; those of what was found on the web may not.
fn cites(citations: Option<&Value>) -> Option<&'static str> {
    let list = citations.and_then(Value::as_array)?;
    let found = |it: &Value| {
        let kind = it.get("type").and_then(Value::as_str).unwrap_or_default();
        !matches!(
            kind,
            "char_location" | "page_location" | "content_block_location"
        )
    };
    list.iter()
        .any(found)
        .then_some("it quotes what was found at that moment")
}

#[cfg(test)]
mod tests;
