//! Progress of a long call, for whoever waits for it.

use std::time::{Duration, Instant};

use wasmtime::component::{HasData, Linker};

use super::{
    bindings::toolcell::tool::progress::{self, Host},
    recorder::{MAX_HEARD_BYTES, Recorder},
};
use crate::CallEvent;

/// The shortest time between two reports that are passed on.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);

/// The progress of one call.
pub(crate) struct ProgressState {
    recorder: Recorder,
    last: Option<Instant>,
    /// The newest report that was not passed on.
    pending: Option<Report>,
}

struct Report {
    done: f64,
    total: Option<f64>,
    message: Option<String>,
}

impl ProgressState {
    /// Nothing reported yet.
    pub(crate) fn new(recorder: Recorder) -> Self {
        Self {
            recorder,
            last: None,
            pending: None,
        }
    }

    /// Passes on the last report, if it was held back. To be called once, after the call.
    pub(crate) fn finish(&mut self) {
        if let Some(report) = self.pending.take() {
            self.send(report);
        }
    }

    /// Passes a report on, if it makes sense and is not too early; otherwise the newest of those waits.
    pub(crate) fn tell(&mut self, done: f64, total: Option<f64>, message: Option<String>) {
        if self.recorder.is_heard()
            && let Some(report) = sensible(done, total, message)
        {
            self.report_at(Instant::now(), report);
        }
    }

    fn report_at(&mut self, now: Instant, report: Report) {
        let early = self.last.is_some_and(|last| now < last + INTERVAL);
        if early {
            self.pending = Some(report);
        } else {
            self.pending = None;
            self.last = Some(now);
            self.send(report);
        }
    }

    fn send(&self, report: Report) {
        self.recorder.emit(CallEvent::Progress {
            done: report.done,
            total: report.total,
            message: report.message,
        });
    }
}

/// A report that makes sense: `done` must be a finite number of at least 0, and so must `total`, or it is left out.
fn sensible(done: f64, total: Option<f64>, message: Option<String>) -> Option<Report> {
    let counts = |n: f64| n.is_finite() && n >= 0.0;
    counts(done).then(|| Report {
        done,
        total: total.filter(|total| counts(*total)),
        message: message.map(|mut message| {
            message.truncate(message.floor_char_boundary(MAX_HEARD_BYTES));
            message
        }),
    })
}

struct HasProgress;

impl HasData for HasProgress {
    type Data<'a> = &'a mut ProgressState;
}

/// Links `toolcell:tool/progress`.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: fn(&mut T) -> &mut ProgressState,
) -> wasmtime::Result<()> {
    progress::add_to_linker::<T, HasProgress>(linker, get)
}

impl Host for ProgressState {
    fn report(
        &mut self,
        done: f64,
        total: Option<f64>,
        message: Option<String>,
    ) -> wasmtime::Result<()> {
        self.tell(done, total, message);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{CallId, capability::recorder::MAX_TEXT_BYTES};

    type Heard = Arc<Mutex<Vec<(f64, Option<f64>, Option<String>)>>>;

    fn progress() -> (ProgressState, Heard) {
        let heard = Heard::default();
        let sink = heard.clone();
        let events: crate::EventSink = Arc::new(move |_, event| {
            if let CallEvent::Progress {
                done,
                total,
                message,
            } = event
            {
                sink.lock().unwrap().push((done, total, message));
            }
        });
        let recorder = Recorder::new(CallId::new("call_1"), Some(events));
        (ProgressState::new(recorder), heard)
    }

    #[test]
    fn a_flood_becomes_one_event_an_interval_and_the_last_report() {
        let (mut progress, heard) = progress();
        let start = Instant::now();
        for step in 0..100_u32 {
            let report = sensible(f64::from(step), Some(99.0), None).unwrap();
            progress.report_at(start + Duration::from_millis(step.into()), report);
        }
        progress.finish();
        progress.finish();
        let done: Vec<f64> = heard.lock().unwrap().iter().map(|r| r.0).collect();
        assert_eq!(done, [0.0, 50.0, 99.0]);
    }

    #[test]
    fn numbers_that_make_no_sense_are_left_out() {
        let (mut progress, heard) = progress();
        for done in [f64::NAN, f64::INFINITY, -1.0] {
            progress.report(done, None, None).unwrap();
        }
        progress
            .report(1.0, Some(f64::NAN), Some("a\nb".into()))
            .unwrap();
        progress.finish();
        assert_eq!(*heard.lock().unwrap(), [(1.0, None, Some("a\\nb".into()))]);
    }

    #[test]
    fn a_long_message_is_cut() {
        let long = "ä".repeat(MAX_HEARD_BYTES);
        let report = sensible(1.0, None, Some(long.clone())).unwrap();
        assert_eq!(report.message.unwrap().len(), MAX_HEARD_BYTES);
        let (mut progress, heard) = progress();
        progress.report(1.0, None, Some(long)).unwrap();
        let heard = heard.lock().unwrap();
        assert_eq!(heard[0].2.as_ref().unwrap().len(), MAX_TEXT_BYTES);
    }
}
