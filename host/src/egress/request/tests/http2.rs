//! The same over HTTP/2, and what only HTTP/2 can do to us.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::{Instant, timeout};

use super::super::{Bounds, HEADERS_MAX};
use crate::egress::{
    Egress, Timeouts,
    error::{EgressError, LimitKind, Phase},
    meter::Meter,
    testing::{
        Answer, Authority, Names, PLENTY, Server,
        client::{HEADER_BYTES, MANY, bounds, fetch, get, loopback_trusting, owned, read, target},
        egress_with,
        http2::{Http2Server, Says, field, frame},
    },
    wire::{AHEAD_BYTES_MAX, HEAD_BYTES_MAX},
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

async fn started(says: Says) -> (Http2Server, Egress) {
    let authority = Authority::new();
    let server = Http2Server::start(&authority, says).await;
    (server, loopback_trusting(authority.roots()))
}

fn says(response: Response<()>, body: &[&'static str], trailers: HeaderMap) -> Says {
    let pieces = body.iter().map(|it| Bytes::from_static(it.as_bytes()));
    Says::Whole(response.map(|()| pieces.collect()), trailers)
}

fn header(name: &str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        http::HeaderName::try_from(name).unwrap(),
        value.parse().unwrap(),
    );
    headers
}

#[tokio::test]
async fn a_request_goes_out_over_http2_where_the_server_chooses_it() {
    let (server, way) = started(Says::ok("hello")).await;
    let mut request = Request::post("https://elsewhere.example/other")
        .header("x-own", "1")
        .body(Full::new(Bytes::from_static(b"text")))
        .unwrap();
    // What belongs to a connection of HTTP/1.1 is never sent.
    for name in [
        "host",
        "connection",
        "keep-alive",
        "te",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "proxy-connection",
    ] {
        let name = http::HeaderName::from_static(name);
        request.headers_mut().insert(name, "x".parse().unwrap());
    }
    let meter = Arc::new(Meter::new(MANY));
    let (response, driver) = way
        .send(&target(&server.url()), request, bounds(), &meter)
        .await
        .unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(read(response, driver).await.unwrap(), "hello");
    let [heard] = server.heard().try_into().ok().unwrap();
    assert_eq!(heard.head.method(), Method::POST);
    assert_eq!(heard.head.uri().to_string(), server.url());
    let mut names: Vec<_> = heard.head.headers().keys().map(|it| it.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "x-own"]);
    assert_eq!(heard.body, b"text");
    // The preface, settings and framing count.
    assert!((100..1000).contains(&meter.sent()), "{}", meter.sent());
    assert!(
        (50..1000).contains(&meter.received()),
        "{}",
        meter.received()
    );
}

#[tokio::test]
async fn a_server_that_wants_http1_gets_it() {
    let authority = Authority::new();
    let way = loopback_trusting(authority.roots());
    for protocols in [&[b"http/1.1".as_slice()][..], &[]] {
        let tls = authority.vouch_for_speaking("server.test", protocols);
        let server = Server::start_tls(tls, Answer::keep("hello")).await;
        let url = format!("https://server.test:{}/", server.port());
        for _ in 0..2 {
            assert_eq!(fetch(&way, &url, owned("a")).await.unwrap(), "hello");
        }
        assert_eq!(server.connections(), 1);
        assert!(server.received().starts_with("GET / HTTP/1.1\r\n"));
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let says = says(Response::new(()), &["a", "b"], header("x-sum", "2"));
    let (server, way) = started(says).await;
    let frames = [
        Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"text"))),
        Ok(Frame::trailers(header("x-mine", "1"))),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let request = Request::post("/").body(body).unwrap();
    let meter = Arc::new(Meter::new(MANY));
    let target = target(&server.url());
    let sent = way.send(&target, request, owned("a"), &meter);
    let (response, _driver) = sent.await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap(), &header("x-sum", "2"));
    assert_eq!(body.to_bytes(), "ab");
    let [heard] = server.heard().try_into().ok().unwrap();
    assert_eq!(heard.trailers, Some(header("x-mine", "1")));
    assert_eq!(way.pool.waiting(), 1);
}

#[tokio::test]
async fn one_owner_goes_on_with_its_connection_and_no_other_does() {
    let (server, way) = started(Says::ok("hello")).await;
    for (owner, connections) in [("a", 1), ("a", 1), ("b", 2), ("a", 2), ("b", 2)] {
        let body = fetch(&way, &server.url(), owned(owner)).await.unwrap();
        assert_eq!(
            (body.as_str(), server.connections()),
            ("hello", connections)
        );
    }
    // A second request at the same time has a connection of its own.
    let meter = Arc::new(Meter::new(MANY));
    let target = target(&server.url());
    let first = way.send(&target, get(), owned("a"), &meter);
    let second = way.send(&target, get(), owned("a"), &meter);
    let (first, second) = tokio::join!(first, second);
    assert_eq!(server.connections(), 3);
    for (response, driver) in [first.unwrap(), second.unwrap()] {
        read(response, driver).await.unwrap();
    }
}

