//! So many in a period.

use std::time::{Duration, Instant};

use toolcell_policy::Rate;

/// What is left of a rate: a whole allowance may be used evenly or in one go, and does not pile up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Allowance {
    /// When it would be whole again; it is whole where that is past.
    whole_at: Option<Instant>,
}

impl Allowance {
    /// How long it takes until one more is allowed; nothing where it is allowed now.
    pub(super) fn wait(&self, rate: Rate, now: Instant) -> Option<Duration> {
        let ahead = self
            .after_one_more(rate, now)
            .saturating_duration_since(now);
        ahead
            .checked_sub(period(rate))
            .filter(|wait| !wait.is_zero())
    }

    /// Takes one, whether it is allowed or not.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) {
        self.whole_at = Some(self.after_one_more(rate, now));
    }

    /// Whether it is as if nothing had ever been taken.
    pub(super) fn is_whole(&self, now: Instant) -> bool {
        self.whole_at.is_none_or(|at| at <= now)
    }

    fn after_one_more(&self, rate: Rate, now: Instant) -> Instant {
        self.whole_at.unwrap_or(now).max(now) + period(rate) / rate.count.max(1)
    }
}

fn period(rate: Rate) -> Duration {
    Duration::from_secs(rate.seconds.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one if it is allowed, else tells how long not.
    fn take(allowance: &mut Allowance, rate: Rate, now: Instant) -> Result<(), Duration> {
        match allowance.wait(rate, now) {
            Some(wait) => Err(wait),
            None => {
                allowance.take(rate, now);
                Ok(())
            }
        }
    }

    fn rate(text: &str) -> (Rate, Allowance, Instant) {
        let rate = Rate::parse(text).unwrap();
        (rate, Allowance::default(), Instant::now())
    }

    #[test]
    fn a_whole_allowance_may_be_used_in_one_go() {
        let (rate, mut allowance, now) = rate("3/min");
        for _ in 0..3 {
            assert_eq!(take(&mut allowance, rate, now), Ok(()));
        }
        let wait = Duration::from_secs(20);
        assert_eq!(take(&mut allowance, rate, now), Err(wait));
        // A refused call takes nothing from the allowance.
        let later = now + wait;
        assert_eq!(take(&mut allowance, rate, later), Ok(()));
        assert!(take(&mut allowance, rate, later).is_err());
    }

    #[test]
    fn an_unused_allowance_does_not_pile_up() {
        let (rate, mut allowance, now) = rate("2/s");
        assert_eq!(take(&mut allowance, rate, now), Ok(()));
        assert!(!allowance.is_whole(now));
        let later = now + Duration::from_secs(3_600);
        assert!(allowance.is_whole(later));
        assert_eq!(take(&mut allowance, rate, later), Ok(()));
        assert_eq!(take(&mut allowance, rate, later), Ok(()));
        assert!(take(&mut allowance, rate, later).is_err());
    }

    #[test]
    fn a_period_never_lets_more_through_than_twice_its_number() {
        let (rate, mut allowance, begin) = rate("60/min");
        let tries = (0..60_000).map(|millis| begin + Duration::from_millis(millis));
        let let_through = tries
            .filter(|now| take(&mut allowance, rate, *now).is_ok())
            .count();
        assert_eq!(let_through, 119);
    }
}
