//! Claude on Google Vertex AI.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap},
};
use serde_json::{Value, json};
use url::Url;

use super::{
    Account, ApiKey, Assembler, Headers, ModelError, ModelProvider, ModelSink, Timeouts,
    anthropic::{
        self, EVENT_STREAM,
        body::{Dialect, count_body, messages_body},
    },
    cloud,
    http::{Ask, Http, endpoint},
};
use crate::wire::{ModelRequest, Reply};

/// What stands for itself in a segment of the path. A `;` does not: servers may cut a segment off there, and with it what
/// is to be done.
const SAFE: &[u8] = b"!$&'()*+,=:@";

/// Who has access tokens. It is asked before each request, keeps a token as long as it is valid, and then gets another.
pub trait TokenSource: Send + Sync {
    /// A token that is valid now.
    fn token(&self) -> BoxFuture<'_, Result<ApiKey, ModelError>>;
}

/// A token that never changes.
impl TokenSource for ApiKey {
    fn token(&self) -> BoxFuture<'_, Result<ApiKey, ModelError>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}

/// How to reach Claude on Google Vertex AI.
#[derive(Clone)]
pub struct VertexConfig {
    /// The model's id, for example `claude-sonnet-5-5` or `claude-sonnet-4-5@20250929`.
    pub model: String,
    /// The project.
    pub project: String,
    /// The region: `global`, `us`, `eu`, or one like `europe-west1`.
    pub region: String,
    /// Who asks.
    pub token: Arc<dyn TokenSource>,
    /// Where the API is, without `/projects`. Default by the region.
    pub base_url: Option<String>,
    /// Whether a base URL without TLS may be used that is not this machine's own: the token then travels in the clear.
    /// Default no.
    pub allow_http: bool,
    /// The field `anthropic_version`. Default `2026-10-21`.
    pub version: String,
    /// Further headers, for example `anthropic-beta`.
    pub headers: Headers,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl VertexConfig {
    /// The public API with its defaults.
    pub fn new(
        model: impl Into<String>,
        project: impl Into<String>,
        region: impl Into<String>,
        token: Arc<dyn TokenSource>,
    ) -> Self {
        Self {
            model: model.into(),
            project: project.into(),
            region: region.into(),
            token,
            base_url: None,
            allow_http: false,
            version: anthropic::VERSION.into(),
            headers: Headers::default(),
            timeouts: Timeouts::default(),
        }
    }
}

impl fmt::Debug for VertexConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VertexConfig")
            .field("model", &self.model)
            .field("project", &self.project)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// A client of Claude on Google Vertex AI. Each turn is asked for once.
#[derive(Debug)]
pub struct Vertex {
    config: VertexConfig,
    http: Http,
    turns: Url,
    counts: Url,
}

impl Vertex {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ModelError::Config`] when the model, project, region or base URL cannot be used.
    pub fn new(config: VertexConfig) -> Result<Self, ModelError> {
        let region = cloud::region(&config.region)?;
        let base = match &config.base_url {
            Some(base) => base.clone(),
            None => base_of(region),
        };
        let project = cloud::segment("project", &config.project, SAFE)?;
        let model = cloud::segment("model", &config.model, SAFE)?;
        let models = format!("/projects/{project}/locations/{region}/publishers/anthropic/models");
        let url = |path: &str| endpoint(&base, &format!("{models}/{path}"), config.allow_http);
        Ok(Self {
            turns: url(&format!("{model}:streamRawPredict"))?,
            counts: url("count-tokens:rawPredict")?,
            http: Http::new(config.timeouts)?,
            config,
        })
    }

    fn dialect(&self) -> Dialect<'_> {
        Dialect {
            model: false,
            stream: Some(true),
            version: Some(&self.config.version),
            sampling: self.config.version != anthropic::VERSION,
        }
    }

    async fn ask(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let body = messages_body(request, self.dialect())?;
        let token = self.config.token.token().await?;
        let hide = std::slice::from_ref(&token);
        let ask = self.post(&self.turns, body.into(), EVENT_STREAM, hide)?;
        self.http.turn(ask, Assembler::default(), sink).await
    }

    async fn count(&self, request: &ModelRequest) -> Result<Option<u64>, ModelError> {
        let mut body = count_body(request)?;
        body.insert("anthropic_version".into(), json!(self.config.version));
        let token = self.config.token.token().await?;
        let hide = std::slice::from_ref(&token);
        let ask = self.post(&self.counts, body.into(), "application/json", hide)?;
        anthropic::counted(&self.http.json(ask).await?).map(Some)
    }

    fn post<'a>(
        &self,
        url: &Url,
        body: Value,
        accept: &'static str,
        hide: &'a [ApiKey],
    ) -> Result<Ask<'a>, ModelError> {
        let mut headers = HeaderMap::new();
        for token in hide {
            headers.insert(AUTHORIZATION, token.header("Bearer ")?);
        }
        self.config.headers.over(&mut headers);
        Ok(Ask {
            method: Method::POST,
            url: url.clone(),
            headers,
            body: body.to_string().into_bytes(),
            accept,
            hide,
        })
    }
}

/// Where the API of a region is.
fn base_of(region: &str) -> String {
    match region {
        "global" => "https://aiplatform.googleapis.com/v1".to_owned(),
        "us" | "eu" => format!("https://aiplatform.{region}.rep.googleapis.com/v1"),
        other => format!("https://{other}-aiplatform.googleapis.com/v1"),
    }
}

impl ModelProvider for Vertex {
    fn id(&self) -> &str {
        &self.config.model
    }

    fn provider(&self) -> &str {
        "gcp.vertex_ai"
    }

    fn account(&self) -> Account {
        Account {
            place: self.turns.origin().ascii_serialization(),
            payer: self.config.project.clone(),
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
}

#[cfg(test)]
mod tests;
