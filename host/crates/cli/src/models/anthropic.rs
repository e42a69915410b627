//! Opens models of the Messages API.

use toolcell_agent::model::{Anthropic, AnthropicConfig, ApiKey, Auth, Headers};
use toolcell_policy::{KeyHeader, ProviderSettings};

use super::{Models, headers, keys, unusable};
use crate::{env, failure::Failure};

impl Models {
    /// A client of the Messages API.
    pub(crate) async fn anthropic(
        &self,
        model: &str,
        provider: &ProviderSettings,
    ) -> Result<Anthropic, Failure> {
        let found = self.keys.of(provider).await?;
        let auth = match (&found, provider.auth) {
            (None, _) if provider.url.is_some() => Auth::Nothing,
            (None, _) => return Err(keys::none(provider, &format!("{}:{model}", provider.name))),
            // A token is no key, and has one place only.
            (Some(found), _) if found.from.ends_with(env::ANTHROPIC_AUTH_TOKEN) => Auth::Bearer,
            (Some(_), Some(KeyHeader::XApiKey)) => Auth::XApiKey,
            (Some(_), _) => Auth::Bearer,
        };
        let key = found.map_or_else(|| ApiKey::new(""), |found| found.key());
        let mut config = AnthropicConfig::new(model, key);
        config.auth = auth;
        config.allow_http = provider.allow_http;
        config.timeouts = self.timeouts();
        if let Some(url) = provider
            .url
            .clone()
            .or_else(|| env::text(env::ANTHROPIC_BASE_URL))
        {
            config.base_url = url;
        }
        if let Some(version) = &provider.version {
            config.version.clone_from(version);
        }
        config.headers = match provider.url {
            // Whoever set the variable meant the place that is usual there.
            None => custom(headers(provider)?, provider)?,
            Some(_) => headers(provider)?,
        };
        Anthropic::new(config).map_err(|error| {
            let failure = unusable(&error, provider);
            match (&provider.url, env::text(env::ANTHROPIC_BASE_URL)) {
                (None, Some(_)) => failure.help(
                    "check ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL; a place without TLS can be written as `url` of [provider.anthropic]",
                ),
                (None, None) => failure.help("check ANTHROPIC_API_KEY"),
                (Some(_), _) => failure,
            }
        })
    }
}

/// The headers of `ANTHROPIC_CUSTOM_HEADERS`, a line each, under those of the policy.
fn custom(over: Headers, provider: &ProviderSettings) -> Result<Headers, Failure> {
    let Some(lines) = env::text(env::ANTHROPIC_CUSTOM_HEADERS) else {
        return Ok(over);
    };
    let mut all = Headers::default();
    for (name, value) in lines.lines().filter_map(|line| line.split_once(':')) {
        // Gateways take keys in headers of their own.
        let value = value.trim();
        keys::known(env::ANTHROPIC_CUSTOM_HEADERS, value);
        all.set(name.trim(), value).map_err(|error| {
            unusable(&error, provider)
                .help("write ANTHROPIC_CUSTOM_HEADERS as lines of `Name: value`")
        })?;
    }
    for (name, value) in &provider.headers {
        all.set(name, value)
            .map_err(|error| unusable(&error, provider))?;
    }
    Ok(all)
}
