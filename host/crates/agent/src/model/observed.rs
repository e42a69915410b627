//! A model that is watched: a span and figures for every turn.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use toolcell::{
    ErrorKind, Redaction,
    telemetry::{ERROR_TYPE, OPERATION_NAME},
};
use tracing::{Instrument as _, Span, field::Empty, info_span};

use super::{Account, ModelError, ModelEvent, ModelProvider, ModelSink};
use crate::{
    metrics::{
        ANSWERED_BY, Asked, CACHED, CHAT, CONVERSATION, COST, FINISH_REASONS, INPUT_MESSAGES,
        INSTRUCTIONS, Metrics, OUTPUT_MESSAGES, PROVIDER, REQUEST_MAX_TOKENS, REQUEST_MODEL,
        REQUEST_STREAM, RESPONSE_FIRST_CHUNK, RESPONSE_ID, RESPONSE_MODEL, SPAN_RETRIES, TURN,
        USAGE_CACHE_READ, USAGE_CACHE_WRITE, USAGE_INPUT, USAGE_OUTPUT, USAGE_REASONING, content,
        dollars,
    },
    wire::{ModelRequest, Reply},
};

/// Says what a turn cost in millionths of a US dollar, where that is known.
type Cost = dyn Fn(&Reply) -> Option<u64> + Send + Sync;

/// Watches a model. It is the outermost layer: what it measures is what a run waits for.
pub struct Observed {
    model: Arc<dyn ModelProvider>,
    metrics: Metrics,
    cost: Box<Cost>,
    content: Option<Redaction>,
}

impl Observed {
    /// Watches `model`, and tells `metrics`.
    pub fn new(model: Arc<dyn ModelProvider>, metrics: Metrics) -> Self {
        Self {
            model,
            metrics,
            cost: Box::new(|_| None),
            content: None,
        }
    }

    /// Also says in its spans what people, models and tools said, without what this search takes out. Default no.
    #[must_use]
    pub fn content(mut self, redaction: Option<Redaction>) -> Self {
        self.content = redaction;
        self
    }

    /// Also says what turns cost, in millionths of a US dollar.
    #[must_use]
    pub fn priced(mut self, cost: impl Fn(&Reply) -> Option<u64> + Send + Sync + 'static) -> Self {
        self.cost = Box::new(cost);
        self
    }

    fn span(&self, request: &ModelRequest) -> Span {
        let model = self.model.id();
        info_span!(
            CHAT,
            otel.name = format!("{CHAT} {model}"),
            otel.kind = "client",
            otel.status_code = Empty,
            { OPERATION_NAME } = CHAT,
            { PROVIDER } = self.model.provider(),
            { REQUEST_MODEL } = model,
            { REQUEST_MAX_TOKENS } = request.max_tokens,
            { REQUEST_STREAM } = true,
            { CONVERSATION } = request.conversation.as_str(),
            { TURN } = request.turn.saturating_add(1),
            { ERROR_TYPE } = Empty,
            { RESPONSE_MODEL } = Empty,
            { RESPONSE_ID } = Empty,
            { FINISH_REASONS } = Empty,
            { RESPONSE_FIRST_CHUNK } = Empty,
            { USAGE_INPUT } = Empty,
            { USAGE_OUTPUT } = Empty,
            { USAGE_CACHE_READ } = Empty,
            { USAGE_CACHE_WRITE } = Empty,
            { USAGE_REASONING } = Empty,
            { COST } = Empty,
            { SPAN_RETRIES } = Empty,
            { CACHED } = Empty,
            { ANSWERED_BY } = Empty,
            { INSTRUCTIONS } = Empty,
            { INPUT_MESSAGES } = Empty,
            { OUTPUT_MESSAGES } = Empty,
        )
    }

    /// Writes down what the model is asked, where that is wanted.
    fn asked(&self, span: &Span, request: &ModelRequest) {
        let Some(redaction) = self.content.as_ref().filter(|_| !span.is_disabled()) else {
            return;
        };
        if let Some(system) = &request.system {
            let text = content::instructions(redaction, system);
            span.record(INSTRUCTIONS, text);
        }
        span.record(INPUT_MESSAGES, content::input(redaction, &request.messages));
    }

    async fn watch(
        &self,
        request: &ModelRequest,
        sink: ModelSink<'_>,
    ) -> Result<Reply, ModelError> {
        let span = self.span(request);
        self.asked(&span, request);
        let turn = Turn::new(self);
        let watching = |event: ModelEvent| {
            turn.saw(&event);
            sink(event);
        };
        let answer = self.model.stream(request, &watching);
        let answer = answer.instrument(span.clone()).await;
        turn.ended(&span, &answer);
        answer
    }
}

