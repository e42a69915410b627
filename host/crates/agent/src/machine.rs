//! The loop as a state machine: no I/O, no clock, and it can be serialised between any two steps.
//!
//! Whoever drives it asks [`Run::next`] what to do, does it, and tells the result: [`Run::on_reply`] after a model
//! turn, [`Run::on_tool_result`] for each finished call, in any order.

mod context;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toolcell::ErrorKind;

use crate::{
    budget::{Budget, Spent},
    catalog::Price,
    context::{CacheMiss, ContextRules, Cut},
    outcome::RunOutcome,
    repeat::{self, RepeatLimits, Repeats},
    wire::{
        Block, Message, ModelRequest, Reply, StopReason, TokenUsage, ToolChoice, ToolDefinition,
        ToolResultBlock, ToolUse, TurnOptions,
    },
};

/// How deep a block may be nested. JSON readers give up at 128 levels, and a transcript adds some of its own: a block
/// that could be written and not be read again would make the run impossible to resume.
const MAX_DEPTH: usize = 100;

/// What stays the same from turn to turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The model's id.
    pub model: String,
    /// The longest answer wanted of one turn, in tokens.
    pub max_tokens: u32,
    /// The operator's instructions.
    pub system: Option<String>,
    /// The tools offered; no other is run.
    pub tools: Vec<ToolDefinition>,
    /// Further fields of each request.
    pub extra: Map<String, Value>,
    /// How turns are wanted. A choice of tools that insists on a call holds until there was one.
    #[serde(default)]
    pub options: TurnOptions,
    /// What the run may spend.
    pub budget: Budget,
    /// What counts as too many identical calls.
    pub repeat: RepeatLimits,
    /// The model's price, where it is known.
    pub price: Option<Price>,
    /// How the model's context is used.
    #[serde(default)]
    pub context: ContextRules,
}

/// The state of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    #[serde(default)]
    conversation: String,
    settings: RunSettings,
    messages: Vec<Message>,
    state: State,
    spent: Spent,
    repeats: Repeats,
    #[serde(default)]
    context: crate::context::State,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum State {
    Model,
    Tools { slots: Vec<Slot> },
    Done { outcome: RunOutcome },
}

/// One tool use of the turn and its answer. The slots stand in the model's order; answers may come in any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Slot {
    call: ToolUse,
    repeated: u32,
    unparsed: Option<String>,
    output: Option<ToolOutput>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Ask the model, then [`Run::on_reply`].
    CallModel(Box<ModelRequest>),
    /// Answer each of these, then [`Run::on_tool_result`]. They may run at the same time.
    CallTools(Vec<Dispatch>),
    /// Nothing: the run is over.
    Done(RunOutcome),
}

/// A tool use that waits for its answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Dispatch {
    /// Run it.
    Run(ToolUse),
    /// Do not run it: this is the answer.
    Refuse(ToolUse, ToolOutput),
}

impl Dispatch {
    /// The tool use.
    pub fn call(&self) -> &ToolUse {
        match self {
            Self::Run(call) | Self::Refuse(call, _) => call,
        }
    }
}

/// The answer to one tool use, as the model gets it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// The answer.
    pub content: Vec<Block>,
    /// The kind of failure; absent when the tool answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorKind>,
}

impl ToolOutput {
    /// A failure: `code: message`.
    pub fn failure(code: ErrorKind, message: impl std::fmt::Display) -> Self {
        Self {
            content: vec![Block::text(format!("{code}: {message}"))],
            code: Some(code),
        }
    }

    /// Whether the call failed.
    pub fn is_error(&self) -> bool {
        self.code.is_some()
    }
}

