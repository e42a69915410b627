//! When a failed request is sent again: only before an answer began, and only a few times.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::ModelError;

/// How often and how soon a request is sent again. Only the time before the stream opened counts: after that, the
/// failure is the caller's to handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often a request is sent again at most. Default 2.
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

/// Waits, and rolls the dice. Tests bring their own so that they need not wait.
pub trait Timer: Send + Sync {
    /// Returns after this time.
    fn wait(&self, time: Duration) -> BoxFuture<'_, ()>;

    /// A random number between 0 and 1, so that many clients do not come back at the same moment.
    fn dice(&self) -> f64;
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

impl Retry {
    /// How long to wait before retry number `done + 1`, or `None` when the error is final.
    pub(crate) fn delay(&self, error: &ModelError, done: u32, dice: f64) -> Option<Duration> {
        if done >= self.retries {
            return None;
        }
        let asked = match error {
            ModelError::Connect(_) | ModelError::Timeout { .. } => None,
            ModelError::Http {
                status,
                retry_after,
                should_retry,
                ..
            } => {
                let worth = should_retry.unwrap_or(matches!(status, 408 | 409 | 429 | 500..));
                if !worth {
                    return None;
                }
                *retry_after
            }
            _ => return None,
        };
        match asked.filter(|asked| !asked.is_zero()) {
            Some(asked) => (asked <= self.longest_wait).then_some(asked),
            None => {
                let base = 0.5 * 2_f64.powi(i32::try_from(done).unwrap_or(i32::MAX));
                Some(Duration::from_secs_f64(
                    base.min(8.0) * (1.0 - 0.25 * dice.clamp(0.0, 1.0)),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(status: u16, retry_after: Option<u64>, should_retry: Option<bool>) -> ModelError {
        ModelError::Http {
            status,
            kind: "x".into(),
            message: "y".into(),
            request_id: None,
            retry_after: retry_after.map(Duration::from_secs),
            should_retry,
        }
    }

    #[test]
    fn waits_grow_and_end() {
        let retry = Retry::default();
        let error = ModelError::Connect("x".into());
        assert_eq!(
            retry.delay(&error, 0, 0.0),
            Some(Duration::from_millis(500))
        );
        assert_eq!(
            retry.delay(&error, 1, 1.0),
            Some(Duration::from_millis(750))
        );
        assert_eq!(retry.delay(&error, 2, 0.0), None);
        let many = Retry {
            retries: 100,
            ..retry
        };
        assert_eq!(many.delay(&error, 99, 0.0), Some(Duration::from_secs(8)));
    }

    #[test]
    fn the_server_has_its_say_within_reason() {
        let retry = Retry::default();
        assert_eq!(
            retry.delay(&http(429, Some(7), None), 0, 0.0),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            retry.delay(&http(429, Some(1_000_000_000), None), 0, 0.0),
            None
        );
        assert_eq!(retry.delay(&http(529, None, Some(false)), 0, 0.0), None);
        assert!(retry.delay(&http(400, None, Some(true)), 0, 0.0).is_some());
        for status in [408, 409, 429, 500, 503, 529] {
            assert!(
                retry.delay(&http(status, None, None), 0, 0.0).is_some(),
                "{status}"
            );
        }
        for status in [200, 400, 401, 403, 404, 413, 422] {
            assert!(
                retry.delay(&http(status, None, None), 0, 0.0).is_none(),
                "{status}"
            );
        }
    }

    #[test]
    fn a_stream_that_began_is_never_asked_for_again() {
        let retry = Retry::default();
        for error in [
            ModelError::Truncated,
            ModelError::Transport("x".into()),
            ModelError::Protocol("x".into()),
        ] {
            assert_eq!(retry.delay(&error, 0, 0.0), None);
        }
    }
}
