//! Where values come from.

use std::future::Future;

use futures_util::future::BoxFuture;
use toolcell_policy::SecretSource;

use super::Secret;
use crate::TenantId;

/// Which value is wanted.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SecretQuery<'a> {
    /// Where the policy says it comes from; never [`SecretSource::OAuth`], which the host fetches itself.
    pub source: &'a SecretSource,
    /// The credential's name in the policy.
    pub name: &'a str,
    /// The package it is for.
    pub package: &'a str,
    /// Whose call it is, where the embedder told.
    pub tenant: Option<&'a TenantId>,
}

/// Why a store gives no answer. The message is shown to people and models: it says what to do, and nothing of any value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SecretError {
    message: String,
    help: Option<String>,
}

impl SecretError {
    /// What went wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
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
}

/// Gives the values of credentials. A host without one has none, and tools see them as absent.
pub trait SecretStore: Send + Sync + 'static {
    /// The value, or nothing where there is none.
    fn get(
        &self,
        query: SecretQuery<'_>,
    ) -> impl Future<Output = Result<Option<Secret>, SecretError>> + Send;
}

/// Any [`SecretStore`].
pub(crate) trait AnySecretStore: Send + Sync {
    fn look_up<'a>(
        &'a self,
        query: SecretQuery<'a>,
    ) -> BoxFuture<'a, Result<Option<Secret>, SecretError>>;
}

impl<T: SecretStore> AnySecretStore for T {
    fn look_up<'a>(
        &'a self,
        query: SecretQuery<'a>,
    ) -> BoxFuture<'a, Result<Option<Secret>, SecretError>> {
        Box::pin(self.get(query))
    }
}
