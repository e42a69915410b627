//! A run as people watch it: the model's text as it comes, and a line for each tool call.

mod asked_again;

use std::{
    collections::HashMap,
    io::{self, IsTerminal},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use toolcell::{CallEvent, Denial, ErrorKind, text::escape_control};
use toolcell_agent::{AgentEvent, AgentSink, budget::Left, context::MissReason};

use crate::{
    output,
    style::{self, paint},
};

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Text on standard output, tool calls on standard error.
    Human,
    /// Text and tool calls on standard output: the timeline itself is what was asked for.
    Story,
    /// Every event as a line of JSON on standard output.
    Events,
    /// Nothing: the answer comes at the end.
    Silent,
}

/// A tool call that ended.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    pub(crate) tool: String,
    pub(crate) input: Value,
    pub(crate) code: Option<ErrorKind>,
    pub(crate) wall_us: u64,
    pub(crate) denials: Vec<Denial>,
}

impl Called {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "tool": self.tool,
            "input": self.input,
            "code": self.code.map(ErrorKind::code),
            "wall_us": self.wall_us,
            "denials": self.denials,
        })
    }
}

/// Hears of a run's events, shows them, and keeps the calls.
#[derive(Clone)]
pub(crate) struct Timeline {
    show: Show,
    /// Whether a turn's text is shown only when the turn is whole. What a program reads cannot be taken back.
    holds: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The inputs of the calls under way, by call id.
    inputs: HashMap<String, Value>,
    called: Vec<Called>,
    /// What is left of every budget, after the last turn.
    left: Vec<Left>,
    /// Why the model was asked again, the last time.
    retried_after: Option<String>,
    /// The text of the turn under way, where it is shown when the turn is whole.
    held: String,
    /// Whether the last text did not end its line.
    open_line: bool,
}

impl Timeline {
    pub(crate) fn new(show: Show) -> Self {
        Self {
            show,
            holds: !io::stdout().is_terminal(),
            state: Arc::default(),
        }
    }

    /// What the agent tells its events to.
    pub(crate) fn sink(&self) -> AgentSink {
        let timeline = self.clone();
        Arc::new(move |event| timeline.hear(event))
    }

    /// The calls that ended so far, in the order in which they ended.
    pub(crate) fn called(&self) -> Vec<Called> {
        self.state().called.clone()
    }

    /// What was left of every budget after the last turn.
    pub(crate) fn left(&self) -> Vec<Left> {
        self.state().left.clone()
    }

