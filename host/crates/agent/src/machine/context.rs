//! How a run uses its model's context: what of the conversation the next request holds, and what the server is told to keep.

use super::{MachineError, Run, State, ToolOutput};
use crate::{
    context::{self, CacheMiss, Compaction, ContextReport, ContextRules, Plan, Sent},
    wire::{CachePlan, ModelRequest, Reply, ToolUse},
};

impl Run {
    /// About how many tokens the prompt of the next request has: estimated, and set right by what the server counted for
    /// the last one.
    pub fn prompt_tokens(&self) -> u64 {
        self.context.calibration.apply(self.estimated())
    }

    /// From how many tokens of a prompt on parts of the conversation give way.
    pub fn compaction_threshold(&self) -> u64 {
        let settings = &self.settings;
        settings.context.threshold(settings.max_tokens)
    }

    /// What the context went through so far.
    pub fn context_report(&self) -> &ContextReport {
        &self.context.report
    }

    /// Whether room was already made because the server said that there is none, and no turn came since.
    pub(crate) fn was_forced(&self) -> bool {
        self.context.forced
    }

    /// What shall give way, where the prompt has so many tokens; nothing where no step would save enough. It is brought
    /// well below the threshold, so that the next steps are some turns away.
    pub(crate) fn room(&self, tokens: u64, forced: bool) -> Option<Plan> {
        if self.state != State::Model {
            return None;
        }
        let target = self.target(tokens, forced);
        let fixed = self.fixed();
        let estimated = self.estimated().max(1);
        let counted = |messages: u64| {
            let all = u128::from(messages.saturating_add(fixed)) * u128::from(tokens);
            u64::try_from(all / u128::from(estimated)).unwrap_or(u64::MAX)
        };
        let keep = self.settings.context.keep_turns;
        context::plan(&self.messages, keep, target, counted)
    }

    /// How many tokens the prompt shall have at most when room was made. A server that refuses a prompt knows better than
    /// the threshold.
    fn target(&self, tokens: u64, forced: bool) -> u64 {
        let threshold = self.compaction_threshold();
        match forced {
            true => tokens.min(threshold) / 2,
            false => threshold / 4 * 3,
        }
    }

    /// The request for a summary of the messages up to `through`, where the prompt has so many tokens.
    pub(crate) fn summary_request(
        &self,
        through: usize,
        tokens: u64,
        forced: bool,
    ) -> ModelRequest {
        let target = self.target(tokens, forced);
        let room = match forced {
            true => target,
            false => self.compaction_threshold(),
        };
        context::summary_request(&self.request(), &self.context, through, target, room)
    }

    /// The summary out of the reply to such a request.
    pub(crate) fn summary_text(&self, reply: &Reply, through: usize) -> String {
        context::summary_text(reply, &self.messages, through)
    }

    /// Makes room. A summary cost a turn, whose reply comes with it.
    ///
    /// # Errors
    /// [`MachineError`] for what does not fit this conversation; the run is then unchanged.
    pub fn on_compaction(
        &mut self,
        compaction: &Compaction,
        reply: Option<&Reply>,
    ) -> Result<(), MachineError> {
        if self.state != State::Model {
            return Err(MachineError::UnexpectedReply);
        }
        let reader = self.settings.context.reader.as_deref();
        context::apply(&mut self.messages, &mut self.context, compaction, reader)
            .map_err(MachineError::InvalidReply)?;
        if let Some(reply) = reply {
            self.spent.add_turn(reply, self.settings.price.as_ref());
        }
        self.context.cache.compacted = true;
        self.context.forced |= compaction.forced;
        self.context.report.count(compaction);
        Ok(())
    }

    /// Goes on under other rules. What was cut and gave way under the old ones stays as it is.
    pub(crate) fn use_context(&mut self, rules: ContextRules) {
        self.settings.context = rules;
        self.context.cache.resumed = true;
    }

    pub(super) fn cache_plan(&self) -> Option<CachePlan> {
        let settings = &self.settings;
        // The operator's own words are the last ones.
        if settings.extra.contains_key("cache_control") {
            return None;
        }
        let plan = context::cache_plan(
            settings.context.cache?,
            settings.context.cache_min_tokens(),
            settings.system.as_deref(),
            &settings.tools,
            &self.messages,
        )?;
        Some(CachePlan {
            previous_message: self.context.cache.previous_message().map(str::to_owned),
            ..plan
        })
    }

    /// Takes what a turn says about its prompt.
    pub(super) fn learn(&mut self, reply: &Reply) -> Option<CacheMiss> {
        self.context.forced = false;
        // What another model counted, or nobody, says nothing about the next prompt.
        if reply.cached.is_none() && reply.answered_by.is_none() {
            let (estimated, counted) = (self.estimated(), reply.usage.prompt_tokens());
            self.context.calibration.learn(estimated, counted);
        }
        let settings = &self.settings;
        let ttl = settings.context.cache?;
        let sent = Sent::new(
            &settings.model,
            settings.system.as_deref(),
            &settings.tools,
            self.spent.time_ms,
        );
        let report = &mut self.context.report;
        report.cache_write_tokens = report
            .cache_write_tokens
            .saturating_add(reply.usage.cache_creation_input_tokens);
        let miss = self.context.cache.judge(sent, reply, ttl)?;
        report.count_miss(miss);
        Some(miss)
    }

    /// The answer to a call that reads on in a result; `None` for a call of anything else.
    pub(super) fn read_on(&self, call: &ToolUse) -> Option<ToolOutput> {
        let rules = &self.settings.context;
        (rules.reader.as_deref() == Some(call.name.as_str()))
            .then(|| self.context.kept.answer(call, rules.result_tokens))
    }

    fn estimated(&self) -> u64 {
        self.fixed()
            .saturating_add(context::messages_tokens(&self.messages))
    }

    fn fixed(&self) -> u64 {
        context::fixed_tokens(self.settings.system.as_deref(), &self.settings.tools)
    }
}

#[cfg(test)]
mod tests;
