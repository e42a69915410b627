//! Credentials: where they go, and that they do not come back.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::StreamBody;
use toolcell_policy::{SecretGrant, SecretPlace, SecretSource};

use super::{super::returned::Searching, *};
use crate::{
    egress::testing::{
        Authority,
        http2::{Http2Server, Says},
    },
    secrets::{Secret, SecretError, TokenSource, Weakness},
};

const VALUE: &str = "Zq8h/Wv+k4Lx7Rm=";

/// A server that answers as the test says, whatever is asked, and the calls that go there.
struct Stage {
    server: Server,
    authority: Authority,
}

impl Stage {
    async fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let authority = Authority::new();
        let answer = Answer::By(Arc::new(move |request| {
            answer(&String::from_utf8_lossy(request))
        }));
        let server = Server::start_tls(authority.vouch_for("server.test"), answer).await;
        Self { server, authority }
    }

    async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::answering(move |_| answer.clone()).await
    }

    /// Answers with the request itself.
    async fn echo() -> Self {
        Self::answering(ok).await
    }

    fn grant(&self, place: SecretPlace, scope: &str) -> SecretGrant {
        Self::grant_at(self.server.port(), place, scope)
    }

    fn grant_at(port: u16, place: SecretPlace, scope: &str) -> SecretGrant {
        let to = format!("https://server.test:{port}");
        let grants = grants(&format!("to = \"{to}\"{scope}"), "");
        let net = &grants.net()[0];
        SecretGrant {
            name: "TOKEN".to_owned(),
            source: SecretSource::Env("TOKEN".to_owned()),
            scope: net.scope.clone(),
            place,
            rule: net.rule.clone(),
        }
    }

    /// One secret for every request to the server.
    fn bound(&self, place: SecretPlace) -> CallSecrets {
        let methods = ", methods = [\"GET\", \"POST\", \"DELETE\"]";
        let grant = self.grant(place, methods);
        CallSecrets::of(vec![(grant, Some(secret(VALUE)))])
    }

    fn call(&self, secrets: CallSecrets) -> SecretCall {
        self.call_within(secrets, PLENTY)
    }

    fn call_within(&self, secrets: CallSecrets, time: Duration) -> SecretCall {
        Self::call_at(self.server.port(), &self.authority, secrets, time)
    }

    fn call_at(
        port: u16,
        authority: &Authority,
        secrets: CallSecrets,
        time: Duration,
    ) -> SecretCall {
        let names = Names::default()
            .with("server.test", &[&["127.0.0.1"]])
            .with("other.test", &[&["127.0.0.1"]]);
        let recorder = Recorder::new(CallId::new("call_1"), None);
        let requests = Requests::new(HttpOptions {
            tenant: None,
            secrets: Arc::new(secrets),
            grants: wide(port),
            egress: Arc::new(egress(Arc::new(names), authority.roots())),
            deadline: Instant::now() + time,
            recorder: recorder.clone(),
            approver: None,
        });
        SecretCall {
            state: HttpState::new(Arc::new(requests), 32 * 1024),
            recorder,
            port,
        }
    }
}

/// Rules that are wider than any secret: what a secret is bound to is its own business.
fn wide(port: u16) -> GrantSet {
    let rule =
        |to: &str| format!("{{ to = \"{to}:{port}\", methods = [\"GET\", \"POST\", \"DELETE\"] }}");
    let to = [
        "https://server.test",
        "http://server.test",
        "https://other.test",
    ];
    let net = to.map(rule).join(", ");
    let policy = format!("[tool.web]\nfrom = \"./web.wasm\"\nnet = [{net}]\n");
    let policy = Policy::from_toml(&policy).unwrap();
    let manifest = Manifest::from_toml(MANIFEST).unwrap();
    match decide(&Layers::from(policy), &manifest, "web") {
        Decision::Allow(grants) => grants,
        other => panic!("{other:?}"),
    }
}

fn secret(value: &str) -> Secret {
    Secret::new(value.as_bytes()).unwrap()
}

struct SecretCall {
    state: HttpState,
    recorder: Recorder,
    port: u16,
}

/// What a guest got.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

impl Got {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Everything, as a guest can see it.
    fn all(&self) -> String {
        format!("{:?} {:?} {:?}", self.headers, self.text(), self.trailers)
    }
}

impl SecretCall {
    fn url(&self, rest: &str) -> String {
        format!("https://server.test:{}{rest}", self.port)
    }

