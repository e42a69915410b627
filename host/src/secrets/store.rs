//! Where values come from.

use std::future::{Future, ready};

use futures_util::future::BoxFuture;
use toolcell_policy::SecretSource;

use super::{Secret, WeakSecret};
use crate::TenantId;

/// Which value is wanted.
///
/// A store that serves several tenants answers by [`tenant`](Self::tenant), [`package`](Self::package) and
/// [`name`](Self::name) together: what one tenant set is never another's.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SecretQuery<'a> {
    /// Where the policy says it comes from; never [`SecretSource::OAuth`], which the host fetches itself. For an OAuth
    /// credential it is the source of the client's secret or of the refresh token.
    pub source: &'a SecretSource,
    /// The credential's name in the policy.
    pub name: &'a str,
    /// The package it is for.
    pub package: &'a str,
    /// Whose call it is, where the embedder told.
    pub tenant: Option<&'a TenantId>,
}

impl<'a> SecretQuery<'a> {
    /// What a host asks; for the tests of a store.
    pub fn new(source: &'a SecretSource, name: &'a str, package: &'a str) -> Self {
        Self {
            source,
            name,
            package,
            tenant: None,
        }
    }

    /// The same for a tenant.
    #[must_use]
    pub fn of_tenant(mut self, tenant: &'a TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }
}

/// Why there is no value to be used. The message is shown to people and models: it says what is wrong, and nothing of any
/// value. How to mend it is for people alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SecretError {
    message: String,
    help: Option<String>,
    rule: Option<String>,
}

impl SecretError {
    /// What went wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            rule: None,
        }
    }

    /// Adds how to mend it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// How to mend it, where that is known.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The line of the policy that grants the credential, where the host told this error.
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    /// Says which credential it is about: its name, the kind of its source, and the line that grants it.
    pub(crate) fn of(self, name: &str, kind: &str, rule: &str) -> Self {
        Self {
            message: format!(
                "the secret {name} ({kind}) cannot be used: {}",
                self.message
            ),
            help: self.help,
            rule: Some(rule.to_owned()),
        }
    }
}

impl From<WeakSecret> for SecretError {
    fn from(weak: WeakSecret) -> Self {
        Self::new(format!("its value is refused, since {weak}"))
            .with_help("use a value that was made by chance, as services hand them out; docs/secrets.md has the rule")
    }
}

/// What became of a value that a store was asked to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is there from now on.
    Yes,
    /// This store keeps no values of that source; the old one stays.
    No,
}

/// Gives the values of credentials. A host without one has none, and tools see them as absent.
///
/// It is asked at every call of a tool that holds a credential, so that a value that was changed is seen by the next call;
/// a store that is slow keeps what it read for as long as it says. The host gives up after five minutes.
pub trait SecretStore: Send + Sync + 'static {
    /// The value, or nothing where there is none.
    ///
    /// # Errors
    ///
    /// Where there is one that cannot be had or used. The call fails with `auth_required`.
    fn get(
        &self,
        query: SecretQuery<'_>,
    ) -> impl Future<Output = Result<Option<Secret>, SecretError>> + Send;

    /// Keeps a value in the place of the one that [`get`](Self::get) gave. Some servers give a new refresh token with each
    /// use of the old one; where the store does not keep it, the host has it until it ends, and logs a warning.
    ///
    /// # Errors
    ///
    /// Where it should be kept and cannot be.
    fn put(
        &self,
        query: SecretQuery<'_>,
        value: &Secret,
    ) -> impl Future<Output = Result<Kept, SecretError>> + Send {
        let (_, _) = (query, value);
        ready(Ok(Kept::No))
    }
}

/// Any [`SecretStore`].
pub(crate) trait AnySecretStore: Send + Sync {
    fn look_up<'a>(
        &'a self,
        query: SecretQuery<'a>,
    ) -> BoxFuture<'a, Result<Option<Secret>, SecretError>>;

    fn keep<'a>(
        &'a self,
        query: SecretQuery<'a>,
        value: &'a Secret,
    ) -> BoxFuture<'a, Result<Kept, SecretError>>;
}

impl<T: SecretStore> AnySecretStore for T {
    fn look_up<'a>(
        &'a self,
        query: SecretQuery<'a>,
    ) -> BoxFuture<'a, Result<Option<Secret>, SecretError>> {
        Box::pin(self.get(query))
    }

    fn keep<'a>(
        &'a self,
        query: SecretQuery<'a>,
        value: &'a Secret,
    ) -> BoxFuture<'a, Result<Kept, SecretError>> {
        Box::pin(self.put(query, value))
    }
}
