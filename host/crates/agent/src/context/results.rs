//! Long results of tools: the model gets the beginning and the end, and can read on in the rest.
//!
//! Reading on is a tool of the agent itself and holds no authority: it shows what a tool of this run has answered already.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::json;
use toolcell::ErrorKind;

use super::estimate::{self, bytes_of};
use crate::{
    machine::ToolOutput,
    wire::{Block, ToolDefinition, ToolUse, text_of},
};

/// The name under which a model reads on, unless a tool has it.
pub(crate) const READER: &str = "result_read";

/// A longer line counts as several, so that any page can be as short as it must.
const LINE_BYTES: usize = 800;

/// The lines of a page, unless the model asks for fewer.
const PAGE_LINES: usize = 1_000;

/// Room for the marker, within a result and at the end of a page.
const MARKER_BYTES: usize = 400;

/// How much of results that were cut or left out is kept for reading on, over the whole run. Beyond that the oldest are
/// in the transcript alone.
const MAX_KEPT_BYTES: usize = 64 << 20;

/// What was cut out of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// About how many tokens the whole text has.
    pub tokens: u64,
    /// About how many of them the model got.
    pub shown: u64,
}

/// A result as the model gets it, where its text has more than `most` tokens; pictures stay as they are.
pub(crate) fn cut(
    call: &ToolUse,
    content: &[Block],
    most: u64,
    reader: Option<&str>,
) -> Option<(Vec<Block>, Cut)> {
    let whole = text_of(content);
    let tokens = estimate::text(&whole);
    if tokens <= most || reader == Some(call.name.as_str()) {
        return None;
    }
    let lines = lines(&whole);
    let room = bytes_of(most).saturating_sub(MARKER_BYTES);
    // Logs and test runs say what matters at their end.
    let head = fitting(lines.iter(), room / 4 * 3);
    let tail = fitting(lines.iter().skip(head).rev(), room / 4);
    let end = lines.len() - tail;
    let left_out: usize = lines
        .iter()
        .take(end)
        .skip(head)
        .map(|line| line.len())
        .sum();
    let from = head + 1;
    let how = match reader {
        Some(reader) => format!(
            "To read them: {reader} {}",
            json!({ "call_id": call.id, "from": from })
        ),
        None => "They cannot be shown.".into(),
    };
    let mut text: String = lines.iter().take(head).copied().collect();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!(
        "[… lines {from} to {end} of {} ({left_out} bytes) are left out here. {how} …]\n",
        lines.len()
    ));
    text.extend(lines.iter().skip(end).copied());
    let cut = Cut {
        tokens,
        shown: estimate::text(&text),
    };
    let others = content
        .iter()
        .filter(|block| !matches!(block, Block::Text(_)));
    let shown = std::iter::once(Block::text(text)).chain(others.cloned());
    Some((shown.collect(), cut))
}

/// How many of these lines have at most so many bytes together.
fn fitting<'a>(lines: impl Iterator<Item = &'a &'a str>, bytes: usize) -> usize {
    let mut sum = 0_usize;
    lines
        .take_while(|line| {
            sum = sum.saturating_add(line.len());
            sum <= bytes
        })
        .count()
}

/// The lines of a text with their ends; a long one in pieces, each ending between two characters.
fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    for mut line in text.split_inclusive('\n') {
        while line.len() > LINE_BYTES {
            let (piece, rest) = line.split_at(line.floor_char_boundary(LINE_BYTES));
            lines.push(piece);
            line = rest;
        }
        lines.push(line);
    }
    lines
}

/// The tool with which a model reads on.
pub(crate) fn reader(name: &str) -> ToolDefinition {
    ToolDefinition {
        name: name.into(),
        description: "Shows lines of a tool result of this conversation that was cut or left out. The note that stands in \
                      its place says what to ask for. It only shows what the tool answered then: nothing is run again."
            .into(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "call_id": { "type": "string", "description": "The id of the call whose result it is, as the note says it." },
                "from": { "type": "integer", "minimum": 1, "description": "The first line wanted, counted from 1. Default 1." },
                "lines": { "type": "integer", "minimum": 1, "maximum": PAGE_LINES, "description": "How many lines at most. Default 1000." },
            },
            "required": ["call_id"],
            "additionalProperties": false,
        }),
    }
}

/// The whole text of results, by the id of their call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Kept {
    texts: BTreeMap<String, String>,
    /// The ids, the oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

impl Kept {
    /// Keeps the text of a result, unless it is kept already.
    pub(crate) fn keep(&mut self, id: &str, content: &[Block]) {
        if self.texts.contains_key(id) {
            return;
        }
        let text = text_of(content);
        self.bytes = self.bytes.saturating_add(text.len());
        self.texts.insert(id.into(), text);
        self.order.push_back(id.into());
        while self.bytes > MAX_KEPT_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.texts.remove(&oldest).map_or(0, |text| text.len());
            self.bytes = self.bytes.saturating_sub(gone);
        }
    }

    pub(crate) fn text(&self, id: &str) -> Option<&str> {
        self.texts.get(id).map(String::as_str)
    }

    /// The answer to a model that reads on: a page of at most `most` tokens.
    pub(crate) fn answer(&self, call: &ToolUse, most: u64) -> ToolOutput {
        match self.page(call, most) {
            Ok(text) => ToolOutput {
                content: vec![Block::text(text)],
                code: None,
            },
            Err((code, message)) => ToolOutput::failure(code, message),
        }
    }

    fn page(&self, call: &ToolUse, most: u64) -> Result<String, (ErrorKind, String)> {
        let wrong = |message: String| (ErrorKind::InvalidInput, message);
        let number = |key: &str, default: usize| match call.input.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_u64()
                .filter(|number| *number > 0)
                .map(|number| usize::try_from(number).unwrap_or(usize::MAX))
                .ok_or_else(|| wrong(format!("`{key}` must be a whole number from 1"))),
        };
        let id = call.input.get("call_id").and_then(|id| id.as_str());
        let id = id.ok_or_else(|| wrong("`call_id` must be the id of a call".into()))?;
        let (from, most_lines) = (
            number("from", 1)?,
            number("lines", PAGE_LINES)?.min(PAGE_LINES),
        );
        let text = self.text(id).ok_or_else(|| {
            wrong(format!(
                "no result of `{id}` was cut or left out; the conversation holds what there is"
            ))
        })?;
        let lines = lines(text);
        if from > lines.len().max(1) {
            return Err(wrong(format!("the result has {} lines", lines.len())));
        }
        let wanted = lines.iter().skip(from - 1).take(most_lines);
        let shown = fitting(wanted.clone(), bytes_of(most).saturating_sub(MARKER_BYTES));
        let end = from - 1 + shown;
        let mut page: String = wanted.take(shown).copied().collect();
        if !page.is_empty() && !page.ends_with('\n') {
            page.push('\n');
        }
        page.push_str(&match lines.len() {
            0 => "[the result is empty]".to_owned(),
            total if end == total => format!("[lines {from} to {end} of {total}; this is the end]"),
            total => format!(
                "[lines {from} to {end} of {total}. To go on: {} {}]",
                call.name,
                json!({ "call_id": id, "from": end + 1 })
            ),
        });
        Ok(page)
    }
}

#[cfg(test)]
mod tests;
