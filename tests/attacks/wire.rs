//! Requests as a hostile guest makes them, what it hears of them, and a host that sends them as they are.

use std::{net::IpAddr, sync::Arc};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::rustls::RootCertStore;
use toolcell::{
    ToolHost, ToolHostBuilder, ToolResult,
    testing::{EgressOptions, MemoryAudit},
};

use crate::{
    common::guest,
    spy::Names,
    stage::{Run, host, parse},
};

/// The name that a policy grants where an attack wants another one. Its rule may lead to loopback addresses, since the
/// name says that it is private.
pub(crate) const GOOD: &str = "allowed.test";
/// Where that name leads.
pub(crate) const GOOD_ADDRESS: &str = "127.0.0.10";

/// One request of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Ask(pub(crate) Value);

impl Ask {
    pub(crate) fn get(url: impl Into<String>) -> Self {
        Self(json!({ "url": url.into() }))
    }

    pub(crate) fn new(method: &str, url: impl Into<String>) -> Self {
        Self(json!({ "method": method, "url": url.into() }))
    }

    /// A request whose parts no parser has seen.
    pub(crate) fn parts(scheme: &str, authority: &str, path: &str) -> Self {
        Self(json!({ "scheme": scheme, "authority": authority, "path": path }))
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0[key] = value.into();
        self
    }

    fn pair(mut self, key: &str, name: &str, value: Value) -> Self {
        let pairs = &mut self.0[key];
        if !pairs.is_array() {
            *pairs = json!([]);
        }
        pairs.as_array_mut().unwrap().push(json!([name, value]));
        self
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.pair("headers", name, value.into())
    }

    /// A header field with any bytes.
    pub(crate) fn header_bytes(self, name: &str, value: &[u8]) -> Self {
        self.pair("headers", name, value.into())
    }

    pub(crate) fn trailer(self, name: &str, value: &str) -> Self {
        self.pair("trailers", name, value.into())
    }

    pub(crate) fn body(self, body: &str) -> Self {
        self.with("body", body)
    }

    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    /// Scheme, authority and path, cut as the guest cuts them.
    pub(crate) fn cut(&self) -> (String, String, String) {
        let url = self.text("url");
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let at = rest.find('/').unwrap_or(rest.len());
        let part = |name: &str, text: &str| self.0[name].as_str().unwrap_or(text).to_owned();
        (
            part("scheme", scheme),
            part("authority", &rest[..at]),
            part("path", &rest[at..]),
        )
    }
}

/// What a guest heard of one request.
#[derive(Clone, Debug)]
pub(crate) struct Answer(pub(crate) Value);

impl Answer {
    pub(crate) fn status(&self) -> Option<u64> {
        self.0["status"].as_u64()
    }

    pub(crate) fn body(&self) -> &str {
        self.0["body"].as_str().unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0["bytes"].as_u64().unwrap_or(0)
    }

    /// The error of `wasi:http`, or nothing where there was none.
    pub(crate) fn error(&self) -> &str {
        self.0["error"].as_str().unwrap_or_default()
    }

    /// Whether the request was refused before anything was looked up or sent. What is neither http nor https is no
    /// request of `wasi:http`.
    pub(crate) fn is_refused(&self) -> bool {
        let refusals = ["HttpRequestDenied", "HttpProtocolError"];
        self.0["refused"].is_string() || refusals.iter().any(|it| self.error().contains(it))
    }
}

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) result: ToolResult,
    pub(crate) answers: Vec<Answer>,
}

/// A host, the names it looks up, and its audit log.
pub(crate) struct Net {
    pub(crate) host: ToolHost,
    pub(crate) names: Arc<Names>,
    pub(crate) audit: MemoryAudit,
}

impl Net {
    /// A host under a policy for the guest `requests`, whose TLS believes nobody.
    pub(crate) async fn new(run: Run, policy: &str) -> Self {
        Self::trusting(run, policy, RootCertStore::empty()).await
    }

    /// The same that believes some.
    pub(crate) async fn trusting(run: Run, policy: &str, roots: RootCertStore) -> Self {
        Self::of(host(run), policy, roots).await
    }

