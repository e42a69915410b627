//! What a run tells and keeps, without any secret. What comes from a tool host was searched there, but not what a model
//! wrote or a server said.

use std::time::Duration;

use toolcell::{
    ApprovalRequest, CallEvent, Denial, LikelySecret, LikelySecrets, RedactedText, Redaction,
};

use crate::{
    event::AgentEvent,
    model::ModelEvent,
    outcome::RunOutcome,
    wire::{Block, Reply},
};

fn text(redaction: &Redaction, text: &mut String) {
    if let std::borrow::Cow::Owned(clean) = redaction.text(text) {
        *text = clean;
    }
}

fn maybe(redaction: &Redaction, text: &mut Option<String>) {
    if let Some(text) = text {
        self::text(redaction, text);
    }
}

fn denied(redaction: &Redaction, denial: &mut Denial) {
    text(redaction, &mut denial.access);
    text(redaction, &mut denial.rule);
    text(redaction, &mut denial.reason);
}

/// A question without any secret. Whoever made it has searched it, and knew perhaps less.
fn approval(redaction: &Redaction, approval: &mut ApprovalRequest) {
    let texts = [
        &mut approval.tool,
        &mut approval.access,
        &mut approval.rule,
        &mut approval.rule_text,
        &mut approval.input_preview,
    ];
    texts.into_iter().for_each(|it| text(redaction, it));
}

/// An event without any secret.
pub(super) fn event(redaction: &Redaction, mut event: AgentEvent) -> AgentEvent {
    let clean = |it: &mut String| text(redaction, it);
    match &mut event {
        AgentEvent::RunStart { .. } | AgentEvent::TurnStart { .. } => {}
        // Was searched while it came, piece after piece.
        AgentEvent::Text { .. } | AgentEvent::Thinking { .. } => {}
        // Have no word of the model.
        AgentEvent::LikelySecret { .. }
        | AgentEvent::CacheMiss { .. }
        | AgentEvent::SummaryStart { .. }
        | AgentEvent::Compacted { .. } => {}
        AgentEvent::ResultCut { call_id, tool, .. } => {
            clean(call_id);
            clean(tool);
        }
        AgentEvent::ToolUse { call_id, tool } => {
            clean(call_id);
            clean(tool);
        }
        AgentEvent::ModelRetry { error, .. } | AgentEvent::ModelFallback { error, .. } => {
            clean(error);
        }
        // Has only our own words.
        AgentEvent::ModelWaiting { .. } => {}
        AgentEvent::Usage { stop_reason, .. } => maybe(redaction, stop_reason),
        AgentEvent::ToolCallStart {
            call_id,
            tool,
            input,
        } => {
            clean(call_id);
            clean(tool);
            redaction.json(input);
        }
        AgentEvent::ToolCallEvent { call_id, event } => {
            clean(call_id);
            match event {
                CallEvent::Log { message, .. } => clean(message),
                CallEvent::Progress { message, .. } => maybe(redaction, message),
                CallEvent::Denied(denial) => denied(redaction, denial),
                // The host has searched it.
                _ => {}
            }
        }
        AgentEvent::ToolCallEnd {
            call_id,
            tool,
            text,
            rule,
            denials,
            ..
        } => {
            clean(call_id);
            clean(tool);
            clean(text);
            maybe(redaction, rule);
            denials.iter_mut().for_each(|it| denied(redaction, it));
        }
        AgentEvent::ToolCallWaiting {
            call_id,
            tool,
            approval,
        } => {
            clean(call_id);
            clean(tool);
            self::approval(redaction, approval);
        }
        AgentEvent::Done { outcome, text, .. } => {
            clean(text);
            self::outcome(redaction, outcome);
        }
    }
    event
}

/// Takes every secret out of what is said of a run's end.
pub(super) fn outcome(redaction: &Redaction, outcome: &mut RunOutcome) {
    match outcome {
        RunOutcome::Refused {
            category,
            explanation,
        } => {
            maybe(redaction, category);
            maybe(redaction, explanation);
        }
        RunOutcome::ContextOverflow { message } | RunOutcome::Failed { message, .. } => {
            text(redaction, message);
        }
        RunOutcome::Repeated { tool, .. } => text(redaction, tool),
        RunOutcome::Stopped { reason } => maybe(redaction, reason),
        RunOutcome::Waiting { approvals } => {
            approvals.iter_mut().for_each(|it| approval(redaction, it));
        }
        RunOutcome::Finished
        | RunOutcome::MaxTokens
        | RunOutcome::BudgetExceeded(_)
        | RunOutcome::Cancelled => {}
    }
}

