use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::*;
use crate::egress::{
    Meter,
    testing::{
        Answer, PLENTY, Server,
        client::{MANY, get, loopback, owned, read, target},
    },
};

#[test]
fn a_rate_counts_only_the_time_that_was_waited() {
    let second = Duration::from_secs(1);
    let mut rate = Rate::new(10 * second, 100);
    assert!(rate.waited(9 * second, 1));
    assert_eq!(rate.left(), second);
    assert!(!rate.waited(second, 98));
    // Another while has begun.
    assert_eq!(rate.left(), 10 * second);
    assert!(rate.waited(10 * second, 100));
    assert!(!rate.waited(11 * second, 99));
}

fn answer(bytes: usize) -> Answer {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
    Answer::Keep([head.into_bytes(), vec![b'x'; bytes]].concat(), usize::MAX)
}

/// Whoever sends many requests before reading any answer is not held up by the answers.
#[tokio::test]
async fn a_small_answer_lets_its_connection_go_before_anybody_reads_it() {
    let small = AHEAD_BYTES as usize;
    for (bytes, goes) in [(5, true), (small, true), (8 * small, false)] {
        let server = Server::start(answer(bytes)).await;
        let way = loopback();
        let meter = Arc::new(Meter::new(MANY));
        let url = format!("http://server.test:{}/", server.port());
        let target = target(&url);
        let sent = way.send(&target, get(), owned("a"), &meter);
        let (response, mut driver) = sent.await.unwrap();
        if goes {
            timeout(PLENTY, &mut driver).await.unwrap().unwrap();
            assert_eq!(way.pool.waiting(), 1);
        } else {
            assert!((&mut driver).now_or_never().is_none());
            assert_eq!(way.pool.waiting(), 0);
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), bytes);
    }
}

/// What nobody reads is not read from the server either.
#[tokio::test]
async fn little_is_read_ahead() {
    let server = Server::start(answer(32 * MANY as usize)).await;
    let way = loopback();
    let meter = Arc::new(Meter::new(MANY));
    let target = target(&format!("http://server.test:{}/", server.port()));
    let sent = way.send(&target, get(), owned("a"), &meter);
    let (response, driver) = sent.await.unwrap();
    let mut before = 0;
    let mut same = 0;
    // Nothing is left to do for anybody.
    while same < 1000 {
        tokio::task::yield_now().await;
        let now = meter.received();
        same = if now == before { same + 1 } else { 0 };
        before = now;
    }
    assert!(before < MANY, "{before}");
    drop(driver);
    let error = read(response, Box::pin(std::future::pending())).await;
    assert!(error.is_err());
}
