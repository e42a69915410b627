//! Making room in the model's context before a turn.

use tokio::time::timeout;

use super::{Agent, AgentError, Session, broken};
use crate::{
    context::{self, Compaction, ContextRules, Plan, Summary},
    event::AgentEvent,
    outcome::RunOutcome,
    runner::ToolSpec,
    transcript::Record,
    wire::{ModelRequest, Reply},
};

/// The providers that take breakpoints of the prompt cache.
const TAKE_BREAKPOINTS: [&str; 3] = ["anthropic", "aws.bedrock", "gcp.vertex_ai"];

/// What a request is for.
pub(super) enum Purpose {
    /// A turn of the conversation.
    Turn,
    /// The summary with which this step makes room.
    Summary(Draft),
}

impl Purpose {
    /// Whether an event is told: the text of a summary is for the model alone.
    pub(super) fn shows(&self, event: &AgentEvent) -> bool {
        let content = matches!(
            event,
            AgentEvent::Text { .. } | AgentEvent::Thinking { .. } | AgentEvent::ToolUse { .. }
        );
        matches!(self, Self::Turn) || !content
    }
}

/// A step that waits for its summary.
pub(super) struct Draft {
    compaction: Compaction,
    through: usize,
}

/// What came of making room.
pub(super) enum Room {
    /// There is enough, or none to be had.
    Same,
    /// The conversation is shorter now.
    Made,
    /// The session ends here.
    Ended(RunOutcome),
}

impl Agent {
    /// The rules of a run that is offered these tools.
    pub(super) fn context_rules(&self, tools: &[ToolSpec]) -> ContextRules {
        let rules = self.rules.context.clone();
        let info = self.catalog.info(self.model.id());
        let taken = |name: &str| tools.iter().any(|tool| tool.name == name);
        let numbered = (2..).map(|number| format!("{}_{number}", context::READER));
        let reader = std::iter::once(context::READER.to_owned())
            .chain(numbered)
            .find(|name| !taken(name));
        ContextRules {
            window: rules
                .window
                .or(info.context_tokens)
                // Recorded turns fill no context, and they are replayed as they were.
                .or((self.model.provider() == "scripted").then_some(u64::MAX)),
            cache_min_tokens: rules.cache_min_tokens.or(info.cache_min_tokens),
            cache: rules
                .cache
                .filter(|_| TAKE_BREAKPOINTS.contains(&self.model.provider())),
            // Where no tool is offered there is nothing to read on in.
            reader: reader.filter(|_| !tools.is_empty()),
            ..rules
        }
    }
}

impl Session<'_> {
    /// Makes room where the prompt comes near to what the model's context holds, or where the server said that it is too
    /// long.
    pub(super) async fn make_room(&mut self, request: &ModelRequest) -> Result<Room, AgentError> {
        let estimated = self.run.prompt_tokens();
        if let Some(message) = self.overflow.take() {
            let room = self.compact(estimated, true).await?;
            if let Room::Same = room {
                self.run.on_context_overflow(message);
                return Ok(Room::Made);
            }
            return Ok(room);
        }
        let threshold = self.run.compaction_threshold();
        // Counting is a request of its own, so it is worth it only where the estimate leaves it open.
        let near = estimated.abs_diff(threshold) <= threshold / 10;
        let tokens = match near {
            true => self.counted(request).await.unwrap_or(estimated),
            false => estimated,
        };
        if tokens <= threshold {
            return Ok(Room::Same);
        }
        self.compact(tokens, false).await
    }

    /// The server said that the conversation is too long. Room is made once, and then the run ends.
    pub(super) fn on_overflow(&mut self, message: &str) {
        match self.run.was_forced() {
            true => self.run.on_context_overflow(message.to_owned()),
            false => self.overflow = Some(message.to_owned()),
        }
    }

    async fn counted(&self, request: &ModelRequest) -> Option<u64> {
        let counted = timeout(self.time_left(), self.agent.model.count_tokens(request));
        tokio::select! {
            () = self.context.cancel.cancelled() => None,
            // Where counting fails, the estimate will do; where nothing works, the turn says so.
            counted = counted => counted.ok()?.ok()?,
        }
    }

    async fn compact(&mut self, tokens: u64, forced: bool) -> Result<Room, AgentError> {
        let Some(Plan { cleared, through }) = self.run.room(tokens, forced) else {
            return Ok(Room::Same);
        };
        let compaction = Compaction {
            cleared,
            summary: None,
            forced,
            tokens_before: tokens,
        };
        let Some(through) = through else {
            self.apply(compaction, None)?;
            return Ok(Room::Made);
        };
        let request = self.run.summary_request(through, tokens, forced);
        let draft = Draft {
            compaction,
            through,
        };
        let ended = self.turn(request, Purpose::Summary(draft)).await?;
        Ok(ended.map_or(Room::Made, Room::Ended))
    }

    /// Takes the reply to the request for a summary. It is a turn of the run.
    pub(super) fn take_summary(&mut self, draft: Draft, reply: Reply) -> Result<(), AgentError> {
        let Draft {
            mut compaction,
            through,
        } = draft;
        let text = self.run.summary_text(&reply, through);
        compaction.summary = Some(Summary { through, text });
        self.apply(compaction, Some(reply))
    }

    fn apply(&mut self, compaction: Compaction, reply: Option<Reply>) -> Result<(), AgentError> {
        self.run
            .on_compaction(&compaction, reply.as_ref())
            .map_err(broken)?;
        let what = compaction.summary.as_ref().map_or("results", |_| "summary");
        self.agent.metrics.compacted(what);
        let summarised = compaction.summary.as_ref().map(|summary| summary.through);
        let event = AgentEvent::Compacted {
            cleared_results: compaction.cleared.len(),
            summarised_messages: summarised.map_or(0, |through| through.saturating_sub(1)),
            tokens_before: compaction.tokens_before,
            tokens_after: self.run.prompt_tokens(),
            forced: compaction.forced,
        };
        self.write(&Record::Compaction {
            time_ms: self.time_ms(),
            compaction,
            reply,
        })?;
        self.run.set_time(self.time());
        self.tell(event);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
