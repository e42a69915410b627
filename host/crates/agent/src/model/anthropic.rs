//! The Anthropic Messages API and servers that speak it.

mod batches;
pub(crate) mod body;
mod list;

use std::fmt;

use futures_util::future::BoxFuture;
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    Account, ApiKey, Assembler, Batches, Headers, ModelError, ModelProvider, ModelSink, Timeouts,
    http::{Ask, Http, endpoint},
};
use crate::wire::{ModelRequest, Reply};
use body::{Dialect, count_body, messages_body};

pub use list::ListedModel;

/// The API version this client was written for.
pub(super) const VERSION: &str = "2026-10-21";

/// The version before, the last one that takes sampling parameters.
pub(super) const OLD_VERSION: &str = "2023-06-01";

/// The media type of a turn.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// How the key is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// `X-Api-Key: KEY`, which older servers need.
    XApiKey,
    /// Not at all, for servers that ask nobody for a key.
    Nothing,
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
    /// The `anthropic-version` header. Default `2026-10-21`. Only `2023-06-01` takes sampling parameters.
    pub version: String,
    /// The `anthropic-beta` header: what is tried before it is there for all.
    pub betas: Vec<String>,
    /// The `anthropic-workspace-id` header.
    pub workspace: Option<String>,
    /// Further headers. They come last, so they may say otherwise than all above.
    pub headers: Headers,
    /// How long to wait.
    pub timeouts: Timeouts,
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
            betas: Vec::new(),
            workspace: None,
            headers: Headers::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// A client of the Messages API. Each turn is asked for once: see [`Resilient`](super::Resilient) for retries.
pub struct Anthropic {
    config: AnthropicConfig,
    http: Http,
    headers: HeaderMap,
    turns: Url,
    counts: Url,
    models: Url,
    batches: Url,
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
        let url = |path: &str| endpoint(&config.base_url, path, config.allow_http);
        Ok(Self {
            turns: url("/v1/messages")?,
            counts: url("/v1/messages/count_tokens")?,
            models: url("/v1/models")?,
            batches: url("/v1/messages/batches")?,
            http: Http::new(config.timeouts)?,
            headers: headers(&config)?,
            config,
        })
    }

    async fn ask(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let body = self.body(request)?;
        let ask = self.post(&self.turns, body, EVENT_STREAM);
        self.http.turn(ask, Assembler::default(), sink).await
    }

    fn body(&self, request: &ModelRequest) -> Result<Map<String, Value>, ModelError> {
        let dialect = Dialect {
            model: true,
            stream: Some(true),
            version: None,
            sampling: self.config.version == OLD_VERSION,
        };
        let mut body = messages_body(request, dialect)?;
        if let (true, Some(plan)) = (self.first_party(), &request.cache) {
            let before = json!({ "previous_message_id": plan.previous_message });
            body.entry("diagnostics").or_insert(before);
        }
        Ok(body)
    }

    /// Whether it is the API itself. Other servers that speak the protocol need not know its newest fields.
    fn first_party(&self) -> bool {
        let host = self.turns.host_str().unwrap_or_default();
        self.config.version != OLD_VERSION
            && (host == "anthropic.com" || host.ends_with(".anthropic.com"))
    }

    async fn count(&self, request: &ModelRequest) -> Result<Option<u64>, ModelError> {
        let ask = self.post(&self.counts, count_body(request)?, "application/json");
        counted(&self.http.json(ask).await?).map(Some)
    }

    fn post(&self, url: &Url, body: Map<String, Value>, accept: &'static str) -> Ask<'_> {
        Ask {
            method: Method::POST,
            url: url.clone(),
            headers: self.headers.clone(),
            body: Value::from(body).to_string().into_bytes(),
            accept,
            hide: std::slice::from_ref(&self.config.api_key),
        }
    }
}

/// What the counting endpoint counted.
pub(super) fn counted(answer: &Value) -> Result<u64, ModelError> {
    answer
        .get("input_tokens")
        .and_then(Value::as_u64)
        .ok_or_else(|| ModelError::Protocol("a count without `input_tokens`".into()))
}

fn headers(config: &AnthropicConfig) -> Result<HeaderMap, ModelError> {
    let mut headers = HeaderMap::new();
    let key = &config.api_key;
    match config.auth {
        Auth::Bearer => headers.insert(AUTHORIZATION, key.header("Bearer ")?),
        Auth::XApiKey => headers.insert(HeaderName::from_static("x-api-key"), key.header("")?),
        Auth::Nothing => None,
    };
    say(&mut headers, "anthropic-version", &config.version)?;
    if !config.betas.is_empty() {
        say(&mut headers, "anthropic-beta", &config.betas.join(","))?;
    }
    if let Some(workspace) = &config.workspace {
        say(&mut headers, "anthropic-workspace-id", workspace)?;
    }
    config.headers.over(&mut headers);
    Ok(headers)
}

/// Sets a header of the API.
pub(super) fn say(
    headers: &mut HeaderMap,
    name: &'static str,
    value: &str,
) -> Result<(), ModelError> {
    let value = HeaderValue::from_str(value).map_err(|_| {
        ModelError::Config(format!("`{name}` holds characters that cannot be sent"))
    })?;
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

impl ModelProvider for Anthropic {
    fn id(&self) -> &str {
        &self.config.model
    }

    fn provider(&self) -> &str {
        "anthropic"
    }

    fn account(&self) -> Account {
        Account {
            place: self.turns.origin().ascii_serialization(),
            payer: self.config.api_key.payer(),
        }
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(self.ask(request, sink))
    }

    fn count_tokens<'a>(
        &'a self,
        request: &'a ModelRequest,
    ) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        Box::pin(self.count(request))
    }

    fn batches(&self) -> Option<&dyn Batches> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
