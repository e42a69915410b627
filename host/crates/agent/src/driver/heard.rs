//! What servers were heard to write before a turn broke off. They are paid for it, and did not say how much it was.

use super::{AgentError, Session};
use crate::{
    model::{ModelError, ModelEvent},
    transcript::Record,
    wire::TokenUsage,
};

/// A token has about so many bytes of text, halves counted as two.
const HALF_BYTES_PER_TOKEN: u64 = 7;

/// What was heard of one turn.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Bytes of the attempt under way; nothing before it began to answer.
    now: Option<u64>,
    /// Bytes of each attempt that was given up.
    lost: Vec<u64>,
}

impl Heard {
    /// Takes one event.
    pub(super) fn hear(&mut self, event: &ModelEvent) {
        if let ModelEvent::Text(text) | ModelEvent::Thinking(text) = event {
            let so_far = self.now.unwrap_or(0);
            self.now = Some(so_far.saturating_add(text.len() as u64));
        } else if let ModelEvent::ToolUse { .. } = event {
            self.now.get_or_insert(0);
        } else if let ModelEvent::Retry { .. } | ModelEvent::Fallback { .. } = event {
            self.lost.extend(self.now.take());
        }
    }

    /// The attempt under way was given up. Where nothing was heard of it, the server may have read the prompt all the same.
    pub(super) fn give_up(&mut self) {
        self.lost.push(self.now.take().unwrap_or(0));
    }

    /// The attempt under way failed.
    pub(super) fn fail(&mut self, error: &ModelError) {
        let broke_off = matches!(
            error,
            ModelError::Stream { .. }
                | ModelError::Truncated
                | ModelError::Transport(_)
                | ModelError::Protocol(_)
                | ModelError::Timeout { .. }
                | ModelError::TooLarge { .. }
        );
        if broke_off || self.now.is_some() {
            self.give_up();
        }
    }
}

impl Session<'_> {
    /// Counts and writes down what broke off. The prompt has about so many tokens.
    pub(super) fn lose(&mut self, heard: Heard, prompt: u64) -> Result<(), AgentError> {
        for bytes in heard.lost {
            let output = bytes.saturating_mul(2).div_ceil(HALF_BYTES_PER_TOKEN);
            let usage = TokenUsage {
                input_tokens: prompt,
                output_tokens: output,
                ..TokenUsage::default()
            };
            let priced = self.agent.price.is_some();
            let cost = priced.then(|| self.worst_cost(prompt, output));
            self.run.on_lost(&usage, cost);
            let time_ms = self.time_ms();
            self.write(&Record::Lost {
                time_ms,
                usage,
                cost_micro_usd: cost,
            })?;
        }
        Ok(())
    }
}
