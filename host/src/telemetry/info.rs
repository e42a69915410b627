//! What a metric is: its name and all else that an instrument and the documentation are made of.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

/// The bounds of durations in seconds, as the conventions give them for one operation.
pub const OPERATION_SECONDS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// One metric. Its labels have a bounded number of values each: none is an id, a path or a text of anybody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricInfo {
    /// Its name, with dots.
    pub name: &'static str,
    /// How its numbers are to be read.
    pub kind: MetricKind,
    /// Its unit as the Unified Code for Units of Measure writes it; what is counted stands in braces.
    pub unit: &'static str,
    /// What it says, in one line.
    pub about: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// The upper bounds of a histogram's buckets.
    pub bounds: &'static [f64],
}

/// How the numbers of a metric are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that only grows.
    Counter,
    /// A number as it is now.
    Gauge,
    /// How often values were in which range, and their sum.
    Histogram,
}

/// One kind of span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanInfo {
    /// Its name; what stands in braces is that of the tool, model or agent.
    pub name: &'static str,
    /// What it is about, in one line.
    pub about: &'static str,
    /// Its attributes, each with what it says.
    pub attributes: &'static [(&'static str, &'static str)],
}

impl MetricKind {
    /// `counter`, `gauge` or `histogram`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl MetricInfo {
    /// A number that only grows.
    pub const fn counter(
        name: &'static str,
        unit: &'static str,
        about: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            kind: MetricKind::Counter,
            unit,
            about,
            labels,
            bounds: &[],
        }
    }

    /// A number as it is now.
    pub const fn gauge(
        name: &'static str,
        unit: &'static str,
        about: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self {
            kind: MetricKind::Gauge,
            ..Self::counter(name, unit, about, labels)
        }
    }

    /// A distribution.
    pub const fn histogram(
        name: &'static str,
        unit: &'static str,
        about: &'static str,
        labels: &'static [&'static str],
        bounds: &'static [f64],
    ) -> Self {
        Self {
            kind: MetricKind::Histogram,
            bounds,
            ..Self::counter(name, unit, about, labels)
        }
    }

    /// The name that Prometheus has for it: no dots, and the unit and what is counted at its end.
    pub fn prometheus_name(&self) -> String {
        let mut name = self.name.replace('.', "_");
        if self.unit == "s" {
            name.push_str("_seconds");
        }
        if self.kind == MetricKind::Counter {
            name.push_str("_total");
        }
        name
    }

    /// A counter of whole numbers.
    pub fn whole_counter(&self, meter: &Meter) -> Counter<u64> {
        let built = meter.u64_counter(self.name).with_unit(self.unit);
        built.with_description(self.about).build()
    }

    /// A counter of numbers with fractions.
    pub fn counter_of(&self, meter: &Meter) -> Counter<f64> {
        let built = meter.f64_counter(self.name).with_unit(self.unit);
        built.with_description(self.about).build()
    }

    /// A distribution of whole numbers.
    pub fn whole_histogram(&self, meter: &Meter) -> Histogram<u64> {
        let built = meter.u64_histogram(self.name).with_unit(self.unit);
        let built = built.with_boundaries(self.bounds.to_vec());
        built.with_description(self.about).build()
    }

    /// A distribution of numbers with fractions, such as seconds.
    pub fn histogram_of(&self, meter: &Meter) -> Histogram<f64> {
        let built = meter.f64_histogram(self.name).with_unit(self.unit);
        let built = built.with_boundaries(self.bounds.to_vec());
        built.with_description(self.about).build()
    }

    /// A number that is set when it changes.
    pub fn whole_gauge(&self, meter: &Meter) -> Gauge<u64> {
        let built = meter.u64_gauge(self.name).with_unit(self.unit);
        built.with_description(self.about).build()
    }
}
