//! Opens models on Google Vertex AI, and gets tokens by Google's application default credentials.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gcp_auth::TokenProvider;
use tokio::{sync::OnceCell, time::timeout};
use toolcell::ErrorKind;
use toolcell_agent::{
    ModelProvider,
    model::{ApiKey, ModelError, TokenSource, Vertex, VertexConfig},
};
use toolcell_policy::ProviderSettings;

use super::{Models, headers, keys, unusable};
use crate::{env, failure::Failure};

/// What tokens are for.
const SCOPES: &[&str] = &["https://www.googleapis.com/auth/cloud-platform"];

/// How long Google's credentials may take: they ask servers, and run `gcloud`.
const WAIT: Duration = Duration::from_secs(30);

impl Models {
    pub(super) async fn vertex(
        &self,
        model: &str,
        provider: &ProviderSettings,
    ) -> Result<Arc<dyn ModelProvider>, Failure> {
        let region = provider
            .region
            .clone()
            .or_else(|| env::text(env::CLOUD_ML_REGION))
            .ok_or_else(|| {
                let message = format!(
                    "`{}` needs a region, and CLOUD_ML_REGION is not set",
                    provider.name
                );
                Failure::usage(message).help(format!(
                    "set CLOUD_ML_REGION, for example to global, or write region = … in [provider.{}]",
                    provider.name
                ))
            })?;
        let written = self.keys.of(provider).await?;
        let google = Arc::new(Google::default());
        let token: Arc<dyn TokenSource> = match written {
            Some(found) => Arc::new(found.key()),
            None if elsewhere(provider) => {
                return Err(keys::none(provider, &format!("{}:{model}", provider.name)));
            }
            None => Arc::clone(&google) as Arc<dyn TokenSource>,
        };
        let project = provider
            .project
            .clone()
            .or_else(|| env::text(env::ANTHROPIC_VERTEX_PROJECT_ID))
            .or_else(|| env::text(env::GOOGLE_CLOUD_PROJECT));
        let project = match project {
            Some(project) => project,
            None => google.project(provider).await?,
        };
        let mut config = VertexConfig::new(model, project, region, token);
        config.base_url = provider
            .url
            .clone()
            .or_else(|| env::text(env::ANTHROPIC_VERTEX_BASE_URL));
        config.allow_http = provider.allow_http;
        if let Some(version) = &provider.version {
            config.version.clone_from(version);
        }
        config.headers = headers(provider)?;
        config.timeouts = self.timeouts();
        let opened = Vertex::new(config).map_err(|error| unusable(&error, provider))?;
        Ok(Arc::new(opened))
    }
}

/// Whether the policy names a place that is not Google's: a token of Google's has no business there.
pub(super) fn elsewhere(provider: &ProviderSettings) -> bool {
    let Some(url) = &provider.url else {
        return false;
    };
    let host = url.parse::<http::Uri>().ok();
    let host = host.as_ref().and_then(http::Uri::host).unwrap_or_default();
    !(host == "googleapis.com" || host.ends_with(".googleapis.com"))
}

/// Google's application default credentials. They keep a token as long as it is valid.
#[derive(Default)]
struct Google {
    found: OnceCell<Arc<dyn TokenProvider>>,
}

impl Google {
    async fn credentials(&self) -> Result<&Arc<dyn TokenProvider>, gcp_auth::Error> {
        self.found.get_or_try_init(gcp_auth::provider).await
    }

    async fn get(&self) -> Result<ApiKey, ModelError> {
        let ask = async { self.credentials().await?.token(SCOPES).await };
        match timeout(WAIT, ask).await {
            Ok(Ok(token)) => Ok(keys::known("a token of Google", token.as_str())),
            Ok(Err(error)) => Err(ModelError::Config(format!(
                "no token of Google: {}",
                chain(&error)
            ))),
            Err(_) => Err(ModelError::Config(format!(
                "no token of Google: its credentials took longer than {} s",
                WAIT.as_secs()
            ))),
        }
    }

    async fn project(&self, provider: &ProviderSettings) -> Result<String, Failure> {
        let ask = async { self.credentials().await?.project_id().await };
        match timeout(WAIT, ask).await {
            Ok(Ok(project)) => Ok(project.to_string()),
            _ => {
                let message = format!(
                    "`{}` needs a project, and ANTHROPIC_VERTEX_PROJECT_ID is not set",
                    provider.name
                );
                Err(Failure::new(ErrorKind::InvalidInput, message).help(format!(
                    "set ANTHROPIC_VERTEX_PROJECT_ID, or write project = … in [provider.{}]",
                    provider.name
                )))
            }
        }
    }
}

impl TokenSource for Google {
    fn token(&self) -> BoxFuture<'_, Result<ApiKey, ModelError>> {
        Box::pin(self.get())
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}
