//! Requests of a guest in a worker, through the host's own way out.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::*;
use crate::{
    capability::http::Network as _,
    egress::testing::{Answer as Says, Authority, Names, Server, egress},
};

fn web(server: &Server, limits: &str) -> Setup {
    let net = format!(
        "net = [{{ to = \"http://server.test:{}\", methods = [\"GET\", \"POST\"] }}]\nlimits = {{ {limits} }}",
        server.port()
    );
    setup(&net, Path::new("/"), PLENTY)
}

fn request(server: &Server, method: &str, body: WasiBody) -> Request<WasiBody> {
    Request::builder()
        .method(method)
        .uri(format!("http://server.test:{}/a?b", server.port()))
        .header("x-mine", "yes")
        .body(body)
        .unwrap()
}

fn nothing() -> WasiBody {
    http_body_util::Empty::new()
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn full(bytes: Vec<u8>) -> WasiBody {
    Full::new(Bytes::from(bytes))
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// What a guest gets of a request, its driver polled as wasmtime-wasi-http does.
async fn fetch(
    network: &Arc<RemoteNetwork>,
    request: Request<WasiBody>,
) -> Result<Response<Bytes>, Error> {
    let sent = Arc::clone(network).send(request, RequestOptions::default());
    let (response, driver) = sent.await?;
    let driving = tokio::spawn(Pin::from(driver));
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    driving.abort();
    Ok(Response::from_parts(head, body))
}

fn network(link: Link, limit: u32) -> Arc<RemoteNetwork> {
    Arc::new(RemoteNetwork::new(link, limit))
}

#[tokio::test]
async fn a_request_goes_out_and_its_response_comes_back() {
    let server = Server::start(Says::ok("hello")).await;
    let get = request(&server, "GET", nothing());
    let ended = as_guest(web(&server, ""), |link| async move {
        let response = fetch(&network(link, 64), get).await.unwrap();
        assert_eq!(response.headers()["content-length"], "5");
        text(String::from_utf8_lossy(response.body()))
    })
    .await;
    let seen = server.received();
    assert_eq!(ended.finished.outcome.unwrap(), [Content::text("hello")]);
    assert!(seen.starts_with("GET /a?b HTTP/1.1\r\n"), "{seen}");
    assert!(
        seen.contains("x-mine: yes") && !seen.contains("chunked"),
        "{seen}"
    );
    let usage = ended.finished.usage;
    assert_eq!((usage.requests, usage.egress_bytes), (1, seen.len() as u64));
    assert!(usage.ingress_bytes > 5 && ended.reusable);
    assert_eq!(ended.finished.record.hosts.len(), 1);
}

#[tokio::test]
async fn redirects_come_back_as_what_they_are() {
    let elsewhere =
        b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(Says::Once(elsewhere.to_vec())).await;
    let get = request(&server, "GET", nothing());
    let ended = as_guest(web(&server, ""), |link| async move {
        let response = fetch(&network(link, 64), get).await.unwrap();
        text(format!(
            "{} {:?}",
            response.status(),
            response.headers()["location"]
        ))
    })
    .await;
    let found = Content::text("302 Found \"http://10.0.0.1/\"");
    assert_eq!(ended.finished.outcome.unwrap(), [found]);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_no_rule_allows_is_denied_by_the_host() {
    let server = Server::start(Says::ok("")).await;
    let mut get = request(&server, "GET", nothing());
    *get.uri_mut() = "http://other.test/".parse().unwrap();
    let ended = as_guest(web(&server, ""), |link| async move {
        let error = fetch(&network(link, 64), get).await.unwrap_err();
        text(error.to_string())
    })
    .await;
    assert_eq!(
        ended.finished.outcome.unwrap(),
        [Content::text("HTTP request denied")]
    );
    let denial = &ended.finished.record.denials[0];
    assert_eq!(
        (&*denial.capability, &*denial.access),
        ("net", "GET http://other.test/")
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_body_of_many_pieces_is_sent_as_fast_as_it_is_taken() {
    let server = Server::start(Says::AfterBody(
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ))
    .await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    let sized = request(&server, "POST", full(bytes.clone()));
    let ended = as_guest(web(&server, ""), |link| async move {
        fetch(&network(link, 64), sized).await.unwrap();
        text("sent")
    })
    .await;
    assert_eq!(ended.finished.outcome.unwrap(), [Content::text("sent")]);
    let seen = server.received();
    assert!(seen.contains("content-length: 1000000"));
    assert!(seen.as_bytes().ends_with(&bytes));
}

#[tokio::test]
async fn trailers_and_open_ended_bodies_come_through() {
    let server = Server::start(Says::Hold(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n2\r\nhi\r\n0\r\nx-end: yes\r\n\r\n".to_vec(),
    ))
    .await;
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    let frames = [
        Frame::data(Bytes::from_static(b"some")),
        Frame::trailers(trailers),
    ];
    let frames = futures_util::stream::iter(frames.map(Ok::<_, Error>));
    let mut post = request(&server, "POST", StreamBody::new(frames).boxed_unsync());
    post.headers_mut()
        .insert("trailer", "x-sum".parse().unwrap());
    let ended = as_guest(web(&server, ""), |link| async move {
        let network = network(link, 64);
        let sent = network.send(post, RequestOptions::default()).await;
        let (response, driver) = sent.unwrap();
        let driving = tokio::spawn(Pin::from(driver));
        let whole = response.into_body().collect().await.unwrap();
        let end = whole.trailers().unwrap()["x-end"].clone();
        driving.await.unwrap().unwrap();
        text(format!("{end:?} {:?}", whole.to_bytes()))
    })
    .await;
    assert_eq!(
        ended.finished.outcome.unwrap(),
        [Content::text("\"yes\" b\"hi\"")]
    );
    let seen = server.received();
    assert!(seen.contains("transfer-encoding: chunked"), "{seen}");
    assert!(seen.contains("4\r\nsome\r\n"), "{seen}");
}

#[tokio::test]
async fn a_response_beyond_its_limit_fails_and_is_the_hosts_limit() {
    let many = vec![b'x'; 4_096];
    let server = Server::start(Says::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), many)).await;
    let get = request(&server, "GET", nothing());
    let ended = as_guest(web(&server, "response = '100KiB'"), |link| async move {
        let error = fetch(&network(link, 64), get).await.unwrap_err();
        assert!(
            matches!(error, Error::HttpResponseBodySize(Some(102_400))),
            "{error}"
        );
        text("went on")
    })
    .await;
    assert_eq!(kind(&ended), ErrorKind::LimitEgress);
    assert!(!ended.reusable);
}

#[tokio::test]
async fn one_request_too_many_is_the_hosts_limit() {
    let server = Server::start(Says::ok("x")).await;
    let requests: Vec<_> = (0..10)
        .map(|_| request(&server, "GET", nothing()))
        .collect();
    let ended = as_guest(web(&server, "requests = 2"), |link| async move {
        let network = network(link, 2);
        for (n, get) in requests.into_iter().enumerate() {
            let fetched = fetch(&network, get).await;
            assert_eq!(fetched.is_ok(), n < 2);
        }
        text("went on")
    })
    .await;
    assert_eq!(kind(&ended), ErrorKind::LimitEgress);
    assert_eq!(
        (ended.finished.usage.requests, server.connections()),
        (2, 2)
    );
}

#[tokio::test]
async fn sixty_four_requests_at_once() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n{}",
        "y".repeat(10_000)
    );
    let server = Server::start(Says::AfterBody(answer.into())).await;
    let requests: Vec<_> = (0..64)
        .map(|_| request(&server, "POST", full(vec![b'z'; 100_000])))
        .collect();
    let ended = as_guest(web(&server, ""), |link| async move {
        let network = network(link, 64);
        let all = join_all(requests.into_iter().map(|it| fetch(&network, it))).await;
        let bytes: usize = all
            .into_iter()
            .map(|it| it.map_or(0, |it| it.body().len()))
            .sum();
        text(bytes.to_string())
    })
    .await;
    assert_eq!(ended.finished.outcome.unwrap(), [Content::text("640000")]);
    assert_eq!(ended.finished.usage.requests, 64);
}

#[tokio::test]
async fn a_request_that_a_guest_lets_go_of_is_given_up() {
    let server = Server::start(Says::Hold(
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".to_vec(),
    ))
    .await;
    let (first, second) = (
        request(&server, "GET", nothing()),
        request(&server, "GET", nothing()),
    );
    let ended = as_guest(web(&server, ""), |link| async move {
        let network = network(link, 64);
        let dropped = Arc::clone(&network).send(first, RequestOptions::default());
        drop(dropped.await.unwrap());
        // A body that never comes is waited for, and let go of as well.
        let (response, _driver) = network
            .send(second, RequestOptions::default())
            .await
            .unwrap();
        let mut body = response.into_body();
        tokio::select! {
            biased;
            frame = body.frame() => panic!("{frame:?}"),
            () = tokio::task::yield_now() => {}
        }
        text("done")
    })
    .await;
    assert_eq!(ended.finished.outcome.unwrap(), [Content::text("done")]);
    assert!(ended.reusable);
}

/// The host adds a secret and takes it out again: nothing that crosses the stream holds it.
#[tokio::test]
async fn a_secret_stays_in_the_host() {
    const VALUE: &str = "Zq8h/Wv+k4Lx7Rm=";
    let authority = Authority::new();
    let echo = Says::By(Arc::new(|request: &[u8]| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\nx-echo";
        let bytes = request
            .iter()
            .map(|byte| format!("1\r\n{}\r\n", char::from(*byte)));
        let body: String = bytes.collect();
        format!("{head}: {VALUE}\r\n\r\n{body}0\r\nx-end: {VALUE}\r\n\r\n").into_bytes()
    }));
    let server = Server::start_tls(authority.vouch_for("server.test"), echo).await;
    let to = format!("https://server.test:{}", server.port());
    let net = format!("net = [{{ to = \"{to}\" }}]");
    let names = Names::default().with("server.test", &[&["127.0.0.1"]]);
    let value = Secret::new(VALUE).unwrap();
    let setup = Setup {
        egress: Arc::new(egress(Arc::new(names), authority.roots())),
        secrets: Arc::new(CallSecrets::of(vec![(bearer("TOKEN", &to), Some(value))])),
        ..setup(&net, Path::new("/"), PLENTY)
    };

    let (stream, far) = duplex(64 << 10);
    let mut stream = Overheard {
        stream,
        heard: Vec::new(),
    };
    let mut connection = Connection::open(far);
    let link = connection.link();
    let working = tokio::spawn(async move {
        let number = connection.next_call().await.unwrap().unwrap().number;
        let get = Request::get(format!("{to}/a")).body(nothing()).unwrap();
        let sent = network(link.clone(), 64).send(get, RequestOptions::default());
        let (response, driver) = sent.await.unwrap();
        let driving = tokio::spawn(Pin::from(driver));
        let header = response.headers()["x-echo"].clone();
        let body = response.into_body().collect().await.unwrap();
        let trailer = body.trailers().unwrap()["x-end"].clone();
        driving.abort();
        let all = format!("{header:?} {trailer:?} {:?}", body.to_bytes());
        link.finish(finish(number, ended_with(text(all)), |done| done));
        connection.ended().await
    });
    let never = CancellationToken::new();
    let ended = outside::call(&mut stream, setup, "t", "{}".into(), &never).await;
    let heard = String::from_utf8_lossy(&stream.heard).into_owned();
    drop(stream);
    let _ = working.await.unwrap();
    let [Content::Text { text }] = &*ended.finished.outcome.unwrap() else {
        panic!("one text");
    };
    assert!(server.received().contains(VALUE));
    assert!(
        text.starts_with("\"[secret TOKEN]\" \"[secret TOKEN]\""),
        "{text}"
    );
    assert!(
        text.contains("authorization: Bearer [secret TOKEN]"),
        "{text}"
    );
    assert_eq!(ended.finished.record.redactions["TOKEN"], 3);
    assert!(
        heard.contains("x-echo") && !heard.contains(VALUE),
        "{heard}"
    );
}

/// The host's end of a stream, with all that crosses it in either direction.
struct Overheard {
    stream: DuplexStream,
    heard: Vec<u8>,
}

impl AsyncRead for Overheard {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        this.heard.extend_from_slice(&buffer.filled()[before..]);
        read
    }
}

impl AsyncWrite for Overheard {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            this.heard.extend_from_slice(&bytes[..count]);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
