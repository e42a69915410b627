//! One HTTP exchange with a model's server: the request, and what its answer means before a stream begins.

mod client;
mod said;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use reqwest::{
    Method, Response,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT},
};
use serde_json::Value;
use sse_stream::SseByteStream;
use tokio::time::{Instant, timeout, timeout_at};
use url::{Host, Url};

pub(crate) use said::said;

use super::{ApiKey, ModelError, ModelEvent, ModelSink, More, RateLimits, TimeoutKind, limits};
use crate::wire::Reply;
pub use client::{Connections, Timeouts, http_client};

/// No turn is longer than this on the wire: 128,000 tokens with all their framing are a third of it.
const MAX_STREAM_BYTES: u64 = 64 << 20;

/// No answer that is one piece of JSON is longer than this.
const MAX_JSON_BYTES: u64 = 16 << 20;

/// How much of an error body is read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// How much of an error body that is no JSON is shown, in characters.
const MAX_ERROR_CHARS: usize = 300;

/// How long the end of an answer is waited for, once the turn is complete.
const LAST_WORDS: Duration = Duration::from_millis(50);

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Connections to model servers, with this library's own TLS settings.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    timeouts: Timeouts,
}

/// One request.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// All but the content type and the user agent.
    pub(crate) headers: HeaderMap,
    /// JSON; empty for none.
    pub(crate) body: Vec<u8>,
    /// The media type that the answer must have; `*/*` for any.
    pub(crate) accept: &'static str,
    /// What is taken out of every error, should a server repeat it.
    pub(crate) hide: &'a [ApiKey],
}

/// An answer that began.
pub(crate) struct Opened {
    pub(crate) request_id: Option<String>,
    /// What the server says of its rate limits; to be told as [`ModelEvent::RateLimits`].
    pub(crate) limits: RateLimits,
    pub(crate) response: Response,
    /// When the whole turn must be there.
    pub(crate) end: Instant,
}

/// Puts a turn together from the events of a stream.
pub(crate) trait Assemble {
    /// Takes one event: its name, where the stream gave one, and its data. It tells what people may see.
    fn on_event(
        &mut self,
        name: Option<&str>,
        data: &str,
        tell: &mut dyn FnMut(ModelEvent),
    ) -> Result<(), ModelError>;

    /// Whether the turn is complete. What comes later does not belong to it.
    fn is_done(&self) -> bool;

    /// The whole turn, or why there is none. The stream is at its end.
    fn finish(self) -> Result<Reply, ModelError>;
}

impl Http {
    pub(crate) fn new(timeouts: Timeouts) -> Result<Self, ModelError> {
        Ok(Self {
            client: http_client(&timeouts)?,
            timeouts,
        })
    }

    /// Sends the request and reads the head of the answer.
    pub(crate) async fn open(&self, ask: Ask<'_>) -> Result<Opened, ModelError> {
        let Timeouts { idle, total, .. } = self.timeouts;
        let start = Instant::now();
        // A limit beyond what the clock can count is none, and a year is as good.
        let end = start.checked_add(total).unwrap_or(start + YEAR);
        let after = idle.min(total);
        let kind = TimeoutKind::Response;
        let hide = ask.hide;
        let (head, response) = timeout(after, self.send(ask))
            .await
            .unwrap_or(Err(ModelError::Timeout { kind, after }))
            .map_err(|error| redact(error, hide))?;
        Ok(Opened {
            request_id: head.request_id,
            limits: head.limits,
            response,
            end,
        })
    }

    /// Asks for one turn as a stream of server-sent events.
    pub(crate) async fn turn<A: Assemble>(
        &self,
        ask: Ask<'_>,
        assembler: A,
        sink: ModelSink<'_>,
    ) -> Result<Reply, ModelError> {
        let hide = ask.hide;
        let opened = self.open(ask).await?;
        if !opened.limits.is_empty() {
            sink(ModelEvent::RateLimits(opened.limits));
        }
        self.receive(opened, assembler, sink)
            .await
            .map_err(|error| redact(error, hide))
    }

