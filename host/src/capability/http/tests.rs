mod follow;
mod pooled;
mod secrets;
mod traced;

use std::{pin::Pin, sync::Mutex, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use toolcell_policy::{Access, Decision, Layers, Manifest, Policy, Rule, decide};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi_http::{
    FieldMap,
    p2::{
        bindings::http::{
            outgoing_handler::Host as _,
            types::{HeaderError, HostFields, Method as WasiMethod, Scheme},
        },
        types::{HostFutureIncomingResponse, HostOutgoingRequest},
    },
};

use tokio_rustls::rustls;

use super::*;
use crate::{
    CallId, Denial, ErrorKind,
    egress::testing::{Answer, Names, PLENTY, Server, egress},
};

const MANIFEST: &str = r#"
    name = "web"
    version = "0.1.0"
    world = "toolcell:tool@0.1"
    description = "requests whatever the test wants"

    [[tool]]
    name = "web"
    description = "requests whatever the test wants"
    input = { type = "object" }

    [request]
    net = [{ to = "any", methods = ["GET", "POST", "DELETE"], paths = ["/**"], why = "a test" }]
"#;

/// What a policy grants whose only net rule has this text, with these limits.
fn grants(rule: &str, limits: &str) -> GrantSet {
    let policy = format!("[tool.web]\nfrom = \"./web.wasm\"\nnet = [{{ {rule} }}]\n{limits}\n");
    let policy = Policy::from_toml(&policy).unwrap();
    let manifest = Manifest::from_toml(MANIFEST).unwrap();
    match decide(&Layers::from(policy), &manifest, "web") {
        Decision::Allow(grants) | Decision::Ask(grants, _) => grants,
        other => panic!("{other:?}"),
    }
}

/// One call with its own names, and what it left behind.
struct Call {
    state: HttpState,
    recorder: Recorder,
    names: Arc<Names>,
}

impl Call {
    fn new(grants: GrantSet) -> Self {
        Self::with(grants, None, PLENTY)
    }

    fn with(grants: GrantSet, approver: Option<Arc<dyn Ask>>, time: Duration) -> Self {
        let names = Names::default()
            .with("server.test", &[&["127.0.0.1"]])
            .with("api.example.com", &[&["127.0.0.1"]]);
        let names = Arc::new(names);
        let recorder = Recorder::new(CallId::new("call_1"), None);
        let requests = Requests::new(HttpOptions {
            tenant: None,
            secrets: CallSecrets::none(),
            grants,
            egress: Arc::new(egress(names.clone(), rustls::RootCertStore::empty())),
            deadline: Instant::now() + time,
            recorder: recorder.clone(),
            approver,
        });
        Self {
            state: HttpState::new(Arc::new(requests), 32 * 1024),
            recorder,
            names,
        }
    }

    async fn send(&mut self, request: Request<WasiBody>) -> Result<Sent, Error> {
        let done = Box::new(std::future::ready(Ok(())));
        Pin::from(self.state.hooks.send_request(request, None, done)).await
    }

    /// Sends a request and reads the answer to its end.
    async fn fetch(&mut self, method: &str, url: &str) -> Result<String, Error> {
        self.fetch_with(request(method, url, "")).await
    }

    async fn fetch_with(&mut self, request: Request<WasiBody>) -> Result<String, Error> {
        let (response, driver) = self.send(request).await?;
        let moving = tokio::spawn(Pin::from(driver));
        let body = response.into_body().collect().await?.to_bytes();
        moving.abort();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn lookups(&self) -> usize {
        self.names.asked().len()
    }

    fn denial(&self) -> Denial {
        self.recorder.snapshot().denials.pop().unwrap()
    }

    fn limit(&self) -> (ErrorKind, String) {
        let limit = self.recorder.snapshot().limit.unwrap();
        (limit.kind, limit.message)
    }
}

fn request(method: &str, url: &str, body: &'static str) -> Request<WasiBody> {
    let body = if body.is_empty() {
        Empty::new().map_err(Into::into).boxed_unsync()
    } else {
        Full::new(Bytes::from(body))
            .map_err(Into::into)
            .boxed_unsync()
    };
    Request::builder()
        .method(method)
        .uri(url)
        .body(body)
        .unwrap()
}

struct Person {
    says: bool,
    heard: Mutex<Vec<String>>,
}

impl Ask for Person {
    fn ask<'a>(&'a self, access: &'a str, _: &'a Rule) -> BoxFuture<'a, Option<&'static str>> {
        self.heard.lock().unwrap().push(access.to_owned());
        let refused = (!self.says).then_some("the person who was asked said no");
        Box::pin(std::future::ready(refused))
    }

    fn learn(&self, _: Access, _: bool) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}

#[tokio::test]
async fn a_granted_request_is_answered_and_counted() {
    let server = Server::start(Answer::ok("hello")).await;
    let url = format!("http://server.test:{}/a/b?q=1", server.port());
    let rule = format!(
        "to = \"http://server.test:{}\", paths = [\"/a/**\"]",
        server.port()
    );
    let mut call = Call::new(grants(&rule, ""));
    assert_eq!(call.fetch("GET", &url).await.unwrap(), "hello");
    let usage = call.state.usage();
    assert_eq!(usage.requests, 1);
    assert_eq!(usage.sent_bytes, server.received().len() as u64);
    assert_eq!(usage.received_bytes, 43);
    let record = call.recorder.snapshot();
    assert_eq!(record.denials_total, 0);
    let host = format!("server.test:{}", server.port());
    let reached = &record.hosts[&host];
    assert_eq!(record.hosts.len(), 1);
    assert_eq!(reached.requests, 1);
    // What a call sends is told by the host that got it.
    assert_eq!(reached.sent_bytes(), usage.sent_bytes);
}

#[tokio::test]
async fn what_no_rule_grants_is_denied_before_any_name_is_looked_up() {
    let server = Server::start(Answer::ok("never")).await;
    let port = server.port();
    let rule =
        format!("to = \"http://server.test:{port}\", methods = [\"GET\"], paths = [\"/a/*\"]");
    for (method, url) in [
        ("POST", format!("http://server.test:{port}/a/b")),
        ("get", format!("http://server.test:{port}/a/b")),
        ("GET", format!("http://server.test:{port}/b")),
        ("GET", format!("http://server.test:{port}/a/b/c")),
        ("GET", format!("http://server.test:{port}/a/../b")),
        ("GET", format!("http://server.test:{port}/a/%2e%2e/b")),
        ("GET", format!("https://server.test:{port}/a/b")),
        ("GET", "http://server.test/a/b".to_owned()),
        ("GET", format!("http://x.server.test:{port}/a/b")),
        ("GET", format!("http://evil-server.test:{port}/a/b")),
        ("GET", format!("http://127.0.0.1:{port}/a/b")),
        ("GET", format!("http://[::1]:{port}/a/b")),
        ("GET", "http://169.254.169.254/latest/meta-data".to_owned()),
    ] {
        let mut call = Call::new(grants(&rule, ""));
        let error = call.fetch(method, &url).await.unwrap_err();
        assert!(
            matches!(error, Error::HttpRequestDenied),
            "{method} {url}: {error:?}"
        );
        let denial = call.denial();
        assert_eq!(denial.capability, "net");
        assert!(denial.access.starts_with(method), "{}", denial.access);
        assert_eq!((call.lookups(), call.state.usage().requests), (0, 0));
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_wildcard_is_one_label() {
    for (host, granted) in [
        ("api.example.com", true),
        ("example.com", false),
        ("a.b.example.com", false),
        ("api-example.com", false),
        ("api.example.com.evil.test", false),
    ] {
        let mut call = Call::new(grants("to = \"http://*.example.com\"", ""));
        // It leads to a loopback address, so also the granted one ends in a denial; but only after a lookup.
        let error = call
            .fetch("GET", &format!("http://{host}/"))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::HttpRequestDenied));
        assert_eq!(call.lookups() == 1, granted, "{host}");
    }
}

#[tokio::test]
async fn a_public_name_that_leads_to_a_special_address_is_denied() {
    let server = Server::start(Answer::ok("never")).await;
    let url = format!("http://api.example.com:{}/x?token=secret", server.port());
    let rule = format!("to = \"http://api.example.com:{}\"", server.port());
    let mut call = Call::new(grants(&rule, ""));
    let error = call.fetch("GET", &url).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestDenied), "{error:?}");
    let denial = call.denial();
    assert_eq!(
        denial.access,
        format!("GET http://api.example.com:{}/x", server.port())
    );
    assert_eq!(
        denial.rule,
        "default: special addresses need a rule that names them"
    );
    assert_eq!(
        denial.reason,
        "api.example.com leads to 127.0.0.1, which is a loopback address"
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_is_never_sent_is_denied_without_its_credentials() {
    for (method, url, access) in [
        (
            "CONNECT",
            "http://server.test/",
            "CONNECT http://server.test/",
        ),
        (
            "TRACE",
            "http://server.test/x?y",
            "TRACE http://server.test/x",
        ),
        (
            "GET",
            "http://me:secret@server.test:81/x?y",
            "GET http://server.test:81/x",
        ),
        ("GET", "http://server.test./", "GET http://server.test./"),
    ] {
        let mut call = Call::new(grants("to = \"http://server.test\"", ""));
        let error = call.fetch(method, url).await.unwrap_err();
        assert!(matches!(error, Error::HttpRequestDenied), "{error:?}");
        assert_eq!(call.denial().access, access);
        assert!(call.denial().rule.starts_with("default: "));
        assert_eq!(call.lookups(), 0);
    }
}

/// Addresses that some parsers read as one host and some as another. Each may be refused or go to the host that is
/// granted; no other name is ever looked up.
#[tokio::test]
async fn tricks_in_an_address_reach_no_other_host() {
    let server = Server::start(Answer::ok("hello")).await;
    let good = format!("server.test:{}", server.port());
    for authority in [
        "{good}",
        "{good}@evil.test",
        "evil.test@{good}",
        "evil.test:80@{good}",
        "{good}\\@evil.test",
        "{good}\\.evil.test",
        "evil.test\\@{good}",
        "{good}#@evil.test",
        "evil.test#@{good}",
        "evil.test?@{good}",
        "evil.test/@{good}",
        "{good}%00.evil.test",
        "evil.test%23@{good}",
        "evil.test%2f{good}",
        "{good}%2eevil.test",
        "{good}.evil.test",
        "{good},evil.test",
        "{good};evil.test",
        "{good} evil.test",
        "{good}\tevil.test",
        "{good}\r\nHost: evil.test",
        "[{good}]",
        "server.test:80:evil.test",
        "server。test",
        "ｓerver.test",
        "ser\u{ad}ver.test",
        "127.0.0.1",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
    ] {
        let authority = authority.replace("{good}", &good);
        let mut call = Call::new(grants(&format!("to = \"http://{good}\""), ""));
        let url = format!("http://{authority}/path");
        let Ok(request) = Request::get(&url).body(Empty::new()) else {
            continue;
        };
        let request = request.map(|body: Empty<Bytes>| body.map_err(Into::into).boxed_unsync());
        let outcome = call.fetch_with(request).await;
        assert!(
            matches!(outcome, Ok(_) | Err(Error::HttpRequestDenied)),
            "{authority}: {outcome:?}"
        );
        let asked = call.names.asked();
        assert!(
            asked.iter().all(|name| name == "server.test"),
            "{authority}: {asked:?}"
        );
        assert_eq!(
            outcome.is_ok(),
            authority == good || !asked.is_empty(),
            "{authority}"
        );
    }
}

#[tokio::test]
async fn a_rule_that_asks_waits_for_a_yes() {
    let server = Server::start(Answer::ok("hello")).await;
    let url = format!("http://server.test:{}/", server.port());
    let rule = format!(
        "to = \"http://server.test:{}\", approve = \"ask\"",
        server.port()
    );
    for (says, outcome) in [
        (Some(true), Ok("hello")),
        (Some(false), Err("the person who was asked said no")),
        (None, Err("nobody is there to be asked")),
    ] {
        let person = says.map(|says| {
            Arc::new(Person {
                says,
                heard: Mutex::default(),
            })
        });
        let approver = person.clone().map(|it| it as Arc<dyn Ask>);
        let mut call = Call::with(grants(&rule, ""), approver, PLENTY);
        match (call.fetch("GET", &url).await, outcome) {
            (Ok(body), Ok(expected)) => assert_eq!(body, expected),
            (Err(Error::HttpRequestDenied), Err(reason)) => {
                assert_eq!(call.denial().reason, reason);
            }
            other => panic!("{other:?}"),
        }
        if let Some(person) = person {
            assert_eq!(*person.heard.lock().unwrap(), [format!("GET {url}")]);
        }
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn requests_are_counted_also_when_they_are_denied() {
    let server = Server::start(Answer::ok("hello")).await;
    let url = format!("http://server.test:{}/", server.port());
    let rule = format!("to = \"http://server.test:{}\"", server.port());
    let mut call = Call::new(grants(&rule, "limits = { requests = 2 }"));
    call.fetch("GET", &url).await.unwrap();
    call.fetch("DELETE", &url).await.unwrap_err();
    let error = call.fetch("GET", &url).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLimitReached), "{error:?}");
    assert_eq!(
        call.limit(),
        (
            ErrorKind::LimitEgress,
            "the call may make 2 requests".to_owned()
        )
    );
    assert_eq!((server.connections(), call.state.usage().requests), (1, 1));
}

#[tokio::test]
async fn a_response_beyond_its_limit_fails_its_body() {
    let endless = Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 1024]);
    let server = Server::start(endless).await;
    let url = format!("http://server.test:{}/", server.port());
    let rule = format!("to = \"http://server.test:{}\"", server.port());
    let mut call = Call::new(grants(&rule, "limits = { response = \"8KiB\" }"));
    let error = call.fetch("GET", &url).await.unwrap_err();
    assert!(
        matches!(error, Error::HttpResponseBodySize(Some(8192))),
        "{error:?}"
    );
    assert_eq!(
        call.limit(),
        (
            ErrorKind::LimitEgress,
            "a response may have 8192 bytes".to_owned()
        )
    );
}

