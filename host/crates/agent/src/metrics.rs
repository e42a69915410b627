//! The figures of the model side, with the names of the OpenTelemetry conventions for generative AI, and `toolcell.*`
//! where those have no word. Every name stands here once.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram, Meter, MeterProvider as _, NoopMeterProvider},
};

use crate::model::{BreakerState, WaitReason};

/// How often a request to a model was sent again.
pub const RETRIES: &str = "toolcell.model.retries";
/// How long requests to a model waited before they were sent, by reason.
pub const WAITS: &str = "toolcell.model.wait.duration";
/// Why a request waited.
pub const WAIT_REASON: &str = "toolcell.model.wait.reason";
/// Whether requests to a model are sent: 0 for closed, 1 for half open, 2 for open.
pub const BREAKER: &str = "toolcell.model.breaker.state";
/// How often the response cache was looked into, by what came of it.
pub const CACHE_LOOKUPS: &str = "toolcell.cache.lookups";
/// What came of a look into the response cache: `hit`, `shared`, `miss`, `left_out`, `kept`, `not_kept`.
pub const CACHE_OUTCOME: &str = "toolcell.cache.outcome";
/// What answers out of the response cache had cost, in millionths of a US dollar.
pub const CACHE_SAVED: &str = "toolcell.cache.saved";
/// Whose API a model is asked through.
pub const PROVIDER: &str = "gen_ai.provider.name";
/// The model that was asked.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";

/// Where figures go. Copies are one and the same.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    retries: Counter<u64>,
    waits: Histogram<f64>,
    breaker: Gauge<u64>,
    cache_lookups: Counter<u64>,
    cache_saved: Counter<u64>,
}

impl Metrics {
    /// Figures for the reader of this meter.
    pub fn new(meter: &Meter) -> Self {
        Self(Arc::new(Instruments {
            retries: meter
                .u64_counter(RETRIES)
                .with_description("Requests to a model that were sent again")
                .build(),
            waits: meter
                .f64_histogram(WAITS)
                .with_unit("s")
                .with_description("How long requests to a model waited before they were sent")
                .build(),
            breaker: meter
                .u64_gauge(BREAKER)
                .with_description("Whether requests are sent: 0 closed, 1 half open, 2 open")
                .build(),
            cache_lookups: meter
                .u64_counter(CACHE_LOOKUPS)
                .with_description("What came of looks into the response cache")
                .build(),
            cache_saved: meter
                .u64_counter(CACHE_SAVED)
                .with_unit("{usd_millionth}")
                .with_description("What answers out of the response cache had cost")
                .build(),
        }))
    }

    /// Figures for nobody.
    pub fn none() -> Self {
        Self::new(&NoopMeterProvider::new().meter("toolcell"))
    }

    /// A request is sent again.
    pub(crate) fn retried(&self, provider: &str, model: &str) {
        self.0.retries.add(1, &labels(provider, model));
    }

    /// A request has waited.
    pub(crate) fn waited(&self, provider: &str, model: &str, reason: WaitReason, time: Duration) {
        let [provider, model] = labels(provider, model);
        let labels = [provider, model, KeyValue::new(WAIT_REASON, reason.name())];
        self.0.waits.record(time.as_secs_f64(), &labels);
    }

    /// What the breaker of a model is.
    pub(crate) fn breaker(&self, provider: &str, model: &str, state: BreakerState) {
        let state = match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        self.0.breaker.record(state, &labels(provider, model));
    }

    /// The response cache was looked into, or was given an answer.
    pub(crate) fn cache_looked(&self, outcome: &'static str) {
        self.0
            .cache_lookups
            .add(1, &[KeyValue::new(CACHE_OUTCOME, outcome)]);
    }

    /// An answer came out of the response cache.
    pub(crate) fn cache_saved(&self, micro_usd: u64) {
        self.0.cache_saved.add(micro_usd, &[]);
    }
}

fn labels(provider: &str, model: &str) -> [KeyValue; 2] {
    [
        KeyValue::new(PROVIDER, provider.to_owned()),
        KeyValue::new(REQUEST_MODEL, model.to_owned()),
    ]
}
