//! The counts of a lane, without waiting: time comes in.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};

use super::{Full, LimitSettings, Need, Taken, Ticket, WaitReason, bucket::Bucket};
use crate::{
    model::{Counted, RateLimits},
    wire::TokenUsage,
};

/// The slowest that refusals make a lane, as a share of its limits.
const SLOWEST: f64 = 1.0 / 16.0;

/// How much faster an answer makes it again.
const FASTER: f64 = 1.0 / 32.0;

/// A limit of a minute is whole again after a minute, whatever a header says.
const LONGEST_RESET: Duration = Duration::from_secs(60);

/// The answer that a first request is expected to get, in tokens; later ones what was usual so far.
const FIRST_OUTPUT: f64 = 1_000.0;

/// How much the newest answer says about what is usual.
const NEWEST: f64 = 0.2;

/// Why the first in the queue waits, and until when, where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) reason: WaitReason,
    pub(super) until: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: LimitSettings,
    queue: VecDeque<(Ticket, Arc<Notify>)>,
    next_ticket: u64,
    pub(super) running: u32,
    /// How many may run, at most the operator's number: halved by a refusal, one more for as many answers as it allows.
    pub(super) window: f64,
    /// The share of their speed at which buckets fill, treated alike.
    pub(super) pace: f64,
    /// When they were last lowered. What was sent before says nothing new.
    slowed: Option<Instant>,
    paused: Option<Instant>,
    buckets: Vec<(Owner, Counted, Bucket)>,
    output: f64,
}

/// Whose limit a bucket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Operator,
    Server,
}

impl State {
    pub(super) fn new(settings: LimitSettings, now: Instant) -> Self {
        let own = [
            settings
                .requests_per_minute
                .map(|most| (Counted::Requests, Bucket::strict(most, now))),
            settings
                .tokens_per_minute
                .map(|most| (Counted::Tokens, Bucket::wide(most, now))),
        ];
        let own = own.into_iter().flatten();
        Self {
            queue: VecDeque::new(),
            next_ticket: 0,
            running: 0,
            window: f64::from(settings.concurrency.max(1)),
            pace: 1.0,
            slowed: None,
            paused: None,
            buckets: own
                .map(|(counted, bucket)| (Owner::Operator, counted, bucket))
                .collect(),
            output: FIRST_OUTPUT,
            settings,
        }
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket = self.next_ticket.wrapping_add(1);
        Ticket(self.next_ticket)
    }

    /// Puts a request where its ticket belongs. One that was sent before and comes again was counted already.
    pub(super) fn queue(
        &mut self,
        ticket: Ticket,
        again: bool,
        wake: Arc<Notify>,
    ) -> Result<(), Full> {
        if !again && self.queue.len() >= self.settings.queue.max(1) {
            return Err(Full::Queue(self.queue.len()));
        }
        let place = self.queue.partition_point(|(other, _)| *other < ticket);
        self.queue.insert(place, (ticket, wake));
        Ok(())
    }

    pub(super) fn leave_queue(&mut self, ticket: Ticket) {
        self.queue.retain(|(other, _)| *other != ticket);
        self.wake_first();
    }

    pub(super) fn wake_first(&self) {
        if let Some((_, wake)) = self.queue.front() {
            wake.notify_one();
        }
    }

    /// Takes what a request needs, if it is the first and everything is there.
    pub(super) fn try_start(
        &mut self,
        ticket: Ticket,
        need: Need,
        now: Instant,
    ) -> Result<Taken, Hold> {
        let wait = |reason, until| Err(Hold { reason, until });
        if self.queue.front().is_none_or(|(first, _)| *first != ticket) {
            return wait(WaitReason::Queue, None);
        }
        if let Some(until) = self.paused.filter(|until| now < *until) {
            return wait(WaitReason::Paused, Some(until));
        }
        self.paused = None;
        if f64::from(self.running) + 1.0 > self.window {
            return wait(WaitReason::Concurrency, None);
        }
        let taken = Taken {
            input: need.input as f64,
            cached: 0.0,
            output: self.output.min(need.max_output as f64),
            at: now,
        };
        let pace = self.pace;
        let mut longest = (Duration::ZERO, WaitReason::Requests);
        for (_, counted, bucket) in &mut self.buckets {
            bucket.pass(now, pace);
            let time = bucket.wait(taken.amount(*counted), pace);
            if time > longest.0 {
                longest = (time, reason(*counted));
            }
        }
        if !longest.0.is_zero() {
            return wait(longest.1, now.checked_add(longest.0));
        }
        for (_, counted, bucket) in &mut self.buckets {
            bucket.take(taken.amount(*counted));
        }
        self.running = self.running.saturating_add(1);
        Ok(taken)
    }

