//! Spans for a collector: made from the same `tracing` spans as the log, from the moment that an exporter is there.

use std::sync::OnceLock;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::{
    Event, Level, Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{Layer, filter::dynamic_filter_fn, layer::Context, registry::LookupSpan};

/// Where spans go. The log begins before any policy is read, and only the policy says whether there is a collector.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// From now on spans go to this provider's tracer.
pub(crate) fn trace_with(provider: &SdkTracerProvider, scope: &'static str) {
    let _ = TRACER.set(provider.tracer(scope));
    // Whoever asked before was told that nobody wants to know.
    tracing::callsite::rebuild_interest_cache();
}

/// Whether a span or an event is for the collector: those of toolcell, and of what it is about.
fn is_exported(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let ours =
        target == "toolcell" || target.starts_with("toolcell::") || target.starts_with("toolcell_");
    ours && *metadata.level() <= Level::INFO
}

/// The layer that does so.
pub(crate) fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let filter = dynamic_filter_fn(|metadata, _: &Context<'_, S>| {
        TRACER.get().is_some() && is_exported(metadata)
    });
    Later {
        inner: OnceLock::new(),
    }
    .with_filter(filter.with_max_level_hint(LevelFilter::INFO))
}

/// Does nothing until there is a tracer.
struct Later<S> {
    inner: OnceLock<OpenTelemetryLayer<S, SdkTracer>>,
}

impl<S> Later<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn inner(&self) -> Option<&OpenTelemetryLayer<S, SdkTracer>> {
        let tracer = TRACER.get()?;
        Some(self.inner.get_or_init(|| {
            tracing_opentelemetry::layer()
                .with_tracer(tracer.clone())
                // Where the code lies and on which thread it ran is of no use to whoever runs agents.
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_target(false)
                .with_context_activation(false)
        }))
    }
}

impl<S> Layer<S> for Later<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(inner) = self.inner() {
            inner.on_new_span(attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(inner) = self.inner() {
            inner.on_record(id, values, context);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if let Some(inner) = self.inner() {
            inner.on_event(event, context);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Some(inner) = self.inner() {
            inner.on_exit(id, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(inner) = self.inner() {
            inner.on_close(id, context);
        }
    }
}
