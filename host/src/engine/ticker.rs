//! The clock that interrupts guests: one thread for each engine, which advances the engine's epoch every millisecond
//! while calls run, sleeps while none do, and ends with the engine.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use wasmtime::Engine;

/// How often the epoch advances.
const TICK: Duration = Duration::from_millis(1);

/// After so many ticks without a call the thread goes to sleep, so that an idle host costs nothing.
const IDLE_TICKS: u32 = 100;

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
}

/// Owns the thread; dropping it ends the thread.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Ticker {
    /// Starts the clock of an engine. It does not keep the engine alive.
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let engine = engine.weak();
        let handle = thread::Builder::new()
            .name("toolcell-epoch".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || {
                    let mut idle = 0;
                    while !shared.ended.load(Ordering::Acquire) {
                        let Some(engine) = engine.upgrade() else {
                            return;
                        };
                        engine.increment_epoch();
                        drop(engine);
                        idle = shared.rest(idle);
                    }
                }
            })?;
        Ok(Self {
            shared,
            thread: handle.thread().clone(),
        })
    }

    /// Keeps the clock running until the returned guard is dropped.
    pub(crate) fn run(self: &Arc<Self>) -> Running {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(Arc::clone(self))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Shared {
    /// Sleeps for one tick, or until the next call where there was none for a while. Returns the ticks without a call.
    fn rest(&self, idle: u32) -> u32 {
        if self.running.load(Ordering::SeqCst) > 0 {
            thread::sleep(TICK);
            return 0;
        }
        if idle < IDLE_TICKS {
            thread::sleep(TICK);
            return idle + 1;
        }
        self.asleep.store(true, Ordering::SeqCst);
        // A call may have begun between the two looks; then it saw nobody asleep and woke nobody.
        if self.running.load(Ordering::SeqCst) == 0 && !self.ended.load(Ordering::Acquire) {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
        0
    }
}

/// A call is running.
pub(crate) struct Running(Arc<Ticker>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::engine::config::config;

    fn wait_until(what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}");
            thread::yield_now();
        }
    }

    #[test]
    fn it_ends_with_its_owner_awake_or_asleep() {
        let engine = Engine::new(&config(1, false)).unwrap();
        let ticker = Ticker::start(&engine).unwrap();
        let shared = Arc::downgrade(&ticker.shared);
        drop(ticker);
        wait_until("the thread ended", || shared.strong_count() == 0);

        let ticker = Ticker::start(&engine).unwrap();
        let shared = Arc::downgrade(&ticker.shared);
        wait_until("the thread sleeps", || {
            ticker.shared.asleep.load(Ordering::SeqCst)
        });
        drop(ticker);
        wait_until("the sleeping thread ended", || shared.strong_count() == 0);
    }

    #[test]
    fn it_does_not_keep_the_engine_alive() {
        let engine = Engine::new(&config(1, false)).unwrap();
        let weak = engine.weak();
        let ticker = Arc::new(Ticker::start(&engine).unwrap());
        let running = ticker.run();
        drop(engine);
        wait_until("the engine is gone", || weak.upgrade().is_none());
        drop(running);
    }

    #[test]
    fn a_call_wakes_it() {
        let engine = Engine::new(&config(1, false)).unwrap();
        let ticker = Arc::new(Ticker::start(&engine).unwrap());
        wait_until("the thread sleeps", || {
            ticker.shared.asleep.load(Ordering::SeqCst)
        });
        let running = ticker.run();
        wait_until("the thread is awake", || {
            !ticker.shared.asleep.load(Ordering::SeqCst)
        });
        drop(running);
    }
}