    pub(super) fn pause(&mut self, now: Instant, time: Duration) {
        let until = now.checked_add(time);
        self.paused = self.paused.max(until);
    }

    /// Takes over what the server says of its limits.
    pub(super) fn learn(&mut self, limits: &RateLimits, now: Instant) {
        for counted in Counted::ALL {
            let told = limits.get(counted);
            let theirs =
                |it: &&mut (Owner, Counted, Bucket)| (it.0, it.1) == (Owner::Server, counted);
            match (self.buckets.iter_mut().find(theirs), told.limit) {
                (Some((_, _, bucket)), Some(limit)) => bucket.resize(limit),
                (None, Some(limit)) => {
                    let bucket = Bucket::wide(limit, now);
                    self.buckets.push((Owner::Server, counted, bucket));
                }
                (_, None) => {}
            }
            let known = self.buckets.iter_mut().find(theirs);
            match (known, told.remaining) {
                (Some((_, _, bucket)), Some(left)) => {
                    bucket.pass(now, self.pace);
                    bucket.at_most(left as f64);
                }
                // It does not say how fast more comes, only when all is there again.
                (None, Some(0)) => {
                    let reset = told.reset.unwrap_or_default();
                    self.pause(now, reset.min(LONGEST_RESET));
                }
                _ => {}
            }
        }
    }

    /// Corrects what was estimated, and goes a little faster.
    pub(super) fn answered(&mut self, taken: &Taken, usage: &TokenUsage) {
        let used = Taken {
            input: usage.prompt_tokens() as f64,
            cached: usage.cache_read_input_tokens as f64,
            output: usage.output_tokens as f64,
            at: taken.at,
        };
        for (_, counted, bucket) in &mut self.buckets {
            bucket.give_back(taken.amount(*counted) - used.amount(*counted));
        }
        self.output += NEWEST * (used.output - self.output);
        let most = f64::from(self.settings.concurrency.max(1));
        self.window = (self.window + 1.0 / self.window).min(most);
        self.pace = (self.pace + FASTER).min(1.0);
    }

    /// Halves what may run and how fast, once for all requests that were under way at the time.
    pub(super) fn slow_down(&mut self, taken: &Taken, now: Instant) {
        if self.slowed.is_none_or(|slowed| taken.at >= slowed) {
            self.window = (self.window / 2.0).floor().max(1.0);
            self.pace = (self.pace / 2.0).max(SLOWEST);
            self.slowed = Some(now);
        }
    }

    pub(super) fn give_back(&mut self, taken: &Taken) {
        for (_, counted, bucket) in &mut self.buckets {
            bucket.give_back(taken.amount(*counted));
        }
    }

    pub(super) fn free(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.wake_first();
    }
}

impl Taken {
    fn amount(&self, counted: Counted) -> f64 {
        match counted {
            Counted::Requests => 1.0,
            Counted::Tokens => self.input + self.output,
            // Servers that count input by itself do not count what was read from their cache.
            Counted::InputTokens => self.input - self.cached,
            Counted::OutputTokens => self.output,
        }
    }
}

fn reason(counted: Counted) -> WaitReason {
    match counted {
        Counted::Requests => WaitReason::Requests,
        Counted::Tokens | Counted::InputTokens | Counted::OutputTokens => WaitReason::Tokens,
    }
}
