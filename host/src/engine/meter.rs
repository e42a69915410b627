//! Measures and bounds the CPU time of one call.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

/// The CPU time that a call has used so far: the time its thread computed while the call was being polled. Waiting
/// for the host, for the network or for another thread does not count. What the tools it calls compute does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    micros: Arc<AtomicU64>,
}

impl Meter {
    /// What was used up to the last time the call gave way.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    /// Runs a future and adds the time of each poll.
    pub(crate) fn measure<F>(&self, inner: F) -> Measured<F> {
        Measured {
            inner: Box::pin(inner),
            meter: self.clone(),
        }
    }
}

/// A future whose CPU time is added to a [`Meter`].
pub(crate) struct Measured<F> {
    inner: Pin<Box<F>>,
    meter: Meter,
}

impl<F: Future> Future for Measured<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let before = thread_cpu_time();
        let result = self.inner.as_mut().poll(cx);
        let spent = thread_cpu_time().saturating_sub(before);
        let micros = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
        self.meter.micros.fetch_add(micros, Ordering::Relaxed);
        result
    }
}

/// The CPU time of this thread.
fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(micros: u64) {
        let start = thread_cpu_time();
        while thread_cpu_time() - start < Duration::from_micros(micros) {
            std::hint::spin_loop();
        }
    }

    #[tokio::test]
    async fn computing_counts() {
        let meter = Meter::default();
        meter
            .measure(async {
                spin(2_000);
                tokio::task::yield_now().await;
                spin(2_000);
            })
            .await;
        assert!(meter.used() >= Duration::from_millis(4));
    }

    #[tokio::test]
    async fn waiting_does_not_count() {
        let meter = Meter::default();
        meter
            .measure(tokio::time::sleep(Duration::from_millis(50)))
            .await;
        assert!(meter.used() < Duration::from_millis(25));
    }
}