/// A result that does not belong where it was given. The run is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// A model turn that nobody asked for.
    #[error("the run does not wait for the model")]
    UnexpectedReply,
    /// The model's turn breaks the protocol, for example with two tool uses of one id.
    #[error("the model's turn makes no sense: {0}")]
    InvalidReply(String),
    /// A tool result for a tool use that the turn does not hold.
    #[error("no tool use `{0}` waits for a result")]
    UnknownCall(String),
    /// A second result for one tool use.
    #[error("the tool use `{0}` already has its result")]
    AnsweredTwice(String),
}

impl Run {
    /// A run that has not begun. The tools are offered sorted by name. `conversation` tells its requests from those of
    /// other runs, and is random.
    pub fn new(
        settings: RunSettings,
        task: impl Into<String>,
        conversation: impl Into<String>,
    ) -> Self {
        let mut run = Self {
            conversation: conversation.into(),
            settings,
            messages: vec![Message::user(vec![Block::text(task)])],
            state: State::Model,
            spent: Spent::default(),
            repeats: Repeats::default(),
            context: crate::context::State::default(),
        };
        run.sort_tools();
        run
    }

    /// What to do next. Asking changes nothing.
    pub fn next(&self) -> Step {
        if let State::Done { outcome } = &self.state {
            return Step::Done(outcome.clone());
        }
        if let Some(exceeded) = self.settings.budget.exceeded(&self.spent) {
            // Not remembered: a run whose budget was raised goes on.
            return Step::Done(RunOutcome::BudgetExceeded(Box::new(exceeded)));
        }
        match &self.state {
            State::Tools { slots } => Step::CallTools(
                slots
                    .iter()
                    .filter(|slot| slot.output.is_none())
                    .map(|slot| self.dispatch(slot))
                    .collect(),
            ),
            _ => Step::CallModel(Box::new(self.request())),
        }
    }

    /// Takes a whole turn of the model. Says so where the server's prompt cache did not hold what it should have.
    ///
    /// # Errors
    /// [`MachineError`] when no turn was asked for or the turn breaks the protocol; the run is then unchanged.
    pub fn on_reply(&mut self, reply: Reply) -> Result<Option<CacheMiss>, MachineError> {
        if self.state != State::Model {
            return Err(MachineError::UnexpectedReply);
        }
        if reply
            .content
            .iter()
            .any(|block| block.deeper_than(MAX_DEPTH))
        {
            return Err(MachineError::InvalidReply(format!(
                "a block is nested deeper than {MAX_DEPTH} levels"
            )));
        }
        let runs_tools = reply.stop_reason == Some(StopReason::ToolUse);
        if runs_tools {
            self.check_tool_uses(&reply)?;
        }
        let miss = self.learn(&reply);
        self.spent.add_turn(&reply, self.settings.price.as_ref());
        self.state = if runs_tools {
            self.tools_state(&reply)
        } else {
            state_after(&reply)
        };
        if !reply.content.is_empty() {
            let model = match &reply.answered_by {
                Some(name) => name.split_once(':').map_or(&**name, |(_, model)| model),
                None => &self.settings.model,
            };
            let mut message = Message::assistant(reply.content);
            message.by = Some(model.to_owned());
            self.messages.push(message);
        }
        Ok(miss)
    }

    /// Takes the answer to one tool use. With the last one of the turn, all become one message in the model's order. Says
    /// so where the answer is too long and the model gets a part of it.
    ///
    /// # Errors
    /// [`MachineError`] when nothing waits for this result; the run is then unchanged.
    pub fn on_tool_result(
        &mut self,
        id: &str,
        mut output: ToolOutput,
    ) -> Result<Option<Cut>, MachineError> {
        let State::Tools { slots } = &mut self.state else {
            return Err(MachineError::UnknownCall(id.into()));
        };
        let slot = slots
            .iter_mut()
            .find(|slot| slot.call.id == id)
            .ok_or_else(|| MachineError::UnknownCall(id.into()))?;
        if slot.output.is_some() {
            return Err(MachineError::AnsweredTwice(id.into()));
        }
        let rules = &self.settings.context;
        let cut = self.context.shorten(rules, &slot.call, &mut output);
        slot.output = Some(output);
        if slots.iter().all(|slot| slot.output.is_some()) {
            let note_from = self.settings.repeat.note;
            let results = slots
                .drain(..)
                .filter_map(|slot| slot.into_block(note_from))
                .collect();
            self.messages.push(Message::user(results));
            self.state = State::Model;
        }
        Ok(cut)
    }

