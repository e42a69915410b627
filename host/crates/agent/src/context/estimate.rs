//! About how many tokens something has, without asking anybody.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::{Block, Message, ModelRequest, ToolDefinition};

/// A token has about so many bytes of text, halves counted as two.
const HALF_BYTES_PER_TOKEN: u64 = 7;

/// What a message and a block cost besides their text.
const FRAME_TOKENS: u64 = 4;

/// About what a picture costs, whatever its size: servers scale large ones down.
const PICTURE_TOKENS: u64 = 1_600;

/// A page of a document has about so many bytes of base64, and costs about as much as a picture.
const PAGE_BYTES: u64 = 100_000;

/// About how many tokens the prompt of a request has. It is reckoned from the length of its text, and rather too much
/// than too little.
pub fn estimate(request: &ModelRequest) -> u64 {
    fixed(request.system.as_deref(), &request.tools).saturating_add(messages(&request.messages))
}

/// The part that is the same in all requests of a run.
pub(crate) fn fixed(system: Option<&str>, tools: &[ToolDefinition]) -> u64 {
    self::tools(tools).saturating_add(system.map_or(0, text))
}

pub(crate) fn tools(tools: &[ToolDefinition]) -> u64 {
    if tools.is_empty() {
        return 0;
    }
    of_bytes(json_bytes(tools))
}

pub(crate) fn messages(messages: &[Message]) -> u64 {
    messages.iter().map(message).sum()
}

pub(crate) fn message(message: &Message) -> u64 {
    let blocks: u64 = message.content.iter().map(block).sum();
    blocks.saturating_add(FRAME_TOKENS)
}

pub(crate) fn block(block: &Block) -> u64 {
    let inside = match block {
        Block::Text(block) => text(&block.text),
        Block::ToolUse(call) => {
            of_bytes(json_bytes(&call.input).saturating_add(call.name.len() as u64))
        }
        Block::ToolResult(result) => result.content.iter().map(self::block).sum(),
        Block::Other(value) => other(block.kind(), value),
    };
    inside.saturating_add(FRAME_TOKENS)
}

pub(crate) fn text(text: &str) -> u64 {
    of_bytes(text.len() as u64)
}

/// So many bytes of text have about so many tokens.
pub(crate) fn bytes_of(tokens: u64) -> usize {
    let bytes = tokens.saturating_mul(HALF_BYTES_PER_TOKEN) / 2;
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn of_bytes(bytes: u64) -> u64 {
    bytes.saturating_mul(2).div_ceil(HALF_BYTES_PER_TOKEN)
}

fn other(kind: &str, value: &Value) -> u64 {
    let inside = |key: &str| value.get(key).and_then(Value::as_str);
    match kind {
        "image" => PICTURE_TOKENS,
        "document" => {
            let data = value.pointer("/source/data").and_then(Value::as_str);
            match data {
                Some(data) if value.pointer("/source/type") == Some(&"base64".into()) => {
                    let pages = (data.len() as u64).div_ceil(PAGE_BYTES).max(1);
                    pages.saturating_mul(PICTURE_TOKENS)
                }
                _ => of_bytes(json_bytes(value)),
            }
        }
        // Its signature is for the server alone.
        "thinking" => inside("thinking").map_or(0, text),
        _ => of_bytes(json_bytes(value)),
    }
}

fn json_bytes(value: &(impl Serialize + ?Sized)) -> u64 {
    let mut counted = Counted(0);
    // What cannot be written as JSON is not sent either.
    let _ = serde_json::to_writer(&mut counted, value);
    counted.0
}

/// Counts what is written to it.
struct Counted(u64);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How far the last estimate was from what the server counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Calibration {
    estimated: u64,
    counted: u64,
}

impl Calibration {
    /// Takes an estimate and what the server counted for the same prompt. A server that reports nonsense moves
    /// estimates by half or to the double at most.
    pub(crate) fn learn(&mut self, estimated: u64, counted: u64) {
        if estimated > 0 && counted > 0 {
            let most = estimated.saturating_mul(2);
            *self = Self {
                estimated,
                counted: counted.clamp(estimated.div_ceil(2), most),
            };
        }
    }

    /// What the server would count where this was estimated.
    pub(crate) fn apply(self, estimated: u64) -> u64 {
        if self.estimated == 0 {
            return estimated;
        }
        let tokens = u128::from(estimated) * u128::from(self.counted);
        u64::try_from(tokens.div_ceil(u128::from(self.estimated))).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
