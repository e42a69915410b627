use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::RootCertStore;

mod http2;

use super::Bounds;
use crate::egress::{
    Timeouts,
    connect::DIALS_MAX,
    error::{EgressError, LimitKind, Phase},
    meter::Meter,
    testing::{
        Answer, Authority, Names, PLENTY, Server, Silent,
        client::{HEADER_BYTES, MANY, bounds, fetch, get, loopback, read, target},
        egress, egress_with, expired, self_signed,
    },
    wire::HEAD_BYTES_MAX,
};

fn url(server: &Server) -> String {
    format!("http://server.test:{}/path?query=1", server.port())
}

#[tokio::test]
async fn a_request_goes_out_in_origin_form_with_headers_of_ours() {
    let server = Server::start(Answer::ok("hello")).await;
    let meter = Arc::new(Meter::new(MANY));
    let mut request = get();
    *request.uri_mut() = "https://elsewhere.example/other".parse().unwrap();
    request
        .headers_mut()
        .insert("host", "elsewhere.example".parse().unwrap());
    request.headers_mut().insert("x-own", "1".parse().unwrap());
    let (response, driver) = loopback()
        .send(&target(&url(&server)), request, bounds(), &meter)
        .await
        .unwrap();
    assert_eq!(read(response, driver).await.unwrap(), "hello");
    let received = server.received();
    let port = server.port();
    assert!(
        received.starts_with("GET /path?query=1 HTTP/1.1\r\n"),
        "{received}"
    );
    assert!(
        received.contains(&format!("host: server.test:{port}\r\n")),
        "{received}"
    );
    assert!(received.contains("connection: close\r\n"), "{received}");
    assert!(received.contains("x-own: 1\r\n"), "{received}");
    assert!(!received.contains("elsewhere"), "{received}");
    assert_eq!(meter.sent(), received.len() as u64);
    assert_eq!(meter.received(), 43);
}

#[tokio::test]
async fn what_was_checked_is_dialled_and_a_rebound_name_is_refused() {
    let first = Server::start(Answer::ok("first")).await;
    let names =
        Arc::new(Names::default().with("server.test", &[&["127.0.0.1"], &["169.254.169.254"]]));
    let way = egress(names.clone(), RootCertStore::empty());
    let url = url(&first);
    assert_eq!(fetch(&way, &url, bounds()).await.unwrap(), "first");
    assert_eq!(names.asked().len(), 1);
    let error = fetch(&way, &url, bounds()).await.unwrap_err();
    assert!(matches!(error, EgressError::Refused(_)), "{error:?}");
    assert_eq!(fetch(&way, &url, bounds()).await.unwrap(), "first");
    assert_eq!((first.connections(), names.asked().len()), (2, 3));
}

#[tokio::test]
async fn of_two_addresses_the_one_that_answers_is_used() {
    let server = Server::start(Answer::ok("second")).await;
    let names = Names::default().with("server.test", &[&["127.0.0.2", "127.0.0.1"]]);
    let way = egress(Arc::new(names), RootCertStore::empty());
    assert_eq!(
        fetch(&way, &url(&server), bounds()).await.unwrap(),
        "second"
    );
}

