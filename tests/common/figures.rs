//! A reader of figures for tests: what was counted, by name and labels.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        PeriodicReader, SdkMeterProvider, Temporality,
        data::{AggregatedMetrics, MetricData, ResourceMetrics},
        exporter::PushMetricExporter,
    },
};

/// Reads what instruments of its meter counted.
pub(crate) struct Figures {
    provider: SdkMeterProvider,
    seen: Seen,
}

/// Values by `name{label=value,…}`. A histogram has the lines `name.count{…}` and `name.sum{…}`.
pub(crate) type Values = BTreeMap<String, f64>;

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Values>>);

impl Figures {
    pub(crate) fn new() -> Self {
        let seen = Seen::default();
        // Read when a test wants to, and never by itself.
        let reader =
            PeriodicReader::builder(seen.clone()).with_interval(Duration::from_secs(86_400));
        let provider = SdkMeterProvider::builder()
            .with_reader(reader.build())
            .build();
        Self { provider, seen }
    }

    pub(crate) fn meter(&self) -> Meter {
        self.provider.meter("test")
    }

    /// Everything counted so far.
    pub(crate) fn read(&self) -> Values {
        // Where nothing was counted, nothing is told.
        self.seen.0.lock().unwrap().clear();
        self.provider.force_flush().unwrap();
        self.seen.0.lock().unwrap().clone()
    }
}

impl Seen {
    fn put<'a>(&self, name: &str, labels: impl Iterator<Item = &'a KeyValue>, value: f64) {
        let mut labels: Vec<String> = labels
            .map(|it| format!("{}={}", it.key, it.value))
            .collect();
        labels.sort();
        let key = format!("{name}{{{}}}", labels.join(","));
        self.0.lock().unwrap().insert(key, value);
    }

    fn data<T: Copy>(&self, name: &str, data: &MetricData<T>, number: fn(T) -> f64) {
        match data {
            MetricData::Gauge(gauge) => gauge
                .data_points()
                .for_each(|it| self.put(name, it.attributes(), number(it.value()))),
            MetricData::Sum(sum) => sum
                .data_points()
                .for_each(|it| self.put(name, it.attributes(), number(it.value()))),
            MetricData::Histogram(histogram) => histogram.data_points().for_each(|it| {
                self.put(&format!("{name}.count"), it.attributes(), it.count() as f64);
                self.put(&format!("{name}.sum"), it.attributes(), number(it.sum()));
            }),
            MetricData::ExponentialHistogram(_) => {}
        }
    }
}

impl PushMetricExporter for Seen {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            match metric.data() {
                AggregatedMetrics::F64(data) => self.data(metric.name(), data, |it| it),
                AggregatedMetrics::U64(data) => self.data(metric.name(), data, |it| it as f64),
                AggregatedMetrics::I64(data) => self.data(metric.name(), data, |it| it as f64),
            }
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
