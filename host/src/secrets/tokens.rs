//! Access tokens: fetched once for all who wait, kept while they are good, and not asked for again and again where the server
//! says no.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, OwnedMutexGuard};
use toolcell_policy::{OAuthGrant, OAuthSource};

use super::{
    AnySecretStore, Kept, Secret, SecretError, SecretQuery, TokenSource,
    known::{Part, Slot, Tenant, Tenants},
    oauth::{self, TokenAnswer, TokenError, TokenRequest},
};

/// How long a failed fetch is remembered: calls meanwhile fail with the same words, and the server is left in peace.
pub(crate) const FAILURE_KEPT: Duration = Duration::from_secs(10);
/// How often at most a token is fetched anew because its destination refused the last one.
pub(crate) const REFETCH_EVERY: Duration = Duration::from_secs(10);

/// Sends a request to a token endpoint.
pub(crate) trait TokenEndpoint: Send + Sync {
    /// Asks, follows no redirect, and ends by itself in a bounded time.
    fn ask(&self, request: TokenRequest) -> BoxFuture<'_, Result<TokenAnswer, TokenError>>;
}

/// What was fetched for one credential of one tenant. Whoever fetches holds the lock, so that all others wait for the same
/// answer.
#[derive(Default)]
pub(super) struct Fetched(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    token: Option<(Arc<Secret>, Instant)>,
    failed: Option<Failed>,
    /// The refresh token that a server gave in the place of the one that the store has.
    rotated: Option<Rotated>,
    refused_at: Option<Instant>,
}

struct Failed {
    error: TokenError,
    until: Instant,
    /// What was sent. Whoever changed one of the two need not wait.
    client: Option<Arc<Secret>>,
    refresh: Option<Arc<Secret>>,
}

struct Rotated {
    /// What the store had then. Once it has something else, that counts.
    stored: Arc<Secret>,
    token: Arc<Secret>,
}

/// What a token is fetched with, for one call.
#[derive(Clone)]
pub(super) struct Fetch {
    pub(super) endpoint: Arc<dyn TokenEndpoint>,
    pub(super) store: Arc<dyn AnySecretStore>,
    pub(super) tenants: Arc<Tenants>,
    pub(super) tenant: Arc<Tenant>,
    pub(super) slot: Slot,
    pub(super) source: OAuthSource,
    pub(super) client: Option<Arc<Secret>>,
    pub(super) refresh: Option<Arc<Secret>>,
    /// The line of the policy.
    pub(super) rule: String,
}

impl TokenSource for Fetch {
    fn token(&self) -> BoxFuture<'_, Result<Arc<Secret>, SecretError>> {
        Box::pin(async move {
            let fetched = self.tenant.fetched(&self.slot);
            let mut state = Arc::clone(&fetched.0).lock_owned().await;
            if let Some(answer) = self.known(&mut state, Instant::now()) {
                return answer.map_err(|error| self.explain(error));
            }
            // On its own: a server may have given a new refresh token to a caller that has gone away meanwhile.
            let fetch = tokio::spawn(self.clone().fetch(state));
            match fetch.await {
                Ok(answer) => answer.map_err(|error| self.explain(error)),
                Err(_) => Err(self.explain(TokenError::Unreachable("the host is ending"))),
            }
        })
    }

    fn refused(&self, token: &Arc<Secret>) {
        let fetched = self.tenant.fetched(&self.slot);
        // Somebody who fetches just now has a new one in a moment.
        if let Ok(mut state) = fetched.0.try_lock() {
            state.refused(token, Instant::now());
        }
    }
}

impl Fetch {
    /// What can be said without asking the server.
    fn known(&self, state: &mut State, now: Instant) -> Option<Result<Arc<Secret>, TokenError>> {
        if let Some((token, until)) = &state.token
            && now < *until
        {
            return Some(Ok(Arc::clone(token)));
        }
        state.token = None;
        let failed = state.failed.as_ref()?;
        let same = same(&failed.client, &self.client) && same(&failed.refresh, &self.refresh);
        (same && now < failed.until).then_some(Err(failed.error))
    }

