//! Looks the values of a call up.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use toolcell_policy::{GrantSet, OAuthGrant, OAuthSource, SecretGrant, SecretSource};

use super::{
    AnySecretStore, BoundSecret, CallSecrets, Redaction, Secret, SecretError, SecretQuery,
    Weakness, Weaknesses,
    call::Value,
    known::{Part, Slot, Tenant, Tenants},
    redaction::{SECRETS_BYTES_MAX, SECRETS_MAX},
    tokens::{Fetch, TokenEndpoint},
};
use crate::TenantId;

/// How long a store may take for one value. A person may have to type a passphrase meanwhile.
pub(crate) const LOOK_UP_TIME: Duration = Duration::from_secs(5 * 60);

/// Looks the values of a call up, and makes them known to the redactors before anybody can use them. It keeps none between
/// calls, apart from tokens that it fetched itself: whatever somebody changed is seen by the next call.
pub(crate) struct Keeper {
    store: Option<Arc<dyn AnySecretStore>>,
    endpoint: Arc<dyn TokenEndpoint>,
    tenants: Arc<Tenants>,
    patience: Duration,
    weak: Weaknesses,
}

/// A look-up for one call.
struct LookUp<'a> {
    store: &'a Arc<dyn AnySecretStore>,
    tenants: &'a Arc<Tenants>,
    tenant: &'a Arc<Tenant>,
    slot: Slot,
    grant: &'a SecretGrant,
    patience: Duration,
}

impl Keeper {
    /// A keeper of what a store has, and of what token endpoints give.
    pub(crate) fn new(
        store: Option<Arc<dyn AnySecretStore>>,
        endpoint: Arc<dyn TokenEndpoint>,
        sinks: Redaction,
        weak: Weaknesses,
    ) -> Self {
        Self {
            store,
            endpoint,
            tenants: Arc::new(Tenants::new(sinks)),
            patience: LOOK_UP_TIME,
            weak,
        }
    }

    /// The search of the host's sinks, for every secret of every tenant.
    pub(crate) fn sinks(&self) -> &Redaction {
        self.tenants.sinks()
    }

    /// Whose call it is. As long as this is held, nothing that is known of the tenant is forgotten.
    pub(crate) fn tenant(&self, id: Option<&TenantId>) -> Arc<Tenant> {
        self.tenants
            .of(id.filter(|_| !self.lacks(Weakness::TenantsShare)))
    }

    /// Whether a defence is missing, which is so in tests alone.
    pub(crate) fn lacks(&self, weakness: Weakness) -> bool {
        self.weak.has(weakness)
    }

    /// The secrets of a call of the tool that these grants are for.
    ///
    /// # Errors
    ///
    /// Where a value is there and cannot be had or used. One that is absent is no error.
    pub(crate) async fn of_call(
        &self,
        grants: &GrantSet,
        tenant: &Arc<Tenant>,
    ) -> Result<Arc<CallSecrets>, SecretError> {
        self.of(grants.package(), grants.secrets(), tenant).await
    }

    pub(super) async fn of(
        &self,
        package: &str,
        grants: &[SecretGrant],
        tenant: &Arc<Tenant>,
    ) -> Result<Arc<CallSecrets>, SecretError> {
        let (mut bound, mut absent) = (Vec::new(), Vec::new());
        for grant in grants {
            let slot = Slot {
                package: package.to_owned(),
                name: grant.name.clone(),
            };
            let value = match &self.store {
                None => Value::Absent,
                Some(store) => {
                    let look_up = LookUp {
                        store,
                        tenants: &self.tenants,
                        tenant,
                        slot: slot.clone(),
                        grant,
                        patience: self.patience,
                    };
                    look_up.value(&self.endpoint).await?
                }
            };
            if matches!(value, Value::Absent) && tenant.tell_once(&slot) {
                absent.push(grant.clone());
            }
            bound.push(BoundSecret {
                grant: grant.clone(),
                value,
            });
        }
        Ok(Arc::new(CallSecrets {
            bound,
            absent,
            redaction: tenant.redaction().clone(),
            weak: self.weak,
            _tenant: Some(Arc::clone(tenant)),
        }))
    }
}

impl LookUp<'_> {
    async fn value(self, endpoint: &Arc<dyn TokenEndpoint>) -> Result<Value, SecretError> {
        let SecretSource::OAuth(source) = &self.grant.source else {
            let found = self.get(&self.grant.source, Part::Value).await?;
            return Ok(found.map_or(Value::Absent, Value::Present));
        };
        let client = match &source.client_secret {
            None => None,
            Some(secret) => match self.get(secret, Part::ClientSecret).await? {
                None => return Ok(Value::Absent),
                found => found,
            },
        };
        let refresh = match &source.grant {
            OAuthGrant::ClientCredentials => None,
            OAuthGrant::RefreshToken(token) => match self.get(token, Part::RefreshToken).await? {
                None => return Ok(Value::Absent),
                found => found,
            },
        };
        Ok(self.fetch(source, client, refresh, endpoint))
    }

    fn fetch(
        self,
        source: &OAuthSource,
        client: Option<Arc<Secret>>,
        refresh: Option<Arc<Secret>>,
        endpoint: &Arc<dyn TokenEndpoint>,
    ) -> Value {
        Value::Fetched(Arc::new(Fetch {
            endpoint: Arc::clone(endpoint),
            store: Arc::clone(self.store),
            tenants: Arc::clone(self.tenants),
            tenant: Arc::clone(self.tenant),
            slot: self.slot,
            source: source.clone(),
            client,
            refresh,
            rule: self.grant.rule.to_string(),
        }))
    }

    /// A value from the store, known to the redactors.
    async fn get(
        &self,
        source: &SecretSource,
        part: Part,
    ) -> Result<Option<Arc<Secret>>, SecretError> {
        let query = SecretQuery {
            source,
            name: &self.slot.name,
            package: &self.slot.package,
            tenant: self.tenant.id(),
        };
        let found = match timeout(self.patience, self.store.look_up(query)).await {
            Ok(found) => found,
            Err(_) => Err(SecretError::new(format!(
                "its source did not answer within {} s",
                self.patience.as_secs()
            ))),
        };
        let found = found.map_err(|error| {
            error.of(&self.slot.name, source.kind(), &self.grant.rule.to_string())
        })?;
        let Some(value) = found else {
            return Ok(None);
        };
        if !self.tenants.make_room(&value) {
            let full = SecretError::new(format!(
                "{SECRETS_MAX} credentials, or {SECRETS_BYTES_MAX} bytes of them, are in use at once, and no more can be searched for"
            ))
            .with_help("Let fewer calls run at a time, or give tools fewer credentials");
            return Err(full.of(&self.slot.name, source.kind(), &self.grant.rule.to_string()));
        }
        Ok(Some(self.tenants.learn(
            self.tenant,
            &self.slot,
            part,
            value,
        )))
    }
}

#[cfg(test)]
mod tests;
