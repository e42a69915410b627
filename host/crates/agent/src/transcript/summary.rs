//! What a transcript says, for people: in short for lists, and step by step.
//!
//! Lines are read as plain JSON, so that those of other versions can be shown as well: what is not known is passed over.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
};

use serde::Serialize;
use serde_json::Value;

use super::TranscriptError;

/// No line longer than this is looked at, in bytes; one that is longer is passed over.
const MAX_LINE_BYTES: u64 = 64 << 20;
/// The longest task that is kept in a summary, in characters.
const MAX_TASK_CHARS: usize = 400;

/// A run in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// What was to be done, at most 400 characters of it.
    pub task: String,
    /// The model that was asked first.
    pub model: String,
    /// Whether a process writes it at this moment.
    pub going: bool,
    /// How it ended last, as [`RunOutcome`](crate::RunOutcome) has it in JSON; absent while it goes on, and where it was
    /// interrupted.
    pub outcome: Option<String>,
    /// Turns of the model.
    pub turns: u64,
    /// Tool calls that were begun.
    pub calls: u64,
    /// Prompts and answers together, in tokens, answers out of the response cache left out.
    pub tokens: u64,
    /// What its turns cost, in millionths of a US dollar; absent where that of one is not known.
    pub cost_micro_usd: Option<u64>,
    /// What answers out of the response cache had cost, likewise, as far as it is known.
    pub saved_micro_usd: u64,
    /// Wall clock time in milliseconds.
    pub time_ms: u64,
    /// The ids of its tool calls, in the order in which they began.
    #[serde(skip)]
    pub call_ids: Vec<String>,
}