    async fn fetch(self, mut state: OwnedMutexGuard<State>) -> Result<Arc<Secret>, TokenError> {
        let refresh = self.refresh_token(&mut state);
        let request = oauth::request(&self.source, self.client.as_deref(), refresh.as_deref());
        let answer = match self.endpoint.ask(request).await {
            Ok(answer) => oauth::read(&answer),
            Err(error) => Err(error),
        };
        match answer {
            Ok(granted) => {
                let token = self.learn(Part::AccessToken, granted.access);
                let until = Instant::now().checked_add(granted.kept);
                state.token = until.map(|until| (Arc::clone(&token), until));
                state.failed = None;
                if let Some(rotated) = granted.refresh {
                    self.rotate(&mut state, refresh.as_ref(), rotated).await;
                }
                Ok(token)
            }
            Err(error) => {
                state.failed = Instant::now()
                    .checked_add(FAILURE_KEPT)
                    .map(|until| Failed {
                        error,
                        until,
                        client: self.client.clone(),
                        refresh: self.refresh.clone(),
                    });
                Err(error)
            }
        }
    }

    /// The refresh token to use: the server's latest, unless somebody put another one into the store since.
    fn refresh_token(&self, state: &mut State) -> Option<Arc<Secret>> {
        let stored = self.refresh.as_ref()?;
        match &state.rotated {
            Some(rotated) if rotated.stored.expose() == stored.expose() => {
                Some(Arc::clone(&rotated.token))
            }
            _ => {
                state.rotated = None;
                Some(Arc::clone(stored))
            }
        }
    }

    async fn rotate(&self, state: &mut State, used: Option<&Arc<Secret>>, rotated: Secret) {
        let (Some(stored), OAuthGrant::RefreshToken(source)) = (&self.refresh, &self.source.grant)
        else {
            // Whoever has client credentials needs no refresh token.
            return;
        };
        if used.is_some_and(|used| used.expose() == rotated.expose()) {
            return;
        }
        let token = self.learn(Part::RefreshToken, rotated);
        state.rotated = Some(Rotated {
            stored: Arc::clone(stored),
            token: Arc::clone(&token),
        });
        let query = SecretQuery {
            source,
            name: &self.slot.name,
            package: &self.slot.package,
            tenant: self.tenant.id(),
        };
        let (name, kind) = (&self.slot.name, source.kind());
        match self.store.keep(query, &token).await {
            Ok(Kept::Yes) => {}
            Ok(Kept::No) => tracing::warn!(
                secret = name,
                kind,
                "the server gave a new refresh token, which its source does not keep: it is lost when this host ends"
            ),
            Err(error) => tracing::warn!(
                secret = name,
                kind,
                %error,
                "the server gave a new refresh token, which cannot be kept: it is lost when this host ends"
            ),
        }
    }

    fn learn(&self, part: Part, value: Secret) -> Arc<Secret> {
        self.tenants.learn(&self.tenant, &self.slot, part, value)
    }

    fn explain(&self, error: TokenError) -> SecretError {
        let mended = SecretError::new(error.to_string()).with_help(help(error));
        mended.of(&self.slot.name, "oauth", &self.rule)
    }
}

impl State {
    /// A token that its destination refused is not used again, unless the last one was refused just before: then it is not
    /// the token's fault, or a new one does not help.
    fn refused(&mut self, token: &Arc<Secret>, now: Instant) {
        let is_current = |(current, _): &(Arc<Secret>, Instant)| Arc::ptr_eq(current, token);
        if !self.token.as_ref().is_some_and(is_current) {
            return;
        }
        let recently = |at: Instant| now.saturating_duration_since(at) < REFETCH_EVERY;
        if self.refused_at.is_some_and(recently) {
            return;
        }
        self.refused_at = Some(now);
        self.token = None;
    }
}

fn same(a: &Option<Arc<Secret>>, b: &Option<Arc<Secret>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.expose() == b.expose(),
        _ => false,
    }
}

fn help(error: TokenError) -> &'static str {
    use oauth::OAuthError as E;
    match error {
        TokenError::Refused(E::InvalidClient | E::UnauthorizedClient) => {
            "check `client_id`, `client_secret` and `auth` in the policy; some servers want `auth = \"body\"`"
        }
        TokenError::Refused(E::InvalidGrant | E::AccessDenied) => {
            "get a new refresh token from the service, and put it where the policy says"
        }
        TokenError::Refused(E::InvalidScope) => "check `scopes` in the policy",
        TokenError::Refused(_) | TokenError::Status(_) | TokenError::Unreachable(_) => {
            "check `token_url` in the policy, or try again later"
        }
        TokenError::Redirect(_) | TokenError::Malformed | TokenError::Kind => {
            "check `token_url` in the policy: it must be the token endpoint itself"
        }
        TokenError::Weak => "this service's tokens cannot be used",
    }
}

#[cfg(test)]
mod tests;
