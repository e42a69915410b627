//! Redirects that the host follows, where the rule says so.

use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use toolcell_policy::{SecretGrant, SecretPlace, SecretSource};

use super::*;
use crate::{
    egress::testing::Authority,
    secrets::{CallSecrets, Secret},
};

/// A server whose answer depends on the request line.
async fn server(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Server {
    let answer = move |request: &[u8]| {
        let request = String::from_utf8_lossy(request).into_owned();
        let (line, _) = request.split_once(" HTTP/1.1\r\n").unwrap();
        answer(line).into_bytes()
    };
    Server::start(Answer::By(Arc::new(answer))).await
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn moved(status: u16, location: &str) -> String {
    format!(
        "HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 5\r\nconnection: close\r\n\r\nmoved"
    )
}

/// `/a` leads to `/b`, which leads to `/c`, and so on to `/e`.
fn chain(line: &str) -> String {
    match line.split_once(' ').unwrap().1 {
        "/a" => moved(302, "/b"),
        "/b" => moved(302, "/c"),
        "/c" => moved(302, "/d"),
        "/d" => moved(302, "/e"),
        _ => ok(line),
    }
}

fn follows(server: &Server, most: u8) -> String {
    format!(
        "to = \"http://server.test:{}\", methods = [\"GET\", \"POST\"], redirects = {most}",
        server.port()
    )
}

fn at(server: &Server, path: &str) -> String {
    format!("http://server.test:{}{path}", server.port())
}

/// Asks, and gives the status and body of what comes back.
async fn ask(call: &mut Call, request: Request<WasiBody>) -> Result<(u16, String), Error> {
    let (response, driver) = call.send(request).await?;
    let status = response.status().as_u16();
    let moving = tokio::spawn(Pin::from(driver));
    let body = response.into_body().collect().await?.to_bytes();
    moving.abort();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

#[tokio::test]
async fn as_many_are_followed_as_the_rule_says_and_the_tool_gets_the_rest() {
    let server = server(chain).await;
    for (most, status, body, requests) in [
        (0, 302, "moved", 1),
        (1, 302, "moved", 2),
        (3, 302, "moved", 4),
        (4, 200, "GET /e", 5),
        (10, 200, "GET /e", 5),
    ] {
        let mut call = Call::new(grants(&follows(&server, most), ""));
        let got = ask(&mut call, request("GET", &at(&server, "/a"), "")).await;
        assert_eq!(got.unwrap(), (status, body.to_owned()), "{most}");
        assert_eq!(call.state.usage().requests, requests);
    }
}

#[tokio::test]
async fn each_one_is_decided_afresh_and_one_that_is_refused_is_denied() {
    let elsewhere = Server::start(Answer::ok("never")).await;
    let (other, port) = (elsewhere.port(), elsewhere.port());
    for (location, access) in [
        (
            format!("http://evil.test:{other}/x?y"),
            format!("GET http://evil.test:{other}/x"),
        ),
        (
            format!("http://server.test:{port}/x"),
            format!("GET http://server.test:{port}/x"),
        ),
        (
            "http://169.254.169.254/latest".to_owned(),
            "GET http://169.254.169.254/latest".to_owned(),
        ),
        ("/private".to_owned(), String::new()),
    ] {
        let server = server(move |_| moved(302, &location)).await;
        let access = if access.is_empty() {
            format!("GET {}", at(&server, "/private"))
        } else {
            access
        };
        let rule = format!("{}, paths = [\"/a\"]", follows(&server, 3));
        let mut call = Call::new(grants(&rule, ""));
        let error = ask(&mut call, request("GET", &at(&server, "/a"), "")).await;
        assert!(matches!(error, Err(Error::HttpRequestDenied)), "{error:?}");
        assert_eq!(call.denial().access, access);
        assert_eq!(call.names.asked(), ["server.test"]);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn what_is_not_followed_is_handed_over() {
    for location in [
        "/a",
        "https://me:secret@server.test/",
        "https://server.test./",
        "ftp://server.test/",
        "\\\\server.test/b",
        "/b c",
    ] {
        let server = server(move |_| moved(307, location)).await;
        let mut call = Call::new(grants(&follows(&server, 9), ""));
        let got = ask(&mut call, request("GET", &at(&server, "/a"), "")).await;
        assert_eq!(got.unwrap(), (307, "moved".to_owned()), "{location}");
        assert_eq!(call.recorder.snapshot().denials_total, 0);
    }
}

#[tokio::test]
async fn each_one_counts_and_needs_a_yes_of_its_own() {
    let server = server(chain).await;
    let mut call = Call::new(grants(&follows(&server, 9), "limits = { requests = 3 }"));
    let error = ask(&mut call, request("GET", &at(&server, "/a"), "")).await;
    assert!(
        matches!(error, Err(Error::ConnectionLimitReached)),
        "{error:?}"
    );

    let person = Arc::new(Person {
        says: true,
        heard: Mutex::default(),
    });
    let rule = format!("{}, approve = \"ask\"", follows(&server, 9));
    let mut call = Call::with(grants(&rule, ""), Some(person.clone()), PLENTY);
    ask(&mut call, request("GET", &at(&server, "/c"), ""))
        .await
        .unwrap();
    let heard = person.heard.lock().unwrap().clone();
    let expected = ["/c", "/d", "/e"].map(|path| format!("GET {}", at(&server, path)));
    assert_eq!(heard, expected);
}

/// A place among the connections is enough for a whole way.
#[tokio::test]
async fn a_way_needs_one_connection_at_a_time() {
    let server = server(chain).await;
    let limits = "limits = { connections = 1 }";
    let mut call = Call::new(grants(&follows(&server, 9), limits));
    let got = ask(&mut call, request("GET", &at(&server, "/a"), "")).await;
    assert_eq!(got.unwrap().0, 200);
}

fn pieces(pieces: &[&'static str], trailers: Option<HeaderMap>) -> WasiBody {
    let data = pieces
        .iter()
        .map(|it| Frame::data(Bytes::from_static(it.as_bytes())));
    let frames: Vec<_> = data.chain(trailers.map(Frame::trailers)).map(Ok).collect();
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn a_body_is_sent_again_where_it_has_to_be_and_can_be() {
    let large: &'static str = "x".repeat(64 * 1024 + 1).leak();
    let just: &'static str = "x".repeat(64 * 1024).leak();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    for (status, body, trailers, got) in [
        (307, vec!["first-", "second-"], None, (200, "POST /b")),
        (308, vec![just], None, (200, "POST /b")),
        (307, vec![large], None, (307, "moved")),
        (307, vec!["text"], Some(trailers), (307, "moved")),
        (302, vec!["text"], None, (200, "GET /b")),
        (303, vec![large], None, (200, "GET /b")),
    ] {
        let server = server(move |line| match line.ends_with("/a") {
            true => moved(status, "/b"),
            false => ok(line),
        })
        .await;
        let mut call = Call::new(grants(&follows(&server, 1), ""));
        let mut request = request("POST", &at(&server, "/a"), "");
        *request.body_mut() = pieces(&body, trailers);
        let answer = ask(&mut call, request).await.unwrap();
        assert_eq!((answer.0, answer.1.as_str()), got, "{status}");
        let last = body.last().copied().unwrap_or_default();
        let sent = server.received().matches(last).count();
        let again = got.1 == "POST /b";
        assert_eq!(sent, if again { 2 } else { 1 }, "{status}");
    }
}

#[tokio::test]
async fn another_server_hears_none_of_the_tools_own_headers() {
    let other = Server::start(Answer::ok("hello")).await;
    let to = format!("http://127.0.0.1:{}", other.port());
    let location = format!("{to}/");
    let first = server(move |_| moved(302, &location)).await;
    let rules = format!("{} }}, {{ to = \"{to}\"", follows(&first, 1));
    let mut call = Call::new(grants(&rules, ""));
    let mut asked = request("GET", &at(&first, "/"), "");
    for name in ["authorization", "cookie", "x-api-key", "x-own", "accept"] {
        let name = HeaderName::from_static(name);
        asked.headers_mut().insert(name, "mine".parse().unwrap());
    }
    assert_eq!(ask(&mut call, asked).await.unwrap().0, 200);
    assert_eq!(first.received().matches("mine").count(), 5);
    let heard = other.received();
    assert_eq!(heard.matches("mine").count(), 1, "{heard}");
    assert!(heard.contains("accept: mine"), "{heard}");
}

const VALUE: &str = "Zq8h/Wv+k4Lx7Rm=";

/// A call that holds one secret for the paths below `/a` of a server, and follows redirects.
fn laden(server: &Server, authority: &Authority, place: SecretPlace) -> Call {
    let to = format!("to = \"https://server.test:{}\"", server.port());
    let net = grants(&format!("{to}, paths = [\"/a\", \"/a/**\"]"), "");
    let secret = SecretGrant {
        name: "TOKEN".to_owned(),
        source: SecretSource::Env("TOKEN".to_owned()),
        scope: net.net()[0].scope.clone(),
        place,
        rule: net.net()[0].rule.clone(),
    };
    let value = Secret::new(VALUE.as_bytes()).unwrap();
    let secrets = CallSecrets::of(vec![(secret, Some(value))]);
    let names = Arc::new(Names::default().with("server.test", &[&["127.0.0.1"]]));
    let recorder = Recorder::new(CallId::new("call_1"), None);
    let requests = Requests::new(HttpOptions {
        tenant: None,
        secrets: Arc::new(secrets),
        grants: grants(&format!("{to}, redirects = 5"), ""),
        egress: Arc::new(egress(names.clone(), authority.roots())),
        deadline: Instant::now() + PLENTY,
        recorder: recorder.clone(),
        approver: None,
    });
    Call {
        state: HttpState::new(Arc::new(requests), 32 * 1024),
        recorder,
        names,
    }
}

async fn tls_server(
    authority: &Authority,
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
) -> Server {
    let answer = move |request: &[u8]| answer(&String::from_utf8_lossy(request)).into_bytes();
    let tls = authority.vouch_for("server.test");
    Server::start_tls(tls, Answer::By(Arc::new(answer))).await
}

fn bearer() -> SecretPlace {
    SecretPlace::Header {
        name: "authorization".to_owned(),
        before: "Bearer ".to_owned(),
        after: String::new(),
    }
}

/// Also on the same server and to a path that the secret is bound to.
#[tokio::test]
async fn only_the_first_request_carries_a_secret() {
    let authority = Authority::new();
    for next in ["/a/2", "/b"] {
        let server = tls_server(&authority, move |request| {
            match request.starts_with("GET /a HTTP/1.1") {
                true => moved(302, next),
                false => ok(request),
            }
        })
        .await;
        let mut call = laden(&server, &authority, bearer());
        let url = format!("https://server.test:{}/a", server.port());
        let (status, body) = ask(&mut call, request("GET", &url, "")).await.unwrap();
        assert_eq!(status, 200);
        assert!(body.contains("accept-encoding: identity"), "{body}");
        assert!(!body.contains("authorization"), "{body}");
        let received = server.received();
        assert_eq!(received.matches("GET /").count(), 2);
        assert_eq!(received.matches(VALUE).count(), 1, "{received}");
    }
}

/// A server that writes the secret into the address it leads to does not get the host to carry it there.
#[tokio::test]
async fn an_address_with_a_secret_in_it_is_handed_over_without_and_not_followed() {
    let authority = Authority::new();
    let place = SecretPlace::Query {
        name: "key".to_owned(),
    };
    for location in [
        "/b?key=Zq8h/Wv+k4Lx7Rm=",
        "/b?key=Zq8h%2FWv%2Bk4Lx7Rm%3D",
        "https://other.test/?Zq8h/Wv+k4Lx7Rm=",
    ] {
        let server = tls_server(&authority, move |_| moved(302, location)).await;
        let mut call = laden(&server, &authority, place.clone());
        let url = format!("https://server.test:{}/a", server.port());
        let (response, _driver) = call.send(request("GET", &url, "")).await.unwrap();
        assert_eq!(response.status(), 302);
        let said = response.headers()["location"].to_str().unwrap();
        assert!(said.ends_with("[secret TOKEN]"), "{said}");
        assert_eq!(server.connections(), 1);
    }
}
