//! The Anthropic Messages API and servers that speak it.

pub(crate) mod body;

use std::fmt;

use futures_util::future::BoxFuture;
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use url::Url;

use super::{
    Account, ApiKey, Assembler, ModelError, ModelProvider, ModelSink, Timeouts,
    http::{Ask, Http, endpoint},
};
use crate::wire::{ModelRequest, Reply};
use body::{Dialect, messages_body};

/// The API version this client was written for.
const VERSION: &str = "2026-10-21";

/// The version before, the last one that takes sampling parameters.
const OLD_VERSION: &str = "2023-06-01";

/// How the key is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// `X-Api-Key: KEY`, which older servers need.
    XApiKey,
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
        }
    }
}

/// A client of the Messages API. Each turn is asked for once: see [`Resilient`](super::Resilient) for retries.
pub struct Anthropic {
    config: AnthropicConfig,
    http: Http,
    url: Url,
    headers: HeaderMap,
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
        Ok(Self {
            http: Http::new(config.timeouts)?,
            url: endpoint(&config.base_url, "/v1/messages", config.allow_http)?,
            headers: headers(&config)?,
            config,
        })
    }

    async fn ask(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let dialect = Dialect {
            model: true,
            stream: Some(true),
            version: None,
            sampling: self.config.version == OLD_VERSION,
        };
        let ask = Ask {
            method: Method::POST,
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: Value::from(messages_body(request, dialect)?)
                .to_string()
                .into_bytes(),
            accept: "text/event-stream",
            hide: std::slice::from_ref(&self.config.api_key),
        };
        self.http.turn(ask, Assembler::default(), sink).await
    }
}

fn headers(config: &AnthropicConfig) -> Result<HeaderMap, ModelError> {
    let (name, value) = match config.auth {
        Auth::Bearer => (AUTHORIZATION, config.api_key.header("Bearer ")?),
        Auth::XApiKey => (
            HeaderName::from_static("x-api-key"),
            config.api_key.header("")?,
        ),
    };
    let version = HeaderValue::from_str(&config.version).map_err(|_| {
        ModelError::Config("the API version holds characters that cannot be sent".into())
    })?;
    Ok(HeaderMap::from_iter([
        (name, value),
        (HeaderName::from_static("anthropic-version"), version),
    ]))
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
            place: self.url.origin().ascii_serialization(),
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
}

#[cfg(test)]
mod tests;