    fn request(&self, method: &str, rest: &str, body: WasiBody) -> Request<WasiBody> {
        let request = Request::builder().method(method).uri(self.url(rest));
        request.body(body).unwrap()
    }

    async fn get(&mut self, rest: &str) -> Result<Got, Error> {
        let request = self.request("GET", rest, text(""));
        self.fetch(request).await
    }

    async fn fetch(&mut self, request: Request<WasiBody>) -> Result<Got, Error> {
        let done = Box::new(std::future::ready(Ok(())));
        let sent = Pin::from(self.state.hooks.send_request(request, None, done)).await;
        let (response, driver) = sent?;
        let moving = tokio::spawn(Pin::from(driver));
        let (head, body) = response.into_parts();
        assert!(head.extensions.is_empty());
        let hint = body.size_hint();
        let collected = body.collect().await?;
        moving.abort();
        let trailers = collected.trailers().cloned();
        let body = collected.to_bytes().to_vec();
        let length = body.len() as u64;
        assert!(hint.lower() <= length && hint.upper().is_none_or(|upper| upper >= length));
        Ok(Got {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            trailers,
        })
    }

    fn denial(&self) -> Denial {
        let denial = self.recorder.snapshot().denials.pop().unwrap();
        assert_eq!(denial.capability, "secrets");
        assert!(denial.rule.contains("tool.web.net"), "{}", denial.rule);
        assert!(!format!("{denial:?}").contains(VALUE));
        denial
    }

    /// How often the secret was taken out.
    fn redactions(&self) -> u64 {
        let record = self.recorder.snapshot();
        record.redactions.values().sum()
    }
}

fn text(text: &str) -> WasiBody {
    Full::new(Bytes::from(text.to_owned()))
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that comes frame by frame, without a length.
fn frames(frames: Vec<Frame<Bytes>>) -> WasiBody {
    let frames = futures_util::stream::iter(frames);
    StreamBody::new(frames.map(Ok)).boxed_unsync()
}

fn header(name: &str, before: &str) -> SecretPlace {
    SecretPlace::Header {
        name: name.to_owned(),
        before: before.to_owned(),
        after: String::new(),
    }
}

fn bearer() -> SecretPlace {
    header("authorization", "Bearer ")
}

fn query() -> SecretPlace {
    SecretPlace::Query {
        name: "api_key".to_owned(),
    }
}

fn basic() -> SecretPlace {
    SecretPlace::Basic {
        user: "me".to_owned(),
    }
}

fn json(pointer: &str) -> SecretPlace {
    SecretPlace::Json {
        pointer: pointer.to_owned(),
    }
}

fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into()
}

#[tokio::test]
async fn a_secret_goes_where_its_binding_says() {
    for (place, seen) in [
        (bearer(), format!("\r\nauthorization: Bearer {VALUE}\r\n")),
        (header("x-key", "k="), format!("\r\nx-key: k={VALUE}\r\n")),
        (
            basic(),
            "\r\nauthorization: Basic bWU6WnE4aC9XditrNEx4N1JtPQ==\r\n".to_owned(),
        ),
        (
            query(),
            "GET /a?b=c&api_key=Zq8h%2FWv%2Bk4Lx7Rm%3D HTTP/1.1\r\n".to_owned(),
        ),
    ] {
        let stage = Stage::echo().await;
        let mut call = stage.call(stage.bound(place));
        let got = call.get("/a?b=c").await.unwrap();
        let received = stage.server.received();
        assert!(received.contains(&seen), "{received}");
        assert_eq!(got.status, 200);
        assert!(!got.all().contains(VALUE), "{got:?}");
        assert!(!format!("{:?}", call.recorder.snapshot()).contains(VALUE));
        assert!(!got.headers.contains_key("content-length"));
    }
}

