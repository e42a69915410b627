//! From `provider:model` to a model with everything around it.

mod anthropic;
mod aws;
mod cached;
mod care;
mod catalog;
mod google;
mod keys;
mod openai;
mod scripted;

use std::{path::Path, sync::Arc};

use toolcell_agent::{
    ModelProvider, ResponseCache,
    model::{Fallback, Headers, Lanes, ModelError, Resilient, Timeouts},
};
use toolcell_policy::{Layers, ModelApi, ModelSettings, ProviderSettings};

use crate::{args::CareOptions, dirs::Dirs, failure::Failure};
pub(crate) use catalog::catalog;
pub(crate) use keys::{KeyState, Keys};
pub(crate) use scripted::scripted;

/// The model of `run` and `demo --live` where none is named.
pub(crate) const DEFAULT: &str = "anthropic:claude-sonnet-5-5";

/// What models are made of here: what the policy says about them, and where keys are kept.
pub(crate) struct Models {
    settings: ModelSettings,
    providers: Vec<ProviderSettings>,
    keys: Keys,
    cache: Option<Arc<ResponseCache>>,
    lanes: Lanes,
}

impl Models {
    /// Reads no key yet.
    pub(crate) fn new(layers: &Layers, dirs: &Dirs) -> Self {
        let settings = layers.model();
        Self {
            lanes: care::lanes(&settings.care),
            settings,
            providers: layers.providers(),
            keys: Keys::new(dirs),
            cache: None,
        }
    }

    /// What the policy says of how models are asked.
    pub(crate) fn settings(&self) -> &ModelSettings {
        &self.settings
    }

    /// The same, asked as carefully as the command line says.
    pub(crate) fn careful(mut self, flags: &CareOptions) -> Result<Self, Failure> {
        self.settings.care = care::with_flags(self.settings.care, flags)?;
        self.lanes = care::lanes(&self.settings.care);
        Ok(self)
    }

    /// The model of a run: that of the flag or the environment, else that of the policy, else the usual one.
    pub(crate) fn chosen<'a>(&'a self, asked: Option<&'a str>) -> &'a str {
        asked.or(self.settings.name.as_deref()).unwrap_or(DEFAULT)
    }

    /// A model with everything around it. The layers stand in one order, the outermost last here: what speaks to a server,
    /// what asks it again, what asks another model instead, what keeps answers, what watches.
    pub(crate) async fn open(&self, spec: &str) -> Result<Arc<dyn ModelProvider>, Failure> {
        let mut others = self.settings.care.fallback.clone();
        others.retain(|other| other != spec);
        let first = self.resilient(spec, !others.is_empty()).await?;
        let mut models = Vec::new();
        for (left, other) in (0..others.len()).rev().zip(&others) {
            models.push(self.resilient(other, left > 0).await?);
        }
        self.cached(spec, Arc::new(Fallback::new(first, models)))
    }

    /// One model that is asked with care. While its server fails, it is waited for only where no other model is left.
    async fn resilient(&self, spec: &str, others: bool) -> Result<Arc<dyn ModelProvider>, Failure> {
        let provider = self.provider(spec).await?;
        if provider.is_free() {
            return Ok(provider);
        }
        let model = Resilient::shared(provider, care::retry(&self.settings.care), &self.lanes);
        Ok(match others {
            true => Arc::new(model.with_others()),
            false => Arc::new(model),
        })
    }

    /// What speaks to a model's server, with nothing around it.
    pub(crate) async fn provider(&self, spec: &str) -> Result<Arc<dyn ModelProvider>, Failure> {
        let (name, model) = parts(spec)?;
        if name == "scripted" {
            return scripted::file(Path::new(model));
        }
        let provider = self.named(name)?;
        match provider.api {
            ModelApi::Anthropic => Ok(Arc::new(self.anthropic(model, &provider).await?)),
            ModelApi::Bedrock => self.bedrock(model, &provider).await,
            ModelApi::Mantle => self.mantle(model, &provider).await,
            ModelApi::Vertex => self.vertex(model, &provider).await,
            ModelApi::Openai => self.openai(model, &provider).await,
        }
    }

    /// Every provider there is: those of the policy first, then those that need no table.
    pub(crate) fn providers(&self) -> Vec<ProviderSettings> {
        let mut providers = self.providers.clone();
        for api in ModelApi::ALL {
            if !providers.iter().any(|known| known.name == api.name()) {
                providers.push(ProviderSettings::usual(api));
            }
        }
        providers
    }

    /// Whether a provider has a key.
    pub(crate) async fn key_state(&self, provider: &ProviderSettings) -> KeyState {
        let state = self.keys.state(provider).await;
        let own = matches!(state, KeyState::Found(_) | KeyState::Kept(_));
        match provider.api {
            _ if own => state,
            // Requests are signed where there is no key.
            ModelApi::Bedrock | ModelApi::Mantle => match aws::keys_from(&provider.name) {
                Ok(from) => KeyState::Found(from),
                Err(failure) => KeyState::Absent(failure.message),
            },
            ModelApi::Vertex if !google::elsewhere(provider) => {
                KeyState::Kept("Google's application default credentials".to_owned())
            }
            _ => state,
        }
    }

