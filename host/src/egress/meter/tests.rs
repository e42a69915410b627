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

#[test]
fn a_part_counts_for_its_host_and_takes_from_the_whole() {
    let whole = Arc::new(Meter::new(100));
    let (one, other) = (Tally::default(), Tally::default());
    let first = Meter::part(&whole, Arc::clone(&one));
    let second = Meter::part(&whole, Arc::clone(&other));
    assert_eq!(first.take(70), 70);
    assert_eq!(second.take(70), 30);
    first.give_back(20);
    assert_eq!(second.take(70), 20);
    first.receive(5);
    let sent = [&one, &other].map(|it| it.load(Ordering::Relaxed));
    assert_eq!((sent, whole.sent(), whole.received()), ([50, 50], 100, 5));
}
