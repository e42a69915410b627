//! A token bucket: what may be spent over time.

use std::time::Duration;

use tokio::time::Instant;

const MINUTE: f64 = 60.0;

/// What a wait is at most, should a bucket fill ever so slowly.
const LONGEST: Duration = Duration::from_secs(3600);

/// Less than this is nothing: sums of fractions are not exact.
const SPECK: f64 = 1e-6;

/// Fills evenly up to its size. More than it holds may be taken, and what comes next waits until it has recovered.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    level: f64,
    size: f64,
    per_second: f64,
    at: Instant,
}

impl Bucket {
    /// An operator's limit. Of things that are taken one by one, no minute, wherever it begins, sees more than
    /// `per_minute`: a tenth of them may come at once, and the bucket fills as much slower.
    pub(super) fn strict(per_minute: u64, now: Instant) -> Self {
        let whole = per_minute.max(1);
        let burst = (whole / 10).max(1);
        Self::new(burst as f64, (whole + 1 - burst) as f64, now)
    }

    /// A limit on things that come many at a time, or of a server, which counts for itself: a whole minute's worth
    /// may come at once.
    pub(super) fn wide(per_minute: u64, now: Instant) -> Self {
        let whole = per_minute.max(1) as f64;
        Self::new(whole, whole, now)
    }

    fn new(size: f64, per_minute: f64, now: Instant) -> Self {
        Self {
            level: size,
            size,
            per_second: per_minute / MINUTE,
            at: now,
        }
    }

    /// Lets time pass. `pace` is the share of its speed at which it fills.
    pub(super) fn pass(&mut self, now: Instant, pace: f64) {
        let time = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.level = (self.level + time * self.per_second * pace).min(self.size);
    }

    /// How long until so much can be taken; zero when it can. What is more than the bucket's size needs it full.
    pub(super) fn wait(&self, need: f64, pace: f64) -> Duration {
        let missing = need.min(self.size) - self.level;
        if missing <= SPECK {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing / (self.per_second * pace))
            .unwrap_or(LONGEST)
            .clamp(Duration::from_millis(1), LONGEST)
    }

    pub(super) fn take(&mut self, amount: f64) {
        self.level -= amount;
    }

    /// Gives back what was taken and not used.
    pub(super) fn give_back(&mut self, amount: f64) {
        self.level = (self.level + amount).min(self.size);
    }

    /// Somebody else counts too, and says that no more than this is left.
    pub(super) fn at_most(&mut self, level: f64) {
        self.level = self.level.min(level);
    }

    /// A new limit, with what was taken so far.
    pub(super) fn resize(&mut self, per_minute: u64) {
        let whole = per_minute.max(1) as f64;
        if (whole - self.size).abs() >= 1.0 {
            self.level = (self.level + whole - self.size).min(whole);
            self.size = whole;
            self.per_second = whole / MINUTE;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes one whenever that is possible and one is wanted; says when.
    fn taken(bucket: &mut Bucket, start: Instant, wanted: &[u64], pace: f64) -> Vec<Duration> {
        let mut now = start;
        let mut times = Vec::new();
        for pause in wanted {
            now += Duration::from_millis(*pause);
            loop {
                bucket.pass(now, pace);
                let wait = bucket.wait(1.0, pace);
                if wait.is_zero() {
                    break;
                }
                now += wait;
            }
            bucket.take(1.0);
            times.push(now - start);
        }
        times
    }

    proptest! {
        /// The promise to an operator: no minute sees more than the limit, wherever it begins.
        #[test]
        fn no_minute_sees_more_than_the_limit(
            limit in 1_u64..200,
            wanted in prop::collection::vec(0_u64..3000, 1..600),
        ) {
            let start = Instant::now();
            let times = taken(&mut Bucket::strict(limit, start), start, &wanted, 1.0);
            for (at, first) in times.iter().enumerate() {
                // A hundredth less than a minute, since milliseconds are rounded.
                let end = *first + Duration::from_millis(59_400);
                let within = times[at..].iter().take_while(|time| **time < end).count();
                prop_assert!(within as u64 <= limit, "{within} of {limit} from {first:?}");
            }
        }
    }

    #[test]
    fn a_limit_is_used_nearly_whole() {
        let start = Instant::now();
        for limit in [1, 9, 10, 60, 1000] {
            let mut bucket = Bucket::strict(limit, start);
            let wanted = vec![0; usize::try_from(limit * 10).unwrap()];
            let last = *taken(&mut bucket, start, &wanted, 1.0).last().unwrap();
            assert!(last <= Duration::from_secs(670), "{limit}: {last:?}");
        }
    }

    #[test]
    fn what_is_larger_than_the_bucket_waits_until_it_is_full() {
        let start = Instant::now();
        let mut bucket = Bucket::wide(60, start);
        assert_eq!(bucket.wait(1000.0, 1.0), Duration::ZERO);
        bucket.take(1000.0);
        // It owes 940, and fills by one a second.
        assert_eq!(bucket.wait(1.0, 1.0), Duration::from_secs(941));
        assert_eq!(bucket.wait(1000.0, 1.0), Duration::from_secs(1000));
        assert_eq!(bucket.wait(1.0, 0.5), Duration::from_secs(2 * 941));
        bucket.give_back(990.0);
        assert_eq!(bucket.wait(50.0, 1.0), Duration::ZERO);
        bucket.pass(start + Duration::from_secs(10_000), 1.0);
        bucket.at_most(3.0);
        assert_eq!(bucket.wait(4.0, 1.0), Duration::from_secs(1));
        bucket.resize(120);
        assert_eq!(bucket.wait(63.0, 1.0), Duration::ZERO);
        assert_eq!(bucket.wait(64.0, 1.0), Duration::from_millis(500));
    }
}
