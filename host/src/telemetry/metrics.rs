//! The figures of a host: what its tools were asked to do, and what became of it.

use std::time::{Duration, Instant};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter, MeterProvider as _, NoopMeterProvider},
};

use super::{
    ADMISSION_QUESTIONS, ADMISSION_RUNNING, ADMISSION_SESSIONS, ADMISSION_TURNED_AWAY,
    ADMISSION_WAITING, ANSWER, APPROVALS, CAPABILITY, ERROR_TYPE, EXECUTE_TOOL_DURATION,
    MetricInfo, OTHER, OUTCOME, TOOL_CALLS, TOOL_DENIALS, TOOL_NAME, TOOL_TYPE, TOOL_TYPE_VALUE,
};
use crate::{AdmissionReport, ErrorKind, ToolResult};

/// The capabilities that denials name. Any other word counts as [`OTHER`].
const CAPABILITIES: &[&str] = &["approve", "combine", "files", "net", "secrets", "tools"];

/// Where the figures of a host go.
pub(crate) struct Metrics {
    calls: Counter<u64>,
    denials: Counter<u64>,
    approvals: Counter<u64>,
    duration: Histogram<f64>,
}

impl Default for Metrics {
    /// Figures for nobody.
    fn default() -> Self {
        Self::new(&NoopMeterProvider::new().meter("toolcell"))
    }
}

impl Metrics {
    /// Figures for the reader of this meter.
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            calls: TOOL_CALLS.whole_counter(meter),
            denials: TOOL_DENIALS.whole_counter(meter),
            approvals: APPROVALS.whole_counter(meter),
            duration: EXECUTE_TOOL_DURATION.histogram_of(meter),
        }
    }

    /// A call begins. It counts when what is returned is told how it ended, or dropped.
    pub(crate) fn call(&self, tool: Option<&str>) -> Measured<'_> {
        Measured {
            metrics: self,
            tool: tool.unwrap_or(OTHER).to_owned(),
            began: Instant::now(),
            ended: false,
        }
    }

    /// A question to a person was answered with one of the words of [`ANSWER`].
    pub(crate) fn asked(&self, tool: &str, answer: &'static str) {
        let labels = [
            KeyValue::new(TOOL_NAME, tool.to_owned()),
            KeyValue::new(ANSWER, answer),
        ];
        self.approvals.add(1, &labels);
    }

    fn ended(&self, tool: &str, time: Duration, code: Option<&'static str>) {
        let name = KeyValue::new(TOOL_NAME, tool.to_owned());
        let outcome = KeyValue::new(OUTCOME, code.unwrap_or("ok"));
        self.calls.add(1, &[name.clone(), outcome]);
        let mut labels = vec![name, KeyValue::new(TOOL_TYPE, TOOL_TYPE_VALUE)];
        labels.extend(code.map(|code| KeyValue::new(ERROR_TYPE, code)));
        self.duration.record(time.as_secs_f64(), &labels);
    }
}

/// One call under way.
pub(crate) struct Measured<'a> {
    metrics: &'a Metrics,
    tool: String,
    began: Instant,
    ended: bool,
}

impl Measured<'_> {
    /// Counts what came of the call.
    pub(crate) fn end(mut self, result: &ToolResult) {
        self.ended = true;
        let code = result.failure.as_ref().map(|failure| failure.kind.code());
        self.metrics.ended(&self.tool, self.began.elapsed(), code);
        for denial in &result.denials {
            let known = CAPABILITIES.iter().find(|it| **it == denial.capability);
            let labels = [
                KeyValue::new(TOOL_NAME, self.tool.clone()),
                KeyValue::new(CAPABILITY, *known.unwrap_or(&OTHER)),
            ];
            self.metrics.denials.add(1, &labels);
        }
    }

    /// Counts that the host failed.
    pub(crate) fn broken(mut self) {
        self.ended = true;
        let code = Some(ErrorKind::Internal.code());
        self.metrics.ended(&self.tool, self.began.elapsed(), code);
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        // Its caller went away.
        if !self.ended {
            let code = Some(ErrorKind::Cancelled.code());
            self.metrics.ended(&self.tool, self.began.elapsed(), code);
        }
    }
}

/// Has the meter ask how much a host has to do, whenever somebody wants to know; nothing once the host is gone.
pub(crate) fn watch<F>(meter: &Meter, report: F)
where
    F: Fn() -> Option<AdmissionReport> + Clone + Send + Sync + 'static,
{
    type Part = fn(&AdmissionReport) -> u32;
    let gauges: [(MetricInfo, Part); 4] = [
        (ADMISSION_RUNNING, |report| report.running),
        (ADMISSION_WAITING, |report| report.waiting),
        (ADMISSION_QUESTIONS, |report| report.questions),
        (ADMISSION_SESSIONS, |report| report.sessions),
    ];
    for (info, part) in gauges {
        let report = report.clone();
        let gauge = meter.u64_observable_gauge(info.name).with_unit(info.unit);
        let gauge = gauge.with_description(info.about);
        let told = gauge.with_callback(move |observer| {
            if let Some(report) = report() {
                observer.observe(u64::from(part(&report)), &[]);
            }
        });
        told.build();
    }
    let info = ADMISSION_TURNED_AWAY;
    let counter = meter.u64_observable_counter(info.name).with_unit(info.unit);
    let counter = counter.with_description(info.about);
    let told = counter.with_callback(move |observer| {
        if let Some(report) = report() {
            observer.observe(report.turned_away, &[]);
        }
    });
    told.build();
}
