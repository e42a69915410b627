use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const HEADERS: u64 = 32 * 1024;

fn metered<S>(inner: S, sent_max: u64) -> (Metered<S>, Arc<Meter>, Arc<Exchange>) {
    let meter = Arc::new(Meter::new(sent_max));
    let exchange = Arc::new(Exchange::new(Arc::clone(&meter), HEADERS));
    let wire = Wire::new(Arc::clone(&exchange));
    (Metered::new(inner, Arc::new(wire)), meter, exchange)
}

fn bytes(count: u64) -> Vec<u8> {
    vec![b'x'; usize::try_from(count).unwrap()]
}

#[tokio::test]
async fn exactly_the_limit_is_sent() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let (mut ours, meter, exchange) = metered(ours, 5);
    ours.write_all(b"hello").await.unwrap();
    assert_eq!((meter.sent(), exchange.stopped()), (5, None));
    ours.write_all(b"x").await.unwrap_err();
    assert_eq!(
        exchange.stopped(),
        Some(EgressError::Limit(LimitKind::Sent(5)))
    );
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
    let head = bytes(HEAD_BYTES_MAX);
    let (mut ours, meter, _) = metered(head.as_slice(), 0);
    let mut read = Vec::new();
    ours.read_to_end(&mut read).await.unwrap();
    assert_eq!(meter.received(), HEAD_BYTES_MAX);

    let longer = bytes(HEAD_BYTES_MAX + 1);
    let (mut ours, _, exchange) = metered(longer.as_slice(), 0);
    ours.read_to_end(&mut read).await.unwrap_err();
    assert_eq!(exchange.stopped(), Some(EgressError::HeadTooLarge));

    let (mut ours, _, exchange) = metered(longer.as_slice(), 0);
    exchange.head_done();
    ours.read_to_end(&mut read).await.unwrap();
}

#[tokio::test]
async fn framing_without_a_body_has_a_limit_and_a_body_raises_it() {
    let most = HEAD_BYTES_MAX + AHEAD_BYTES_MAX;
    for (body, arrives, fits) in [
        (0, most, true),
        (0, most + 1, false),
        (1000, most + 1000 * FRAMING_MAX, true),
        (1000, most + 1000 * FRAMING_MAX + 1, false),
    ] {
        let arrives = bytes(arrives);
        let (mut ours, _, exchange) = metered(arrives.as_slice(), 0);
        exchange.head_done();
        exchange.handed_on(body);
        let read = ours.read_to_end(&mut Vec::new()).await;
        assert_eq!(read.is_ok(), fits, "{body}");
        let stopped = (!fits).then_some(EgressError::Protocol);
        assert_eq!(exchange.stopped(), stopped);
    }
}

#[tokio::test]
async fn bytes_are_on_the_account_of_the_exchange_under_way_and_few_on_nobodys() {
    let (ours, mut theirs) = tokio::io::duplex(1024 * 1024);
    let (mut ours, first, _) = metered(ours, 100);
    let wire = Arc::clone(&ours.wire);
    ours.write_all(b"one").await.unwrap();
    wire.end();
    ours.write_all(b"nobody").await.unwrap();
    let second = Arc::new(Meter::new(2));
    let exchange = Arc::new(Exchange::new(Arc::clone(&second), HEADERS));
    wire.begin(Arc::clone(&exchange));
    ours.write_all(b"two").await.unwrap_err();
    assert_eq!((first.sent(), second.sent()), (3, 2));

    wire.end();
    theirs.write_all(&bytes(IDLE_BYTES_MAX)).await.unwrap();
    let mut read = bytes(IDLE_BYTES_MAX);
    ours.read_exact(&mut read).await.unwrap();
    theirs.write_all(b"x").await.unwrap();
    ours.read_u8().await.unwrap_err();
    assert_eq!((first.received(), second.received()), (0, 0));
}