/// From the text of a policy to the bytes that a server sees.
#[tokio::test]
async fn a_policy_in_its_own_words_binds_a_secret() {
    for (place, seen) in [
        (
            "header = \"Authorization: token {}; v=1\"",
            format!("authorization: token {VALUE}; v=1\r\n"),
        ),
        (
            "basic = \"me\"",
            "authorization: Basic bWU6WnE4aC9XditrNEx4N1JtPQ==\r\n".to_owned(),
        ),
        (
            "query = \"api_key\"",
            "POST /v1/a?api_key=Zq8h%2FWv%2Bk4Lx7Rm%3D HTTP/1.1\r\n".to_owned(),
        ),
        (
            "json = \"/auth/token\"",
            format!("\r\n\r\n{{\"auth\":{{\"token\":\"{VALUE}\"}}}}"),
        ),
    ] {
        let stage = Stage::echo().await;
        let to = format!("https://server.test:{}", stage.server.port());
        let grants = crate::capability::fixtures::granted(
            &format!(
                "net = [{{ to = \"{to}\", methods = [\"POST\"] }}]\n\
                 secrets.TOKEN = {{ from = \"env:TOKEN\", to = \"{to}\", {place}, paths = [\"/v1/**\"] }}"
            ),
            &format!(
                "net = [{{ to = \"any\", methods = [\"POST\"], paths = [\"/**\"], why = \"tests\" }}]\n\
                 secrets = [{{ name = \"TOKEN\", to = \"{to}\", why = \"tests\" }}]"
            ),
        );
        let granted = grants.secrets().iter();
        let secrets = granted.map(|grant| (grant.clone(), Some(secret(VALUE))));
        let mut call = stage.call(CallSecrets::of(secrets.collect()));
        let mut request = call.request("POST", "/v1/a", text(r#"{"auth":{}}"#));
        let headers = request.headers_mut();
        headers.insert("content-type", "application/json".parse().unwrap());
        let got = call.fetch(request).await.unwrap();
        let received = stage.server.received();
        assert!(received.contains(&seen), "{received}");
        assert!(!got.all().contains(VALUE), "{got:?}");
    }
}

#[tokio::test]
async fn a_secret_goes_into_a_json_body() {
    let stage = Stage::echo().await;
    for (body, sent) in [
        (
            text(r#"{"auth":{"token":"?"},"n":1}"#),
            r#"{"auth":{"token":"Zq8h/Wv+k4Lx7Rm="},"n":1}"#,
        ),
        (
            frames(vec![
                Frame::data(Bytes::from_static(br#"{"auth":"#)),
                Frame::data(Bytes::from_static(br"{}}")),
            ]),
            r#"{"auth":{"token":"Zq8h/Wv+k4Lx7Rm="}}"#,
        ),
    ] {
        let mut call = stage.call(stage.bound(json("/auth/token")));
        let length = body.size_hint().exact();
        let mut request = call.request("POST", "/", body);
        let headers = request.headers_mut();
        headers.insert(
            "content-type",
            "application/json; charset=utf-8".parse().unwrap(),
        );
        if let Some(length) = length {
            headers.insert("content-length", length.into());
        }
        let got = call.fetch(request).await.unwrap();
        let received = stage.server.received();
        assert!(received.ends_with(sent), "{received}");
        let length = format!("content-length: {}\r\n", sent.len());
        assert!(received.contains(&length), "{received}");
        assert!(!got.all().contains(VALUE) && call.redactions() == 1);
    }
}

#[tokio::test]
async fn a_body_that_is_not_fit_for_a_secret_is_refused() {
    let stage = Stage::echo().await;
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024));
    let no_json = "content-type: application/json";
    for (content_type, body, too_large, why) in [
        ("text/plain", text("{}"), false, no_json),
        ("", text("{}"), false, no_json),
        ("application/json", text(""), false, "is not JSON"),
        (
            "application/json",
            text("[]"),
            false,
            "nothing at the place",
        ),
        (
            "application/json",
            text(r#"{"auth":1}"#),
            false,
            "nothing at the place",
        ),
        (
            "application/json",
            text(r#"{"auth":{"token":1}}"#),
            false,
            "something else than a text",
        ),
        (
            "application/json",
            text(r#"{"auth":{"token":"a","token":"b"}}"#),
            false,
            "twice",
        ),
        (
            "application/json",
            text(&large),
            true,
            "more than 1048576 bytes",
        ),
        (
            "application/json",
            frames(vec![Frame::data(Bytes::from(large.clone()))]),
            true,
            "more than 1048576 bytes",
        ),
    ] {
        let mut call = stage.call(stage.bound(json("/auth/token")));
        let mut request = call.request("POST", "/", body);
        if !content_type.is_empty() {
            let headers = request.headers_mut();
            headers.insert("content-type", content_type.parse().unwrap());
        }
        let got = call.fetch(request).await.unwrap_err();
        match got {
            Error::HttpRequestDenied => assert!(!too_large),
            Error::HttpRequestBodySize(Some(1_048_576)) => assert!(too_large),
            other => panic!("{other:?}"),
        }
        let reason = call.denial().reason;
        assert!(reason.contains(why) && reason.contains("TOKEN"), "{reason}");
    }
    assert_eq!(stage.server.connections(), 0);
}

#[tokio::test]
async fn a_json_body_may_have_a_mebibyte() {
    let stage = Stage::saying(ok("hi")).await;
    for (over, fits) in [(0, true), (1, false)] {
        let mut call = stage.call(stage.bound(json("/k")));
        let filling = "x".repeat(1024 * 1024 - r#"{"a":""}"#.len() + over);
        let body = text(&format!("{{\"a\":\"{filling}\"}}"));
        let mut request = call.request("POST", "/", body);
        let headers = request.headers_mut();
        headers.insert("content-type", "application/json".parse().unwrap());
        assert_eq!(call.fetch(request).await.is_ok(), fits);
    }
}

#[tokio::test]
async fn a_secret_goes_to_no_other_method_and_path() {
    let stage = Stage::echo().await;
    let scope = ", methods = [\"GET\"], paths = [\"/v1/**\"]";
    let grant = stage.grant(bearer(), scope);
    for (method, host, path, along) in [
        ("GET", "server.test", "/v1/a", true),
        ("GET", "SERVER.test", "/v1/a", true),
        ("POST", "server.test", "/v1/a", false),
        ("GET", "server.test", "/v2/a", false),
        ("GET", "server.test", "/V1/a", false),
        ("GET", "server.test", "/v1/../v2/a", false),
        ("GET", "server.test", "/v1/%2e%2e/v2/a", false),
    ] {
        let secrets = CallSecrets::of(vec![(grant.clone(), Some(secret(VALUE)))]);
        let mut call = stage.call(secrets);
        let url = format!("https://{host}:{}{path}", stage.server.port());
        let request = Request::builder().method(method).uri(url);
        let before = stage.server.received().len();
        call.fetch(request.body(text("")).unwrap()).await.unwrap();
        let received = stage.server.received().split_off(before);
        assert_eq!(received.contains(VALUE), along, "{method} {path}");
    }
}

/// Another host with the same address, and the same host without encryption: a wider net rule takes no secret along.
#[tokio::test]
async fn a_wider_rule_takes_no_secret_to_other_destinations() {
    for (scheme, host) in [("https", "other.test"), ("http", "server.test")] {
        for weak in [false, true] {
            let authority = Authority::new();
            let server = match scheme {
                "https" => Server::start_tls(authority.vouch_for(host), Answer::ok("hi")).await,
                _ => Server::start(Answer::ok("hi")).await,
            };
            let stage = Stage { server, authority };
            let mut secrets = stage.bound(bearer());
            if weak {
                secrets = secrets.without(Weakness::EveryDestination);
            }
            let mut call = stage.call(secrets);
            let url = format!("{scheme}://{host}:{}/", stage.server.port());
            let request = Request::get(url).body(text("")).unwrap();
            call.fetch(request).await.unwrap();
            let received = stage.server.received();
            assert_eq!(received.contains(VALUE), weak, "{received}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_fills_the_place_itself_is_refused() {
    for (place, name, value, rest) in [
        (bearer(), "authorization", "Bearer own", "/"),
        (bearer(), "AUTHORIZATION", "", "/"),
        (basic(), "Authorization", "Basic b3duOm93bg==", "/"),
        (header("x-api-key", ""), "X-Api-Key", "own", "/"),
        (header("x-api-key", ""), "x_api_key", "own", "/"),
        (query(), "x", "y", "/?api_key=own"),
        (query(), "x", "y", "/?API%5FKEY=own&b"),
        (query(), "x", "y", "/?a=b;api_key=own"),
    ] {
        let stage = Stage::echo().await;
        for value_exists in [true, false] {
            let grant = stage.grant(place.clone(), "");
            let found = value_exists.then(|| secret(VALUE));
            let mut call = stage.call(CallSecrets::of(vec![(grant, found)]));
            let mut request = call.request("GET", rest, text(""));
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            let headers = request.headers_mut();
            headers.append(name.clone(), value.parse().unwrap());
            headers.append(name, "twice".parse().unwrap());
            let error = call.fetch(request).await.unwrap_err();
            assert!(matches!(error, Error::HttpRequestDenied), "{error:?}");
            let denial = call.denial();
            let address = format!("GET https://server.test:{}/", stage.server.port());
            assert_eq!(denial.access, address);
            assert!(denial.reason.contains("sets the "), "{}", denial.reason);
        }
        assert_eq!(stage.server.connections(), 0);
    }
}

#[tokio::test]
async fn without_that_a_tools_own_value_goes_along() {
    let stage = Stage::echo().await;
    let secrets = stage.bound(bearer()).without(Weakness::ValuesJoin);
    let mut call = stage.call(secrets);
    let mut request = call.request("GET", "/", text(""));
    let headers = request.headers_mut();
    headers.insert("authorization", "own".parse().unwrap());
    call.fetch(request).await.unwrap();
    let received = stage.server.received();
    assert_eq!(received.matches("authorization: ").count(), 2, "{received}");
}

#[tokio::test]
async fn a_request_that_may_be_taken_for_another_one_carries_no_secret() {
    for name in ["X-Original-URL", "x-rewrite-url", "X-HTTP-Method-Override"] {
        let stage = Stage::echo().await;
        for (path, refused) in [("/v1/a", true), ("/v2/a", false)] {
            let grant = stage.grant(bearer(), ", paths = [\"/v1/**\"]");
            let mut call = stage.call(CallSecrets::of(vec![(grant, Some(secret(VALUE)))]));
            let mut request = call.request("GET", path, text(""));
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, "/x".parse().unwrap());
            assert_eq!(call.fetch(request).await.is_err(), refused);
            assert!(!refused || call.denial().reason.contains("another method"));
        }
        assert!(!stage.server.received().contains(VALUE));
    }
}

#[tokio::test]
async fn two_secrets_in_one_place_are_refused() {
    let stage = Stage::echo().await;
    let grants = [stage.grant(bearer(), ""), stage.grant(basic(), "")];
    let secrets = grants.map(|grant| (grant, Some(secret(VALUE))));
    let mut call = stage.call(CallSecrets::of(secrets.into()));
    call.get("/").await.unwrap_err();
    assert!(call.denial().reason.contains("another secret"));
}

#[tokio::test]
async fn trailers_leave_the_place_alone_too() {
    for weak in [false, true] {
        let stage = Stage::echo().await;
        let mut secrets = stage.bound(header("x-key", ""));
        if weak {
            secrets = secrets.without(Weakness::ValuesJoin);
        }
        let mut call = stage.call(secrets);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-key", "own-value".parse().unwrap());
        let body = frames(vec![
            Frame::data(Bytes::from_static(b"body")),
            Frame::trailers(trailers),
        ]);
        let mut request = call.request("POST", "/", body);
        let headers = request.headers_mut();
        headers.insert("trailer", "x-key".parse().unwrap());
        let got = call.fetch(request).await;
        assert_eq!(got.is_ok(), weak, "{got:?}");
        assert_eq!(stage.server.received().contains("own-value"), weak);
        if !weak {
            assert!(call.denial().reason.contains("among the trailers"));
        }
    }
}

#[tokio::test]
async fn a_value_that_no_header_can_hold_is_refused() {
    let stage = Stage::echo().await;
    for value in [
        "bell\u{7}in-it",
        " space-before",
        "space-after ",
        "delete\u{7f}in-it",
    ] {
        let grant = stage.grant(bearer(), "");
        let mut call = stage.call(CallSecrets::of(vec![(grant, Some(secret(value)))]));
        call.get("/").await.unwrap_err();
        let denial = call.denial();
        assert!(!format!("{denial:?}").contains("space-"), "{denial:?}");
    }
    assert_eq!(stage.server.connections(), 0);
}

#[tokio::test]
async fn an_answer_is_asked_for_plain_and_whole() {
    // With the secret, without it at its destination, and without the defence.
    for (rest, weak) in [("/v1/a", false), ("/other", false), ("/v1/a", true)] {
        let stage = Stage::saying(ok("hi")).await;
        let grant = stage.grant(bearer(), ", paths = [\"/v1/**\"]");
        let mut secrets = CallSecrets::of(vec![(grant, Some(secret(VALUE)))]);
        if weak {
            secrets = secrets.without(Weakness::GuestOwnsHeaders);
        }
        let mut call = stage.call(secrets);
        let mut request = call.request("GET", rest, text(""));
        for (name, value) in [
            ("accept-encoding", "gzip"),
            ("accept-encoding", "br"),
            ("range", "bytes=0-3"),
            ("if-range", "\"x\""),
            ("a-im", "gdiff"),
            ("accept-charset", "utf-7"),
        ] {
            let name = HeaderName::from_static(name);
            request.headers_mut().append(name, value.parse().unwrap());
        }
        call.fetch(request).await.unwrap();
        let received = stage.server.received().to_lowercase();
        for part in ["gzip", "br\r\n", "range:", "a-im", "utf-7"] {
            assert_eq!(received.contains(part), weak, "{part}: {received}");
        }
        let plain = received.matches("accept-encoding: identity\r\n").count();
        assert_eq!(plain == 1, !weak, "{received}");
    }
}

#[tokio::test]
async fn every_part_of_an_answer_is_searched() {
    // The body comes byte by byte.
    let body = format!("before {VALUE} between {VALUE} after");
    let chunks: String = body.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let answer = format!(
        "HTTP/1.1 103 Early Hints\r\nlink: <{VALUE}>\r\n\r\n\
         HTTP/1.1 200 {VALUE}\r\nlocation: https://x/?k={VALUE}\r\nset-cookie: a={VALUE}\r\nset-cookie: b=1\r\n\
         transfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n\
         {chunks}0\r\nx-end: {VALUE}\r\n\r\n"
    );
    let stage = Stage::saying(answer).await;
    let mut call = stage.call(stage.bound(bearer()));
    let got = call.get("/").await.unwrap();
    assert!(!got.all().contains(VALUE), "{got:?}");
    assert_eq!(
        got.text(),
        "before [secret TOKEN] between [secret TOKEN] after"
    );
    assert_eq!(got.headers["location"], "https://x/?k=[secret TOKEN]");
    assert_eq!(got.headers.get_all("set-cookie").iter().count(), 2);
    assert!(!got.headers.contains_key("link"));
    assert_eq!(got.trailers.unwrap()["x-end"], "[secret TOKEN]");
    assert_eq!(call.redactions(), 5);
}

/// A server may show in one answer what it is asked for meanwhile.
#[tokio::test]
async fn a_value_that_is_fetched_while_a_body_comes_is_found_in_the_rest_of_it() {
    let stage = Stage::echo().await;
    let secrets = Arc::new(stage.bound(bearer()));
    let recorder = Recorder::new(CallId::new("call_1"), None);
    let searching = Searching {
        secrets: Arc::clone(&secrets),
        recorder: recorder.clone(),
        destination: None,
        credentialed: false,
    };
    let (server, body) = tokio::sync::mpsc::unbounded_channel::<&str>();
    let frames = futures_util::stream::unfold(body, |mut body| async move {
        let piece = body.recv().await?;
        Some((Ok(Frame::data(Bytes::from(piece))), body))
    });
    let response = Response::new(StreamBody::new(frames).boxed_unsync());
    let Ok(response) = searching.clean(response, Box::new(drop)) else {
        panic!("it may be searched");
    };
    let mut body = response.into_body();
    // Longer than anything that is held back.
    let quiet: &str = Box::leak(".".repeat(8192).into_boxed_str());
    for piece in [quiet, VALUE, quiet, "Zq8h"] {
        server.send(piece).unwrap();
    }
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    secrets.learn("FETCHED", secret("Tb5y/Ug9*e1Nc3Jp"));
    for piece in ["/Wv+k4Lx7Rm=", quiet, "Tb5y", "/Ug9*e1Nc3Jp", quiet] {
        server.send(piece).unwrap();
    }
    drop(server);
    let mut all = first.to_vec();
    all.extend_from_slice(&body.collect().await.unwrap().to_bytes());
    let all = String::from_utf8(all).unwrap();
    assert!(!all.contains(VALUE) && !all.contains("Ug9*e1Nc3Jp"));
    assert_eq!(all.matches("[secret TOKEN]").count(), 2);
    assert_eq!(all.matches("[secret FETCHED]").count(), 1);
    assert_eq!(all.matches('.').count(), 4 * 8192);
    let redactions = recorder.snapshot().redactions;
    assert_eq!((redactions["TOKEN"], redactions["FETCHED"]), (2, 1));
}

#[tokio::test]
async fn it_is_the_same_in_http2() {
    let authority = Authority::new();
    let pieces = VALUE.bytes().map(|byte| Bytes::from(vec![byte]));
    let mut answer = Response::new(pieces.collect());
    let headers: &mut HeaderMap = answer.headers_mut();
    headers.insert("x-echo", VALUE.parse().unwrap());
    headers.insert("content-length", VALUE.len().into());
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", VALUE.parse().unwrap());
    let says = Says::Whole(answer, trailers);
    let server = Http2Server::start(&authority, says).await;
    let port = server.address.port();
    let call = |place| {
        let grant = Stage::grant_at(port, place, ", methods = [\"GET\", \"POST\"]");
        let secrets = CallSecrets::of(vec![(grant, Some(secret(VALUE)))]);
        Stage::call_at(port, &authority, secrets, PLENTY)
    };
    let mut first = call(query());
    let mut request = first.request("GET", "/a", text(""));
    let headers = request.headers_mut();
    headers.insert("accept-encoding", "br".parse().unwrap());
    let got = first.fetch(request).await.unwrap();
    let heard = server.heard().remove(0).head;
    assert_eq!(
        heard.uri().path_and_query().unwrap().as_str(),
        "/a?api_key=Zq8h%2FWv%2Bk4Lx7Rm%3D"
    );
    assert_eq!(heard.headers()["accept-encoding"], "identity");
    assert!(!got.all().contains(VALUE), "{got:?}");
    assert_eq!(
        (got.text(), first.redactions()),
        ("[secret TOKEN]".into(), 3)
    );
    assert!(!got.headers.contains_key("content-length"));

    let mut second = call(header("x-key", ""));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-key", "own-value".parse().unwrap());
    let body = frames(vec![
        Frame::data(Bytes::from_static(b"body")),
        Frame::trailers(trailers),
    ]);
    let request = second.request("POST", "/", body);
    second.fetch(request).await.unwrap_err();
    assert!(second.denial().reason.contains("among the trailers"));
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn without_the_search_a_secret_comes_back() {
    let stage = Stage::echo().await;
    let secrets = stage.bound(bearer()).without(Weakness::ResponsesAsTheyAre);
    let got = stage.call(secrets).get("/").await.unwrap();
    assert!(got.all().contains(VALUE));
}

#[tokio::test]
async fn pieces_that_are_searched_one_by_one_let_a_secret_through() {
    let chunks: String = VALUE.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let stage = Stage::saying(format!("{head}{chunks}0\r\n\r\n")).await;
    let secrets = stage.bound(bearer()).without(Weakness::PiecesAlone);
    let got = stage.call(secrets).get("/").await.unwrap();
    assert_eq!(got.text(), VALUE);
}

#[tokio::test]
async fn bytes_that_are_no_secret_stay_as_they_are() {
    let bytes = || (0..=255_u8).cycle().take(5000);
    let mut body: Vec<u8> = bytes().collect();
    body.extend_from_slice(VALUE.as_bytes());
    body.extend(bytes());
    let length = body.len();
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    answer.append(&mut body);
    let stage = Stage::saying(answer).await;
    let got = stage.call(stage.bound(bearer())).get("/").await.unwrap();
    let mut expected: Vec<u8> = bytes().collect();
    expected.extend_from_slice(b"[secret TOKEN]");
    expected.extend(bytes());
    assert!(got.body == expected);
}

#[tokio::test]
async fn what_cannot_be_searched_is_withheld() {
    for (head, body, why) in [
        ("200 OK\r\ncontent-encoding: gzip", "x", "is encoded"),
        (
            "200 OK\r\ncontent-encoding: identity, br",
            "x",
            "is encoded",
        ),
        ("200 OK\r\ncontent-encoding: unheard-of", "x", "is encoded"),
        ("200 OK\r\ntransfer-encoding: gzip", "x", "on its way"),
        ("206 Partial Content", "x", "is a part"),
        ("200 OK\r\ncontent-range: bytes 0-1/5", "x", "is a part"),
        (
            "200 OK\r\ncontent-type: application/zip",
            "x",
            "is a compressed file",
        ),
        (
            "200 OK\r\ncontent-type: text/plain; charset=utf-7",
            "x",
            "character encoding",
        ),
        (
            "200 OK\r\ncontent-type: text/plain",
            "PK\x03\x04 and so on",
            "is compressed (zip)",
        ),
    ] {
        let answer = format!("HTTP/1.1 {head}\r\n\r\n{body}");
        let stage = Stage::saying(answer).await;
        for weak in [false, true] {
            let mut secrets = stage.bound(bearer());
            if weak {
                secrets = secrets.without(Weakness::EncodedPasses);
            }
            let mut call = stage.call(secrets);
            let got = call.get("/").await;
            assert_eq!(got.is_ok(), weak, "{head}: {got:?}");
            if !weak {
                assert!(matches!(got, Err(Error::HttpRequestDenied)), "{got:?}");
                let reason = call.denial().reason;
                assert!(reason.contains(why), "{reason}");
            }
        }
    }
}

/// A token endpoint as the test says.
struct Source {
    answer: fn() -> BoxFuture<'static, Result<Arc<Secret>, SecretError>>,
    refused: AtomicUsize,
}

impl Source {
    fn new(answer: fn() -> BoxFuture<'static, Result<Arc<Secret>, SecretError>>) -> Arc<Self> {
        Arc::new(Self {
            answer,
            refused: AtomicUsize::new(0),
        })
    }
}

impl TokenSource for Source {
    fn token(&self) -> BoxFuture<'_, Result<Arc<Secret>, SecretError>> {
        (self.answer)()
    }

    fn refused(&self, _: &Arc<Secret>) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_fetched_ends_the_call_as_unauthorized() {
    let stage = Stage::echo().await;
    for (source, why) in [
        (
            Source::new(|| Box::pin(async { Err(SecretError::new("the server said no")) })),
            "the server said no",
        ),
        (
            Source::new(|| Box::pin(std::future::pending())),
            "before the end of the call",
        ),
    ] {
        let grant = stage.grant(bearer(), "");
        let secrets = CallSecrets::default().with_fetched(grant, source);
        let mut call = stage.call_within(secrets, Duration::from_millis(50));
        call.get("/").await.unwrap_err();
        let reason = call.denial().reason;
        assert!(reason.contains(why) && reason.contains("TOKEN"), "{reason}");
        let limit = call.recorder.snapshot().limit.unwrap();
        let expected = (ErrorKind::AuthRequired, reason);
        assert_eq!((limit.kind, limit.message), expected);
    }
    assert_eq!(stage.server.connections(), 0);
}

#[tokio::test]
async fn a_fetched_secret_that_is_not_accepted_is_told_so() {
    for (status, times) in [("401 Unauthorized", 1), ("403 Forbidden", 0), ("200 OK", 0)] {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        let stage = Stage::saying(answer).await;
        let source = Source::new(|| Box::pin(async { Ok(Arc::new(secret(VALUE))) }));
        let grant = stage.grant(bearer(), "");
        let secrets = CallSecrets::default().with_fetched(grant, Arc::clone(&source) as _);
        stage.call(secrets).get("/").await.unwrap();
        assert!(stage.server.received().contains(VALUE));
        assert_eq!(source.refused.load(Ordering::Relaxed), times, "{status}");
    }
}

#[tokio::test]
async fn a_request_whose_secret_has_no_value_goes_without_it() {
    let stage = Stage::echo().await;
    let grant = stage.grant(bearer(), "");
    let mut call = stage.call(CallSecrets::of(vec![(grant, None)]));
    call.get("/").await.unwrap();
    assert!(!stage.server.received().contains("authorization"));
}

/// What a server stored from one request may come back on another one, or from another host.
#[tokio::test]
async fn answers_to_other_requests_of_the_call_are_searched_too() {
    let authority = Authority::new();
    let tls = authority.vouch_for("other.test");
    let server = Server::start_tls(tls, Answer::Once(ok(VALUE))).await;
    let stage = Stage { server, authority };
    let mut call = stage.call(stage.bound(bearer()));
    let url = format!("https://other.test:{}/", stage.server.port());
    let request = Request::get(url).body(text("")).unwrap();
    let got = call.fetch(request).await.unwrap();
    assert!(!stage.server.received().contains(VALUE));
    let seen = (got.text(), call.redactions());
    assert_eq!(seen, ("[secret TOKEN]".to_owned(), 1));
}

#[tokio::test]
async fn an_error_of_the_way_out_does_not_show_the_address_with_the_secret() {
    // Nobody vouches for the server, so the connection fails.
    let mut stage = Stage::echo().await;
    stage.authority = Authority::new();
    let mut call = stage.call(stage.bound(query()));
    let error = call.get("/a").await.unwrap_err();
    let told = format!("{error:?} {error} {:?}", call.recorder.snapshot());
    assert!(
        told.contains("server.test") && !told.contains("Zq8h"),
        "{told}"
    );
}
