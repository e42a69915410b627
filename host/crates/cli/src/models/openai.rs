//! Opens models of OpenAI, and of the many servers that speak its API.

use std::sync::Arc;

use toolcell_agent::{
    ModelProvider,
    model::{Lack, OpenAi, OpenAiConfig},
};
use toolcell_policy::{KeyHeader, ProviderSettings};

use super::{Models, keys, unusable};
use crate::{env, failure::Failure};

impl Models {
    pub(super) async fn openai(
        &self,
        model: &str,
        provider: &ProviderSettings,
    ) -> Result<Arc<dyn ModelProvider>, Failure> {
        let found = self.keys.of(provider).await?;
        let place = provider
            .url
            .clone()
            .or_else(|| env::text(env::OPENAI_BASE_URL));
        // OpenAI itself needs a key; many other servers do not.
        if found.is_none() && place.is_none() {
            return Err(keys::none(provider, &format!("{}:{model}", provider.name)));
        }
        let mut config = OpenAiConfig::new(model, None);
        config.headers = accounts(provider);
        config.headers.extend(provider.headers.iter().cloned());
        match (found, provider.auth) {
            (Some(found), Some(KeyHeader::XApiKey)) => {
                config
                    .headers
                    .push(("x-api-key".to_owned(), found.expose().to_owned()));
            }
            (Some(found), Some(KeyHeader::ApiKey)) => {
                config
                    .headers
                    .push(("api-key".to_owned(), found.expose().to_owned()));
            }
            (found, _) => config.api_key = found.map(|found| found.key()),
        }
        if let Some(place) = place {
            config.base_url = place;
        }
        config.allow_http = provider.allow_http;
        config.lacks = provider.lacks.as_ref().map(|words| {
            let lacks = words.iter().filter_map(|word| Lack::from_name(word));
            lacks.collect()
        });
        config.timeouts = self.timeouts();
        let opened = OpenAi::new(config).map_err(|error| unusable(&error, provider))?;
        Ok(Arc::new(opened))
    }
}

/// Whom requests count for, where the place is the one of the variables.
fn accounts(provider: &ProviderSettings) -> Vec<(String, String)> {
    if provider.url.is_some() {
        return Vec::new();
    }
    let named = [
        ("openai-organization", env::OPENAI_ORG_ID),
        ("openai-project", env::OPENAI_PROJECT_ID),
    ];
    let value = |(header, name): (&str, &str)| Some((header.to_owned(), env::text(name)?));
    named.into_iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_knows_every_word() {
        let words = Lack::ALL.map(Lack::name);
        assert_eq!(toolcell_policy::PROVIDER_LACKS, words);
    }

    #[test]
    fn the_guide_explains_every_word() {
        let guide = include_str!("../../../../../docs/models.md");
        let rows: Vec<&str> = guide
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        for lack in Lack::ALL {
            let word = format!("`{}`", lack.name());
            assert!(rows.iter().any(|row| row.contains(&word)), "{word}");
        }
    }
}