/// It says so of the second request on each connection.
#[tokio::test]
async fn a_server_that_has_not_looked_at_a_request_gets_it_again() {
    let answer = [
        frame(HEADERS, END_HEADERS, 1, &[0x88]),
        frame(DATA, END_STREAM, 1, b"hello"),
    ];
    // The last stream that it looked at is the first one.
    let goodbye = frame(GO_AWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    let says_goodbye = Says::Later(answer.concat(), 2, goodbye);
    for says in [Says::Refuses(1), says_goodbye] {
        let (server, way) = started(says).await;
        for connections in 1..4 {
            let body = fetch(&way, &server.url(), owned("a")).await.unwrap();
            assert_eq!(
                (body.as_str(), server.connections()),
                ("hello", connections)
            );
        }
    }
    // Where it refuses also the first one, it is believed.
    let (server, way) = started(Says::Refuses(0)).await;
    let error = fetch(&way, &server.url(), owned("a")).await.unwrap_err();
    assert_eq!((error, server.connections()), (EgressError::Incomplete, 1));
}

#[tokio::test]
async fn a_body_and_what_a_call_sends_have_their_limits() {
    let (server, way) = started(Says::ok("12345")).await;
    for (response_bytes, fits) in [(5, true), (4, false)] {
        let own = Bounds {
            response_bytes,
            ..owned("a")
        };
        let outcome = fetch(&way, &server.url(), own).await;
        let expected = EgressError::Limit(LimitKind::Response(4));
        assert_eq!(outcome.err(), (!fits).then_some(expected));
    }
    let mut request = Request::new(Full::new(Bytes::from(vec![b'x'; 5000])));
    *request.method_mut() = Method::POST;
    let meter = Arc::new(Meter::new(3000));
    let target = target(&server.url());
    let sent = way.send(&target, request, owned("a"), &meter);
    let error = sent.await.map(|_| ()).unwrap_err();
    assert_eq!(error, EgressError::Limit(LimitKind::Sent(3000)));
    assert_eq!(meter.sent(), 3000);
}

#[tokio::test]
async fn heads_and_trailers_have_their_limits() {
    let mut many = HeaderMap::new();
    for n in 0..=HEADERS_MAX {
        many.append("x-many", n.into());
    }
    let exact = header("x", &"y".repeat(HEADER_BYTES as usize - 1));
    let large = header("x", &"y".repeat(HEADER_BYTES as usize));
    let huge = header("x", &"y".repeat(4 * HEADER_BYTES as usize));
    for (headers, fits) in [(exact, true), (many, false), (large, false), (huge, false)] {
        let mut head = Response::new(());
        *head.headers_mut() = headers.clone();
        for says in [
            says(head, &[], HeaderMap::new()),
            says(Response::new(()), &["a"], headers),
        ] {
            let (server, way) = started(says).await;
            let outcome = fetch(&way, &server.url(), owned("a")).await;
            assert_eq!(outcome.is_ok(), fits, "{outcome:?}");
            if let Err(error) = outcome {
                let told = [EgressError::HeadTooLarge, EgressError::Protocol];
                assert!(told.contains(&error), "{error:?}");
                assert_eq!(way.pool.waiting(), 0);
            }
        }
    }
}

/// The head of a response whose body never ends.
fn endless_head() -> Vec<u8> {
    // `:status: 200` stands in HPACK's own table.
    frame(HEADERS, END_HEADERS, 1, &[0x88])
}

/// Each is frames that a server sends first, and frames that it sends again and again.
fn before_a_head() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let many: Vec<u8> = (0..1000)
        .flat_map(|n| field(&format!("x-{n}"), "1"))
        .collect();
    // One entry of the table that is referred to a thousand times: few bytes that stand for many.
    let mut bomb = vec![0x88, 0x40, 1, b'x', 0x7f, 0x81, 0x1e];
    bomb.extend(vec![b'y'; 4000]);
    bomb.extend(vec![0xbe; 10_000]);
    let interim: Vec<u8> = [vec![8, 3, b'1', b'0', b'3'], field("link", "</a>")].concat();
    vec![
        (
            "settings",
            Vec::new(),
            frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]),
        ),
        ("ping", Vec::new(), frame(PING, 0, 0, &[0; 8])),
        ("window", Vec::new(), frame(8, 0, 0, &[0, 0, 0, 1])),
        (
            "interim",
            Vec::new(),
            frame(HEADERS, END_HEADERS, 1, &interim),
        ),
        (
            "many fields",
            frame(HEADERS, 0, 1, &[0x88]),
            frame(9, 0, 1, &many),
        ),
        (
            "empty continuations",
            frame(HEADERS, 0, 1, &[0x88]),
            frame(9, 0, 1, &[]),
        ),
        ("bomb", frame(HEADERS, END_HEADERS, 1, &bomb), Vec::new()),
        ("resets", Vec::new(), frame(3, 0, 1, &[0, 0, 0, 8])),
        (
            "pushes",
            Vec::new(),
            frame(5, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]),
        ),
        ("unknown frames", Vec::new(), frame(0xee, 0, 0, &[0; 1000])),
        ("priorities", Vec::new(), frame(2, 0, 1, &[0, 0, 0, 3, 1])),
        (
            "other streams",
            Vec::new(),
            frame(HEADERS, END_HEADERS, 3, &[0x88]),
        ),
        ("too large", frame(DATA, 0, 1, &vec![0; 20_000]), Vec::new()),
    ]
}

