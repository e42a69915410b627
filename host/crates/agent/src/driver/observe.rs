//! A run as a span, and as figures.

use std::collections::HashSet;

use tokio::time::Instant;
use toolcell::{
    ErrorKind,
    telemetry::{ERROR_TYPE, OPERATION_NAME, OUTCOME},
};
use tracing::{Instrument as _, Span, field::Empty, info_span};

use super::{AgentError, RunReport, Session};
use crate::metrics::{
    AGENT_NAME, Asked, CALLS, CONVERSATION, COST, INVOKE_AGENT, PROVIDER, REQUEST_MODEL,
    RunFigures, TURNS, USAGE_INPUT, USAGE_OUTPUT, dollars,
};

impl Session<'_> {
    /// Runs until something ends the session. A resumed one brings the calls that may have begun before.
    ///
    /// Turns and calls are children of the run's span.
    pub(super) async fn drive(
        &mut self,
        resumed: Option<HashSet<String>>,
    ) -> Result<RunReport, AgentError> {
        let model = &self.agent.model;
        let span = info_span!(
            INVOKE_AGENT,
            otel.name = self.agent.name.as_ref().map_or(INVOKE_AGENT.to_owned(), |name| format!("{INVOKE_AGENT} {name}")),
            otel.status_code = Empty,
            { OPERATION_NAME } = INVOKE_AGENT,
            { PROVIDER } = model.provider(),
            { REQUEST_MODEL } = model.id(),
            { AGENT_NAME } = self.agent.name.as_deref(),
            { CONVERSATION } = %self.agent.redaction.text(self.run.conversation()),
            { ERROR_TYPE } = Empty,
            { OUTCOME } = Empty,
            { TURNS } = Empty,
            { CALLS } = Empty,
            { USAGE_INPUT } = Empty,
            { USAGE_OUTPUT } = Empty,
            { COST } = Empty,
        );
        let (began, before) = (Instant::now(), self.run.spent().clone());
        let ended = self.go(resumed).instrument(span.clone()).await;
        let spent = self.run.spent();
        let outcome = ended.as_ref().ok().map(|report| &report.outcome);
        let figures = RunFigures {
            outcome,
            turns: u64::from(spent.turns.saturating_sub(before.turns)),
            calls: u64::from(spent.calls.saturating_sub(before.calls)),
            time: began.elapsed(),
        };
        let asked = Asked {
            provider: self.agent.model.provider(),
            model: self.agent.model.id(),
        };
        self.agent.metrics.run(asked, &figures);
        self.record(&span, &figures);
        ended
    }

    /// Writes into the span what came of the run, over all its resumptions.
    fn record(&self, span: &Span, figures: &RunFigures<'_>) {
        let spent = self.run.spent();
        span.record(TURNS, spent.turns);
        span.record(CALLS, spent.calls);
        span.record(USAGE_INPUT, spent.prompt_tokens);
        span.record(USAGE_OUTPUT, spent.output_tokens);
        if let Some(cost) = spent.cost_micro_usd {
            span.record(COST, dollars(cost));
        }
        span.record(OUTCOME, figures.name());
        if let Some(code) = figures.code() {
            span.record(ERROR_TYPE, code.code());
            // A run that a person stopped, or that a budget ended, did what it was told.
            if !matches!(code, ErrorKind::Cancelled | ErrorKind::BudgetExceeded) {
                span.record("otel.status_code", "error");
            }
        }
    }
}
