//! Who may ask one model of one account, and when: places, requests and tokens over time, and pauses.
//!
//! Whoever came first goes first, without exception: only the head of the queue looks at places and buckets, so a large
//! request is not overtaken by small ones for ever.

mod bucket;
mod state;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    model::{RateLimits, Timer},
    wire::TokenUsage,
};
use state::{Hold, State};

/// How much may be asked at one time and over time. What is absent has no limit of our own; a server's limits, where it
/// tells them, hold as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Requests under way at one time. Default 8.
    pub concurrency: u32,
    /// Requests in any minute. Default no limit.
    pub requests_per_minute: Option<u64>,
    /// Tokens of prompts and answers a minute: estimated before, corrected after. Default no limit.
    pub tokens_per_minute: Option<u64>,
    /// Requests that wait for their turn. One more is turned away as busy. Default 1,000.
    pub queue: usize,
    /// How long one request waits for its turns, all its attempts together. Default 10 min.
    pub longest_queue: Duration,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            requests_per_minute: None,
            tokens_per_minute: None,
            queue: 1_000,
            longest_queue: Duration::from_secs(600),
        }
    }
}

/// Why a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitReason {
    /// Others came before it.
    Queue,
    /// As many requests are under way as may be.
    Concurrency,
    /// The requests of this minute are used up.
    Requests,
    /// The tokens of this minute are used up.
    Tokens,
    /// The server asked for a pause.
    Paused,
    /// The server keeps failing and is left alone for a while.
    Breaker,
}

impl WaitReason {
    /// A word for it: `queue`, `concurrency`, `requests`, `tokens`, `paused` or `breaker`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Concurrency => "concurrency",
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Paused => "paused",
            Self::Breaker => "breaker",
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "other requests came first",
            Self::Concurrency => "as many requests are under way as may be",
            Self::Requests => "the requests of this minute are used up",
            Self::Tokens => "the tokens of this minute are used up",
            Self::Paused => "the server asked for a pause",
            Self::Breaker => "the server keeps failing and is left alone for a while",
        })
    }
}

/// What a request is expected to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// Tokens of the prompt.
    pub(super) input: u64,
    /// The longest answer, in tokens.
    pub(super) max_output: u64,
}

/// Hears why a request waits, and how long it is at least, where that is known.
pub(super) type Tell<'a> = &'a (dyn Fn(WaitReason, Option<Duration>) + Sync);

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// So many wait already.
    Queue(usize),
    /// It has waited for so long.
    Waited(Duration, WaitReason),
}

/// All requests to one model of one account.
pub(super) struct Lane {
    state: Mutex<State>,
    timer: Arc<dyn Timer>,
}

/// A place in the order of requests. A request that is sent again keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// When and where a request may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) ticket: Ticket,
    /// Whether it was sent before.
    pub(super) again: bool,
    /// How long it may wait, all in all.
    pub(super) longest: Duration,
    /// When that is over.
    pub(super) end: Instant,
}

impl Lane {
    pub(super) fn new(settings: LimitSettings, timer: Arc<dyn Timer>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::new(settings, timer.now())),
            timer,
        })
    }

    pub(super) fn ticket(&self) -> Ticket {
        self.lock().ticket()
    }

    pub(super) fn longest_queue(&self) -> Duration {
        self.lock().settings.longest_queue
    }

    /// Waits for its turn, until `end` at the latest.
    pub(super) async fn enter(
        self: &Arc<Self>,
        place: Place,
        need: Need,
        tell: Tell<'_>,
    ) -> Result<Pass, Full> {
        let Place { ticket, end, .. } = place;
        let waiting = self.queue(place)?;
        let mut told = None;
        loop {
            let now = self.timer.now();
            let started = self.lock().try_start(ticket, need, now);
            let Hold { reason, until } = match started {
                // The place in the queue is free with this, and the next one's turn has come.
                Ok(taken) => return Ok(Pass::new(Arc::clone(self), taken)),
                Err(hold) => hold,
            };
            if now >= end {
                return Err(Full::Waited(place.longest, reason));
            }
            if told.replace(reason) != Some(reason) {
                tell(
                    reason,
                    until.map(|until| until.saturating_duration_since(now)),
                );
            }
            let next = until.unwrap_or(end).min(end);
            tokio::select! {
                () = waiting.wake.notified() => {}
                () = self.timer.wait(next.saturating_duration_since(now)) => {}
            }
        }
    }

    /// No request is sent for so long.
    pub(super) fn pause(&self, time: Duration) {
        let now = self.timer.now();
        self.lock().pause(now, time);
    }

    /// The server's own limits, as it told them.
    pub(super) fn learn(&self, limits: &RateLimits) {
        let now = self.timer.now();
        let mut state = self.lock();
        state.learn(limits, now);
        state.wake_first();
    }

    fn queue(self: &Arc<Self>, place: Place) -> Result<Waiting, Full> {
        let Place { ticket, again, .. } = place;
        let wake = Arc::new(Notify::new());
        self.lock().queue(ticket, again, Arc::clone(&wake))?;
        Ok(Waiting {
            lane: Arc::clone(self),
            ticket,
            wake,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between the changes of one visit panics, so the counts agree whatever happened to the thread.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in the queue. Given up, it is no longer in anybody's way.
struct Waiting {
    lane: Arc<Lane>,
    ticket: Ticket,
    wake: Arc<Notify>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.lane.lock().leave_queue(self.ticket);
    }
}

/// What a request took.
#[derive(Clone, Copy, Debug)]
struct Taken {
    input: f64,
    cached: f64,
    output: f64,
    at: Instant,
}

/// Leave for one request. Given up, its place is free again; what it took stays taken, since the server counted it.
pub(super) struct Pass {
    lane: Arc<Lane>,
    taken: Taken,
}

impl Pass {
    fn new(lane: Arc<Lane>, taken: Taken) -> Self {
        Self { lane, taken }
    }

    /// The request was answered, and used this much.
    pub(super) fn answered(self, usage: &TokenUsage) {
        self.lane.lock().answered(&self.taken, usage);
    }

    /// The server had no room: fewer requests from now on.
    pub(super) fn refused(self) {
        let now = self.lane.timer.now();
        self.lane.lock().slow_down(&self.taken, now);
    }

    /// The request was not sent after all.
    pub(super) fn unused(self) {
        self.lane.lock().give_back(&self.taken);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.lane.lock().free();
    }
}

#[cfg(test)]
mod tests;
