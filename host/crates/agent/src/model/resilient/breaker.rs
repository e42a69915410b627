//! A circuit breaker: a server that keeps failing is left alone for a while.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::model::Timer;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// So many failures in a row open it. 0 turns it off. Default 5.
    pub failures: u32,
    /// So long no request is sent; then one may try. Default 30 s.
    pub open: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            open: Duration::from_secs(30),
        }
    }
}

/// Whether requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// They are.
    Closed,
    /// They are not.
    Open,
    /// One is, to see whether the server answers again.
    HalfOpen,
}

impl BreakerState {
    /// `closed`, `open` or `half_open`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Why a request is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// How long until one may try; zero while one does.
    pub(super) left: Duration,
    /// How many failures in a row there were.
    pub(super) failures: u32,
}

/// The state alone; time comes in.
#[derive(Debug)]
struct Circuit {
    settings: BreakerSettings,
    /// Failures in a row.
    failures: u32,
    /// Since when it is open, with its end.
    until: Option<Instant>,
    /// Whether one is trying.
    probing: bool,
}

/// What came of a request, as far as the server's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered, with an error of the request's or not.
    Alive,
    /// It failed; it may have said how long to leave it alone.
    Failed(Option<Duration>),
    /// Nothing was learned.
    Unknown,
}

impl Circuit {
    fn state(&self, now: Instant) -> BreakerState {
        match self.until {
            None => BreakerState::Closed,
            Some(until) if now < until => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// Whether a request may be sent, and whether it is the one that tries.
    fn admit(&mut self, now: Instant) -> Result<bool, Refused> {
        let Some(until) = self.until else {
            return Ok(false);
        };
        if now < until || self.probing {
            return Err(Refused {
                left: until.saturating_duration_since(now),
                failures: self.failures,
            });
        }
        self.probing = true;
        Ok(true)
    }

    fn end(&mut self, probe: bool, health: Health, now: Instant) {
        if probe {
            self.probing = false;
        } else if self.until.is_some() {
            // It was sent before the breaker opened. Only the one that tries can close it.
            return;
        }
        match health {
            Health::Unknown => {}
            Health::Alive => {
                self.failures = 0;
                self.until = None;
            }
            Health::Failed(asked) => {
                self.failures = self.failures.saturating_add(1);
                let enough = self.settings.failures > 0 && self.failures >= self.settings.failures;
                if probe || enough {
                    let open = self.settings.open.max(asked.unwrap_or_default());
                    self.until = now.checked_add(open).or(Some(now));
                }
            }
        }
    }
}

/// A breaker that many requests share.
pub(super) struct Breaker {
    circuit: Mutex<Circuit>,
    changed: Notify,
    timer: Arc<dyn Timer>,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings, timer: Arc<dyn Timer>) -> Arc<Self> {
        Arc::new(Self {
            circuit: Mutex::new(Circuit {
                settings,
                failures: 0,
                until: None,
                probing: false,
            }),
            changed: Notify::new(),
            timer,
        })
    }

    pub(super) fn state(&self) -> BreakerState {
        self.lock().state(self.timer.now())
    }

    /// Whether a request would be sent; it takes no place.
    pub(super) fn look(&self) -> Result<(), Refused> {
        let circuit = self.lock();
        let now = self.timer.now();
        match circuit.until {
            Some(until) if now < until || circuit.probing => Err(Refused {
                left: until.saturating_duration_since(now),
                failures: circuit.failures,
            }),
            _ => Ok(()),
        }
    }

    /// Leave to send one request.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Leave, Refused> {
        let probe = self.lock().admit(self.timer.now())?;
        Ok(Leave {
            breaker: Arc::clone(self),
            probe,
            health: Health::Unknown,
        })
    }

    /// Waits until a request would be sent, where that can be before `end`. `tell` hears of every wait.
    pub(super) async fn wait(
        &self,
        end: Instant,
        tell: &(dyn Fn(Duration) + Sync),
    ) -> Result<(), Refused> {
        loop {
            // Before the look, so that no change after it is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let Err(refused) = self.look() else {
                return Ok(());
            };
            let now = self.timer.now();
            let next = if refused.left.is_zero() {
                end
            } else {
                now.checked_add(refused.left).unwrap_or(end)
            };
            if now >= end || next > end {
                return Err(refused);
            }
            tell(refused.left);
            tokio::select! {
                () = changed => {}
                () = self.timer.wait(next.saturating_duration_since(now)) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        // Every change is one assignment after another that cannot panic, so the state is whole.
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to send one request. A request that is given up has taught nothing.
pub(super) struct Leave {
    breaker: Arc<Breaker>,
    probe: bool,
    health: Health,
}

impl Leave {
    pub(super) fn end(mut self, health: Health) {
        self.health = health;
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let now = self.breaker.timer.now();
        self.breaker.lock().end(self.probe, self.health, now);
        self.breaker.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
