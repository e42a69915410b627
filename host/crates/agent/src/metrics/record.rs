//! The instruments, and what each part of the model side tells them.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram, Meter, MeterProvider as _, NoopMeterProvider},
};
use toolcell::{
    ErrorKind,
    telemetry::{ERROR_TYPE, OPERATION_NAME, OUTCOME},
};

use crate::{
    budget::BudgetKind,
    model::{BreakerState, WaitReason},
    outcome::RunOutcome,
    wire::TokenUsage,
};

/// Where figures go. Copies are one and the same.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    duration: Histogram<f64>,
    first_chunk: Histogram<f64>,
    token_usage: Histogram<u64>,
    input: Counter<u64>,
    output: Counter<u64>,
    cache_read: Counter<u64>,
    cache_write: Counter<u64>,
    reasoning: Counter<u64>,
    cost: Counter<f64>,
    retries: Counter<u64>,
    fallbacks: Counter<u64>,
    breaker: Gauge<u64>,
    waits: Histogram<f64>,
    cache: Counter<u64>,
    saved: Counter<f64>,
    compactions: Counter<u64>,
    budget: Counter<u64>,
    run_duration: Histogram<f64>,
    run_turns: Histogram<u64>,
    run_calls: Histogram<u64>,
    runs: Counter<u64>,
}

/// A model as the labels have it: the operator's own words, never a server's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
}

impl<'a> Asked<'a> {
    /// The model of a name such as `openai:gpt-6`, as [`Reply::answered_by`](crate::wire::Reply) has it.
    pub(crate) fn named(name: &'a str) -> Self {
        let (provider, model) = name.split_once(':').unwrap_or((super::OTHER, name));
        Self { provider, model }
    }

    fn labels(self) -> [KeyValue; 2] {
        [
            KeyValue::new(super::PROVIDER, self.provider.to_owned()),
            KeyValue::new(super::REQUEST_MODEL, self.model.to_owned()),
        ]
    }

    /// The labels of an operation, and one more.
    fn with(self, further: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
        let mut labels = vec![KeyValue::new(OPERATION_NAME, super::CHAT)];
        labels.extend(self.labels());
        labels.extend(further);
        labels
    }
}

impl Metrics {
    /// Figures for the reader of this meter.
    pub fn new(meter: &Meter) -> Self {
        Self(Arc::new(Instruments {
            duration: super::OPERATION_DURATION.histogram_of(meter),
            first_chunk: super::FIRST_CHUNK.histogram_of(meter),
            token_usage: super::TOKEN_USAGE.whole_histogram(meter),
            input: super::INPUT_TOKENS.whole_counter(meter),
            output: super::OUTPUT_TOKENS.whole_counter(meter),
            cache_read: super::CACHE_READ_TOKENS.whole_counter(meter),
            cache_write: super::CACHE_WRITE_TOKENS.whole_counter(meter),
            reasoning: super::REASONING_TOKENS.whole_counter(meter),
            cost: super::COSTS.counter_of(meter),
            retries: super::RETRIES.whole_counter(meter),
            fallbacks: super::FALLBACKS.whole_counter(meter),
            breaker: super::BREAKER.whole_gauge(meter),
            waits: super::WAITS.histogram_of(meter),
            cache: super::CACHE_LOOKUPS.whole_counter(meter),
            saved: super::CACHE_SAVED.counter_of(meter),
            compactions: super::COMPACTIONS.whole_counter(meter),
            budget: super::BUDGET_REFUSALS.whole_counter(meter),
            run_duration: super::RUN_DURATION.histogram_of(meter),
            run_turns: super::RUN_TURNS.whole_histogram(meter),
            run_calls: super::RUN_CALLS.whole_histogram(meter),
            runs: super::RUNS.whole_counter(meter),
        }))
    }

    /// Figures for nobody.
    pub fn none() -> Self {
        Self::new(&NoopMeterProvider::new().meter("toolcell"))
    }

    /// A turn ended, in an error or not.
    pub(crate) fn turn(&self, asked: Asked<'_>, time: Duration, error: Option<&'static str>) {
        let error = error.map(|kind| KeyValue::new(ERROR_TYPE, kind));
        self.0
            .duration
            .record(time.as_secs_f64(), &asked.with(error));
    }

    /// The first piece of an answer came.
    pub(crate) fn first_chunk(&self, asked: Asked<'_>, time: Duration) {
        self.0
            .first_chunk
            .record(time.as_secs_f64(), &asked.with([]));
    }

