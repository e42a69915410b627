//! The keys of providers: where they are looked for, and that nothing that was found can be shown.
//!
//! A key goes where it belongs: those of the environment only to the place that their provider has by itself or that its
//! own variable names, and a place that the policy names gets the key that the policy names for it.

use toolcell::{ErrorKind, Secret, SecretSource};
use toolcell_agent::model::ApiKey;
use toolcell_policy::{ModelApi, ProviderSettings};
use zeroize::Zeroizing;

use crate::{
    dirs::Dirs,
    env,
    failure::Failure,
    net,
    stores::{Stores, Trouble, What},
};

/// Reads keys.
pub(crate) struct Keys {
    stores: Stores,
}

/// A key, and where it was found in words for people.
pub(crate) struct Found {
    value: Zeroizing<String>,
    pub(crate) from: String,
}

impl Found {
    /// A key that nothing shows any more.
    fn new(name: &str, value: &str, from: String) -> Self {
        known(name, value);
        Self {
            value: Zeroizing::new(value.trim().to_owned()),
            from,
        }
    }

    pub(crate) fn key(&self) -> ApiKey {
        ApiKey::new(&self.value)
    }

    /// The key as it is, for a header of its own.
    pub(super) fn expose(&self) -> &str {
        &self.value
    }
}

impl Keys {
    /// Opens no store yet.
    pub(crate) fn new(dirs: &Dirs) -> Self {
        Self {
            stores: Stores::new(dirs),
        }
    }

    /// The key of a provider: that of its table, else that of its own variables.
    ///
    /// # Errors
    /// Where the table names a key that cannot be had.
    pub(crate) async fn of(&self, provider: &ProviderSettings) -> Result<Option<Found>, Failure> {
        if let Some(source) = &provider.key {
            return self.written(provider, source).await.map(Some);
        }
        Ok(variables(provider).iter().find_map(|name| {
            let key = env::text(name)?;
            Some(Found::new(name, &key, format!("env:{name}")))
        }))
    }

    async fn written(
        &self,
        provider: &ProviderSettings,
        source: &SecretSource,
    ) -> Result<Found, Failure> {
        let name = &provider.name;
        let failed = |failure: Failure| Failure {
            message: format!("the key of `{name}`, {source}: {}", failure.message),
            rule: Some(provider.rule.to_string()),
            ..failure
        };
        let bytes = self.stores.bytes(source).await;
        let bytes = bytes.map_err(|trouble| failed(trouble.into()))?;
        let bytes = bytes.ok_or_else(|| failed(missing(source).into()))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            let trouble = Trouble::new(What::Refused, "is no text", "keep a key of the API there");
            failed(trouble.into())
        })?;
        let name = format!("provider.{name}.key");
        Ok(Found::new(&name, text, source.to_string()))
    }
}

/// Whether a provider has a key, as far as that can be told without unlocking anything.
pub(crate) enum KeyState {
    /// It was found there.
    Found(String),
    /// It is kept there, and is read when it is needed.
    Kept(String),
    /// None is sent.
    None,
    /// There is none, and one is needed; how to get it.
    Absent(String),
}

impl KeyState {
    /// For programs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Found(_) => "found",
            Self::Kept(_) => "kept",
            Self::None => "none",
            Self::Absent(_) => "absent",
        }
    }

    /// Where the key is.
    pub(crate) fn from(&self) -> Option<&str> {
        match self {
            Self::Found(from) | Self::Kept(from) => Some(from),
            Self::None | Self::Absent(_) => None,
        }
    }

    /// Why there is none.
    pub(crate) fn why(&self) -> Option<&str> {
        match self {
            Self::Absent(why) => Some(why),
            _ => None,
        }
    }

    /// For people.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Found(from) => format!("key from {from}"),
            Self::Kept(from) => format!("key kept in {from}"),
            Self::None => "no key".to_owned(),
            Self::Absent(why) => format!("no key: {why}"),
        }
    }
}

