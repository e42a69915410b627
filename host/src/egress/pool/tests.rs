use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use tokio_rustls::rustls::RootCertStore;

use super::*;
use crate::egress::{
    Bounds, Egress, EgressError, LimitKind, Meter,
    connect::check,
    testing::{
        Answer, Names, Server,
        client::{MANY, bounds, fetch, get, loopback, owned, read, target},
        egress_as,
    },
};

fn url(server: &Server) -> String {
    format!("http://server.test:{}/", server.port())
}

fn with_limits(limits: PoolLimits) -> Egress {
    let names = Names::default()
        .with("server.test", &[&["127.0.0.1"]])
        .with("other.test", &[&["127.0.0.1"]]);
    egress_as(Arc::new(names), RootCertStore::empty(), |options| {
        options.pool = limits;
    })
}

fn post(body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from_static(body.as_bytes())));
    *request.method_mut() = Method::POST;
    request
}

#[tokio::test]
async fn one_owner_goes_on_with_its_connection() {
    let server = Server::start(Answer::keep("hello")).await;
    let way = loopback();
    for _ in 0..3 {
        let body = fetch(&way, &url(&server), owned("a")).await.unwrap();
        assert_eq!(body, "hello");
    }
    assert_eq!(server.connections(), 1);
    let received = server.received();
    assert_eq!(received.matches("GET / HTTP/1.1\r\n").count(), 3);
    assert!(!received.contains("connection:"), "{received}");
}

#[tokio::test]
async fn nothing_is_shared_with_another_owner_server_or_rule() {
    let server = Server::start(Answer::keep("hello")).await;
    let way = with_limits(PoolLimits::default());
    let fewer = Bounds {
        header_bytes: 1024,
        ..owned("a")
    };
    let both = Bounds {
        pool: Some(PoolKey::new(["a", "secret"])),
        ..bounds()
    };
    let joined = Bounds {
        pool: Some(PoolKey::new(["asecret"])),
        ..bounds()
    };
    let other = url(&server).replace("server.test", "other.test");
    let literal = url(&server).replace("server.test", "127.0.0.1");
    let requests = [
        (url(&server), owned("a")),
        (url(&server), owned("b")),
        (url(&server), both),
        (url(&server), joined),
        (url(&server), fewer),
        (url(&server), bounds()),
        (other, owned("a")),
        (literal, owned("a")),
    ];
    let count = requests.len();
    for (url, bounds) in requests {
        fetch(&way, &url, bounds).await.unwrap();
    }
    assert_eq!(server.connections(), count);
    // Without an owner none is kept.
    assert_eq!(way.pool.waiting(), 4.max(count - 1));
}

/// A rule that does not reach special addresses gets nothing that was dialled for one that does.
#[tokio::test]
async fn a_connection_to_a_special_address_serves_no_rule_without_them() {
    let server = Server::start(Answer::keep("hello")).await;
    let way = loopback();
    fetch(&way, &url(&server), owned("a")).await.unwrap();
    let plain = Bounds {
        special: false,
        ..owned("a")
    };
    let error = fetch(&way, &url(&server), plain).await.unwrap_err();
    assert!(matches!(error, EgressError::Refused(_)), "{error:?}");
    assert_eq!(server.connections(), 1);
}

#[test]
fn the_address_of_a_connection_is_checked_again() {
    let host = Host::parse("server.test").unwrap();
    let checked = check(&host, 80, &["127.0.0.1".parse().unwrap()], true).unwrap();
    for (special, allowed) in [(true, true), (false, false)] {
        let again = check_again(&host, checked[0], special);
        assert_eq!(again.is_ok(), allowed);
    }
}

#[tokio::test]
async fn what_was_not_read_to_its_end_is_closed() {
    // More than is read ahead.
    let server = Server::start(Answer::keep(&"x".repeat(512 * 1024))).await;
    let way = loopback();
    let meter = Arc::new(Meter::new(MANY));
    let target = target(&url(&server));
    let sent = way.send(&target, get(), owned("a"), &meter);
    let (response, driver) = sent.await.unwrap();
    drop(response);
    driver.await.unwrap();
    server.ended(1).await;

    let sent = way.send(&target, get(), owned("a"), &meter);
    let (_response, driver) = sent.await.unwrap();
    drop(driver);
    server.ended(2).await;
    assert_eq!(way.pool.waiting(), 0);
}

