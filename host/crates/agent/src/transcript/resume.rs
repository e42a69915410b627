//! From the lines of a transcript back to the run.

use std::collections::HashSet;

use super::Record;
use crate::machine::{MachineError, Run};

/// A run as its transcript left it.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) run: Run,
    /// Calls that began, and of which no result was written. They may or may not have happened.
    pub(crate) interrupted: HashSet<String>,
    /// The tools that were called, each once, in the order of their first calls.
    pub(crate) called: Vec<String>,
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
        called: Vec::new(),
    };
    for (line, record) in records {
        resumed
            .apply(record)
            .map_err(|error| (line, error.to_string()))?;
    }
    Ok(resumed)
}

impl Resumed {
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
                self.interrupted.insert(id);
                if !self.called.contains(&tool) {
                    self.called.push(tool);
                }
            }
            Record::ToolResult {
                id,
                time_ms,
                output,
                ..
            } => {
                self.run.on_tool_result(&id, output)?;
                self.interrupted.remove(&id);
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