    pub(crate) async fn of(builder: ToolHostBuilder, policy: &str, roots: RootCertStore) -> Self {
        let names = Names::new();
        names.answer(GOOD, &[&[GOOD_ADDRESS]]);
        let audit = MemoryAudit::default();
        let host = builder
            .policy(parse(policy))
            .egress(EgressOptions {
                resolver: names.clone(),
                roots: Arc::new(roots),
                ..EgressOptions::default()
            })
            .audit(audit.clone())
            .build()
            .unwrap();
        host.load_file(guest("requests")).await.unwrap();
        Self { host, names, audit }
    }

    /// Has the guest send some requests one after the other.
    pub(crate) async fn send(&self, asks: &[Ask]) -> Told {
        self.plan(asks, false).await
    }

    /// Has the guest send some requests all at once.
    pub(crate) async fn send_together(&self, asks: &[Ask]) -> Told {
        self.plan(asks, true).await
    }

    async fn plan(&self, asks: &[Ask], together: bool) -> Told {
        let requests: Vec<&Value> = asks.iter().map(|ask| &ask.0).collect();
        let plan = json!({ "requests": requests, "together": together });
        let call = toolcell::ToolCall::new("requests", json!({ "plan": plan.to_string() }));
        let result = self.host.call(call).await.unwrap();
        let told: Value = serde_json::from_str(&result.text()).unwrap_or_default();
        let answers = told["answers"].as_array().cloned().unwrap_or_default();
        Told {
            result,
            answers: answers.into_iter().map(Answer).collect(),
        }
    }
}

/// A policy for the guest `requests`: these rules for the network, and limits that no list of tricks reaches.
pub(crate) fn policy(rules: &[String]) -> String {
    let rules: Vec<String> = rules.iter().map(|rule| format!("{{ {rule} }}")).collect();
    format!(
        "[tool.requests]\nnet = [{}]\nlimits = {{ {LIMITS} }}\n",
        rules.join(", ")
    )
}

const LIMITS: &str =
    "time = \"60s\", cpu = \"60s\", requests = 4000, output = \"4MiB\", hostcall = \"64MiB\"";

/// A rule for all that a destination could be asked for.
pub(crate) fn everything_at(to: &str) -> String {
    let methods = r#"["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]"#;
    format!("to = {to:?}, methods = {methods}")
}

/// What a host does that passes on what it is given: it dials the last thing in an authority that looks like a host, and
/// writes method, path, fields and body as they are. The broken variant of every attack on the bytes of a request.
pub(crate) async fn send_carelessly(names: &Names, asks: &[Ask]) {
    for ask in asks {
        let (_, authority, path) = ask.cut();
        let place = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = place.rsplit_once(':').unwrap_or((place, "80"));
        let (Ok(port), Some(address)) = (port.parse::<u16>(), names.look_up(host).first().copied())
        else {
            continue;
        };
        write_carelessly(ask, &path, place, address, port).await;
    }
}

async fn write_carelessly(ask: &Ask, path: &str, place: &str, address: IpAddr, port: u16) {
    let method = ask.0["method"].as_str().unwrap_or("GET");
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {place}\r\n").into_bytes();
    let fields = |key: &str, bytes: &mut Vec<u8>| {
        for pair in ask.0[key].as_array().into_iter().flatten() {
            bytes.extend(pair[0].as_str().unwrap_or_default().bytes());
            bytes.extend(b": ");
            match &pair[1] {
                Value::String(text) => bytes.extend(text.bytes()),
                value => bytes.extend(
                    value
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|byte| u8::try_from(byte.as_u64()?).ok()),
                ),
            }
            bytes.extend(b"\r\n");
        }
    };
    fields("headers", &mut bytes);
    let body = ask.0["body"].as_str().unwrap_or_default();
    if ask.0["trailers"].is_array() {
        bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
        bytes.extend(format!("{:x}\r\n{body}\r\n0\r\n", body.len()).bytes());
        fields("trailers", &mut bytes);
        bytes.extend(b"\r\n");
    } else {
        bytes.extend(b"\r\n");
        bytes.extend(body.bytes());
    }
    let Ok(mut stream) = TcpStream::connect((address, port)).await else {
        return;
    };
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}