#[tokio::test]
async fn what_was_not_sent_to_its_end_is_closed() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_vec();
    let server = Server::start(Answer::Hold(answer)).await;
    let way = loopback();
    let meter = Arc::new(Meter::new(MANY));
    let first = stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(
        b"x",
    )))]);
    let never = futures_util::StreamExt::chain(first, stream::pending());
    let request = Request::post("/").body(StreamBody::new(never)).unwrap();
    let target = target(&url(&server));
    let sent = way.send(&target, request, owned("a"), &meter);
    let (response, driver) = sent.await.unwrap();
    assert_eq!(read(response, driver).await.unwrap(), "hello");
    server.ended(1).await;
    assert_eq!(way.pool.waiting(), 0);
}

#[tokio::test]
async fn a_connection_carries_so_many_requests() {
    let server = Server::start(Answer::keep("hello")).await;
    let limits = PoolLimits {
        requests: 2,
        ..PoolLimits::default()
    };
    let way = with_limits(limits);
    for connections in [1, 1, 2, 2, 3] {
        fetch(&way, &url(&server), owned("a")).await.unwrap();
        assert_eq!(server.connections(), connections);
    }
}

/// Nobody has to ask for it.
#[tokio::test]
async fn a_connection_waits_and_lives_for_so_long() {
    let PoolLimits { idle, lifetime, .. } = PoolLimits::default();
    assert_eq!((idle.as_secs(), lifetime.as_secs()), (30, 300));
    let short = Duration::from_millis(30);
    for (idle, lifetime) in [(short, lifetime), (idle, short)] {
        let server = Server::start(Answer::keep("hello")).await;
        let way = with_limits(PoolLimits {
            idle,
            lifetime,
            ..PoolLimits::default()
        });
        fetch(&way, &url(&server), owned("a")).await.unwrap();
        server.ended(1).await;
        assert_eq!(way.pool.waiting(), 0);
    }
}

/// So many at the same time, and all are read to their ends afterwards.
async fn fetch_together(way: &Egress, server: &Server, owner: &str, count: usize) {
    let meter = Arc::new(Meter::new(MANY));
    let target = target(&url(server));
    let mut open = Vec::new();
    for _ in 0..count {
        let sent = way.send(&target, get(), owned(owner), &meter);
        open.push(sent.await.unwrap());
    }
    for (response, driver) in open {
        read(response, driver).await.unwrap();
    }
}

#[tokio::test]
async fn so_many_wait_for_one_owner_and_so_many_in_all() {
    // More than is read ahead, so that they are under way together.
    let server = Server::start(Answer::keep(&"x".repeat(512 * 1024))).await;
    let limits = PoolLimits {
        per_key: 2,
        total: 3,
        ..PoolLimits::default()
    };
    let way = with_limits(limits);
    fetch_together(&way, &server, "a", 4).await;
    server.ended(2).await;
    assert_eq!((server.connections(), way.pool.waiting()), (4, 2));
    fetch_together(&way, &server, "b", 2).await;
    server.ended(3).await;
    assert_eq!((server.connections(), way.pool.waiting()), (6, 3));
    // Of the first owner one is left.
    fetch_together(&way, &server, "a", 2).await;
    assert_eq!(server.connections(), 7);
    for none in [
        PoolLimits { total: 0, ..limits },
        PoolLimits {
            per_key: 0,
            ..limits
        },
    ] {
        let way = with_limits(none);
        fetch_together(&way, &server, "a", 1).await;
        assert_eq!(way.pool.waiting(), 0);
    }
}

#[tokio::test]
async fn what_waits_is_closed_with_the_host() {
    let server = Server::start(Answer::keep("hello")).await;
    let way = loopback();
    fetch(&way, &url(&server), owned("a")).await.unwrap();
    assert_eq!(way.pool.waiting(), 1);
    drop(way);
    server.ended(1).await;
}