    /// What a turn used.
    pub(crate) fn tokens(&self, asked: Asked<'_>, usage: &TokenUsage) {
        let it = &self.0;
        let modality = KeyValue::new(super::TOKEN_MODALITY, "unknown");
        let labels = asked.with([modality]);
        it.input.add(usage.prompt_tokens(), &labels);
        it.output.add(usage.output_tokens, &labels);
        it.cache_read.add(usage.cache_read_input_tokens, &labels);
        it.cache_write
            .add(usage.cache_creation_input_tokens, &labels);
        if let Some(thinking) = usage.thinking_tokens() {
            it.reasoning.add(thinking, &labels);
        }
        for (kind, tokens) in [
            ("input", usage.prompt_tokens()),
            ("output", usage.output_tokens),
        ] {
            let labels = asked.with([KeyValue::new(super::TOKEN_TYPE, kind)]);
            it.token_usage.record(tokens, &labels);
        }
    }

    /// What a turn cost.
    pub(crate) fn cost(&self, asked: Asked<'_>, micro_usd: u64) {
        self.0.cost.add(dollars(micro_usd), &asked.labels());
    }

    /// A request is sent again.
    pub(crate) fn retried(&self, provider: &str, model: &str) {
        self.0.retries.add(1, &Asked { provider, model }.labels());
    }

    /// Another model answered than the one that was asked first.
    pub(crate) fn fell_back(&self, answered: Asked<'_>) {
        self.0.fallbacks.add(1, &answered.labels());
    }

    /// A request has waited.
    pub(crate) fn waited(&self, provider: &str, model: &str, reason: WaitReason, time: Duration) {
        let [provider, model] = Asked { provider, model }.labels();
        let reason = KeyValue::new(super::WAIT_REASON, reason.name());
        let labels = [provider, model, reason];
        self.0.waits.record(time.as_secs_f64(), &labels);
    }

    /// What the breaker of a model is.
    pub(crate) fn breaker(&self, provider: &str, model: &str, state: BreakerState) {
        let state = match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        let labels = Asked { provider, model }.labels();
        self.0.breaker.record(state, &labels);
    }

    /// The response cache was looked into, or was given an answer.
    pub(crate) fn cache_looked(&self, outcome: &'static str) {
        let labels = [KeyValue::new(super::CACHE_OUTCOME, outcome)];
        self.0.cache.add(1, &labels);
    }

    /// An answer came out of the response cache.
    pub(crate) fn cache_saved(&self, micro_usd: u64) {
        self.0.saved.add(dollars(micro_usd), &[]);
    }

    /// A conversation was made shorter: `results` of tools, or the whole (`summary`).
    pub(crate) fn compacted(&self, what: &'static str) {
        self.0
            .compactions
            .add(1, &[KeyValue::new(super::COMPACTED, what)]);
    }

    /// A budget ended a run.
    fn refused(&self, budget: BudgetKind) {
        let labels = [KeyValue::new(super::BUDGET, budget.to_string())];
        self.0.budget.add(1, &labels);
    }

    /// A run ended, or this process's part of it.
    pub(crate) fn run(&self, asked: Asked<'_>, ended: &RunFigures<'_>) {
        let it = &self.0;
        let labels = asked.labels();
        it.runs.add(1, &[KeyValue::new(OUTCOME, ended.name())]);
        if let Some(RunOutcome::BudgetExceeded(over)) = ended.outcome {
            self.refused(over.budget);
        }
        it.run_turns.record(ended.turns, &labels);
        it.run_calls.record(ended.calls, &labels);
        let mut labels = labels.to_vec();
        labels.extend(
            ended
                .code()
                .map(|kind| KeyValue::new(ERROR_TYPE, kind.code())),
        );
        it.run_duration.record(ended.time.as_secs_f64(), &labels);
    }
}

/// What there is to count of a run.
pub(crate) struct RunFigures<'a> {
    /// How it ended; nothing where the host failed.
    pub(crate) outcome: Option<&'a RunOutcome>,
    pub(crate) turns: u64,
    pub(crate) calls: u64,
    pub(crate) time: Duration,
}

impl RunFigures<'_> {
    /// The word for how it ended.
    pub(crate) fn name(&self) -> &'static str {
        self.outcome
            .map_or(ErrorKind::Internal.code(), RunOutcome::name)
    }

    /// The code of a run that failed.
    pub(crate) fn code(&self) -> Option<ErrorKind> {
        self.outcome
            .map_or(Some(ErrorKind::Internal), RunOutcome::code)
    }
}

/// A sum of money for people who add up dollars.
pub(crate) fn dollars(micro_usd: u64) -> f64 {
    micro_usd as f64 / 1_000_000.0
}
