//! The figures of the model side, with the names of the OpenTelemetry conventions for generative AI, and `toolcell.*`
//! where those have no word. Every name stands here once.

use std::sync::Arc;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter, MeterProvider as _, NoopMeterProvider},
};

/// How often a request to a model was sent again.
pub const RETRIES: &str = "toolcell.model.retries";
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
}

impl Metrics {
    /// Figures for the reader of this meter.
    pub fn new(meter: &Meter) -> Self {
        Self(Arc::new(Instruments {
            retries: meter
                .u64_counter(RETRIES)
                .with_description("Requests to a model that were sent again")
                .build(),
        }))
    }

    /// Figures for nobody.
    pub fn none() -> Self {
        Self::new(&NoopMeterProvider::new().meter("toolcell"))
    }

    /// A request is sent again.
    pub(crate) fn retried(&self, provider: &str, model: &str) {
        let labels = [
            KeyValue::new(PROVIDER, provider.to_owned()),
            KeyValue::new(REQUEST_MODEL, model.to_owned()),
        ];
        self.0.retries.add(1, &labels);
    }
}