    /// Ends the run because the server says that the conversation is too long.
    pub fn on_context_overflow(&mut self, message: String) {
        self.state = State::Done {
            outcome: RunOutcome::ContextOverflow { message },
        };
    }

    /// Counts a request of which no turn came about: an answer that broke off, or one that nobody waited for.
    pub fn on_lost(&mut self, usage: &TokenUsage, cost_micro_usd: Option<u64>) {
        self.spent.add_lost(usage, cost_micro_usd);
    }

    /// Sets the wall clock time since the run began, as its driver measured it.
    pub fn set_time(&mut self, time: std::time::Duration) {
        self.spent.time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    }

    /// Goes on under other settings, for example a larger budget. The operator's instructions stay those that the
    /// conversation began with.
    pub fn change_settings(&mut self, settings: RunSettings) {
        let system = self.settings.system.take();
        self.use_context(settings.context.clone());
        self.settings = RunSettings { system, ..settings };
        self.sort_tools();
    }

    /// From here on another model is asked, where one is named. What it writes is marked as its own.
    pub(crate) fn asks(&mut self, model: Option<String>) {
        if let Some(model) = model {
            self.settings.model = model;
        }
    }

    /// What the run has spent.
    pub fn spent(&self) -> &Spent {
        &self.spent
    }

    /// The settings.
    pub fn settings(&self) -> &RunSettings {
        &self.settings
    }

    /// What tells its requests from those of other runs.
    pub fn conversation(&self) -> &str {
        &self.conversation
    }

    /// The conversation so far.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The text of the model's last turn.
    pub fn text(&self) -> String {
        let last = self
            .messages
            .iter()
            .rev()
            .find(|message| message.role == crate::wire::Role::Assistant);
        last.into_iter()
            .flat_map(|message| &message.content)
            .filter_map(|block| match block {
                Block::Text(block) => Some(block.text.as_str()),
                _ => None,
            })
            .collect()
    }

    fn sort_tools(&mut self) {
        self.settings.tools.sort_by(|a, b| a.name.cmp(&b.name));
    }

    fn request(&self) -> ModelRequest {
        ModelRequest {
            turn: self.spent.turns,
            conversation: self.conversation.clone(),
            // The driver knows.
            tenant: None,
            model: self.settings.model.clone(),
            max_tokens: self.settings.max_tokens,
            system: self.settings.system.clone(),
            tools: self.settings.tools.clone(),
            messages: self.messages.clone(),
            options: self.options(),
            cache: self.cache_plan(),
            extra: self.settings.extra.clone(),
        }
    }

    /// A choice that insists on a call does so until there was one: otherwise no turn could ever be the last.
    fn options(&self) -> TurnOptions {
        let mut options = self.settings.options.clone();
        let insists = matches!(options.tool_choice, ToolChoice::Any | ToolChoice::Tool(_));
        if insists && self.spent.calls > 0 {
            options.tool_choice = ToolChoice::Auto;
        }
        options
    }

