//! When a failed request is sent again: the rules of the official clients, and what is beyond them.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::breaker::Health;
use crate::model::{ModelError, TimeoutKind};

/// How often and how soon a request is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often a request is sent again at most. A rate limit whose end the server tells is waited for and does not
    /// count, unless this is 0: then nothing is sent again. Default 2.
    pub retries: u32,
    /// A server that asks for a longer wait than this is not asked again. Default 60 s.
    pub longest_wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            retries: 2,
            longest_wait: Duration::from_secs(60),
        }
    }
}

/// Tells the time, waits, and rolls the dice. Tests bring their own so that they need not wait.
pub trait Timer: Send + Sync {
    /// Returns after this time.
    fn wait(&self, time: Duration) -> BoxFuture<'_, ()>;

    /// A random number between 0 and 1, so that many clients do not come back at the same moment.
    fn dice(&self) -> f64;

    /// Now. A timer whose waits are not real ones says when it would be after them.
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// The runtime's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealTimer;

impl Timer for RealTimer {
    fn wait(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn dice(&self) -> f64 {
        rand::random::<f64>()
    }
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is final.
    Final,
    /// The request is sent again after so long, and that counts.
    Again(Duration),
    /// The server's rate limit allows no request for so long. Then the request is sent again, and that does not count.
    Paused(Duration),
}

/// What a request has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tries {
    /// How often it was sent again, pauses not included.
    pub(super) retries: u32,
    /// How often it waited for the end of a rate limit.
    pub(super) pauses: u32,
}

impl Tries {
    /// How often it was sent so far.
    pub(super) fn sent(&self) -> u32 {
        self.retries.saturating_add(self.pauses).saturating_add(1)
    }
}

impl Retry {
    /// What to do about an error, of a request that was tried so often.
    pub(super) fn verdict(&self, error: &ModelError, tries: Tries, dice: f64) -> Verdict {
        if self.retries == 0 || !worth(error) {
            return Verdict::Final;
        }
        let (status, asked) = match error {
            ModelError::Http {
                status,
                retry_after,
                ..
            } => (*status, retry_after.filter(|asked| !asked.is_zero())),
            _ => (0, None),
        };
        if asked.is_some_and(|asked| asked > self.longest_wait) {
            return Verdict::Final;
        }
        match asked {
            // Taken as it is at first. A server that keeps saying "soon" is not believed for ever.
            Some(asked) if status == 429 => Verdict::Paused(match tries.pauses {
                pauses if pauses < self.retries => asked,
                pauses => asked.max(backoff(pauses, dice)),
            }),
            _ if tries.retries >= self.retries => Verdict::Final,
            Some(asked) => Verdict::Again(asked),
            None => Verdict::Again(backoff(tries.retries, dice)),
        }
    }
}

/// Half a second, doubled every time up to 8 s, less up to a quarter by chance.
fn backoff(done: u32, dice: f64) -> Duration {
    let base = 0.5 * 2_f64.powi(i32::try_from(done).unwrap_or(i32::MAX));
    Duration::from_secs_f64(base.min(8.0) * (1.0 - 0.25 * dice.clamp(0.0, 1.0)))
}

/// Whether another try can go better.
fn worth(error: &ModelError) -> bool {
    match error {
        ModelError::Connect(_) | ModelError::Truncated | ModelError::Transport(_) => true,
        // A turn that took all the time it may have is not begun again.
        ModelError::Timeout { kind, .. } => *kind != TimeoutKind::Total,
        ModelError::Stream { kind, .. } => passing(kind),
        // Money does not come by waiting, whatever else the answer says.
        ModelError::Http { status: 402, .. } => false,
        ModelError::Http { kind, .. } if spent(kind) => false,
        // An error that a gateway sent as a success.
        ModelError::Http {
            status: 200, kind, ..
        } => passing(kind),
        ModelError::Http {
            status,
            should_retry,
            ..
        } => should_retry.unwrap_or(matches!(status, 408 | 409 | 429 | 500..)),
        _ => false,
    }
}

/// Whether the account has used up its money or its quota.
pub(crate) fn spent(kind: &str) -> bool {
    [
        "insufficient_quota",
        "billing_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
    ]
    .contains(&kind)
}

/// Errors in the middle of a stream that another try can do without, in the words of the Messages API, of OpenAI and
/// servers like it, of Google and of Bedrock.
fn passing(kind: &str) -> bool {
    failing(kind)
        || [
            "rate_limit_error",
            "rate_limit_exceeded",
            "RESOURCE_EXHAUSTED",
            "throttlingException",
        ]
        .contains(&kind)
}

/// Errors in the middle of a stream that say that the server fails.
fn failing(kind: &str) -> bool {
    [
        "overloaded_error",
        "api_error",
        "timeout_error",
        "server_error",
        "internal_server_error",
        "InternalServerError",
        "service_unavailable",
        "engine_overloaded",
        "UNAVAILABLE",
        "INTERNAL",
        "DEADLINE_EXCEEDED",
        "internalServerException",
        "serviceUnavailableException",
        "modelStreamErrorException",
        "modelTimeoutException",
    ]
    .contains(&kind)
}

/// What an error says about the server's health. A request that the server refuses for its own sake, a rate limit
/// included, shows that the server is alive.
pub(super) fn health(error: &ModelError) -> Health {
    match error {
        ModelError::Connect(_)
        | ModelError::Truncated
        | ModelError::Transport(_)
        | ModelError::Timeout { .. } => Health::Failed(None),
        ModelError::Http {
            status: 500..,
            retry_after,
            ..
        } => Health::Failed(*retry_after),
        ModelError::Stream { kind, .. }
        | ModelError::Http {
            status: 200, kind, ..
        } if failing(kind) => Health::Failed(None),
        ModelError::Http { .. } | ModelError::Stream { .. } => Health::Alive,
        _ => Health::Unknown,
    }
}

/// Whether the server has no room for more requests just now.
pub(super) fn crowded(error: &ModelError) -> bool {
    match error {
        ModelError::Stream { kind, .. }
        | ModelError::Http {
            status: 200, kind, ..
        } => kind == "overloaded_error" || (passing(kind) && !failing(kind)),
        ModelError::Http { status, kind, .. } => matches!(status, 429 | 529) && !spent(kind),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