#[tokio::test]
async fn only_so_many_addresses_of_a_name_are_dialled() {
    let server = Server::start(Answer::ok("never")).await;
    let found = [
        "127.0.0.2",
        "127.0.0.3",
        "127.0.0.4",
        "127.0.0.5",
        "127.0.0.1",
    ];
    assert_eq!(found.len(), DIALS_MAX + 1);
    let names = Names::default().with("server.test", &[&found]);
    let way = egress(Arc::new(names), RootCertStore::empty());
    let error = fetch(&way, &url(&server), bounds()).await.unwrap_err();
    assert_eq!(error, EgressError::Unreachable);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn without_a_rule_for_special_addresses_nothing_is_dialled() {
    let server = Server::start(Answer::ok("secret")).await;
    let plain = Bounds {
        special: false,
        ..bounds()
    };
    for host in ["server.test", "127.0.0.1"] {
        let url = format!("http://{host}:{}/", server.port());
        let error = fetch(&loopback(), &url, plain.clone()).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused(_)), "{error:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn redirects_come_back_as_they_are() {
    let elsewhere = Server::start(Answer::ok("never")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://server.test:{}/", elsewhere.port());
        let head =
            format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = Server::start(Answer::Once(head.into())).await;
        let meter = Arc::new(Meter::new(MANY));
        let (response, _driver) = loopback()
            .send(&target(&url(&server)), get(), bounds(), &meter)
            .await
            .unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["location"], location);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn an_endless_body_ends_at_its_limit() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let server = Server::start(Answer::Endless(head, vec![b'x'; 4096])).await;
    let small = Bounds {
        response_bytes: 10_000,
        ..bounds()
    };
    let error = fetch(&loopback(), &url(&server), small).await.unwrap_err();
    assert_eq!(error, EgressError::Limit(LimitKind::Response(10_000)));
}

#[tokio::test]
async fn a_body_may_be_as_large_as_its_limit() {
    let server = Server::start(Answer::ok("12345")).await;
    let exact = Bounds {
        response_bytes: 5,
        ..bounds()
    };
    assert_eq!(
        fetch(&loopback(), &url(&server), exact).await.unwrap(),
        "12345"
    );
    let less = Bounds {
        response_bytes: 4,
        ..bounds()
    };
    let error = fetch(&loopback(), &url(&server), less).await.unwrap_err();
    assert_eq!(error, EgressError::Limit(LimitKind::Response(4)));
}

#[tokio::test]
async fn what_a_call_may_send_is_shared_by_its_requests() {
    let done = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    let server = Server::start(Answer::AfterBody(done)).await;
    let meter = Arc::new(Meter::new(5_000));
    let way = loopback();
    let post = || {
        let mut request = Request::new(Full::new(Bytes::from(vec![b'x'; 3_000])));
        *request.method_mut() = Method::POST;
        request
    };
    let target = target(&url(&server));
    way.send(&target, post(), bounds(), &meter)
        .await
        .map(|_| ())
        .unwrap();
    let sent = meter.sent();
    assert!((3_000..3_500).contains(&sent), "{sent}");
    let error = way
        .send(&target, post(), bounds(), &meter)
        .await
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error, EgressError::Limit(LimitKind::Sent(5_000)));
    assert_eq!(meter.sent(), 5_000);
}

#[tokio::test]
async fn a_flood_of_headers_is_cut_off() {
    let many: String = (0..=super::HEADERS_MAX)
        .map(|n| format!("x-{n}: 1\r\n"))
        .collect();
    let large = format!("x: {}\r\n", "y".repeat(HEADER_BYTES as usize));
    for headers in [many, large] {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n");
        let server = Server::start(Answer::Hold(head.into())).await;
        let error = fetch(&loopback(), &url(&server), bounds())
            .await
            .unwrap_err();
        assert_eq!(error, EgressError::HeadTooLarge);
    }
}

#[tokio::test]
async fn the_limit_on_headers_is_the_calls_own() {
    for (limit, bytes, fits) in [
        (HEADER_BYTES, 40_000, false),
        (64 * 1024, 40_000, true),
        (1024, 2_000, false),
        (1024, 500, true),
    ] {
        let own = Bounds {
            header_bytes: limit,
            ..bounds()
        };
        let large = "y".repeat(bytes);
        let head = format!("HTTP/1.1 200 OK\r\nx: {large}\r\ncontent-length: 0\r\n\r\n");
        let server = Server::start(Answer::Hold(head.into())).await;
        let fetched = fetch(&loopback(), &url(&server), own.clone()).await;
        assert_eq!(fetched.is_ok(), fits, "{limit}: {fetched:?}");
        let mut request = get();
        request
            .headers_mut()
            .insert("x-large", large.parse().unwrap());
        let server = Server::start(Answer::ok("ok")).await;
        let meter = Arc::new(Meter::new(MANY));
        let sent = loopback()
            .send(&target(&url(&server)), request, own, &meter)
            .await;
        assert_eq!(sent.is_ok(), fits, "{limit}");
    }
}

#[tokio::test]
async fn heads_that_never_end_are_cut_off() {
    let interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_vec();
    let header = b"x-again: 1\r\n".to_vec();
    for (first, again) in [
        (Vec::new(), interim),
        (b"HTTP/1.1 200 OK\r\n".to_vec(), header),
    ] {
        let server = Server::start(Answer::Endless(first, again)).await;
        let meter = Arc::new(Meter::new(MANY));
        let sent = loopback()
            .send(&target(&url(&server)), get(), bounds(), &meter)
            .await;
        assert_eq!(sent.map(|_| ()).unwrap_err(), EgressError::HeadTooLarge);
        assert!(meter.received() <= HEAD_BYTES_MAX + 512 * 1024);
    }
}