    /// Asks for an answer that is one piece of JSON.
    pub(crate) async fn json(&self, ask: Ask<'_>) -> Result<Value, ModelError> {
        let hide = ask.hide;
        let opened = self.open(ask).await?;
        self.whole(opened)
            .await
            .map_err(|error| redact(error, hide))
    }

    async fn whole(&self, opened: Opened) -> Result<Value, ModelError> {
        let pieces = pieces(opened.response, self.timeouts.idle, MAX_JSON_BYTES);
        let mut pieces = std::pin::pin!(pieces);
        let mut body = Vec::new();
        loop {
            let Ok(piece) = timeout_at(opened.end, pieces.next()).await else {
                return Err(self.too_long());
            };
            match piece {
                Some(piece) => body.extend_from_slice(&piece.map_err(ModelError::from)?),
                None => break,
            }
        }
        serde_json::from_slice(&body)
            .map_err(|error| ModelError::Protocol(format!("the answer is no JSON: {error}")))
    }

    /// Reads an answer line by line, until `each` has enough. However long it is as a whole: only one line is kept, and
    /// something has to come all the time.
    pub(crate) async fn lines(
        &self,
        ask: Ask<'_>,
        longest: usize,
        each: &mut (dyn FnMut(&[u8]) -> More + Send),
    ) -> Result<(), ModelError> {
        let hide = ask.hide;
        let opened = self.open(ask).await?;
        let pieces = pieces(opened.response, self.timeouts.idle, u64::MAX);
        let mut pieces = std::pin::pin!(pieces);
        let mut line = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| redact(ModelError::from(error), hide))?;
            for part in piece.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if line.len() > longest {
                    let limit = longest as u64;
                    return Err(ModelError::TooLarge { limit });
                }
                if part.ends_with(b"\n") && told(&mut line, each) == More::Enough {
                    return Ok(());
                }
            }
        }
        told(&mut line, each);
        Ok(())
    }

    async fn send(&self, ask: Ask<'_>) -> Result<(Head, Response), ModelError> {
        let Ask {
            method,
            url,
            mut headers,
            body,
            accept,
            ..
        } = ask;
        let place = url.origin().ascii_serialization();
        let agent = concat!("toolcell/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
            let json = HeaderValue::from_static("application/json");
            headers.insert(CONTENT_TYPE, json);
        }
        let response = self
            .client
            .request(method, url)
            .headers(headers)
            .body(body)
            .send()
            .await
            .map_err(|error| unreachable(&place, error))?;
        let head = Head::of(&response, self.timeouts.clock);
        if head.status == 200 && (accept == "*/*" || head.content_type.starts_with(accept)) {
            return Ok((head, response));
        }
        let body = read_start(response).await;
        Err(head.error(accept, &body))
    }

    /// Reads a stream of server-sent events to the end of the turn.
    async fn receive<A: Assemble>(
        &self,
        opened: Opened,
        mut assembler: A,
        sink: ModelSink<'_>,
    ) -> Result<Reply, ModelError> {
        let pieces = self.pieces(opened.response);
        let mut events = std::pin::pin!(SseByteStream::new(pieces).fuse());
        while !assembler.is_done() {
            let Ok(event) = timeout_at(opened.end, events.next()).await else {
                return Err(self.too_long());
            };
            let Some(event) = event.transpose().map_err(stream_error)? else {
                break;
            };
            let data = event.data.as_deref().unwrap_or("");
            assembler.on_event(event.event.as_deref(), data, &mut |seen| sink(seen))?;
        }
        let mut reply = assembler.finish()?;
        // A connection whose answer was read to its end can carry the next request. Nobody waits long for that.
        let _ = timeout(LAST_WORDS, events.next()).await;
        reply.request_id = opened.request_id;
        Ok(reply)
    }

    /// The pieces of a body, as long as they keep coming and are not too many.
    pub(crate) fn pieces(
        &self,
        response: Response,
    ) -> impl Stream<Item = Result<Bytes, BodyError>> + use<> {
        pieces(response, self.timeouts.idle, MAX_STREAM_BYTES)
    }

    /// The turn took longer than it may.
    pub(crate) fn too_long(&self) -> ModelError {
        ModelError::Timeout {
            kind: TimeoutKind::Total,
            after: self.timeouts.total,
        }
    }
}