    /// Ids must be unique in the whole conversation, or a result could be taken for another call's.
    fn check_tool_uses(&self, reply: &Reply) -> Result<(), MachineError> {
        let invalid = |message: String| Err(MachineError::InvalidReply(message));
        if let Some(block) = reply
            .content
            .iter()
            .find(|block| matches!(block, Block::Other(_)) && block.kind() == "tool_use")
        {
            let text = serde_json::to_string(block).unwrap_or_default();
            let text: String = text.chars().take(200).collect();
            return invalid(format!("a tool use lacks its id or name: {text}"));
        }
        let mut seen: HashSet<&str> = self
            .messages
            .iter()
            .flat_map(|message| &message.content)
            .filter_map(|block| match block {
                Block::ToolUse(call) => Some(call.id.as_str()),
                _ => None,
            })
            .collect();
        let mut any = false;
        for call in reply.tool_uses() {
            any = true;
            if call.id.is_empty() || call.name.is_empty() {
                return invalid("a tool use has an empty id or name".into());
            }
            if !seen.insert(&call.id) {
                return invalid(format!("two tool uses have the id `{}`", call.id));
            }
        }
        if !any {
            return invalid("it stopped for tool use and asks for no tool".into());
        }
        Ok(())
    }

    fn tools_state(&mut self, reply: &Reply) -> State {
        let mut slots = Vec::new();
        for call in reply.tool_uses() {
            let repeated = self.repeats.count(call);
            self.spent.calls = self.spent.calls.saturating_add(1);
            if repeated >= self.settings.repeat.stop {
                return State::Done {
                    outcome: RunOutcome::Repeated {
                        tool: call.name.clone(),
                        times: repeated,
                    },
                };
            }
            slots.push(Slot {
                call: call.clone(),
                repeated,
                unparsed: reply
                    .unparsed
                    .iter()
                    .find(|unparsed| unparsed.id == call.id)
                    .map(|unparsed| unparsed.error.clone()),
                output: None,
            });
        }
        State::Tools { slots }
    }

    fn dispatch(&self, slot: &Slot) -> Dispatch {
        let call = slot.call.clone();
        let refusal = if let Some(error) = &slot.unparsed {
            let message = format!("the input is no valid JSON object: {error}");
            ToolOutput::failure(ErrorKind::InvalidInput, message)
        } else if !self
            .settings
            .tools
            .iter()
            .any(|tool| tool.name == call.name)
        {
            let message = format!("there is no tool `{}`", call.name);
            ToolOutput::failure(ErrorKind::UnknownTool, message)
        } else if !call.input.is_object() {
            ToolOutput::failure(ErrorKind::InvalidInput, "the input must be a JSON object")
        } else if let Some(page) = self.read_on(&call) {
            page
        } else {
            return Dispatch::Run(call);
        };
        Dispatch::Refuse(call, refusal)
    }
}

impl Slot {
    fn into_block(self, note_from: u32) -> Option<Block> {
        let output = self.output?;
        let is_error = output.is_error();
        let mut content = output.content;
        if self.repeated >= note_from {
            content.push(Block::text(repeat::note(self.repeated)));
        }
        Some(Block::ToolResult(ToolResultBlock {
            tool_use_id: self.call.id,
            is_error,
            content,
            extra: Map::new(),
        }))
    }
}

/// Where a turn leads that stopped for anything but tool use. Tool uses in such a turn are never run: their input can
/// be cut off.
fn state_after(reply: &Reply) -> State {
    let detail = |key: &str| {
        let details = reply.stop_details.as_ref()?;
        Some(details.get(key)?.as_str()?.to_owned())
    };
    let outcome = match &reply.stop_reason {
        Some(StopReason::EndTurn | StopReason::StopSequence) => RunOutcome::Finished,
        Some(StopReason::MaxTokens) => RunOutcome::MaxTokens,
        Some(StopReason::PauseTurn) => return State::Model,
        Some(StopReason::Refusal) => RunOutcome::Refused {
            category: detail("category"),
            explanation: detail("explanation"),
        },
        Some(StopReason::ContextWindowExceeded) => RunOutcome::ContextOverflow {
            message: "the answer filled the rest of it".into(),
        },
        other => RunOutcome::Stopped {
            reason: other.as_ref().map(|reason| reason.as_str().to_owned()),
        },
    };
    State::Done { outcome }
}

#[cfg(test)]
mod tests;
