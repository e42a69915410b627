use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn metered<S>(inner: S, sent_max: u64) -> (Metered<S>, Arc<Meter>, Arc<Wire>) {
    let (meter, wire) = (Arc::new(Meter::new(sent_max)), Arc::new(Wire::default()));
    (
        Metered::new(inner, Arc::clone(&meter), Arc::clone(&wire)),
        meter,
        wire,
    )
}

#[tokio::test]
async fn exactly_the_limit_is_sent() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let (mut ours, meter, wire) = metered(ours, 5);
    ours.write_all(b"hello").await.unwrap();
    assert_eq!((meter.sent(), wire.stopped()), (5, None));
    ours.write_all(b"x").await.unwrap_err();
    assert_eq!(wire.stopped(), Some(EgressError::Limit(LimitKind::Sent(5))));
    drop(ours);
    let mut arrived = String::new();
    theirs.read_to_string(&mut arrived).await.unwrap();
    assert_eq!((arrived.as_str(), meter.sent()), ("hello", 5));
}

#[tokio::test]
async fn bytes_that_could_not_be_written_yet_are_not_counted() {
    let (ours, _theirs) = tokio::io::duplex(3);
    let (mut ours, meter, _) = metered(ours, 100);
    assert_eq!(ours.write(b"hello").await.unwrap(), 3);
    assert_eq!(meter.sent(), 3);
    assert!(futures_util::FutureExt::now_or_never(ours.write(b"lo")).is_none());
    assert_eq!(meter.sent(), 3);
}

#[tokio::test]
async fn a_head_has_a_limit_and_what_follows_has_another() {
    let head = vec![b'x'; usize::try_from(HEAD_BYTES_MAX).unwrap()];
    let (mut ours, meter, wire) = metered(head.as_slice(), 0);
    let mut read = Vec::new();
    ours.read_to_end(&mut read).await.unwrap();
    assert_eq!(meter.received(), HEAD_BYTES_MAX);

    let longer = [head.as_slice(), b"x"].concat();
    let (mut ours, _, wire_of_longer) = metered(longer.as_slice(), 0);
    ours.read_to_end(&mut read).await.unwrap_err();
    assert_eq!(wire_of_longer.stopped(), Some(EgressError::HeadTooLarge));

    wire.head_done();
    let mut ours = Metered::new(longer.as_slice(), meter, wire);
    ours.read_to_end(&mut read).await.unwrap();
}

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