/// Tells a line, unless it is blank, and begins the next one.
fn told(line: &mut Vec<u8>, each: &mut (dyn FnMut(&[u8]) -> More + Send)) -> More {
    let whole = std::mem::take(line);
    match whole.trim_ascii() {
        [] => More::Next,
        text => each(text),
    }
}

/// The error without these keys, should the server have repeated one.
pub(crate) fn redact(error: ModelError, hide: &[ApiKey]) -> ModelError {
    let clean = |text: String| hide.iter().fold(text, |text, key| key.redact(&text));
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
fn unreachable(place: &str, error: reqwest::Error) -> ModelError {
    let why = if error.is_connect() {
        root(&error)
    } else {
        chain(&error.without_url())
    };
    ModelError::Connect(format!("{place}: {why}"))
}

/// The pieces of a body, as long as they keep coming and are not too many.
fn pieces(
    response: Response,
    idle: Duration,
    limit: u64,
) -> impl Stream<Item = Result<Bytes, BodyError>> + use<> {
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
pub(crate) struct BodyError(ModelError);

impl From<BodyError> for ModelError {
    fn from(error: BodyError) -> Self {
        error.0
    }
}

/// The error of the event parser in our words.
pub(crate) fn stream_error(error: sse_stream::Error) -> ModelError {
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
    /// The word of AWS for an error, which stands in no body.
    error_type: Option<String>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    limits: RateLimits,
    should_retry: Option<bool>,
}

impl Head {
    fn of(response: &Response, clock: Option<fn() -> SystemTime>) -> Self {
        let headers = response.headers();
        let header = |name: &str| headers.get(name)?.to_str().ok();
        // The server's own clock counts: ours may be wrong.
        let now = limits::server_time(headers).or_else(|| clock.map(|now| now()));
        Self {
            status: response.status().as_u16(),
            content_type: header("content-type").unwrap_or("").to_ascii_lowercase(),
            // With what comes after a colon, AWS says where its word is explained.
            error_type: header("x-amzn-errortype")
                .and_then(|text| text.split(':').next())
                .map(str::to_owned),
            request_id: header("request-id")
                .or_else(|| header("x-request-id"))
                .or_else(|| header("x-amzn-requestid"))
                .map(str::to_owned),
            retry_after: limits::retry_after(headers, now),
            limits: RateLimits::of(headers, now),
            should_retry: header("x-should-retry").and_then(|text| text.parse().ok()),
        }
    }

    fn error(self, expected: &str, body: &[u8]) -> ModelError {
        let body = String::from_utf8_lossy(body);
        let parsed: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        let said::Said { kind, message } = said(&parsed);
        let kind = kind.or(self.error_type);
        if self.status == 200 && kind.is_none() && message.is_none() {
            return ModelError::Protocol(format!(
                "expected content type {expected}, got `{}`",
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

/// The URL of `path` under a base URL, which may lie under a path of its own.
///
/// # Errors
/// [`ModelError::Config`] for a base that is no URL, holds credentials, or would let the key travel in the clear.
pub(crate) fn endpoint(base: &str, path: &str, allow_http: bool) -> Result<Url, ModelError> {
    let wrong = |why: String| Err(ModelError::Config(format!("the base URL {why}")));
    let text = format!("{}{path}", base.trim_end_matches('/'));
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

#[cfg(test)]
mod tests;