impl ModelProvider for Observed {
    fn id(&self) -> &str {
        self.model.id()
    }

    fn provider(&self) -> &str {
        self.model.provider()
    }

    fn is_free(&self) -> bool {
        self.model.is_free()
    }

    fn account(&self) -> Account {
        self.model.account()
    }

    fn others(&self) -> Vec<String> {
        self.model.others()
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(self.watch(request, sink))
    }

    fn count_tokens<'a>(
        &'a self,
        request: &'a ModelRequest,
    ) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        self.model.count_tokens(request)
    }
}

/// One turn under way. Whoever drops it before its end gave it up, which counts as well.
struct Turn<'a> {
    observed: &'a Observed,
    began: Instant,
    first: OnceLock<Duration>,
    retries: AtomicU64,
    ended: bool,
}

impl<'a> Turn<'a> {
    fn new(observed: &'a Observed) -> Self {
        Self {
            observed,
            began: Instant::now(),
            first: OnceLock::new(),
            retries: AtomicU64::new(0),
            ended: false,
        }
    }

    fn asked(&self) -> Asked<'a> {
        Asked {
            provider: self.observed.model.provider(),
            model: self.observed.model.id(),
        }
    }

    fn saw(&self, event: &ModelEvent) {
        if let ModelEvent::Text(_) | ModelEvent::Thinking(_) | ModelEvent::ToolUse { .. } = event {
            self.first.get_or_init(|| self.began.elapsed());
        } else if let ModelEvent::Retry { .. } = event {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn ended(mut self, span: &Span, answer: &Result<Reply, ModelError>) {
        self.ended = true;
        let metrics = &self.observed.metrics;
        let error = answer.as_ref().err().map(ModelError::kind);
        metrics.turn(self.asked(), self.began.elapsed(), error);
        let retries = self.retries.load(Ordering::Relaxed);
        if retries > 0 {
            span.record(SPAN_RETRIES, retries);
        }
        if let Some(first) = self.first.get() {
            span.record(RESPONSE_FIRST_CHUNK, first.as_secs_f64());
        }
        match answer {
            Ok(reply) => self.answered(span, reply),
            Err(error) => {
                span.record(ERROR_TYPE, error.kind());
                span.record("otel.status_code", "error");
            }
        }
    }

    /// What came counts for who answered. Nothing was spent on an answer out of the cache.
    fn answered(&self, span: &Span, reply: &Reply) {
        let metrics = &self.observed.metrics;
        let other = reply.answered_by.as_deref().map(Asked::named);
        let answered = other.unwrap_or_else(|| self.asked());
        let cost = (self.observed.cost)(reply);
        if reply.cached.is_some() {
            span.record(CACHED, true);
        } else {
            metrics.tokens(answered, &reply.usage);
            if let Some(first) = self.first.get() {
                metrics.first_chunk(answered, *first);
            }
            if let Some(cost) = cost {
                metrics.cost(answered, cost);
            }
        }
        if other.is_some() {
            metrics.fell_back(answered);
        }
        if let Some(cost) = cost {
            span.record(COST, dollars(cost));
        }
        record_reply(span, reply);
        if let Some(redaction) = &self.observed.content {
            span.record(OUTPUT_MESSAGES, content::output(redaction, reply));
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let cancelled = Some(ErrorKind::Cancelled.code());
            let metrics = &self.observed.metrics;
            metrics.turn(self.asked(), self.began.elapsed(), cancelled);
        }
    }
}

fn record_reply(span: &Span, reply: &Reply) {
    let text = |name: &str| reply.extra.get(name).and_then(serde_json::Value::as_str);
    if let Some(model) = text("model") {
        span.record(RESPONSE_MODEL, model);
    }
    if let Some(id) = text("id") {
        span.record(RESPONSE_ID, id);
    }
    if let Some(reason) = &reply.stop_reason {
        span.record(FINISH_REASONS, reason.as_str());
    }
    if let Some(other) = &reply.answered_by {
        span.record(ANSWERED_BY, other.as_str());
    }
    let usage = &reply.usage;
    span.record(USAGE_INPUT, usage.prompt_tokens());
    span.record(USAGE_OUTPUT, usage.output_tokens);
    span.record(USAGE_CACHE_READ, usage.cache_read_input_tokens);
    span.record(USAGE_CACHE_WRITE, usage.cache_creation_input_tokens);
    if let Some(thinking) = usage.thinking_tokens() {
        span.record(USAGE_REASONING, thinking);
    }
}

#[cfg(test)]
mod tests;
