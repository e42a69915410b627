//! A model that is asked with care: not too often, not when its server keeps failing, and again when that makes sense.
//!
//! The tools of a turn run only when the whole turn is there, so none of them has run yet when a request is sent again,
//! however much of an answer was shown.

mod breaker;
mod lane;
mod lanes;
mod retry;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

pub use breaker::{BreakerSettings, BreakerState};
pub use lane::{LimitSettings, WaitReason};
pub use lanes::Lanes;
pub(crate) use retry::spent;
pub use retry::{RealTimer, Retry, Timer};

use super::{Account, ModelError, ModelEvent, ModelProvider, ModelSink};
use crate::{
    context,
    metrics::Metrics,
    wire::{ModelRequest, Reply},
};
use breaker::{Breaker, Health, Leave, Refused};
use lane::{Full, Lane, Need, Pass, Place};
use retry::{Tries, Verdict};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Asks one model with care. What it counts it shares with everybody who asks the same model of the same account through
/// the same [`Lanes`].
pub struct Resilient<M> {
    model: M,
    retry: Retry,
    lane: Arc<Lane>,
    breaker: Arc<Breaker>,
    timer: Arc<dyn Timer>,
    metrics: Metrics,
    last: bool,
}

/// One request, all its attempts together.
struct Turn {
    place: Place,
    need: Need,
    tries: Tries,
    /// When it no longer waits for the breaker.
    breaker_end: Option<Instant>,
    /// The pause that a retry told of needs no telling again.
    told: bool,
}

impl<M: ModelProvider> Resilient<M> {
    /// Asks `model` with lanes of its own.
    pub fn new(model: M, retry: Retry) -> Self {
        Self::shared(model, retry, &Lanes::default())
    }

    /// Asks `model` with lanes of its own, and waits as `timer` says.
    pub fn with_timer(model: M, retry: Retry, timer: Arc<dyn Timer>) -> Self {
        Self::shared(model, retry, &Lanes::default().timer(timer))
    }

    /// Asks `model` and counts in `lanes`.
    pub fn shared(model: M, retry: Retry, lanes: &Lanes) -> Self {
        let (lane, breaker) = lanes.of(&model);
        Self {
            model,
            retry,
            lane,
            breaker,
            timer: lanes.clock(),
            metrics: lanes.figures(),
            last: true,
        }
    }

    /// Another model answers where this one cannot. It then gives up at once while its breaker is open, instead of
    /// waiting until the server may be tried again.
    #[must_use]
    pub fn with_others(mut self) -> Self {
        self.last = false;
        self
    }

    async fn ask(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let mut turn = self.turn(request);
        loop {
            let (leave, pass) = self.admitted(&mut turn, sink).await?;
            let told = AtomicBool::new(false);
            let watch = |event: ModelEvent| self.watch(event, &told, sink);
            let error = match self.model.stream(request, &watch).await {
                Ok(reply) => {
                    self.ended(leave, Health::Alive);
                    pass.answered(&reply.usage);
                    return Ok(reply);
                }
                Err(error) => error,
            };
            let verdict = self.retry.verdict(&error, turn.tries, self.timer.dice());
            self.learn(leave, pass, &error, verdict);
            let delay = match verdict {
                Verdict::Final => return Err(error),
                Verdict::Again(delay) | Verdict::Paused(delay) => delay,
            };
            turn.again(verdict);
            sink(ModelEvent::Retry {
                attempt: turn.tries.sent(),
                delay,
                error: error.to_string(),
                discarded: told.into_inner(),
            });
            if let Verdict::Again(delay) = verdict {
                self.timer.wait(delay).await;
            }
        }
    }

    fn turn(&self, request: &ModelRequest) -> Turn {
        let now = self.timer.now();
        let mut longest = self.lane.longest_queue();
        if !self.last {
            // Another model may answer meanwhile.
            longest = longest.min(self.retry.longest_wait);
        }
        Turn {
            place: Place {
                ticket: self.lane.ticket(),
                again: false,
                longest,
                end: after(now, longest),
            },
            need: Need {
                input: context::estimate(request),
                max_output: request.max_tokens.into(),
            },
            tries: Tries::default(),
            breaker_end: None,
            told: false,
        }
    }

    /// Waits until the breaker and the limits let the request through.
    async fn admitted(
        &self,
        turn: &mut Turn,
        sink: ModelSink<'_>,
    ) -> Result<(Leave, Pass), ModelError> {
        loop {
            self.healthy(turn, sink).await?;
            let pass = self.entered(turn, sink).await?;
            // The server may have begun to fail meanwhile, or somebody else is the one who tries it.
            match self.breaker.admit() {
                Ok(leave) => return Ok((leave, pass)),
                Err(_) => pass.unused(),
            }
        }
    }

    /// Waits for its turn among all requests.
    async fn entered(&self, turn: &mut Turn, sink: ModelSink<'_>) -> Result<Pass, ModelError> {
        let quiet = std::mem::take(&mut turn.told);
        let waits = Waits::new(self, sink);
        let tell = |reason, time| waits.begin(reason, time, quiet && reason == WaitReason::Paused);
        let entered = self.lane.enter(turn.place, turn.need, &tell).await;
        entered.map_err(busy)
    }

