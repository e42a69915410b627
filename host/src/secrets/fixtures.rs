//! Doubles for tests: a store that has what the test wrote, a token endpoint that answers what the test says, and grants.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use toolcell_policy::{
    Endpoint, HostPattern, NetScope, OAuthAuth, OAuthGrant, OAuthSource, Rule, Scheme, SecretGrant,
    SecretPlace, SecretSource,
};
use zeroize::Zeroizing;

use super::{
    Kept, Secret, SecretError, SecretQuery, SecretStore,
    oauth::{TokenAnswer, TokenError, TokenRequest},
    tokens::TokenEndpoint,
};

/// Values by tenant, package and source.
#[derive(Default)]
pub(crate) struct Values {
    pub(crate) all: Mutex<HashMap<(String, String, String), String>>,
    pub(crate) asked: AtomicUsize,
    pub(crate) keeps: bool,
}

impl Values {
    pub(crate) fn with(self, tenant: &str, package: &str, source: &str, value: &str) -> Self {
        self.set(tenant, package, source, value);
        self
    }

    pub(crate) fn set(&self, tenant: &str, package: &str, source: &str, value: &str) {
        let key = (tenant.to_owned(), package.to_owned(), source.to_owned());
        self.all.lock().unwrap().insert(key, value.to_owned());
    }

    fn key(query: SecretQuery<'_>) -> (String, String, String) {
        let tenant = query.tenant.map_or("", |tenant| tenant.as_str());
        (
            tenant.to_owned(),
            query.package.to_owned(),
            query.source.to_string(),
        )
    }
}

impl SecretStore for std::sync::Arc<Values> {
    async fn get(&self, query: SecretQuery<'_>) -> Result<Option<Secret>, SecretError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let value = self.all.lock().unwrap().get(&Values::key(query)).cloned();
        Ok(value.map(Secret::new).transpose()?)
    }

    async fn put(&self, query: SecretQuery<'_>, value: &Secret) -> Result<Kept, SecretError> {
        if !self.keeps {
            return Ok(Kept::No);
        }
        let value = String::from_utf8(value.expose().to_vec()).unwrap();
        self.all.lock().unwrap().insert(Values::key(query), value);
        Ok(Kept::Yes)
    }
}

/// A token endpoint that gives its answers in turn, the last one again and again. It keeps what it was sent.
#[derive(Default)]
pub(crate) struct Server {
    pub(crate) answers: Mutex<VecDeque<Result<(u16, String), TokenError>>>,
    pub(crate) forms: Mutex<Vec<String>>,
    /// Answers only once it was told to.
    pub(crate) gate: Option<Notify>,
}

impl Server {
    pub(crate) fn answers(
        answers: impl IntoIterator<Item = Result<(u16, String), TokenError>>,
    ) -> Self {
        Self {
            answers: Mutex::new(answers.into_iter().collect()),
            ..Self::default()
        }
    }

    pub(crate) fn asked(&self) -> usize {
        self.forms.lock().unwrap().len()
    }
}

/// An answer with this token, which is good for so many seconds.
pub(crate) fn token(token: &str, seconds: u64) -> Result<(u16, String), TokenError> {
    let answer =
        format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{seconds}}}"#);
    Ok((200, answer))
}

impl TokenEndpoint for Server {
    fn ask(&self, request: TokenRequest) -> BoxFuture<'_, Result<TokenAnswer, TokenError>> {
        Box::pin(async move {
            let form = String::from_utf8(request.form.to_vec()).unwrap();
            self.forms.lock().unwrap().push(form);
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            let mut answers = self.answers.lock().unwrap();
            let answer = match answers.len() {
                1 => answers[0].clone(),
                _ => answers.pop_front().unwrap(),
            };
            let (status, body) = answer?;
            Ok(TokenAnswer {
                status,
                media_type: "application/json".to_owned(),
                body: Zeroizing::new(body.into_bytes()),
            })
        })
    }
}

/// A grant of this credential for `https://api.example.com`.
pub(crate) fn grant(name: &str, source: SecretSource) -> SecretGrant {
    SecretGrant {
        name: name.to_owned(),
        source,
        scope: NetScope {
            to: Some(Endpoint {
                scheme: Scheme::Https,
                host: HostPattern::Exact(url::Host::Domain("api.example.com".to_owned())),
                port: 443,
            }),
            methods: Vec::new(),
            paths: Vec::new(),
        },
        place: SecretPlace::Query {
            name: "key".to_owned(),
        },
        rule: Rule {
            layer: None,
            file: "toolcell.toml".into(),
            line: 7,
            key: format!("tool.web.secrets.{name}").into(),
        },
    }
}

/// Client credentials with a secret from the variable `CLIENT`.
pub(crate) fn client_credentials() -> OAuthSource {
    OAuthSource {
        grant: OAuthGrant::ClientCredentials,
        token_url: "https://auth.example.com/token".parse().unwrap(),
        client_id: "me & you".to_owned(),
        client_secret: Some(SecretSource::Env("CLIENT".to_owned())),
        scopes: vec!["read".to_owned(), "write".to_owned()],
        auth: OAuthAuth::Basic,
    }
}

/// A refresh token from the keyring's entry `REFRESH`, and no client secret.
pub(crate) fn refresh_token() -> OAuthSource {
    OAuthSource {
        grant: OAuthGrant::RefreshToken(SecretSource::Keyring("REFRESH".to_owned())),
        client_secret: None,
        scopes: Vec::new(),
        ..client_credentials()
    }
}
