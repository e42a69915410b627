//! Many tasks at once: a file of tasks becomes a file of answers.
//!
//! Tasks that need no tools can go to a provider's API for batches ([`Courier`]), at half the price. Each is one turn there. A
//! [`Ticket`] in the state directory remembers what was sent, so that a later process collects it; what is on its way is
//! never sent twice.

mod courier;
mod finding;
mod parts;
mod results;
mod ticket;

use std::{collections::HashSet, path::PathBuf};

use serde::{Deserialize, Serialize};
use toolcell::ErrorKind;

pub use courier::{Courier, CourierEnd, Progress, Sent};
pub use results::Results;
pub use ticket::{Ticket, TicketFile};

use crate::{budget::Exceeded, ledger::LedgerError, model::ModelError, wire::TokenUsage};

/// The most tasks of one file.
pub const MAX_TASKS: usize = 1_000_000;
/// The longest id of a task, in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// The most problems of a file that are told.
const MAX_PROBLEMS: usize = 20;

/// One line of a file of tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its id, which the answer has too.
    pub id: String,
    /// What the model shall do.
    pub task: String,
    /// What the model is told before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The model, as `provider:model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The longest answer of one turn, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
}

/// Reads tasks, one in each line. Blank lines are none.
///
/// # Errors
/// What is wrong, with the number of the line; 20 problems at most.
pub fn tasks(text: &str) -> Result<Vec<Task>, Vec<String>> {
    let mut tasks: Vec<Task> = Vec::new();
    let mut problems = Vec::new();
    let mut seen = HashSet::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        match task(text) {
            Err(why) => problems.push(format!("line {line}: {why}")),
            Ok(task) if !seen.insert(task.id.clone()) => {
                let id = toolcell::text::escape_control(&task.id);
                problems.push(format!(
                    "line {line}: the id `{id}` stands here a second time"
                ));
            }
            Ok(_) if tasks.len() >= MAX_TASKS => {
                problems.push(format!("there are more than {MAX_TASKS} tasks"));
                break;
            }
            Ok(task) => tasks.push(task),
        }
        if problems.len() >= MAX_PROBLEMS {
            break;
        }
    }
    if problems.is_empty() {
        Ok(tasks)
    } else {
        Err(problems)
    }
}

fn task(text: &str) -> Result<Task, String> {
    let task: Task = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let why = if task.id.is_empty() {
        "the id is empty"
    } else if task.id.len() > MAX_ID_BYTES {
        "the id has more than 256 bytes"
    } else if task.id.chars().any(char::is_control) {
        "the id holds a control character"
    } else if task.task.trim().is_empty() {
        "the task is empty"
    } else if task.max_tokens == Some(0) {
        "`max_tokens` is 0"
    } else {
        return Ok(task);
    };
    Err(why.to_owned())
}

/// One line of a file of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The task's id.
    pub id: String,
    /// Whether there is an answer.
    pub ok: bool,
    /// The model's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<AnswerError>,
    /// The tokens of a task that was one turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TokenUsage>,
    /// What it cost, in millionths of a US dollar, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<u64>,
    /// The model, as `provider:model`.
    pub model: String,
    /// The run, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

/// Why a task has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerError {
    /// The stable code.
    pub code: ErrorKind,
    /// What happened.
    pub message: String,
}

impl Answer {
    /// That there is none.
    pub fn none(task: &Task, model: &str, code: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            id: task.id.clone(),
            ok: false,
            text: None,
            stop_reason: None,
            error: Some(AnswerError {
                code,
                message: message.into(),
            }),
            usage: None,
            cost_micro_usd: None,
            model: model.into(),
            run_id: None,
        }
    }
}

/// Why a batch cannot go on. What it has got so far is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The provider failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A budget has no room for it. Nothing of it was sent.
    #[error(transparent)]
    Budget(Box<Exceeded>),
    /// What was spent cannot be looked up or written down.
    #[error(transparent)]
    Ledger(LedgerError),
    /// The settings cannot work.
    #[error("{0}")]
    Config(String),
    /// It is not known whether the provider has taken a part.
    #[error("it is not known whether the provider took the batch: {0}")]
    Unsure(ModelError),
    /// Another process works on it.
    #[error("batch {path} is worked on by another process")]
    Busy {
        /// Its file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl From<LedgerError> for BatchError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Exceeded(exceeded) => Self::Budget(exceeded),
            other => Self::Ledger(other),
        }
    }
}

#[cfg(test)]
mod tests;