    /// Waits until the server may be asked at all.
    async fn healthy(&self, turn: &mut Turn, sink: ModelSink<'_>) -> Result<(), ModelError> {
        let Err(refused) = self.breaker.look() else {
            return Ok(());
        };
        if !self.last || self.retry.retries == 0 {
            return Err(open(refused));
        }
        let end = after(self.timer.now(), self.retry.longest_wait);
        let end = *turn.breaker_end.get_or_insert(end);
        let waits = Waits::new(self, sink);
        let tell = |left| waits.begin(WaitReason::Breaker, Some(left), false);
        self.breaker.wait(end, &tell).await.map_err(open)
    }

    /// What a failed attempt says to those who come after it.
    fn learn(&self, leave: Leave, pass: Pass, error: &ModelError, verdict: Verdict) {
        let health = match retry::health(error) {
            // A server that asks for a day gets no more patience than one whose request is waited out.
            Health::Failed(asked) => {
                Health::Failed(asked.map(|asked| asked.min(self.retry.longest_wait)))
            }
            other => other,
        };
        self.ended(leave, health);
        if !retry::crowded(error) {
            return;
        }
        // Before the place is free, so that nobody slips through.
        if let Verdict::Again(time) | Verdict::Paused(time) = verdict {
            self.lane.pause(time);
        }
        pass.refused();
    }

    fn ended(&self, leave: Leave, health: Health) {
        leave.end(health);
        let state = self.breaker.state();
        self.metrics.breaker(self.provider(), self.id(), state);
    }

    fn watch(&self, event: ModelEvent, told: &AtomicBool, sink: ModelSink<'_>) {
        match &event {
            ModelEvent::Text(_) | ModelEvent::Thinking(_) | ModelEvent::ToolUse { .. } => {
                told.store(true, Ordering::Relaxed);
            }
            ModelEvent::RateLimits(limits) => self.lane.learn(limits),
            _ => {}
        }
        sink(event);
    }
}

impl Turn {
    /// It is sent again.
    fn again(&mut self, verdict: Verdict) {
        self.place.again = true;
        let count = match verdict {
            Verdict::Paused(_) => &mut self.tries.pauses,
            Verdict::Again(_) | Verdict::Final => &mut self.tries.retries,
        };
        *count = count.saturating_add(1);
        // The retry itself tells of the pause.
        self.told = true;
    }
}

/// Tells of a wait that has begun, and counts it when it is over.
struct Waits<'a> {
    provider: &'a str,
    model: &'a str,
    metrics: &'a Metrics,
    timer: &'a dyn Timer,
    sink: ModelSink<'a>,
    since: Mutex<Option<(WaitReason, Instant)>>,
}

impl<'a> Waits<'a> {
    fn new<M: ModelProvider>(model: &'a Resilient<M>, sink: ModelSink<'a>) -> Self {
        Self {
            provider: model.provider(),
            model: model.id(),
            metrics: &model.metrics,
            timer: &*model.timer,
            sink,
            since: Mutex::default(),
        }
    }

    fn begin(&self, reason: WaitReason, time: Option<Duration>, quiet: bool) {
        let now = self.timer.now();
        let before = self.since().replace((reason, now));
        self.end(before, now);
        if !quiet {
            (self.sink)(ModelEvent::Waiting { reason, time });
        }
    }

    fn end(&self, wait: Option<(WaitReason, Instant)>, now: Instant) {
        if let Some((reason, since)) = wait {
            let time = now.saturating_duration_since(since);
            self.metrics.waited(self.provider, self.model, reason, time);
        }
    }

    fn since(&self) -> MutexGuard<'_, Option<(WaitReason, Instant)>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let last = self.since().take();
        self.end(last, self.timer.now());
    }
}

fn after(now: Instant, time: Duration) -> Instant {
    // A limit beyond what the clock can count is none, and a year is as good.
    now.checked_add(time).unwrap_or(now + YEAR)
}

fn open(refused: Refused) -> ModelError {
    let Refused { left, failures } = refused;
    ModelError::Open { failures, left }
}

fn busy(full: Full) -> ModelError {
    ModelError::Busy(match full {
        Full::Queue(waiting) => format!(
            "{waiting} requests wait for the model already, as many as may; ask again when some of them have ended, or \
             raise `queue` under [model]"
        ),
        Full::Waited(time, reason) => format!(
            "the request has waited for its turn for {} s, as long as it may: {reason}; ask again later, or raise \
             `longest_queue` (with other models behind it, `longest_wait`) under [model]",
            time.as_secs_f64()
        ),
    })
}

impl<M: ModelProvider> ModelProvider for Resilient<M> {
    fn id(&self) -> &str {
        self.model.id()
    }

    fn provider(&self) -> &str {
        self.model.provider()
    }

    fn is_free(&self) -> bool {
        self.model.is_free()
    }

    fn account(&self) -> Account {
        self.model.account()
    }

    fn others(&self) -> Vec<String> {
        self.model.others()
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(self.ask(request, sink))
    }

    fn count_tokens<'a>(
        &'a self,
        request: &'a ModelRequest,
    ) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        self.model.count_tokens(request)
    }
}

#[cfg(test)]
mod hundred;
#[cfg(test)]
mod storms;
#[cfg(test)]
mod tests;