#[tokio::test]
async fn a_call_that_sends_too_much_is_stopped() {
    let server = Server::start(Answer::Hold(Vec::new())).await;
    let url = format!("http://server.test:{}/", server.port());
    let rule = format!(
        "to = \"http://server.test:{}\", methods = [\"POST\"]",
        server.port()
    );
    let mut call = Call::new(grants(&rule, "limits = { egress = \"1KiB\" }"));
    let body = "x".repeat(2048).leak();
    let error = call
        .fetch_with(request("POST", &url, body))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::HttpRequestBodySize(Some(1024))),
        "{error:?}"
    );
    assert_eq!(
        call.limit(),
        (
            ErrorKind::LimitEgress,
            "the call may send 1024 bytes".to_owned()
        )
    );
    assert_eq!(call.state.usage().sent_bytes, 1024);
}

#[tokio::test]
async fn a_slow_server_ends_with_the_call() {
    let server = Server::start(Answer::Hold(Vec::new())).await;
    let url = format!("http://server.test:{}/", server.port());
    let rule = format!("to = \"http://server.test:{}\"", server.port());
    let mut call = Call::with(grants(&rule, ""), None, Duration::from_millis(50));
    let error = call.fetch("GET", &url).await.unwrap_err();
    assert!(
        matches!(error, Error::HttpResponseTimeout | Error::ConnectionTimeout),
        "{error:?}"
    );
}