#[tokio::test]
async fn what_is_no_http_is_an_error_in_our_words() {
    for (answer, error) in [
        ("SSH-2.0-OpenSSH_9.9 secret\r\n", EgressError::Protocol),
        ("HTTP/1.1 banana\r\n\r\n", EgressError::Protocol),
        (
            "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
            EgressError::Protocol,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
            EgressError::Protocol,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
            EgressError::Protocol,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
            EgressError::Incomplete,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
            EgressError::Incomplete,
        ),
        ("", EgressError::Incomplete),
    ] {
        let server = Server::start(Answer::Once(answer.into())).await;
        let got = fetch(&loopback(), &url(&server), bounds())
            .await
            .unwrap_err();
        assert_eq!(got, error, "{answer:?}");
        assert!(!got.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn every_step_ends_at_the_deadline() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive.".to_vec();
    let mute = Server::start(Answer::Hold(Vec::new())).await;
    let stalling = Server::start(Answer::Hold(head)).await;
    let silent = egress(Arc::new(Silent), RootCertStore::empty());
    let hour = Duration::from_secs(3600);
    for (way, url, wished) in [
        (silent, "http://server.test/".to_owned(), hour),
        (loopback(), url(&mute), hour),
        (loopback(), url(&stalling), hour),
        (loopback(), url(&mute), Duration::MAX),
    ] {
        let soon = Bounds {
            deadline: Instant::now() + Duration::from_millis(50),
            connect: Some(wished),
            first_byte: Some(wished),
            between_bytes: Some(wished),
            ..bounds()
        };
        // Which step was under way at that moment depends on how busy the machine is.
        let outcome = timeout(PLENTY, fetch(&way, &url, soon)).await.unwrap();
        let error = outcome.unwrap_err();
        assert!(matches!(error, EgressError::Timeout(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_drips_does_not_outlast_the_call() {
    let tick = Duration::from_millis(2);
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    for first in [Vec::new(), b"HTTP/1.1 200 OK\r\nx: ".to_vec(), head] {
        let server = Server::start(Answer::Drip(first, tick)).await;
        let soon = Bounds {
            deadline: Instant::now() + Duration::from_millis(100),
            ..bounds()
        };
        let outcome = timeout(PLENTY, fetch(&loopback(), &url(&server), soon)).await;
        let error = outcome.unwrap().unwrap_err();
        // Letters where a status line should be are no HTTP, which may be noticed before the time is up.
        assert!(
            matches!(error, EgressError::Timeout(_) | EgressError::Protocol),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn every_step_has_a_time_of_its_own() {
    const SHORT: Option<Duration> = Some(Duration::from_millis(30));
    let silent = egress(Arc::new(Silent), RootCertStore::empty());
    let connect = Bounds {
        connect: SHORT,
        ..bounds()
    };
    let error = fetch(&silent, "http://server.test/", connect)
        .await
        .unwrap_err();
    assert_eq!(error, EgressError::Timeout(Phase::Connect));

    let mute = Server::start(Answer::Hold(Vec::new())).await;
    let first_byte = Bounds {
        first_byte: SHORT,
        ..bounds()
    };
    let error = fetch(&loopback(), &url(&mute), first_byte)
        .await
        .unwrap_err();
    assert_eq!(error, EgressError::Timeout(Phase::FirstByte));

    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive.".to_vec();
    let stalling = Server::start(Answer::Hold(head)).await;
    let between_bytes = Bounds {
        between_bytes: SHORT,
        ..bounds()
    };
    let error = fetch(&loopback(), &url(&stalling), between_bytes)
        .await
        .unwrap_err();
    assert_eq!(error, EgressError::Timeout(Phase::BetweenBytes));
}

#[tokio::test]
async fn the_hosts_own_times_hold_where_the_guest_sets_none() {
    let short = Timeouts {
        first_byte: Duration::from_millis(30),
        ..Timeouts::default()
    };
    let names = Names::default().with("server.test", &[&["127.0.0.1"]]);
    let way = egress_with(Arc::new(names), RootCertStore::empty(), short);
    let mute = Server::start(Answer::Hold(Vec::new())).await;
    let error = fetch(&way, &url(&mute), bounds()).await.unwrap_err();
    assert_eq!(error, EgressError::Timeout(Phase::FirstByte));
}

#[tokio::test]
async fn tls_speaks_to_a_server_that_a_root_vouches_for_and_to_no_other() {
    let authority = Authority::new();
    let names = Names::default().with("server.test", &[&["127.0.0.1"]]);
    let way = egress(Arc::new(names), authority.roots());
    for (certificate, outcome) in [
        (authority.vouch_for("server.test"), Ok("hello".to_owned())),
        (
            authority.vouch_for("other.test"),
            Err(EgressError::Certificate),
        ),
        (
            Authority::new().vouch_for("server.test"),
            Err(EgressError::Certificate),
        ),
        (self_signed("server.test"), Err(EgressError::Certificate)),
        (
            expired(&authority, "server.test"),
            Err(EgressError::Certificate),
        ),
    ] {
        let server = Server::start_tls(certificate, Answer::ok("hello")).await;
        let url = format!("https://server.test:{}/", server.port());
        let trusted = outcome.is_ok();
        assert_eq!(fetch(&way, &url, bounds()).await, outcome);
        let names = if trusted { vec!["server.test"] } else { vec![] };
        assert_eq!(server.server_names(), names);
    }
}

#[tokio::test]
async fn a_server_without_tls_is_no_https_server() {
    let server = Server::start(Answer::ok("plain")).await;
    let url = format!("https://server.test:{}/", server.port());
    let soon = Bounds {
        connect: Some(Duration::from_millis(50)),
        ..bounds()
    };
    let error = fetch(&loopback(), &url, soon).await.unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::Tls | EgressError::Timeout(Phase::Connect)
        ),
        "{error:?}"
    );
    assert_eq!(server.received().matches("GET").count(), 0);
}

#[tokio::test]
async fn requests_with_too_many_or_too_large_headers_are_not_sent() {
    let server = Server::start(Answer::ok("never")).await;
    let meter = Arc::new(Meter::new(MANY));
    let mut many = get();
    for n in 0..=super::HEADERS_MAX {
        many.headers_mut().append("x-many", n.into());
    }
    let mut large = get();
    let value = "y".repeat(HEADER_BYTES as usize).parse().unwrap();
    large.headers_mut().insert("x-large", value);
    for request in [many, large] {
        let sent = loopback()
            .send(&target(&url(&server)), request, bounds(), &meter)
            .await;
        assert_eq!(sent.map(|_| ()).unwrap_err(), EgressError::RequestHeaders);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn names_and_servers_that_are_not_there() {
    let way = loopback();
    let error = fetch(&way, "http://nowhere.test/", bounds())
        .await
        .unwrap_err();
    assert_eq!(error, EgressError::NameNotFound);
    // A port that is taken and on which nobody listens.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://server.test:{}/", taken.local_addr().unwrap().port());
    let error = fetch(&way, &url, bounds()).await.unwrap_err();
    assert_eq!(error, EgressError::Unreachable);
}

#[tokio::test]
async fn a_body_that_the_guest_gives_up_is_told_as_that() {
    let server = Server::start(Answer::Hold(Vec::new())).await;
    let pieces = [
        Ok(Frame::data(Bytes::from_static(b"half"))),
        Err(std::io::Error::other("secret")),
    ];
    let request = Request::post("/")
        .body(StreamBody::new(stream::iter(pieces)))
        .unwrap();
    let meter = Arc::new(Meter::new(MANY));
    let sent = loopback()
        .send(&target(&url(&server)), request, bounds(), &meter)
        .await;
    assert_eq!(sent.map(|_| ()).unwrap_err(), EgressError::RequestAborted);
}

/// Runs another test in a process of its own whose environment names a proxy that is not there.
#[test]
fn proxies_of_the_environment_are_ignored() {
    let proxy = "http://127.0.0.1:9";
    let test = "a_request_goes_out_in_origin_form_with_headers_of_ours";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("egress::request::tests::{test}")])
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .envs(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, proxy)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}");
}