    /// What is odd about the key of a model, where there is anything.
    pub(crate) async fn odd_key(&self, spec: &str) -> Option<String> {
        let (name, _) = parts(spec).ok()?;
        let provider = self.providers().into_iter().find(|it| it.name == name)?;
        let found = self.keys.of(&provider).await.ok()??;
        found.oddity(&provider).map(str::to_owned)
    }

    /// The provider of a name.
    fn named(&self, name: &str) -> Result<ProviderSettings, Failure> {
        let providers = self.providers();
        if let Some(found) = providers.iter().find(|it| it.name == name) {
            return Ok(found.clone());
        }
        let mut names: Vec<&str> = providers.iter().map(|it| it.name.as_str()).collect();
        names.push("scripted");
        let score = |known: &str| strsim::jaro_winkler(known, &name.to_lowercase());
        let near = names
            .iter()
            .copied()
            .filter(|known| score(known) >= 0.75)
            .max_by(|a, b| score(a).total_cmp(&score(b)));
        let all = names.join(", ");
        let help = match near {
            Some(near) => format!("did you mean `{near}`? there are: {all}"),
            None => format!("there are: {all}; others need a table [provider.NAME] in the policy"),
        };
        Err(Failure::usage(format!("there is no provider `{name}`")).help(help))
    }

    /// How long models may take.
    fn timeouts(&self) -> Timeouts {
        care::timeouts(&self.settings.care)
    }
}

/// The two parts of `provider:model`.
fn parts(spec: &str) -> Result<(&str, &str), Failure> {
    match spec.split_once(':') {
        Some((provider, model)) if !provider.is_empty() && !model.is_empty() => {
            Ok((provider, model))
        }
        _ => {
            let help = if spec.starts_with("claude-") {
                format!("did you mean `anthropic:{spec}`?")
            } else {
                "write `PROVIDER:MODEL`, for example `anthropic:claude-sonnet-5-5`, or `scripted:FILE` for recorded turns"
                    .to_owned()
            };
            Err(Failure::usage(format!("`{spec}` names no model")).help(help))
        }
    }
}

/// The headers that the policy adds for a provider.
fn headers(provider: &ProviderSettings) -> Result<Headers, Failure> {
    let pairs = provider.headers.iter();
    Headers::new(pairs.map(|(name, value)| (name.as_str(), value.as_str())))
        .map_err(|error| unusable(&error, provider))
}

/// A model that cannot even be asked.
fn unusable(error: &ModelError, provider: &ProviderSettings) -> Failure {
    let failure = Failure::new(error.code(), error.to_string());
    if provider.rule.is_written() {
        failure.rule(provider.rule.to_string())
    } else {
        failure
    }
}

#[cfg(test)]
mod tests {
    use toolcell::ErrorKind;

    use super::*;

    fn models(policy: &str) -> Models {
        let policy = toolcell_policy::Policy::from_toml(policy).unwrap();
        let nowhere = std::path::PathBuf::from("/nowhere");
        let dirs = Dirs {
            state: nowhere.clone(),
            cache: nowhere.clone(),
            config: nowhere,
        };
        Models::new(&Layers::from(policy), &dirs)
    }

    async fn refused(policy: &str, spec: &str) -> Failure {
        match models(policy).open(spec).await {
            Ok(_) => panic!("{spec} is no model"),
            Err(failure) => failure,
        }
    }

    #[tokio::test]
    async fn what_names_no_model_is_refused() {
        for spec in ["", "claude", "scripted:", "anthropic:", ":x", "other:x"] {
            let failure = refused("", spec).await;
            assert_eq!(failure.kind, ErrorKind::InvalidInput, "{spec}");
        }
        assert_eq!(
            refused("", "scripted:/no/such/file").await.kind,
            ErrorKind::Unavailable
        );
    }

    #[tokio::test]
    async fn an_unknown_provider_is_told_with_the_nearest_names() {
        let policy = "[provider.local]\napi = \"openai\"\nurl = \"http://127.0.0.1:1\"\n";
        for (spec, near) in [("antropic:x", "`anthropic`"), ("locale:x", "`local`")] {
            let help = refused(policy, spec).await.help.unwrap();
            assert!(help.contains(&format!("did you mean {near}")), "{help}");
        }
        let help = refused("", "claude-opus-5-5").await.help.unwrap();
        assert_eq!(help, "did you mean `anthropic:claude-opus-5-5`?");
        let help = refused(policy, "zzz:x").await.help.unwrap();
        assert!(help.contains("local, anthropic, openai, bedrock"), "{help}");
    }
}