#[test]
fn headers_of_the_connection_are_forbidden_in_headers_and_trailers() {
    let mut call = Call::new(grants("to = \"http://server.test\"", ""));
    let filter = call.state.hooks.forbidden_header_filter();
    let mut table = ResourceTable::new();
    let mut view = call.state.view(&mut table);
    for name in [
        "Host",
        "connection",
        "TE",
        "Transfer-Encoding",
        "upgrade",
        "Expect",
        "Keep-Alive",
        "HTTP2-Settings",
        "proxy-authorization",
        "Proxy-Connection",
        "proxy-anything",
    ] {
        let parsed: HeaderName = name.parse().unwrap();
        assert!(filter(&parsed), "{name}");
        assert!(view.hooks.is_forbidden_header(&parsed), "{name}");
        let fields = HostFields::new(&mut view).unwrap();
        let error = view
            .append(fields, name.to_owned(), b"x".to_vec())
            .unwrap_err();
        assert!(
            matches!(error.downcast().unwrap(), HeaderError::Forbidden),
            "{name}"
        );
    }
    for name in [
        "accept",
        "authorization",
        "content-length",
        "x-proxy",
        "hostname",
    ] {
        assert!(!filter(&name.parse().unwrap()), "{name}");
    }
}

#[test]
fn line_breaks_and_nul_never_get_into_a_header() {
    let mut call = Call::new(grants("to = \"http://server.test\"", ""));
    let mut table = ResourceTable::new();
    let mut view = call.state.view(&mut table);
    for (name, value) in [
        ("x", "a\r\nHost: evil"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("x\r\ny", "a"),
        ("x y", "a"),
        ("", "a"),
    ] {
        let fields = HostFields::new(&mut view).unwrap();
        let error = view
            .append(fields, name.to_owned(), value.into())
            .unwrap_err();
        assert!(
            matches!(error.downcast().unwrap(), HeaderError::InvalidSyntax),
            "{name:?}"
        );
    }
}

/// Through the very function that a guest calls.
#[tokio::test]
async fn the_host_header_comes_from_the_address() {
    let server = Server::start(Answer::ok("hello")).await;
    let authority = format!("SERVER.test:{}", server.port());
    let rule = format!("to = \"http://server.test:{}\"", server.port());
    let mut call = Call::new(grants(&rule, ""));
    let mut table = ResourceTable::new();
    let mut headers = FieldMap::new_mutable(1024);
    headers
        .append_raw("x-own".parse().unwrap(), "1".parse().unwrap())
        .unwrap();
    let request = HostOutgoingRequest {
        method: WasiMethod::Get,
        scheme: Some(Scheme::Http),
        authority: Some(authority),
        path_with_query: Some("/a".to_owned()),
        headers,
        body: None,
    };
    let request = table.push(request).unwrap();
    let future = call.state.view(&mut table).handle(request, None).unwrap();
    let future: &mut HostFutureIncomingResponse = table.get_mut(&future).unwrap();
    future.ready().await;
    assert!(matches!(future, HostFutureIncomingResponse::Ready(Ok(_))));
    let received = server.received();
    assert_eq!(
        received.to_lowercase().matches("host: ").count(),
        1,
        "{received}"
    );
    assert!(
        received.contains(&format!("host: server.test:{}\r\n", server.port())),
        "{received}"
    );
    assert!(received.contains("x-own: 1\r\n"), "{received}");
}

#[test]
fn the_interfaces_are_linked_once() {
    struct Caller {
        http: HttpState,
        table: ResourceTable,
    }
    let engine = wasmtime::Engine::default();
    let mut linker: Linker<Caller> = Linker::new(&engine);
    add_to_linker(&mut linker, |caller| caller.http.view(&mut caller.table)).unwrap();
    add_to_linker(&mut linker, |caller| caller.http.view(&mut caller.table)).unwrap_err();
    let component = r#"(component
        (import "wasi:http/types@0.2.0" (instance (export "fields" (type (sub resource)))))
        (import "wasi:http/outgoing-handler@0.2.0" (instance)))"#;
    let component = wat::parse_str(component).unwrap();
    let component = wasmtime::component::Component::from_binary(&engine, &component).unwrap();
    linker.instantiate_pre(&component).unwrap();
}

