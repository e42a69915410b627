//! Claude on Amazon Bedrock, through the runtime endpoint.
//!
//! The request is that of the Messages API with the model in the URL; the answer is a stream of binary frames
//! ([`frames`]), each of which holds one event of the Messages API.

mod frames;

use std::pin::pin;

use futures_util::{StreamExt as _, future::BoxFuture};
use reqwest::{
    Method,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Map, Value, json};
use tokio::time::timeout_at;
use url::Url;

use self::frames::{Frame, Frames};
use super::{
    Account, Assembler, Headers, ModelError, ModelProvider, ModelSink, Timeouts,
    anthropic::body::{Dialect, messages_body},
    aws::{AwsAuth, Unsigned},
    cloud,
    http::{Ask, Http, Opened, endpoint, redact},
};
use crate::wire::{ModelRequest, Reply};

/// The media type of the stream.
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// The `anthropic_version` of models before Claude 4.7.
const OLD_VERSION: &str = "bedrock-2023-05-31";

/// The `anthropic_version` of later ones.
const VERSION: &str = "2026-10-21";

/// Headers of the Messages API that are fields of the body here.
const BETA: &str = "anthropic-beta";
pub(super) const PROFILE: &str = "anthropic-user-profile-id";

/// What AWS measured, which comes with the last event.
const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// How to reach Claude on Amazon Bedrock.
#[derive(Clone, Debug)]
pub struct BedrockConfig {
    /// The model's id, an inference profile's id or its ARN, for example `eu.anthropic.claude-sonnet-5-5`.
    pub model: String,
    /// The region, for example `eu-west-1`. Requests are signed for it.
    pub region: String,
    /// Who asks.
    pub auth: AwsAuth,
    /// Where the endpoint is. Default `https://bedrock-runtime.REGION.amazonaws.com`.
    pub base_url: Option<String>,
    /// Whether a base URL without TLS may be used that is not this machine's own. Default no.
    pub allow_http: bool,
    /// The field `anthropic_version`. Default what the model's generation knows.
    pub version: Option<String>,
    /// The field `anthropic_beta`.
    pub betas: Vec<String>,
    /// Further headers. `anthropic-beta` and `anthropic-user-profile-id` among them become fields of the body.
    pub headers: Headers,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl BedrockConfig {
    /// The public endpoint of a region, with its defaults.
    pub fn new(model: impl Into<String>, region: impl Into<String>, auth: AwsAuth) -> Self {
        Self {
            model: model.into(),
            region: region.into(),
            auth,
            base_url: None,
            allow_http: false,
            version: None,
            betas: Vec::new(),
            headers: Headers::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// A client of Claude on Amazon Bedrock. Each turn is asked for once.
#[derive(Debug)]
pub struct Bedrock {
    config: BedrockConfig,
    http: Http,
    url: Url,
}

impl Bedrock {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ModelError::Config`] when the model, region or base URL cannot be used.
    pub fn new(config: BedrockConfig) -> Result<Self, ModelError> {
        let region = cloud::region(&config.region)?;
        let base = match &config.base_url {
            Some(base) => base.clone(),
            None => format!("https://bedrock-runtime.{region}.amazonaws.com"),
        };
        let model = cloud::segment("model", &config.model, b":;")?;
        let path = format!("/model/{model}/invoke-with-response-stream");
        Ok(Self {
            url: endpoint(&base, &path, config.allow_http)?,
            http: Http::new(config.timeouts)?,
            config,
        })
    }

    fn body(&self, request: &ModelRequest) -> Result<Map<String, Value>, ModelError> {
        let version = match &self.config.version {
            Some(version) => version,
            None => version_of(&self.config.model),
        };
        let dialect = Dialect {
            model: false,
            stream: None,
            version: Some(version),
            sampling: version != VERSION,
        };
        let mut body = messages_body(request, dialect)?;
        let more = self.config.headers.get(BETA).unwrap_or_default();
        let betas = self.config.betas.iter().map(String::as_str);
        let betas: Vec<&str> = betas
            .chain(more.split(','))
            .map(str::trim)
            .filter(|beta| !beta.is_empty())
            .collect();
        if !betas.is_empty() {
            body.entry("anthropic_beta").or_insert_with(|| json!(betas));
        }
        if let Some(profile) = self.config.headers.get(PROFILE) {
            body.entry("user_profile_id")
                .or_insert_with(|| json!(profile));
        }
        Ok(body)
    }

    async fn ask(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let body = Value::from(self.body(request)?).to_string().into_bytes();
        let mut headers = HeaderMap::new();
        let further = self.config.headers.without(BETA).without(PROFILE);
        further.over(&mut headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        let unsigned = Unsigned {
            url: &self.url,
            body: &body,
            region: &self.config.region,
            service: "bedrock",
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
        let opened = self.http.open(ask).await?;
        self.receive(opened, sink)
            .await
            .map_err(|error| redact(error, &hide))
    }

    /// Reads the frames to the end of the turn.
    async fn receive(&self, opened: Opened, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let mut pieces = pin!(self.http.pieces(opened.response));
        let mut frames = Frames::default();
        let mut assembler = Assembler::default();
        let mut metrics = None;
        while !assembler.is_done() {
            let Ok(piece) = timeout_at(opened.end, pieces.next()).await else {
                return Err(self.http.too_long());
            };
            let Some(piece) = piece else {
                break;
            };
            frames.push(&piece.map_err(ModelError::from)?);
            while let Some(frame) = frames.next()? {
                let Frame::Event(data) = frame else {
                    continue;
                };
                metrics = metrics.or_else(|| measured(&data));
                if let Some(seen) = assembler.on_event(None, &data)? {
                    sink(seen);
                }
            }
        }
        let mut reply = assembler.finish()?;
        reply.request_id = opened.request_id;
        if let Some(metrics) = metrics {
            reply.extra.insert(METRICS.to_owned(), metrics);
        }
        Ok(reply)
    }
}

fn measured(data: &str) -> Option<Value> {
    // Most events have none, and are not worth parsing twice.
    if !data.contains(METRICS) {
        return None;
    }
    let event: Value = serde_json::from_str(data).ok()?;
    event.get(METRICS).cloned()
}

/// The `anthropic_version` that a model knows, by the generation in its id.
fn version_of(model: &str) -> &'static str {
    match generation(model) {
        Some(generation) if generation < (4, 7) => OLD_VERSION,
        // One that cannot be read is newer than this code.
        _ => VERSION,
    }
}

/// The generation in an id: `claude-opus-4-7` is 4.7, `claude-3-5-haiku-20241022` is 3.5, `claude-opus-5` is 5.0.
fn generation(model: &str) -> Option<(u32, u32)> {
    let (_, name) = model.split_once("claude-")?;
    let short = |word: &&str| word.len() <= 2;
    let mut words = name
        .split(['-', ':', '@'])
        .skip_while(|word| word.parse::<u32>().is_err());
    let major = words.next().filter(short)?.parse().ok()?;
    let minor = words
        .next()
        .filter(short)
        .and_then(|word| word.parse().ok());
    Some((major, minor.unwrap_or(0)))
}

impl ModelProvider for Bedrock {
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
