//! Chat completions: the API of OpenAI, and of the many servers that speak it.

mod assemble;
mod body;
mod calls;
mod lacks;
mod messages;
mod names;
mod usage;

use std::fmt;

use futures_util::{StreamExt, future::BoxFuture};
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Map, Value};
use url::Url;

use super::{
    Account, ApiKey, ListedModel, ModelError, ModelEvent, ModelProvider, ModelSink, Timeouts,
    http::{Ask, Http, endpoint, redact, stream_error},
};
use crate::{
    context,
    wire::{ModelRequest, Reply},
};
pub use assemble::ChatAssembler;
use body::chat_body;
pub use lacks::{Lack, Lacks};
use names::Names;

/// The field of a block that holds what only the servers of this API understand. Other providers leave it out.
pub(crate) const OWN: &str = "openai";

/// The fields that reasoning comes in, by servers that show it.
const REASONING: [&str; 2] = ["reasoning_content", "reasoning"];

/// The shortest value of a header that is taken out of errors, in bytes.
const MIN_HIDDEN: usize = 8;

/// How to reach a server.
#[derive(Clone)]
pub struct OpenAiConfig {
    /// The model's id, for example `gpt-6`.
    pub model: String,
    /// The key; servers on one's own machine often need none.
    pub api_key: Option<ApiKey>,
    /// Where the API is, without `/chat/completions`. Default `https://api.openai.com/v1`.
    pub base_url: String,
    /// Whether a base URL without TLS may be used that is not this machine's own: the key then travels in the clear.
    /// Default no.
    pub allow_http: bool,
    /// Further headers of each request, for example `OpenAI-Organization`. Default none.
    pub headers: Vec<(String, String)>,
    /// What the server does not know; absent for what one at this base URL usually does not.
    pub lacks: Option<Lacks>,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl OpenAiConfig {
    /// OpenAI's own API with its defaults.
    pub fn new(model: impl Into<String>, api_key: Option<ApiKey>) -> Self {
        Self {
            model: model.into(),
            api_key,
            base_url: "https://api.openai.com/v1".into(),
            allow_http: false,
            headers: Vec::new(),
            lacks: None,
            timeouts: Timeouts::default(),
        }
    }
}

/// The values of headers may be secret, so only their names are shown.
impl fmt::Debug for OpenAiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("OpenAiConfig")
            .field("model", &self.model)
            .field("api_key", &self.api_key)
            .field("base_url", &self.base_url)
            .field("allow_http", &self.allow_http)
            .field("headers", &headers)
            .field("lacks", &self.lacks)
            .field("timeouts", &self.timeouts)
            .finish()
    }
}

