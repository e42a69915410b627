//! One HTTP exchange: the request, and what its answer means before a stream begins.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use reqwest::{
    Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
};
use serde_json::Value;
use tokio::time::timeout;
use url::{Host, Url};

use super::{AnthropicConfig, ApiKey, Auth, ModelError, TimeoutKind};

/// How much of an error body is read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// How much of an error body that is no JSON is shown, in characters.
const MAX_ERROR_CHARS: usize = 300;

pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    key: ApiKey,
}

/// An answer that is a stream of events.
pub(super) struct Opened {
    pub(super) request_id: Option<String>,
    pub(super) response: Response,
}

impl Client {
    pub(super) fn new(config: &AnthropicConfig) -> Result<Self, ModelError> {
        Ok(Self {
            http: http_client(config.timeouts.connect)?,
            url: endpoint(&config.base_url, config.allow_http)?,
            headers: headers(config)?,
            key: config.api_key.clone(),
        })
    }

    /// Sends the request and reads the head of the answer.
    pub(super) async fn open(&self, body: Vec<u8>) -> Result<Opened, ModelError> {
        let response = self
            .http
            .post(self.url.clone())
            .headers(self.headers.clone())
            .body(body)
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        let head = Head::of(&response);
        if head.status == 200 && head.content_type.starts_with("text/event-stream") {
            return Ok(Opened {
                request_id: head.request_id,
                response,
            });
        }
        let body = read_start(response).await;
        Err(self.redact(head.error(&body)))
    }

    /// The error without the key, should the server have repeated it.
    pub(super) fn redact(&self, error: ModelError) -> ModelError {
        let clean = |text: String| self.key.redact(&text);
        match error {
            ModelError::Http {
                status,
                kind,
                message,
                request_id,
                retry_after,
                should_retry,
            } => ModelError::Http {
                status,
                kind: clean(kind),
                message: clean(message),
                request_id: request_id.map(clean),
                retry_after,
                should_retry,
            },
            ModelError::Stream {
                kind,
                message,
                request_id,
            } => ModelError::Stream {
                kind: clean(kind),
                message: clean(message),
                request_id: request_id.map(clean),
            },
            ModelError::Protocol(message) => ModelError::Protocol(clean(message)),
            ModelError::Transport(message) => ModelError::Transport(clean(message)),
            ModelError::Connect(message) => ModelError::Connect(clean(message)),
            other => other,
        }
    }

    /// Where nobody answered and why. A failed connection is told by its root: the layers above it only say that
    /// connecting failed.
    fn unreachable(&self, error: reqwest::Error) -> ModelError {
        let why = if error.is_connect() {
            root(&error)
        } else {
            chain(&error.without_url())
        };
        let place = self.url.origin().ascii_serialization();
        ModelError::Connect(self.key.redact(&format!("{place}: {why}")))
    }
}

/// The pieces of a body, as long as they keep coming and are not too many.
pub(super) fn pieces(
    response: Response,
    idle: Duration,
    limit: u64,
) -> impl Stream<Item = Result<Bytes, BodyError>> {
    let start = (Box::pin(response.bytes_stream()), 0_u64);
    stream::unfold(start, move |(mut body, so_far)| async move {
        let piece = match timeout(idle, body.next()).await {
            Err(_) => Err(BodyError(ModelError::Timeout {
                kind: TimeoutKind::Idle,
                after: idle,
            })),
            Ok(None) => return None,
            Ok(Some(Err(error))) => Err(BodyError(ModelError::Transport(chain(
                &error.without_url(),
            )))),
            Ok(Some(Ok(piece))) => Ok(piece),
        };
        let size = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let so_far = so_far.saturating_add(size);
        if so_far > limit {
            let error = BodyError(ModelError::TooLarge { limit });
            return Some((Err(error), (body, so_far)));
        }
        Some((piece, (body, so_far)))
    })
}

/// Carries our error through the event parser.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BodyError(ModelError);

/// The error of the event parser in our words.
pub(super) fn stream_error(error: sse_stream::Error) -> ModelError {
    match error {
        sse_stream::Error::Body(source) => match source.downcast::<BodyError>() {
            Ok(error) => error.0,
            Err(other) => ModelError::Transport(other.to_string()),
        },
        other => ModelError::Protocol(other.to_string()),
    }
}

/// What the head of an answer says.
struct Head {
    status: u16,
    content_type: String,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
}