    /// Shows what was held, and ends a line of text that is still open.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        self.release(&mut state);
        self.close_line(&mut state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state stays usable whatever happened to a thread that held it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The event as a line of JSON, where that is what is shown.
    fn as_json(&self, event: &AgentEvent) {
        if self.show != Show::Events {
            return;
        }
        match serde_json::to_value(event) {
            Ok(value) => output::value(value),
            Err(error) => output::note(format!("an event is no JSON: {error}")),
        }
    }

    fn hear(&self, event: AgentEvent) {
        self.as_json(&event);
        let mut state = self.state();
        if let Some(line) = context_line(&event) {
            self.line(&mut state, &paint(style::DIM, line));
        }
        match event {
            AgentEvent::Text { text } => self.text(&mut state, &text),
            event @ (AgentEvent::ModelRetry { .. }
            | AgentEvent::ModelWaiting { .. }
            | AgentEvent::ModelFallback { .. }) => self.asked_again(&mut state, event),
            AgentEvent::ToolCallStart { call_id, input, .. } => {
                state.inputs.insert(call_id, input);
            }
            AgentEvent::ToolCallEvent {
                event: CallEvent::Log { level, message },
                ..
            } => {
                let line = format!("    {level}: {}", style::one_line(&message, 200));
                self.line(&mut state, &paint(style::DIM, line));
            }
            AgentEvent::ToolCallEvent {
                event: CallEvent::LikelySecret { tool, likely },
                ..
            } => {
                let tool = escape_control(&tool).into_owned();
                let line = format!("    {tool}'s answer holds {likely}");
                self.line(&mut state, &paint(style::NOTE, line));
            }
            AgentEvent::LikelySecret { likely, .. } => {
                let line = format!("  the model's text holds {likely}");
                self.line(&mut state, &paint(style::NOTE, line));
            }
            AgentEvent::ToolCallEnd {
                call_id,
                tool,
                code,
                text,
                rule,
                wall_us,
                denials,
            } => {
                let input = state.inputs.remove(&call_id).unwrap_or_default();
                let called = Called {
                    tool,
                    input,
                    code,
                    wall_us,
                    denials,
                };
                for line in lines(&called, &text, rule.as_deref()) {
                    self.line(&mut state, &line);
                }
                state.called.push(called);
            }
            AgentEvent::Usage { left, .. } => self.turn_ended(&mut state, left),
            AgentEvent::Done { .. } => {
                self.release(&mut state);
                self.close_line(&mut state);
            }
            _ => {}
        }
    }

    fn text(&self, state: &mut State, text: &str) {
        if !matches!(self.show, Show::Human | Show::Story) {
            return;
        }
        if self.holds {
            state.held.push_str(text);
            return;
        }
        // A model may write anything, and what it writes must not steer the terminal.
        output::piece(&output::safe_lines(text));
        if !text.is_empty() {
            state.open_line = !text.ends_with('\n');
        }
    }

    fn line(&self, state: &mut State, line: &str) {
        self.close_line(state);
        match self.show {
            Show::Human => output::note(line),
            Show::Story => output::data(line),
            Show::Events | Show::Silent => {}
        }
    }

    fn turn_ended(&self, state: &mut State, left: Vec<Left>) {
        state.left = left;
        self.release(state);
        self.close_line(state);
    }

    /// Shows the text that was held.
    fn release(&self, state: &mut State) {
        let held = std::mem::take(&mut state.held);
        if !held.is_empty() {
            output::piece(&output::safe_lines(&held));
            state.open_line = !held.ends_with('\n');
        }
    }

    fn close_line(&self, state: &mut State) {
        if std::mem::take(&mut state.open_line) {
            output::piece("\n");
        }
    }
}

/// What became of the model's context, in a line.
fn context_line(event: &AgentEvent) -> Option<String> {
    Some(match event {
        AgentEvent::Compacted {
            cleared_results,
            summarised_messages,
            tokens_before,
            tokens_after,
            forced,
        } => {
            let what = match *summarised_messages {
                0 => style::count(*cleared_results, "older result"),
                messages => format!("{}, now a summary", style::count(messages, "message")),
            };
            let why = if *forced { ", as the server asked" } else { "" };
            format!(
                "  … the conversation gave way{why}: {what}; {tokens_before} tokens, now about {tokens_after}"
            )
        }
        // It is so until the conversation has grown, and nothing is wrong.
        AgentEvent::CacheMiss { miss, .. } if miss.reason == MissReason::TooShort => return None,
        AgentEvent::CacheMiss { miss, .. } => format!(
            "  … {} of {} tokens were in the prompt cache: {}",
            miss.read_tokens, miss.expected_tokens, miss.reason
        ),
        AgentEvent::ResultCut { cut, .. } => format!(
            "      the model got {} of about {} tokens, and can read on",
            cut.shown, cut.tokens
        ),
        _ => return None,
    })
}

/// The lines for a call that ended: what was asked, what came of it, how long it took, and what was refused.
fn lines(called: &Called, text: &str, rule: Option<&str>) -> Vec<String> {
    let time = style::duration(called.wall_us);
    let tool = paint(
        style::BOLD,
        format_args!("{:<13}", escape_control(&called.tool)),
    );
    let about = about(&called.input);
    let mut lines = Vec::new();
    match called.code {
        None => lines.push(format!(
            "  {} {tool} {about:<44} {}",
            paint(style::GOOD, "✓"),
            paint(style::DIM, format_args!("{time:>8}"))
        )),
        Some(code) => {
            lines.push(format!(
                "  {} {tool} {about:<44} {}",
                paint(style::BAD, "✗"),
                paint(style::DIM, format_args!("{time:>8}"))
            ));
            // The model's answer begins with the code, which the line has already.
            let why = text
                .strip_prefix(code.code())
                .map_or(text, |rest| rest.trim_start_matches(": "));
            let why = style::one_line(why, 160);
            lines.push(format!("      {}: {why}", paint(style::BAD, code)));
            if let Some(rule) = rule {
                let rule = style::one_line(rule, 120);
                lines.push(format!(
                    "      {}",
                    paint(style::DIM, format_args!("rule: {rule}"))
                ));
            }
        }
    }
    for denial in &called.denials {
        // The one that ended the call is told already.
        if called.code != Some(ErrorKind::Denied) || rule != Some(denial.rule.as_str()) {
            let access = style::one_line(&denial.access, 120);
            let line = format!("      refused: {access}");
            lines.push(paint(style::NOTE, line));
            let rule = style::one_line(&denial.rule, 120);
            lines.push(format!(
                "      {}",
                paint(style::DIM, format_args!("rule: {rule}"))
            ));
        }
    }
    lines
}

/// The part of an input that says most, in a few words.
fn about(input: &Value) -> String {
    const TELLING: &[&str] = &["path", "url", "expression", "pattern", "query", "name"];
    let telling = TELLING.iter().find_map(|key| input.get(key)?.as_str());
    match (telling, input) {
        (Some(text), _) => style::one_line(text, 44),
        (None, Value::Object(map)) if map.is_empty() => String::new(),
        (None, Value::Null) => String::new(),
        (None, input) => style::one_line(&input.to_string(), 44),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(code: Option<ErrorKind>) -> Called {
        Called {
            tool: "files_read".into(),
            input: json!({ "path": "/etc/passwd" }),
            code,
            wall_us: 1234,
            denials: vec![Denial {
                capability: "files".into(),
                access: "read /etc/passwd".into(),
                rule: "default: denied until written".into(),
                reason: "no grant reaches it".into(),
            }],
        }
    }

    fn plain(lines: &[String]) -> String {
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    #[test]
    fn a_denied_call_tells_why_and_by_which_rule() {
        let lines = lines(
            &called(Some(ErrorKind::Denied)),
            "denied: read /etc/passwd is not granted\u{1b}[2J",
            Some("default: denied until written"),
        );
        insta::assert_snapshot!(plain(&lines), @r"
          ✗ files_read    /etc/passwd                                    1.2 ms
              denied: read /etc/passwd is not granted\u{1b}[2J
              rule: default: denied until written
        ");
    }

    #[test]
    fn a_call_that_went_on_after_a_denial_tells_it_too() {
        let lines = lines(&called(None), "answer", None);
        insta::assert_snapshot!(plain(&lines), @r"
          ✓ files_read    /etc/passwd                                    1.2 ms
              refused: read /etc/passwd
              rule: default: denied until written
        ");
    }

    #[test]
    fn inputs_are_told_by_what_says_most() {
        assert_eq!(about(&json!({ "limit": 3, "path": "/work/a" })), "/work/a");
        assert_eq!(about(&json!({ "a": 1 })), r#"{"a":1}"#);
        assert_eq!(about(&json!({})), "");
    }
}
