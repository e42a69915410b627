//! From the lines of a transcript back to the run.

use std::collections::HashSet;

use toolcell::{ApprovalId, ApprovalRequest};

use super::Record;
use crate::machine::{MachineError, Run};

/// A run as its transcript left it.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) run: Run,
    /// Calls that began, and of which no result was written. They may or may not have happened.
    pub(crate) interrupted: HashSet<String>,
    /// The questions of calls that have done nothing yet, each with the call's id.
    pub(crate) waiting: Vec<(String, ApprovalRequest)>,
    /// Every call that began, and its tool.
    started: Vec<(String, String)>,
}

/// Replays the lines. A line that does not fit is an error with its number.
pub(crate) fn replay(records: Vec<Record>) -> Result<Resumed, (usize, String)> {
    let mut records = (1..).zip(records);
    let Some((_, Record::Header { run, .. })) = records.next() else {
        return Err((1, "it does not begin with a header".into()));
    };
    let mut resumed = Resumed {
        run: *run,
        interrupted: HashSet::new(),
        waiting: Vec::new(),
        started: Vec::new(),
    };
    for (line, record) in records {
        resumed
            .apply(record)
            .map_err(|error| (line, error.to_string()))?;
    }
    Ok(resumed)
}

impl Resumed {
    /// The questions that the run waits for.
    pub(crate) fn questions(self) -> Vec<ApprovalRequest> {
        self.waiting.into_iter().map(|(_, it)| it).collect()
    }

    /// Whether the run waits for the answer to a question.
    pub(crate) fn asks(&self, id: &ApprovalId) -> bool {
        self.waiting.iter().any(|(_, it)| it.id == *id)
    }

    /// The tools that were called, each once, in the order of their first calls. What waits has not been called.
    pub(crate) fn called(&self) -> Vec<&str> {
        let mut called: Vec<&str> = Vec::new();
        for (id, tool) in &self.started {
            let waits = self.waiting.iter().any(|(waits, _)| waits == id);
            if !waits && !called.contains(&tool.as_str()) {
                called.push(tool);
            }
        }
        called
    }

    fn no_longer_waits(&mut self, id: &str) {
        self.waiting.retain(|(waits, _)| waits != id);
    }

    fn apply(&mut self, record: Record) -> Result<(), MachineError> {
        let mut time = None;
        match record {
            Record::Reply { time_ms, reply } => {
                self.run.on_reply(reply)?;
                time = Some(time_ms);
            }
            Record::Lost {
                time_ms,
                usage,
                cost_micro_usd,
            } => {
                self.run.on_lost(&usage, cost_micro_usd);
                time = Some(time_ms);
            }
            Record::ToolStart { id, tool, .. } => {
                self.no_longer_waits(&id);
                self.interrupted.insert(id.clone());
                self.started.push((id, tool));
            }
            Record::Asked { id, approval } => {
                self.no_longer_waits(&id);
                self.interrupted.remove(&id);
                self.waiting.push((id, *approval));
            }
            Record::Answered { id, .. } => {
                self.no_longer_waits(&id);
                self.interrupted.insert(id);
            }
            Record::ToolResult {
                id,
                time_ms,
                output,
                ..
            } => {
                self.run.on_tool_result(&id, output)?;
                self.interrupted.remove(&id);
                self.no_longer_waits(&id);
                time = Some(time_ms);
            }
            Record::End { time_ms, .. } => time = Some(time_ms),
            Record::Header { .. } => {
                return Err(MachineError::InvalidReply("a second header".into()));
            }
            Record::Resume { model, context } => {
                self.run.asks(model);
                if let Some(rules) = context {
                    self.run.use_context(rules);
                }
            }
            Record::Compaction {
                time_ms,
                compaction,
                reply,
            } => {
                self.run.on_compaction(&compaction, reply.as_ref())?;
                time = Some(time_ms);
            }
        }
        if let Some(time) = time {
            self.run.set_time(std::time::Duration::from_millis(time));
        }
        Ok(())
    }
}
