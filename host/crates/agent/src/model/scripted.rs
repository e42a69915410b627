//! A model that replays recorded turns: no key, no network, the same every time.
//!
//! A script is JSON Lines. Each line is one turn in the form of an API response:
//! `{"content": [...], "stop_reason": "tool_use", "usage": {...}}`. `content` may be a string. `expect` checks what the
//! model is told before it answers:
//! `{"expect": {"results": [{"is_error": true, "contains": "denied"}], "tools": ["files_read"]}, ...}`. `results` are
//! the answers to the turn before, in order; `tools` must be among those offered.

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

use super::{ModelError, ModelProvider, ModelSink, replay::replay};
use crate::wire::{Block, ModelRequest, Reply, StopReason, TokenUsage, ToolResultBlock, text_of};

/// A recorded model. Which turn comes next follows from the conversation, so a resumed run goes on at the right place.
#[derive(Clone, Debug)]
pub struct Scripted {
    name: String,
    turns: Vec<Turn>,
}

#[derive(Clone, Debug)]
struct Turn {
    line: usize,
    reply: Reply,
    expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(deserialize_with = "crate::wire::blocks_or_text")]
    content: Vec<Block>,
    stop_reason: StopReason,
    #[serde(default)]
    stop_details: Option<Value>,
    #[serde(default)]
    usage: TokenUsage,
    #[serde(default)]
    expect: Expect,
    // A recorded API response can be pasted as it is.
    #[serde(default, rename = "id")]
    _id: Option<Value>,
    #[serde(default, rename = "type")]
    _type: Option<Value>,
    #[serde(default, rename = "role")]
    _role: Option<Value>,
    #[serde(default, rename = "model")]
    _model: Option<Value>,
    #[serde(default, rename = "stop_sequence")]
    _stop_sequence: Option<Value>,
    #[serde(default, rename = "container")]
    _container: Option<Value>,
    #[serde(default, rename = "diagnostics")]
    _diagnostics: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(default)]
    results: Option<Vec<ExpectResult>>,
    #[serde(default)]
    tools: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectResult {
    #[serde(default)]
    is_error: Option<bool>,
    #[serde(default)]
    contains: OneOrMany,
    #[serde(default)]
    lacks: OneOrMany,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// Everything that is wrong with a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(|p| format!("{file}:{}: {}", p.line, p.message)).collect::<Vec<_>>().join("\n"))]
pub struct ScriptError {
    /// The script's name.
    pub file: String,
    /// What is wrong, in the order of the lines.
    pub problems: Vec<ScriptProblem>,
}

/// One thing that is wrong with a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptProblem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl Scripted {
    /// Reads a script. `name` stands in messages, for example the file's name. Blank lines are skipped.
    ///
    /// # Errors
    /// All lines that are wrong, at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScriptError> {
        let mut turns = Vec::new();
        let mut problems = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (line, text) in (1..).zip(text.lines()) {
            if text.trim().is_empty() {
                continue;
            }
            match parse_turn(line, text) {
                Ok(turn) => turns.push(turn),
                Err(message) => problems.push(ScriptProblem { line, message }),
            }
        }
        if turns.is_empty() && problems.is_empty() {
            let message = "the script holds no turn; each line is one, for example \
                           {\"content\": \"Hello\", \"stop_reason\": \"end_turn\"}";
            problems.push(ScriptProblem {
                line: 1,
                message: message.into(),
            });
        }
        if problems.is_empty() {
            let name = name.to_owned();
            Ok(Self { name, turns })
        } else {
            let file = name.to_owned();
            Err(ScriptError { file, problems })
        }
    }

    /// How many turns the script holds.
    pub fn turns(&self) -> usize {
        self.turns.len()
    }

    fn answer(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let index = usize::try_from(request.turn).unwrap_or(usize::MAX);
        let Some(turn) = self.turns.get(index) else {
            return Err(ModelError::Script {
                file: self.name.clone(),
                line: self.turns.last().map_or(1, |turn| turn.line),
                message: format!(
                    "the script has only {} turns and turn {} was asked for; \
                     end it with a line whose stop_reason is \"end_turn\"",
                    self.turns.len(),
                    request.turn.saturating_add(1)
                ),
            });
        };
        turn.expect
            .check(request)
            .map_err(|message| ModelError::Script {
                file: self.name.clone(),
                line: turn.line,
                message,
            })?;
        replay(&turn.reply, sink);
        Ok(turn.reply.clone())
    }
}