/// As [`before_a_head`], once there is one.
fn in_a_body() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    vec![
        ("empty data", endless_head(), frame(DATA, 0, 1, &[])),
        (
            "pings in a body",
            endless_head(),
            frame(PING, 0, 0, &[0; 8]),
        ),
        ("settings in a body", endless_head(), frame(4, 0, 0, &[])),
        (
            "padding",
            endless_head(),
            frame(DATA, 8, 1, &[&[255], [0; 255].as_slice()].concat()),
        ),
        (
            "beyond the window",
            endless_head(),
            frame(DATA, 0, 1, &vec![0; 16_000]),
        ),
        (
            "no HTTP/2",
            b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
            b"x".to_vec(),
        ),
        (
            "window overflow",
            endless_head(),
            frame(8, 0, 1, &[0x7f, 0xff, 0xff, 0xff]),
        ),
    ]
}

/// Whatever a server floods us with is an error, long before the call's time is over, and after few bytes.
#[tokio::test]
async fn floods_end_in_an_error() {
    for (name, first, again) in before_a_head().into_iter().chain(in_a_body()) {
        let (server, way) = started(Says::Frames(first, again)).await;
        let meter = Arc::new(Meter::new(64 * MANY));
        let target = target(&server.url());
        let own = Bounds {
            response_bytes: 64 * 1024,
            ..owned("a")
        };
        let fetching = async {
            let (response, driver) = way.send(&target, get(), own, &meter).await?;
            read(response, driver).await
        };
        let outcome = timeout(PLENTY / 2, fetching).await;
        let error = outcome
            .unwrap_or_else(|_| panic!("{name} takes too long"))
            .unwrap_err();
        let told = matches!(
            error,
            EgressError::HeadTooLarge
                | EgressError::Protocol
                | EgressError::Incomplete
                | EgressError::Limit(LimitKind::Response(_))
        );
        assert!(told, "{name}: {error:?}");
        let most = HEAD_BYTES_MAX + AHEAD_BYTES_MAX + 4 * MANY;
        assert!(meter.received() <= most, "{name}: {}", meter.received());
        assert_eq!(way.pool.waiting(), 0, "{name}");
    }
}

#[tokio::test]
async fn what_a_server_sends_while_nobody_asks_closes_the_connection() {
    // A whole response, and pings behind it.
    let mut first = frame(HEADERS, END_HEADERS, 1, &[0x88]);
    first.extend(frame(DATA, END_STREAM, 1, b"hello"));
    let (server, way) = started(Says::Frames(first, frame(PING, 0, 0, &[0; 8]))).await;
    let body = fetch(&way, &server.url(), owned("a")).await.unwrap();
    assert_eq!(body, "hello");
    let closed = async {
        while !way.pool.all_closed() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PLENTY, closed).await.unwrap();
}

#[tokio::test]
async fn a_server_that_never_answers_ends_with_the_time() {
    let (server, way) = started(Says::Frames(Vec::new(), Vec::new())).await;
    let soon = Bounds {
        first_byte: Some(Duration::from_millis(30)),
        ..owned("a")
    };
    let error = fetch(&way, &server.url(), soon).await.unwrap_err();
    assert_eq!(error, EgressError::Timeout(Phase::FirstByte));

    let (server, way) = started(Says::Frames(endless_head(), Vec::new())).await;
    let soon = Bounds {
        deadline: Instant::now() + Duration::from_millis(100),
        ..owned("a")
    };
    let error = fetch(&way, &server.url(), soon).await.unwrap_err();
    assert!(matches!(error, EgressError::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn a_body_that_drips_is_too_slow() {
    let timeouts = Timeouts {
        rate_window: Duration::from_millis(50),
        rate_bytes: 1000,
        ..Timeouts::default()
    };
    let tick = Duration::from_millis(2);
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let server = Server::start(Answer::Drip(head, tick)).await;
    let names = || Arc::new(Names::default().with("server.test", &[&["127.0.0.1"]]));
    let roots = tokio_rustls::rustls::RootCertStore::empty();
    let way = egress_with(names(), roots, timeouts);
    let url = format!("http://server.test:{}/", server.port());
    let error = fetch(&way, &url, bounds()).await.unwrap_err();
    assert_eq!(error, EgressError::Timeout(Phase::Rate));

    // One that is quick enough is read for as long as it lasts.
    let quick = Timeouts {
        rate_bytes: 1,
        ..timeouts
    };
    let roots = tokio_rustls::rustls::RootCertStore::empty();
    let way = egress_with(names(), roots, quick);
    let some = Bounds {
        response_bytes: 100,
        ..bounds()
    };
    let error = fetch(&way, &url, some).await.unwrap_err();
    assert_eq!(error, EgressError::Limit(LimitKind::Response(100)));
}