impl Keys {
    /// Whether a provider has a key of its own; what is locked stays locked.
    pub(super) async fn state(&self, provider: &ProviderSettings) -> KeyState {
        match &provider.key {
            Some(source @ (SecretSource::Env(_) | SecretSource::File { .. })) => {
                match self.written(provider, source).await {
                    Ok(found) => KeyState::Found(found.from),
                    Err(failure) => KeyState::Absent(failure.message),
                }
            }
            Some(source) => KeyState::Kept(source.to_string()),
            None => match (self.of(provider).await, variables(provider).first()) {
                (Ok(Some(found)), _) => KeyState::Found(found.from),
                (_, Some(first)) => KeyState::Absent(format!("{first} is not set")),
                (_, None) => KeyState::None,
            },
        }
    }
}

impl Found {
    /// What is odd about a key, without saying anything of it: it may have been copied wrongly.
    pub(super) fn oddity(&self, provider: &ProviderSettings) -> Option<&'static str> {
        let key = self.value.as_str();
        let quotes = ['"', '\'', '`'];
        if key.starts_with(quotes) || key.ends_with(quotes) {
            return Some("the key stands in quotes, which were read as a part of it");
        }
        if key.contains(char::is_whitespace) {
            return Some("the key holds blanks or line ends, which no key has");
        }
        let usual = provider.url.is_none();
        match provider.api {
            ModelApi::Anthropic if usual && self.from.ends_with("_API_KEY") => (!key
                .starts_with("sk-ant-"))
            .then_some("the key does not begin like those of Anthropic, with sk-ant-"),
            ModelApi::Openai if usual => (!key.starts_with("sk-"))
                .then_some("the key does not begin like those of OpenAI, with sk-"),
            _ => None,
        }
    }
}

/// The variables that hold a provider's key: none where the policy says where it is, since it would go there.
pub(crate) fn variables(provider: &ProviderSettings) -> &'static [&'static str] {
    if provider.url.is_some() {
        return &[];
    }
    match provider.api {
        ModelApi::Anthropic => &[env::ANTHROPIC_API_KEY, env::ANTHROPIC_AUTH_TOKEN],
        ModelApi::Openai => &[env::OPENAI_API_KEY],
        ModelApi::Bedrock => &[env::AWS_BEARER_TOKEN_BEDROCK],
        ModelApi::Mantle => &[env::AWS_BEARER_TOKEN_BEDROCK, env::ANTHROPIC_AWS_API_KEY],
        ModelApi::Vertex => &[],
    }
}

/// A key that nothing shows any more.
pub(crate) fn known(name: &str, key: &str) -> ApiKey {
    // What is too weak to be told from ordinary text is no key of any service.
    if let Ok(secret) = Secret::new(key.trim()) {
        net::redaction().register(name, secret);
    }
    ApiKey::new(key)
}

/// A provider without a key that needs one.
pub(super) fn none(provider: &ProviderSettings, spec: &str) -> Failure {
    let name = &provider.name;
    let (absent, help) = match variables(provider).first() {
        Some(first) => (
            (*first).to_owned(),
            format!("set {first}, or replay recorded turns with `--model scripted:FILE`"),
        ),
        None => (
            format!("`provider.{name}.key`"),
            "add for example key = \"env:NAME\": \
             a place that the policy names gets only the key that the policy names for it"
                .to_owned(),
        ),
    };
    let what = format!("`{spec}` needs an API key, and {absent} is not set");
    let failure = Failure::new(ErrorKind::AuthRequired, what).help(help);
    if provider.rule.is_written() {
        failure.rule(provider.rule.to_string())
    } else {
        failure
    }
}

fn missing(source: &SecretSource) -> Trouble {
    use SecretSource as S;
    let help = match source {
        S::Env(name) => format!("set the variable {name} where toolcell is started"),
        S::File { path, .. } => format!("create the file {path} with mode 0600"),
        S::Keyring(name) => format!("`toolcell secret set {name} --in keyring`"),
        S::Vault(name) => format!("`toolcell secret set {name} --in vault`"),
        _ => "name another source".to_owned(),
    };
    Trouble::new(What::Missing, "there is none", help)
}