impl ModelProvider for Scripted {
    fn id(&self) -> &str {
        "scripted"
    }

    fn provider(&self) -> &str {
        "scripted"
    }

    fn is_free(&self) -> bool {
        true
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(async move { self.answer(request, sink) })
    }
}

fn parse_turn(line: usize, text: &str) -> Result<Turn, String> {
    let parsed: Line = serde_json::from_str(text).map_err(|error| {
        // The position is in this one line; its number would only be taken for the file's.
        let message = error.to_string();
        let message = message
            .rsplit_once(" at line ")
            .map_or(message.as_str(), |(m, _)| m);
        format!("{message} (column {})", error.column())
    })?;
    for block in &parsed.content {
        match block {
            Block::Other(_) if matches!(block.kind(), "text" | "tool_use" | "") => {
                return Err(match block.kind() {
                    "tool_use" => "a tool_use block needs id, name and input".into(),
                    "text" => "a text block needs text".into(),
                    _ => "a content block needs a type".into(),
                });
            }
            _ => {}
        }
    }
    let reply = Reply {
        content: parsed.content,
        stop_reason: Some(parsed.stop_reason),
        stop_details: parsed.stop_details,
        usage: parsed.usage,
        ..Reply::default()
    };
    let asks = reply.tool_uses().next().is_some();
    match &reply.stop_reason {
        Some(StopReason::Other(word)) => Err(format!("`{word}` is no stop_reason")),
        Some(StopReason::ToolUse) if !asks => {
            Err("stop_reason is \"tool_use\" and there is no tool_use block".into())
        }
        _ => Ok(Turn {
            line,
            reply,
            expect: parsed.expect,
        }),
    }
}

impl Expect {
    fn check(&self, request: &ModelRequest) -> Result<(), String> {
        for tool in &self.tools {
            if !request.tools.iter().any(|offered| offered.name == *tool) {
                let offered: Vec<&str> = request
                    .tools
                    .iter()
                    .map(|tool| tool.name.as_str())
                    .collect();
                return Err(format!(
                    "expected the tool `{tool}` to be offered; offered: {}",
                    offered.join(", ")
                ));
            }
        }
        let Some(expected) = &self.results else {
            return Ok(());
        };
        let actual: Vec<&ToolResultBlock> = request.last_results().collect();
        if expected.len() != actual.len() {
            return Err(format!(
                "expected {} tool results, there are {}",
                expected.len(),
                actual.len()
            ));
        }
        for (number, (expected, actual)) in (1..).zip(expected.iter().zip(actual)) {
            expected
                .check(actual)
                .map_err(|message| format!("tool result {number}: {message}"))?;
        }
        Ok(())
    }
}

impl ExpectResult {
    fn check(&self, actual: &ToolResultBlock) -> Result<(), String> {
        let text = text_of(&actual.content);
        let start: String = text.chars().take(300).collect();
        if self
            .is_error
            .is_some_and(|expected| expected != actual.is_error)
        {
            let (expected, got) = if actual.is_error {
                ("an answer", "an error")
            } else {
                ("an error", "an answer")
            };
            return Err(format!("expected {expected}, got {got}: {start}"));
        }
        if let Some(missing) = self
            .contains
            .as_slice()
            .iter()
            .find(|part| !text.contains(*part))
        {
            return Err(format!("expected it to contain `{missing}`, got: {start}"));
        }
        if let Some(found) = self
            .lacks
            .as_slice()
            .iter()
            .find(|part| text.contains(*part))
        {
            return Err(format!(
                "expected it not to contain `{found}`, got: {start}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
