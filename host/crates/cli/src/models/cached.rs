//! Puts a cache in front of a model.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use toolcell_agent::{Catalog, ModelProvider, ResponseCache, model::Cached};
use toolcell_policy::ProviderSettings;

use super::{Models, parts};
use crate::{budgets, env, failure::Failure, telemetry};

impl Models {
    /// The same, whose models' answers are kept there.
    #[must_use]
    pub(crate) fn caching(mut self, cache: Option<Arc<ResponseCache>>) -> Self {
        self.cache = cache;
        self
    }

    /// A model in front of which is the cache, where there is one.
    pub(super) fn cached(
        &self,
        spec: &str,
        model: Arc<dyn ModelProvider>,
    ) -> Result<Arc<dyn ModelProvider>, Failure> {
        let cache = match &self.cache {
            Some(cache) if !model.is_free() => Arc::clone(cache),
            _ => return Ok(model),
        };
        let (name, _) = parts(spec)?;
        let server = server(&self.named(name)?);
        let today = budgets::day(budgets::unix_ms());
        let price = Catalog::embedded().price(model.id(), Some(&today));
        let cached = Cached::new(model, &server, cache)
            .priced(price)
            .metrics(telemetry::metrics());
        Ok(Arc::new(cached))
    }
}

/// What tells a provider's server from any other that may know models by the same names: the words of its table, and the
/// variables that say where the usual one is. Headers may hold what is secret, so all of it is hashed.
fn server(provider: &ProviderSettings) -> String {
    let table = ProviderSettings {
        // Another key may belong to another account, and still the same model answers.
        key: None,
        rule: toolcell_policy::ProviderSettings::usual(provider.api).rule,
        ..provider.clone()
    };
    let mut hash = Sha256::new_with_prefix(format!("{table:?}"));
    if provider.url.is_none() {
        for name in env::ALL
            .iter()
            .map(|it| it.name)
            .filter(|name| says_where(name))
        {
            if let Some(value) = env::text(name) {
                hash.update(format!("\0{name}={value}"));
            }
        }
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn says_where(name: &str) -> bool {
    let words = ["_BASE_URL", "_REGION", "_PROJECT", "_HEADERS"];
    words.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use toolcell_policy::{Layers, Policy};

    use super::*;

    #[test]
    fn two_servers_are_told_apart() {
        let of = |text: &str| {
            let layers = Layers::from(Policy::from_toml(text).unwrap());
            server(&layers.providers()[0])
        };
        let table = |more: &str| of(&format!("[provider.local]\napi = \"openai\"\n{more}"));
        let one = table("url = \"https://a.internal/v1\"");
        assert_eq!(
            one,
            of("\n\n[provider.local]\nurl = \"https://a.internal/v1\"\napi = \"openai\"")
        );
        assert_eq!(
            one,
            table("url = \"https://a.internal/v1\"\nkey = \"env:K\"")
        );
        for other in [
            "url = \"https://b.internal/v1\"",
            "url = \"https://a.internal/v2\"",
            "url = \"https://a.internal/v1\"\nheaders = { X-Team = \"a\" }",
        ] {
            assert_ne!(one, table(other), "{other}");
        }
    }
}