impl Head {
    fn of(response: &Response) -> Self {
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let seconds = |text: &str| {
            let seconds: f64 = text.trim().parse().ok()?;
            Duration::try_from_secs_f64(seconds).ok()
        };
        Self {
            status: response.status().as_u16(),
            content_type: header("content-type").unwrap_or("").to_ascii_lowercase(),
            request_id: header("request-id").map(str::to_owned),
            // A date instead of seconds would need a clock; the usual wait serves as well.
            retry_after: header("retry-after-ms")
                .and_then(seconds)
                .map(|thousandfold| thousandfold / 1000)
                .or_else(|| header("retry-after").and_then(seconds)),
            should_retry: header("x-should-retry").and_then(|text| text.parse().ok()),
        }
    }

    fn error(self, body: &[u8]) -> ModelError {
        let body = String::from_utf8_lossy(body);
        let parsed: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        let field = |key: &str| Some(parsed.get("error")?.get(key)?.as_str()?.to_owned());
        let (kind, message) = (field("type"), field("message"));
        if self.status == 200 && kind.is_none() && message.is_none() {
            return ModelError::Protocol(format!(
                "expected content type text/event-stream, got `{}`",
                self.content_type
            ));
        }
        let plain = match self.status {
            300..400 => "redirects are not followed".to_owned(),
            _ => body.chars().take(MAX_ERROR_CHARS).collect(),
        };
        ModelError::Http {
            status: self.status,
            kind: kind.unwrap_or_else(|| "http_error".into()),
            message: message.unwrap_or(plain),
            request_id: self.request_id.or_else(|| {
                let id = parsed.get("request_id")?.as_str()?;
                Some(id.to_owned())
            }),
            retry_after: self.retry_after,
            should_retry: self.should_retry,
        }
    }
}

/// The first bytes of an error body. What cannot be read is left out: the status already says that it failed.
async fn read_start(response: Response) -> Vec<u8> {
    let mut body = response.bytes_stream();
    let mut start = Vec::new();
    while let Some(Ok(piece)) = body.next().await {
        let room = MAX_ERROR_BYTES.saturating_sub(start.len());
        start.extend(piece.iter().take(room));
        if start.len() >= MAX_ERROR_BYTES {
            break;
        }
    }
    start
}

/// An error with what caused it, since the outer ones say little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// The innermost error.
fn root(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// A client with this library's own TLS settings: Mozilla's roots, no proxy, no redirects, since each of these could
/// hand the key to somebody else.
fn http_client(connect: Duration) -> Result<reqwest::Client, ModelError> {
    let config = |error: &dyn std::error::Error| ModelError::Config(chain(error));
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| config(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(connect)
        .build()
        .map_err(|error| config(&error))
}

fn endpoint(base: &str, allow_http: bool) -> Result<Url, ModelError> {
    let wrong = |why: String| Err(ModelError::Config(format!("the base URL {why}")));
    let text = format!("{}/v1/messages", base.trim_end_matches('/'));
    let url = match Url::parse(&text) {
        Ok(url) => url,
        Err(error) => return wrong(format!("is no URL: {error}")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("must not hold a user name or password".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("must not hold `?` or `#`".into());
    }
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if local || allow_http => Ok(url),
        "http" => wrong(
            "has no TLS, so the API key would travel in the clear; use https, or allow http for it"
                .into(),
        ),
        other => wrong(format!("has the scheme `{other}`; use https")),
    }
}

fn headers(config: &AnthropicConfig) -> Result<HeaderMap, ModelError> {
    let key = config.api_key.expose();
    if key.is_empty() {
        return Err(ModelError::Key("is missing"));
    }
    let (name, value) = match config.auth {
        Auth::Bearer => (AUTHORIZATION, format!("Bearer {key}")),
        Auth::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
    };
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| ModelError::Key("holds characters that cannot be sent"))?;
    value.set_sensitive(true);
    let version = HeaderValue::from_str(&config.version).map_err(|_| {
        ModelError::Config("the API version holds characters that cannot be sent".into())
    })?;
    let agent = concat!("toolcell/", env!("CARGO_PKG_VERSION"));
    Ok(HeaderMap::from_iter([
        (name, value),
        (HeaderName::from_static("anthropic-version"), version),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ACCEPT, HeaderValue::from_static("text/event-stream")),
        (USER_AGENT, HeaderValue::from_static(agent)),
    ]))
}
