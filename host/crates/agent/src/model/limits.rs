//! What a server says of its rate limits, in the headers of an answer.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Counted {
    /// Requests.
    Requests,
    /// Tokens of prompts and answers together.
    Tokens,
    /// Tokens of prompts.
    InputTokens,
    /// Tokens of answers.
    OutputTokens,
}

impl Counted {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Requests,
        Self::Tokens,
        Self::InputTokens,
        Self::OutputTokens,
    ];

    /// The word for it in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
        }
    }
}

/// One limit as it stood when the answer began. What the server did not say is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// How many a minute.
    pub limit: Option<u64>,
    /// How many are left.
    pub remaining: Option<u64>,
    /// How long until all are there again.
    pub reset: Option<Duration>,
}

/// All limits that an answer told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    limits: [RateLimit; 4],
}

impl RateLimits {
    /// One of them.
    pub fn get(&self, counted: Counted) -> RateLimit {
        let at = counted as usize;
        self.limits.get(at).copied().unwrap_or_default()
    }

    /// Sets one of them.
    pub fn set(&mut self, counted: Counted, limit: RateLimit) {
        if let Some(place) = self.limits.get_mut(counted as usize) {
            *place = limit;
        }
    }

    /// Whether nothing was told.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads `anthropic-ratelimit-*` and `x-ratelimit-*`. A reset that is a moment counts from `now`, which is the
    /// server's own clock where it told it; without one such a reset is left out. What makes no sense is left out too:
    /// headers are advice.
    pub(crate) fn of(headers: &HeaderMap, now: Option<SystemTime>) -> Self {
        let mut limits = Self::default();
        for counted in Counted::ALL {
            let (anthropic, common) = match counted {
                Counted::Requests => ("requests", "requests"),
                Counted::Tokens => ("tokens", "tokens"),
                Counted::InputTokens => ("input-tokens", "input-tokens"),
                Counted::OutputTokens => ("output-tokens", "output-tokens"),
            };
            let header = |part: &str| {
                let names = [
                    format!("anthropic-ratelimit-{anthropic}-{part}"),
                    format!("x-ratelimit-{part}-{common}"),
                ];
                names
                    .iter()
                    .find_map(|name| headers.get(name)?.to_str().ok().map(str::trim))
            };
            let number = |part: &str| header(part)?.parse::<u64>().ok();
            let limit = RateLimit {
                // A limit of none at all would never let anything through; servers mean by it that there is none.
                limit: number("limit").filter(|limit| *limit > 0),
                remaining: number("remaining"),
                reset: header("reset").and_then(|text| reset(text, now)),
            };
            limits.set(counted, limit);
        }
        limits
    }
}

/// How long `retry-after-ms` or `retry-after` says to wait: thousandths, seconds, or a date that counts from `now`.
pub(crate) fn retry_after(headers: &HeaderMap, now: Option<SystemTime>) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let thousandths = header("retry-after-ms").and_then(|text| seconds(text).map(|it| it / 1000));
    thousandths.or_else(|| {
        let text = header("retry-after")?;
        seconds(text).or_else(|| {
            let date = httpdate::parse_http_date(text).ok()?;
            // A moment that has passed is no wait.
            Some(date.duration_since(now?).unwrap_or_default())
        })
    })
}

/// The server's clock, as it wrote it on the answer.
pub(crate) fn server_time(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get("date")?.to_str().ok()?).ok()
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// A reset as a moment (`2026-11-21T10:00:00Z`), a span with units (`6m0s`, `120ms`) or plain seconds.
fn reset(text: &str, now: Option<SystemTime>) -> Option<Duration> {
    if let Some(time) = seconds(text).or_else(|| span(text)) {
        return Some(time);
    }
    let nanos = toolcell_policy::parse_timestamp(text)?;
    let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))?;
    Some(moment.duration_since(now?).unwrap_or_default())
}

/// A span such as `1h2m3.5s`, its parts from the largest unit to the smallest.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut largest = f64::INFINITY;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|digits| *digits > 0)?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        if unit >= largest {
            return None;
        }
        largest = unit;
        let number: f64 = number.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(number * unit).ok()?)?;
        rest = after;
    }
    (largest.is_finite()).then_some(total)
}

#[cfg(test)]
mod tests;
