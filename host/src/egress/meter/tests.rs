use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn what_is_taken_never_exceeds_the_limit(
        limit in 0_u64..1000,
        wanted in prop::collection::vec((0_usize..400, 0_usize..400), 0..20),
    ) {
        let meter = Meter::new(limit);
        let mut used = 0;
        for (wanted, unused) in wanted {
            let taken = meter.take(wanted);
            prop_assert!(taken <= wanted);
            let back = unused.min(taken);
            meter.give_back(back);
            used += (taken - back) as u64;
            prop_assert_eq!(meter.sent(), used);
            prop_assert!(used <= limit);
        }
    }
}
