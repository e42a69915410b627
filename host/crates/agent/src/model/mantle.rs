//! Claude on Amazon Bedrock, through the newer endpoint ("mantle") that speaks the Messages API as it is.

use futures_util::future::BoxFuture;
use reqwest::{
    Method,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use url::Url;

use super::{
    Account, Assembler, Headers, ModelError, ModelProvider, ModelSink, Timeouts,
    anthropic::{
        self, EVENT_STREAM,
        body::{Dialect, messages_body},
    },
    aws::{AwsAuth, Unsigned},
    bedrock::PROFILE,
    cloud,
    http::{Ask, Http, endpoint},
};
use crate::wire::{ModelRequest, Reply};

/// How to reach the Messages API of Amazon Bedrock.
#[derive(Clone, Debug)]
pub struct MantleConfig {
    /// The model's id.
    pub model: String,
    /// The region, for example `eu-west-1`. Requests are signed for it.
    pub region: String,
    /// Who asks.
    pub auth: AwsAuth,
    /// Where the API is, without `/v1/messages`. Default `https://bedrock-mantle.REGION.api.aws/anthropic`.
    pub base_url: Option<String>,
    /// Whether a base URL without TLS may be used that is not this machine's own. Default no.
    pub allow_http: bool,
    /// The `anthropic-version` header. Default `2026-10-21`.
    pub version: String,
    /// Further headers, for example `anthropic-beta`.
    pub headers: Headers,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl MantleConfig {
    /// The public endpoint of a region, with its defaults.
    pub fn new(model: impl Into<String>, region: impl Into<String>, auth: AwsAuth) -> Self {
        Self {
            model: model.into(),
            region: region.into(),
            auth,
            base_url: None,
            allow_http: false,
            version: anthropic::VERSION.into(),
            headers: Headers::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// A client of the Messages API of Amazon Bedrock. Each turn is asked for once.
#[derive(Debug)]
pub struct Mantle {
    config: MantleConfig,
    http: Http,
    url: Url,
    headers: HeaderMap,
}

impl Mantle {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ModelError::Config`] when the region, version or base URL cannot be used.
    pub fn new(config: MantleConfig) -> Result<Self, ModelError> {
        let region = cloud::region(&config.region)?;
        let base = match &config.base_url {
            Some(base) => base.clone(),
            None => format!("https://bedrock-mantle.{region}.api.aws/anthropic"),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        anthropic::say(&mut headers, "anthropic-version", &config.version)?;
        config.headers.without(PROFILE).over(&mut headers);
        Ok(Self {
            url: endpoint(&base, "/v1/messages", config.allow_http)?,
            http: Http::new(config.timeouts)?,
            headers,
            config,
        })
    }

    async fn ask(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let dialect = Dialect {
            model: true,
            stream: Some(true),
            version: None,
            sampling: self.config.version == anthropic::OLD_VERSION,
        };
        let mut body = messages_body(request, dialect)?;
        if let Some(profile) = self.config.headers.get(PROFILE) {
            body.entry("user_profile_id")
                .or_insert_with(|| json!(profile));
        }
        let body = Value::from(body).to_string().into_bytes();
        let mut headers = self.headers.clone();
        let unsigned = Unsigned {
            url: &self.url,
            body: &body,
            region: &self.config.region,
            service: "bedrock-mantle",
        };
        let hide = self.config.auth.authorize(&unsigned, &mut headers).await?;
        let ask = Ask {
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body,
            accept: EVENT_STREAM,
            hide: &hide,
        };
        self.http.turn(ask, Assembler::default(), sink).await
    }
}

impl ModelProvider for Mantle {
    fn id(&self) -> &str {
        &self.config.model
    }

    fn provider(&self) -> &str {
        "aws.bedrock"
    }

    fn account(&self) -> Account {
        Account {
            place: self.url.origin().ascii_serialization(),
            payer: self.config.auth.payer(),
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