impl Summary {
    /// Whether the run is over: nobody writes it, and it waits for nobody.
    pub fn is_over(&self) -> bool {
        !self.going && self.outcome.as_deref() != Some("waiting")
    }
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Told {
    /// What was to be done.
    Task(String),
    /// What the model thought, where it is shown.
    Thinking(String),
    /// What the model said.
    Text(String),
    /// A call of a tool.
    Call {
        /// The tool.
        tool: String,
        /// Its input.
        input: Value,
    },
    /// The answer to a call.
    Answer {
        /// Its text.
        text: String,
        /// The kind of failure; absent when the tool answered.
        code: Option<String>,
        /// What was refused to it.
        denials: Vec<String>,
    },
    /// A turn came out of the response cache.
    Cached,
    /// A process took the run up again.
    Resumed,
    /// A process was done with it.
    Ended {
        /// The word for how.
        outcome: String,
        /// More on it.
        message: Option<String>,
    },
    /// Something that this version has no words for: the kind of the line.
    Other(String),
}

/// Reads the transcript at `path` in short. A line that cannot be read is passed over.
///
/// # Errors
/// [`TranscriptError`] when the file cannot be read or does not begin as a transcript does.
pub fn summary(path: &Path) -> Result<Summary, TranscriptError> {
    let file = open(path)?;
    let mut summary = Summary {
        going: matches!(
            file.try_lock_shared(),
            Err(std::fs::TryLockError::WouldBlock)
        ),
        cost_micro_usd: Some(0),
        ..Summary::default()
    };
    // Somebody who wants to go on with the run must not be kept from it for longer than the question takes.
    let _ = file.unlock();
    each_line(path, &file, |line| take(&mut summary, line))?;
    Ok(summary)
}

/// Tells the transcript at `path` step by step.
///
/// # Errors
/// As [`summary`].
pub fn story(path: &Path, mut told: impl FnMut(Told)) -> Result<(), TranscriptError> {
    let file = open(path)?;
    each_line(path, &file, |line| tell(line, &mut told))
}

/// The same from what was read already, for example out of an archive.
///
/// # Errors
/// As [`summary`]; `path` stands in the message alone.
pub fn story_of(
    path: &Path,
    content: impl std::io::Read,
    mut told: impl FnMut(Told),
) -> Result<(), TranscriptError> {
    each_line(path, content, |line| tell(line, &mut told))
}

fn open(path: &Path) -> Result<File, TranscriptError> {
    File::open(path).map_err(|source| TranscriptError::Io {
        path: path.into(),
        source,
    })
}

fn each_line(
    path: &Path,
    content: impl std::io::Read,
    mut each: impl FnMut(&Value),
) -> Result<(), TranscriptError> {
    let mut reader = BufReader::new(content);
    let mut line = Vec::new();
    for number in 0_u64.. {
        line.clear();
        let read = reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line);
        let read = read.map_err(|source| TranscriptError::Io {
            path: path.into(),
            source,
        })?;
        if read == 0 && number > 0 {
            return Ok(());
        }
        let value: Option<Value> = serde_json::from_slice(&line).ok();
        match value {
            Some(value) if number > 0 || kind(&value) == "header" => each(&value),
            _ if number == 0 => {
                return Err(TranscriptError::Line {
                    path: path.into(),
                    line: 1,
                    message: "it does not begin with a header".into(),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn take(summary: &mut Summary, line: &Value) {
    if let Some(time) = line.get("time_ms").and_then(Value::as_u64) {
        summary.time_ms = time;
    }
    match kind(line) {
        "header" => {
            summary.model = text(line.pointer("/run/settings/model"));
            summary.task = task(line).chars().take(MAX_TASK_CHARS).collect();
        }
        "reply" | "compaction" => {
            if let Some(reply) = line.get("reply").filter(|it| it.is_object()) {
                take_reply(summary, reply);
            }
        }
        "lost" => add_cost(summary, line.get("cost_micro_usd").and_then(Value::as_u64)),
        "tool_start" => {
            summary.calls = summary.calls.saturating_add(1);
            summary.call_ids.push(text(line.get("id")));
        }
        "resume" => summary.outcome = None,
        "end" => {
            summary.outcome = line
                .get("outcome")
                .and_then(Value::as_str)
                .map(str::to_owned)
        }
        _ => {}
    }
}

fn take_reply(summary: &mut Summary, reply: &Value) {
    summary.turns = summary.turns.saturating_add(1);
    summary.outcome = None;
    if let Some(cached) = reply.get("cached").filter(|it| it.is_object()) {
        let saved = cached.get("saved_micro_usd").and_then(Value::as_u64);
        summary.saved_micro_usd = summary.saved_micro_usd.saturating_add(saved.unwrap_or(0));
        return;
    }
    let usage = |name| {
        let number = reply.get("usage").and_then(|it| it.get(name));
        number.and_then(Value::as_u64).unwrap_or(0)
    };
    for name in [
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    ] {
        summary.tokens = summary.tokens.saturating_add(usage(name));
    }
    add_cost(summary, reply.get("cost_micro_usd").and_then(Value::as_u64));
}

/// One cost that is not known makes the sum unknown.
fn add_cost(summary: &mut Summary, cost: Option<u64>) {
    let sum = summary.cost_micro_usd.zip(cost);
    summary.cost_micro_usd = sum.map(|(so_far, cost)| so_far.saturating_add(cost));
}

fn tell(line: &Value, told: &mut impl FnMut(Told)) {
    match kind(line) {
        "header" => told(Told::Task(task(line))),
        "reply" | "compaction" => {
            let reply = line.get("reply").unwrap_or(&Value::Null);
            if reply.get("cached").is_some_and(Value::is_object) {
                told(Told::Cached);
            }
            let blocks = reply.get("content").and_then(Value::as_array);
            for block in blocks.into_iter().flatten() {
                tell_block(block, told);
            }
        }
        "tool_start" => told(Told::Call {
            tool: text(line.get("tool")),
            input: line.get("input").cloned().unwrap_or_default(),
        }),
        "tool_result" => {
            let output = line.get("output").unwrap_or(&Value::Null);
            let denials = line.get("denials").and_then(Value::as_array);
            told(Told::Answer {
                text: blocks_text(output.get("content")),
                code: output
                    .get("code")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
                denials: denials
                    .into_iter()
                    .flatten()
                    .map(|denial| text(denial.get("access")))
                    .collect(),
            });
        }
        "resume" => told(Told::Resumed),
        "end" => told(Told::Ended {
            outcome: text(line.get("outcome")),
            message: line
                .get("message")
                .and_then(Value::as_str)
                .map(str::to_owned),
        }),
        other => told(Told::Other(other.to_owned())),
    }
}

fn tell_block(block: &Value, told: &mut impl FnMut(Told)) {
    match kind(block) {
        "text" => told(Told::Text(text(block.get("text")))),
        "thinking" => {
            let thought = text(block.get("thinking"));
            if !thought.is_empty() {
                told(Told::Thinking(thought));
            }
        }
        // It is told when it begins.
        "tool_use" | "redacted_thinking" => {}
        other => told(Told::Other(other.to_owned())),
    }
}

fn kind(value: &Value) -> &str {
    value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn task(header: &Value) -> String {
    blocks_text(header.pointer("/run/messages/0/content"))
}

fn blocks_text(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => {
            let texts = blocks
                .iter()
                .filter_map(|block| block.get("text")?.as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
