//! From tasks to requests, and to as many as a provider takes at once.

use super::{
    Task,
    ticket::{Part, Place},
};
use crate::{
    model::{BatchLimits, Batches, ModelError},
    wire::{Block, Message, ModelRequest, TurnOptions},
};

/// What a list of requests has around it, generously.
const AROUND: usize = 64;

/// The request of a task: one turn without tools.
pub(super) fn request(task: &Task, model: &str, usual: u32, options: &TurnOptions) -> ModelRequest {
    ModelRequest {
        turn: 0,
        conversation: String::new(),
        tenant: None,
        model: model.into(),
        max_tokens: task.max_tokens.unwrap_or(usual),
        system: task.system.clone(),
        tools: Vec::new(),
        messages: vec![Message::user(vec![Block::text(&task.task)])],
        options: options.clone(),
        cache: None,
        extra: serde_json::Map::new(),
    }
}

/// The id of a request: that of the part, and the number of the task in it.
pub(super) fn request_id(prefix: &str, number: usize) -> String {
    format!("{prefix}-{number}")
}

/// The task of a request; nothing for a request of somebody else.
pub(super) fn task_of<'p>(part: &'p Part, id: &str) -> Option<&'p str> {
    let (prefix, number) = id.rsplit_once('-')?;
    let number: usize = number.parse().ok()?;
    (prefix == part.prefix && request_id(prefix, number) == id)
        .then(|| part.tasks.get(number).map(String::as_str))?
}

/// An empty part with an id of its own.
fn part(model: &str) -> Part {
    Part {
        model: model.into(),
        prefix: format!("t{:032x}", rand::random::<u128>()),
        tasks: Vec::new(),
        place: Place::Here,
        held: Vec::new(),
    }
}

/// Divides the tasks of one model into parts that the provider takes. `refused` hears of a task that no part can have.
pub(super) fn divide(
    tasks: &[(&Task, ModelRequest)],
    model: &str,
    batches: &dyn Batches,
    mut refused: impl FnMut(&Task, ModelError),
) -> Vec<Part> {
    let BatchLimits { requests, bytes } = batches.limits();
    let room = bytes.saturating_sub(AROUND);
    let (mut parts, mut open, mut size) = (Vec::new(), part(model), 0_usize);
    for (task, request) in tasks {
        let id = request_id(&open.prefix, open.tasks.len());
        let length = match batches.entry(&id, request) {
            // The comma, and a number that may be longer in another part.
            Ok(entry) => entry.len().saturating_add(16),
            Err(error) => {
                refused(task, error);
                continue;
            }
        };
        if length > room {
            let limit = bytes as u64;
            refused(task, ModelError::TooLarge { limit });
            continue;
        }
        if open.tasks.len() >= requests || size.saturating_add(length) > room {
            parts.push(std::mem::replace(&mut open, part(model)));
            size = 0;
        }
        open.tasks.push(task.id.clone());
        size = size.saturating_add(length);
    }
    if !open.tasks.is_empty() {
        parts.push(open);
    }
    parts
}

#[cfg(test)]
mod tests;