/// A client of chat completions. Each turn is asked for once: see [`Resilient`](super::Resilient) for retries.
pub struct OpenAi {
    config: OpenAiConfig,
    lacks: Lacks,
    http: Http,
    turns: Url,
    models: Url,
    headers: HeaderMap,
    /// What is taken out of every error.
    hide: Vec<ApiKey>,
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl OpenAi {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ModelError::Key`] when the key cannot be sent, [`ModelError::Config`] when the base URL or a header cannot be
    /// used.
    pub fn new(config: OpenAiConfig) -> Result<Self, ModelError> {
        let usual = || Lacks::usual(&config.base_url);
        Ok(Self {
            lacks: config.lacks.clone().unwrap_or_else(usual),
            http: Http::new(config.timeouts)?,
            turns: endpoint(&config.base_url, "/chat/completions", config.allow_http)?,
            models: endpoint(&config.base_url, "/models", config.allow_http)?,
            headers: headers(&config)?,
            hide: hidden(&config),
            config,
        })
    }

    async fn ask(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let names = Names::of(request);
        let body = chat_body(request, &self.lacks, &names)?;
        let estimate = self.lacks.has(Lack::Usage);
        let prompt = context::estimate(request);
        let assembler = ChatAssembler::answering(request, names, prompt, estimate);
        let answer = match self.lacks.has(Lack::Stream) {
            true => self.whole(&body, assembler, sink).await,
            false => {
                let ask = self.request(&body, "text/event-stream");
                self.http.turn(ask, assembler, sink).await
            }
        };
        answer.map_err(|error| self.lacks.explain(error, &body))
    }

    fn request(&self, body: &Map<String, Value>, accept: &'static str) -> Ask<'_> {
        Ask {
            method: Method::POST,
            url: self.turns.clone(),
            headers: self.headers.clone(),
            body: serde_json::to_vec(body).unwrap_or_default(),
            accept,
            hide: &self.hide,
        }
    }

    /// The models that the server offers to this key, in its order.
    ///
    /// # Errors
    /// [`ModelError`], as for a turn.
    pub async fn models(&self) -> Result<Vec<ListedModel>, ModelError> {
        #[derive(serde::Deserialize)]
        struct Page {
            data: Vec<ListedModel>,
        }
        let ask = Ask {
            method: Method::GET,
            url: self.models.clone(),
            headers: self.headers.clone(),
            body: Vec::new(),
            accept: "application/json",
            hide: &self.hide,
        };
        let page: Page = serde_json::from_value(self.http.json(ask).await?)
            .map_err(|error| ModelError::Protocol(format!("no list of models: {error}")))?;
        Ok(page.data)
    }

    /// Asks for the answer in one piece.
    async fn whole(
        &self,
        body: &Map<String, Value>,
        mut assembler: ChatAssembler,
        sink: ModelSink<'_>,
    ) -> Result<Reply, ModelError> {
        let opened = self
            .http
            .open(self.request(body, "application/json"))
            .await?;
        if !opened.limits.is_empty() {
            sink(ModelEvent::RateLimits(opened.limits));
        }
        let read = async {
            let mut pieces = std::pin::pin!(self.http.pieces(opened.response));
            let mut text = Vec::new();
            while let Some(piece) = pieces.next().await {
                let piece =
                    piece.map_err(|error| stream_error(sse_stream::Error::Body(error.into())))?;
                text.extend_from_slice(&piece);
            }
            let text = String::from_utf8_lossy(&text);
            assembler.on_event(None, &text, &mut |seen| sink(seen))?;
            assembler.finish()
        };
        let end = tokio::time::timeout_at(opened.end, read).await;
        let mut reply = end
            .unwrap_or_else(|_| Err(self.http.too_long()))
            .map_err(|error| redact(error, &self.hide))?;
        reply.request_id = opened.request_id;
        Ok(reply)
    }
}

fn headers(config: &OpenAiConfig) -> Result<HeaderMap, ModelError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &config.api_key {
        headers.insert(AUTHORIZATION, key.header("Bearer ")?);
    }
    for (name, value) in &config.headers {
        let wrong = |what: &str| ModelError::Config(format!("the header `{name}` {what}"));
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| wrong("has a name that cannot be sent"))?;
        let mut value =
            HeaderValue::from_str(value).map_err(|_| wrong("has a value that cannot be sent"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

/// The key, and the values of the operator's headers: a gateway may want a key of its own there. A short value is no
/// key, and could be a part of any word.
fn hidden(config: &OpenAiConfig) -> Vec<ApiKey> {
    let long = config
        .headers
        .iter()
        .filter(|(_, value)| value.len() >= MIN_HIDDEN);
    let values = long.map(|(_, value)| ApiKey::new(value));
    config.api_key.iter().cloned().chain(values).collect()
}

impl ModelProvider for OpenAi {
    fn id(&self) -> &str {
        &self.config.model
    }

    fn provider(&self) -> &str {
        "openai"
    }

    fn account(&self) -> Account {
        Account {
            place: self.turns.origin().ascii_serialization(),
            payer: self
                .config
                .api_key
                .as_ref()
                .map_or_else(String::new, ApiKey::payer),
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
