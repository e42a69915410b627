//! The parts of a body that may hold breakpoints of the prompt cache.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::{
    model::openai,
    wire::{Block, CachePlan, Message, ModelRequest},
};

/// The operator's instructions: plain text, unless there is a breakpoint behind them.
pub(super) fn system(request: &ModelRequest) -> Option<Value> {
    let text = request.system.as_deref()?;
    let Some(plan) = request.cache.as_ref().filter(|plan| plan.system) else {
        return Some(text.into());
    };
    let mut block = json!({ "type": "text", "text": text });
    mark(&mut block, plan);
    Some(json!([block]))
}

/// The tools, where there are any.
pub(super) fn tools(request: &ModelRequest) -> Option<Value> {
    if request.tools.is_empty() {
        return None;
    }
    let mut tools = json!(request.tools);
    if let Some(plan) = request.cache.as_ref().filter(|plan| plan.tools)
        && let Some(last) = tools.as_array_mut().and_then(|tools| tools.last_mut())
    {
        mark(last, plan);
    }
    Some(tools)
}

/// The conversation, without what the API refuses to take back. It is left out of the request, and only there.
pub(super) fn messages(request: &ModelRequest) -> Value {
    let messages = request.messages.iter().enumerate();
    messages
        .filter_map(|(number, message)| {
            let blocks = message.content.iter().enumerate();
            let content: Vec<Value> = blocks
                .filter_map(|(index, block)| {
                    let mut value = json!(sendable(block)?);
                    match &request.cache {
                        Some(plan) if plan.blocks.contains(&(number, index)) => {
                            mark(&mut value, plan);
                        }
                        _ => {}
                    }
                    Some(value)
                })
                .collect();
            (!content.is_empty()).then(|| whole(message, content))
        })
        .collect()
}

/// The block without what the API refuses to take back: blank text, which models sometimes write and which holds nothing,
/// and what only servers of another API understand.
fn sendable(block: &Block) -> Option<Cow<'_, Block>> {
    Some(match block {
        Block::Text(text) if text.text.trim().is_empty() => return None,
        Block::Other(value) if value.get(openai::OWN).is_some() => return None,
        Block::ToolUse(call) if call.extra.contains_key(openai::OWN) => {
            let mut call = call.clone();
            call.extra.remove(openai::OWN);
            Cow::Owned(Block::ToolUse(call))
        }
        block => Cow::Borrowed(block),
    })
}

fn whole(message: &Message, content: Vec<Value>) -> Value {
    let mut fields = message.extra.clone();
    fields.insert("role".into(), json!(message.role));
    fields.insert("content".into(), content.into());
    fields.into()
}

fn mark(value: &mut Value, plan: &CachePlan) {
    if let Some(fields) = value.as_object_mut() {
        let control = json!({ "type": "ephemeral", "ttl": plan.ttl.name() });
        fields.insert("cache_control".into(), control);
    }
}