#[tokio::test]
async fn a_server_may_close_what_waits() {
    let server = Server::start(Answer::ok("hello")).await;
    let way = loopback();
    for connections in 1..4 {
        fetch(&way, &url(&server), owned("a")).await.unwrap();
        assert_eq!(server.connections(), connections);
    }
}

/// The connection ends with the second request on it, before anything of an answer.
#[tokio::test]
async fn only_what_may_be_sent_twice_is_sent_twice() {
    for (method, body, again) in [
        ("GET", "", true),
        ("HEAD", "", true),
        ("OPTIONS", "", true),
        ("DELETE", "", true),
        ("PUT", "", true),
        ("POST", "", false),
        ("PATCH", "", false),
        ("PUT", "text", false),
        ("GET", "text", false),
    ] {
        let bytes = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
        let server = Server::start(Answer::Keep(bytes, 1)).await;
        let way = loopback();
        fetch(&way, &url(&server), owned("a")).await.unwrap();
        let mut request = post(body);
        *request.method_mut() = method.parse().unwrap();
        let meter = Arc::new(Meter::new(MANY));
        let target = target(&url(&server));
        let sent = way.send(&target, request, owned("a"), &meter);
        let sent = sent.await.map(|(head, _)| head.status().as_u16());
        let expected = if again {
            Ok(204)
        } else {
            Err(EgressError::Incomplete)
        };
        assert_eq!(sent, expected, "{method} {body}");
        let tried = server.received().matches(&format!("{method} / ")).count();
        let get = usize::from(method == "GET");
        assert_eq!(tried, get + if again { 2 } else { 1 }, "{method} {body}");
    }
}

#[tokio::test]
async fn once_anything_came_back_nothing_is_sent_twice() {
    let whole = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    let server = Server::start(Answer::Twice(whole, b"HTTP/1.1 2".to_vec())).await;
    let way = loopback();
    fetch(&way, &url(&server), owned("a")).await.unwrap();
    let error = fetch(&way, &url(&server), owned("a")).await.unwrap_err();
    assert_eq!(error, EgressError::Incomplete);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn each_request_is_on_the_account_of_its_call() {
    let server = Server::start(Answer::keep("hello")).await;
    let way = loopback();
    let target = target(&url(&server));
    let mut sent = 0;
    for _ in 0..2 {
        let meter = Arc::new(Meter::new(MANY));
        let (response, driver) = way.send(&target, get(), owned("a"), &meter).await.unwrap();
        read(response, driver).await.unwrap();
        assert_eq!(meter.received(), 43);
        sent += meter.sent();
        assert_eq!(sent, server.received().len() as u64);
    }
    let little = Arc::new(Meter::new(20));
    let error = way
        .send(&target, get(), owned("a"), &little)
        .await
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error, EgressError::Limit(LimitKind::Sent(20)));
    assert_eq!((server.connections(), way.pool.waiting()), (1, 0));
}

/// What a server says before it is asked is no answer to the next request.
#[tokio::test]
async fn a_connection_on_which_a_server_speaks_unasked_is_closed() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let unasked = format!("{answer}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
    let server = Server::start(Answer::Keep(unasked.into(), usize::MAX)).await;
    let way = loopback();
    for connections in 1..4 {
        let body = fetch(&way, &url(&server), owned("a")).await.unwrap();
        assert_eq!(
            (body.as_str(), server.connections()),
            ("hello", connections)
        );
    }
}

#[tokio::test]
async fn a_post_goes_over_a_connection_that_waited() {
    let server = Server::start(Answer::keep("hello")).await;
    let way = loopback();
    let meter = Arc::new(Meter::new(MANY));
    let target = target(&url(&server));
    for body in ["first", "second"] {
        let sent = way.send(&target, post(body), owned("a"), &meter);
        let (response, driver) = sent.await.unwrap();
        assert_eq!(read(response, driver).await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 1);
    assert!(server.received().ends_with("second"));
}