#[tokio::test]
async fn requests_under_way_are_few_and_one_more_waits() {
    let server = Server::start(Answer::ok("hello")).await;
    let url = format!("http://server.test:{}/", server.port());
    let rule = format!("to = \"http://server.test:{}\"", server.port());
    let mut call = Call::new(grants(&rule, "limits = { connections = 2 }"));
    let first = call.send(request("GET", &url, "")).await.unwrap();
    let second = call.send(request("GET", &url, "")).await.unwrap();
    let mut third = Box::pin(call.send(request("GET", &url, "")));
    // Nothing but a place among the connections is missing, and none is given while both are held.
    for _ in 0..100 {
        assert!(futures_util::poll!(third.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(server.connections(), 2);
    drop(first);
    drop(third.await.unwrap());
    drop(second);
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn requests_go_in_the_order_in_which_a_guest_begins_them() {
    let server = Server::start(Answer::ok("hello")).await;
    let url = format!("http://server.test:{}/", server.port());
    let rule = format!("to = \"http://server.test:{}\"", server.port());
    let mut call = Call::new(grants(&rule, "limits = { connections = 2 }"));
    let mut begin = || {
        let done = Box::new(std::future::ready(Ok(())));
        let request = request("GET", &url, "");
        Pin::from(call.state.hooks.send_request(request, None, done))
    };
    let sending: Vec<_> = (0..8).map(|_| begin()).collect();
    // Whoever runs them may begin with the last.
    let mut running: Vec<_> = sending.into_iter().rev().map(tokio::spawn).collect();
    while let Some(first) = running.pop() {
        let answered = tokio::time::timeout(PLENTY, first).await;
        let (response, driver) = answered.unwrap().unwrap().unwrap();
        let moving = tokio::spawn(Pin::from(driver));
        response.into_body().collect().await.unwrap();
        moving.abort();
    }
    assert_eq!(server.connections(), 8);
}

#[test]
fn header_fields_that_a_guest_makes_are_bounded() {
    let mut call = Call::new(grants("to = \"http://server.test\"", ""));
    let mut table = ResourceTable::new();
    let mut view = call.state.view(&mut table);
    let fields = HostFields::new(&mut view).unwrap();
    let mut last = Ok(());
    for n in 0..100 {
        let again = Resource::new_borrow(fields.rep());
        last = HostFields::append(&mut view, again, format!("x-{n}"), vec![b'y'; 1024]);
        if last.is_err() {
            assert!(n < 32, "{n} KiB fit");
            break;
        }
    }
    let error = last
        .expect_err("100 KiB do not fit")
        .downcast()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("total size of fields exceeds limit")
    );
}
