//! A turn that is there already, told as if it came just now.

use serde_json::Value;

use super::{ModelEvent, ModelSink};
use crate::wire::{Block, Reply};

/// Tells a turn in the model's order. Text comes word by word, as a real model's does.
pub(super) fn replay(reply: &Reply, sink: ModelSink<'_>) {
    for block in &reply.content {
        replay_block(block, sink);
    }
}

fn replay_block(block: &Block, sink: ModelSink<'_>) {
    match block {
        Block::Text(block) => {
            for word in block.text.split_inclusive(' ') {
                sink(ModelEvent::Text(word.into()));
            }
        }
        Block::ToolUse(call) => sink(ModelEvent::ToolUse {
            id: call.id.clone(),
            name: call.name.clone(),
        }),
        Block::Other(value) => {
            if let Some(thinking) = value.get("thinking").and_then(Value::as_str) {
                sink(ModelEvent::Thinking(thinking.into()));
            }
        }
        Block::ToolResult(_) => {}
    }
}