/// Says what in a whole turn's text looks like a credential, and replaces it where the policy wants that.
pub(super) fn reply(likely: &LikelySecrets, reply: &mut Reply) -> Vec<LikelySecret> {
    let mut found: Vec<LikelySecret> = Vec::new();
    for block in &mut reply.content {
        let Block::Text(block) = block else {
            continue;
        };
        for it in likely.look(&mut block.text) {
            match found.iter_mut().find(|known| known.rule == it.rule) {
                Some(known) => known.count = known.count.saturating_add(it.count),
                None => found.push(it),
            }
        }
    }
    found
}

/// A turn of the model while it comes.
pub(super) struct Turn {
    text: Coming,
    thinking: Coming,
}

/// A text while it comes.
struct Coming {
    known: RedactedText,
    likely: LikelySecrets,
    /// All of it so far, where what looks like a credential is replaced: that is seen only in the whole.
    whole: String,
}

impl Coming {
    fn new(redaction: &Redaction, likely: &LikelySecrets) -> Self {
        Self {
            known: redaction.pieces(),
            likely: likely.clone(),
            whole: String::new(),
        }
    }

    fn push(&mut self, piece: &str) -> String {
        let text = self.known.push(piece);
        if !self.likely.replaces() {
            return text;
        }
        self.whole += &text;
        String::new()
    }

    fn finish(&mut self) -> String {
        let mut text = std::mem::take(&mut self.whole);
        text += &self.known.finish();
        if self.likely.replaces() {
            // It is told once, of the whole turn.
            self.likely.look(&mut text);
        }
        text
    }
}

impl Turn {
    pub(super) fn new(redaction: &Redaction, likely: &LikelySecrets) -> Self {
        Self {
            text: Coming::new(redaction, likely),
            thinking: Coming::new(redaction, likely),
        }
    }

    /// What can be told by now. What could be the beginning of a secret waits for the next piece of its kind, or for
    /// something of another kind.
    pub(super) fn take(&mut self, event: ModelEvent) -> Vec<AgentEvent> {
        let (mut told, event) = match event {
            ModelEvent::Text(piece) => {
                let mut told = Vec::new();
                thinking(&mut told, self.thinking.finish());
                text_piece(&mut told, self.text.push(&piece));
                return told;
            }
            ModelEvent::Thinking(piece) => {
                let mut told = Vec::new();
                text_piece(&mut told, self.text.finish());
                thinking(&mut told, self.thinking.push(&piece));
                return told;
            }
            ModelEvent::ToolUse { id, name } => (
                self.finish(),
                AgentEvent::ToolUse {
                    call_id: id,
                    tool: name,
                },
            ),
            ModelEvent::Retry {
                attempt,
                delay,
                error,
                discarded,
            } => (
                self.settle(discarded),
                AgentEvent::ModelRetry {
                    attempt,
                    delay_ms: millis(delay),
                    error,
                    discarded,
                },
            ),
            ModelEvent::Waiting { reason, time } => (
                self.finish(),
                AgentEvent::ModelWaiting {
                    reason: reason.name().into(),
                    at_least_ms: time.map(millis),
                },
            ),
            ModelEvent::Fallback {
                from,
                to,
                error,
                discarded,
                left_out,
            } => (
                self.settle(discarded),
                AgentEvent::ModelFallback {
                    from,
                    to,
                    error,
                    discarded,
                    left_out,
                },
            ),
            // For those who count.
            ModelEvent::RateLimits(_) => return Vec::new(),
        };
        told.push(event);
        told
    }

    /// What was held back of an answer that broke off: nothing, where all of it counts for nothing.
    fn settle(&mut self, discarded: bool) -> Vec<AgentEvent> {
        let held = self.finish();
        if discarded { Vec::new() } else { held }
    }

    /// What was held back, once nothing comes any more.
    pub(super) fn finish(&mut self) -> Vec<AgentEvent> {
        let mut told = Vec::new();
        thinking(&mut told, self.thinking.finish());
        text_piece(&mut told, self.text.finish());
        told
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn text_piece(told: &mut Vec<AgentEvent>, text: String) {
    if !text.is_empty() {
        told.push(AgentEvent::Text { text });
    }
}

fn thinking(told: &mut Vec<AgentEvent>, text: String) {
    if !text.is_empty() {
        told.push(AgentEvent::Thinking { text });
    }
}

#[cfg(test)]
mod tests;
