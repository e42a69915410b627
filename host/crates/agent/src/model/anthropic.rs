//! The Anthropic Messages API and servers that speak it.

mod http;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture};
use sse_stream::SseByteStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Assembler, ModelError, ModelEvent, ModelProvider, ModelSink, RealTimer, Retry, TimeoutKind,
    Timer,
};
use crate::wire::{ModelRequest, Reply};

/// The API version this client was written for.
const VERSION: &str = "2026-10-21";

/// No turn is longer than this on the wire: 128,000 tokens with all their framing are a third of it.
const MAX_STREAM_BYTES: u64 = 64 << 20;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// An API key. It is never printed.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes a key; white space around it, as at the end of a file, does not belong to it.
    pub fn new(key: &str) -> Self {
        Self(key.trim().to_owned())
    }

    fn expose(&self) -> &str {
        &self.0
    }

    /// Removes the key from a text that somebody else wrote.
    fn redact(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        text.replace(&self.0, "[redacted]")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// How the key is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// `X-Api-Key: KEY`, which older servers need.
    XApiKey,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection. Default 5 s.
    pub connect: Duration,
    /// For the answer to begin, and from one piece of it to the next. Default 120 s.
    pub idle: Duration,
    /// For a whole turn, retries not included. Default 600 s.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(600),
        }
    }
}

/// How to reach the API.
#[derive(Clone, Debug)]
pub struct AnthropicConfig {
    /// The model's id, for example `claude-sonnet-5-5`.
    pub model: String,
    /// The key.
    pub api_key: ApiKey,
    /// Where the API is, without `/v1/messages`. Default `https://api.anthropic.com`.
    pub base_url: String,
    /// Whether a base URL without TLS may be used that is not this machine's own: the key then travels in the clear.
    /// Default no.
    pub allow_http: bool,
    /// How the key is sent. Default `Bearer`.
    pub auth: Auth,
    /// The `anthropic-version` header. Default `2026-10-21`.
    pub version: String,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// When to try again.
    pub retry: Retry,
}

impl AnthropicConfig {
    /// The public API with its defaults.
    pub fn new(model: impl Into<String>, api_key: ApiKey) -> Self {
        Self {
            model: model.into(),
            api_key,
            base_url: "https://api.anthropic.com".into(),
            allow_http: false,
            auth: Auth::Bearer,
            version: VERSION.into(),
            timeouts: Timeouts::default(),
            retry: Retry::default(),
        }
    }
}

/// A client of the Messages API.
pub struct Anthropic {
    config: AnthropicConfig,
    client: http::Client,
    timer: Arc<dyn Timer>,
}

impl fmt::Debug for Anthropic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anthropic")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Anthropic {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ModelError::Key`] when the key is missing or cannot be sent, [`ModelError::Config`] when the version or base URL
    /// cannot be used.
    pub fn new(config: AnthropicConfig) -> Result<Self, ModelError> {
        Self::with_timer(config, Arc::new(RealTimer))
    }

    /// A client that waits before retries as `timer` says.
    ///
    /// # Errors
    /// As [`Anthropic::new`].
    pub fn with_timer(config: AnthropicConfig, timer: Arc<dyn Timer>) -> Result<Self, ModelError> {
        let client = http::Client::new(&config)?;
        Ok(Self {
            config,
            client,
            timer,
        })
    }

    async fn ask(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let body = request
            .to_body()
            .map_err(|error| ModelError::Config(format!("the request is no JSON: {error}")))?;
        let mut done = 0;
        loop {
            let error = match self.attempt(body.clone(), sink).await {
                Ok(reply) => return Ok(reply),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::BeforeStream(error)) => error,
            };
            let delay = self.config.retry.delay(&error, done, self.timer.dice());
            let Some(delay) = delay else {
                return Err(error);
            };
            done = done.saturating_add(1);
            sink(ModelEvent::Retry {
                attempt: done.saturating_add(1),
                delay,
                error: error.to_string(),
            });
            self.timer.wait(delay).await;
        }
    }

    async fn attempt(&self, body: Vec<u8>, sink: ModelSink<'_>) -> Result<Reply, Failed> {
        let Timeouts { idle, total, .. } = self.config.timeouts;
        let start = Instant::now();
        // A limit beyond what the clock can count is none, and a year is as good.
        let end = start.checked_add(total).unwrap_or(start + YEAR);
        let after = idle.min(total);
        let kind = TimeoutKind::Response;
        let opened = timeout(after, self.client.open(body))
            .await
            .unwrap_or(Err(ModelError::Timeout { kind, after }))
            .map_err(Failed::BeforeStream)?;
        self.receive(opened, idle, end, sink)
            .await
            .map_err(|error| Failed::Final(self.client.redact(error)))
    }

    /// Reads the stream to the end of the turn.
    async fn receive(
        &self,
        opened: http::Opened,
        idle: Duration,
        end: Instant,
        sink: ModelSink<'_>,
    ) -> Result<Reply, ModelError> {
        let pieces = http::pieces(opened.response, idle, MAX_STREAM_BYTES);
        let mut events = std::pin::pin!(SseByteStream::new(pieces));
        let mut assembler = Assembler::default();
        while !assembler.is_done() {
            let Ok(event) = timeout_at(end, events.next()).await else {
                return Err(ModelError::Timeout {
                    kind: TimeoutKind::Total,
                    after: self.config.timeouts.total,
                });
            };
            let Some(event) = event.transpose().map_err(http::stream_error)? else {
                break;
            };
            let data = event.data.as_deref().unwrap_or("");
            if let Some(seen) = assembler.on_event(event.event.as_deref(), data)? {
                sink(seen);
            }
        }
        let mut reply = assembler.finish()?;
        reply.request_id = opened.request_id;
        Ok(reply)
    }
}

/// A failed attempt. Only before the stream opened is it certain that nothing of the answer was shown.
enum Failed {
    BeforeStream(ModelError),
    Final(ModelError),
}

impl ModelProvider for Anthropic {
    fn id(&self) -> &str {
        &self.config.model
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(self.ask(request, sink))
    }
}

#[cfg(test)]
mod tests;
