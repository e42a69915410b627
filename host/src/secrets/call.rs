//! What one call holds of secrets.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use toolcell_policy::SecretGrant;
use url::Url;

use super::{Redaction, Redactor, Secret, SecretError, Weakness, Weaknesses, known::Tenant};

/// Fetches a credential when it is needed, and keeps it while it is good.
pub(crate) trait TokenSource: Send + Sync {
    /// The credential. It is known to the redactors before it is given.
    fn token(&self) -> BoxFuture<'_, Result<Arc<Secret>, SecretError>>;

    /// The destination refused this credential: the next one is fetched anew.
    fn refused(&self, token: &Arc<Secret>);
}

/// A credential and the requests that it belongs to.
pub(crate) struct BoundSecret {
    /// Where it may go.
    pub(crate) grant: SecretGrant,
    pub(super) value: Value,
}

/// Where a value stands.
pub(super) enum Value {
    Absent,
    Present(Arc<Secret>),
    Fetched(Arc<dyn TokenSource>),
}

impl BoundSecret {
    /// Whether it has a value, or can get one.
    pub(crate) fn exists(&self) -> bool {
        !matches!(self.value, Value::Absent)
    }

    /// Its value now, or nothing where there is none.
    pub(crate) async fn value(&self) -> Result<Option<Arc<Secret>>, SecretError> {
        match &self.value {
            Value::Absent => Ok(None),
            Value::Present(secret) => Ok(Some(Arc::clone(secret))),
            Value::Fetched(source) => source.token().await.map(Some),
        }
    }

    /// The destination did not accept what [`value`](Self::value) gave.
    pub(crate) fn refused(&self, secret: &Arc<Secret>) {
        if let Value::Fetched(source) = &self.value {
            source.refused(secret);
        }
    }
}

/// The secrets of one call: those of its tool, and the search for all of its session.
#[derive(Default)]
pub(crate) struct CallSecrets {
    pub(super) bound: Vec<BoundSecret>,
    /// Those that have no value, and were not told to be absent before.
    pub(super) absent: Vec<SecretGrant>,
    pub(super) redaction: Redaction,
    pub(super) weak: Weaknesses,
    /// Keeps what its calls rely on from being forgotten.
    pub(super) _tenant: Option<Arc<Tenant>>,
}

impl CallSecrets {
    /// Nothing, and no search for anything.
    pub(crate) fn none() -> Arc<Self> {
        Arc::default()
    }

    /// The secrets of the tool.
    pub(crate) fn bound(&self) -> &[BoundSecret] {
        &self.bound
    }

    /// Those that have no value, each told once to a host and tenant.
    pub(crate) fn absent(&self) -> &[SecretGrant] {
        &self.absent
    }

    /// Those whose destination this address lies at.
    pub(crate) fn at<'a>(&'a self, url: &'a Url) -> impl Iterator<Item = &'a BoundSecret> {
        self.bound.iter().filter(|bound| bound.grant.is_for(url))
    }

    /// The names of those that have a value.
    pub(crate) fn names(&self) -> Vec<String> {
        let existing = self.bound.iter().filter(|bound| bound.exists());
        existing.map(|bound| bound.grant.name.clone()).collect()
    }

    /// Whether a defence is missing, which is so in tests alone.
    pub(crate) fn lacks(&self, weakness: Weakness) -> bool {
        self.weak.has(weakness)
    }

    /// The search for all secrets that the session knows now.
    pub(crate) fn redactor(&self) -> Arc<Redactor> {
        self.redaction.current()
    }
}

#[cfg(test)]
impl CallSecrets {
    /// What a call holds whose values a test has at hand.
    pub(crate) fn of(values: Vec<(SecretGrant, Option<Secret>)>) -> Self {
        let mut all = Self::default();
        for (grant, secret) in values {
            let value = match secret {
                None => Value::Absent,
                Some(secret) => {
                    let secret = Arc::new(secret);
                    all.redaction.know(&grant.name, &secret);
                    Value::Present(secret)
                }
            };
            all.bound.push(BoundSecret { grant, value });
        }
        all
    }

    /// The same with one that is fetched.
    pub(crate) fn with_fetched(mut self, grant: SecretGrant, source: Arc<dyn TokenSource>) -> Self {
        let value = Value::Fetched(source);
        self.bound.push(BoundSecret { grant, value });
        self
    }

    /// Makes one more value known.
    pub(crate) fn learn(&self, name: &str, secret: Secret) {
        self.redaction.know(name, &Arc::new(secret));
    }

    /// The same without a defence.
    pub(crate) fn without(mut self, weakness: Weakness) -> Self {
        self.weak.add(weakness);
        self
    }
}
