//! Time that passes only when nothing else can happen, so that tests of hours take no time and always go the same way.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{sync::oneshot, time::Instant};

use crate::model::Timer;

/// A clock that [`VirtualTime::run`] moves.
pub(crate) struct VirtualTime {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    passed: Duration,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl VirtualTime {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            state: Mutex::default(),
        })
    }

    /// How much time has passed.
    pub(crate) fn passed(&self) -> Duration {
        self.state.lock().unwrap().passed
    }

    /// Lets time pass at once, whether or not somebody waits for it.
    pub(crate) fn pass(&self, time: Duration) {
        self.state.lock().unwrap().passed += time;
    }

    /// Runs to the end. Whenever nothing can go on, it is as late as the next one who waits wants.
    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            if !woken.0.swap(false, Ordering::SeqCst) {
                self.next();
            }
        }
    }

    fn next(&self) {
        let mut state = self.state.lock().unwrap();
        // Those who no longer listen have given up waiting.
        state.sleepers.retain(|(_, sleeper)| !sleeper.is_closed());
        let next = (0..state.sleepers.len()).min_by_key(|at| (state.sleepers[*at].0, *at));
        let (end, sleeper) = state
            .sleepers
            .remove(next.expect("nothing can ever go on again"));
        state.passed = state.passed.max(end);
        drop(state);
        let _ = sleeper.send(());
    }
}

impl Timer for VirtualTime {
    fn wait(&self, time: Duration) -> BoxFuture<'_, ()> {
        let (sleeper, woken) = oneshot::channel();
        let mut state = self.state.lock().unwrap();
        let end = state.passed + time;
        state.sleepers.push((end, sleeper));
        Box::pin(async move {
            let _ = woken.await;
        })
    }

    fn dice(&self) -> f64 {
        0.0
    }

    fn now(&self) -> Instant {
        self.start + self.passed()
    }
}

/// Waits no time, and remembers how long it would have waited.
pub(crate) struct FakeTimer {
    start: Instant,
    waits: Mutex<Vec<Duration>>,
}

impl FakeTimer {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            waits: Mutex::default(),
        })
    }

    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.waits.lock().unwrap().clone()
    }
}

impl Timer for FakeTimer {
    fn wait(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.waits.lock().unwrap().push(time) })
    }

    fn dice(&self) -> f64 {
        0.0
    }

    fn now(&self) -> Instant {
        self.start + self.waits().iter().sum::<Duration>()
    }
}
