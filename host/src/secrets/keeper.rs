//! Looks the values of a call up.

use std::sync::Arc;

use toolcell_policy::{GrantSet, SecretSource};

use super::{
    AnySecretStore, BoundSecret, CallSecrets, Redaction, SecretError, SecretQuery, Weakness,
    Weaknesses, call::Value,
};
use crate::TenantId;

/// Looks the values of a call up, and makes them known to the redactors before anybody can use them.
pub(crate) struct Keeper {
    store: Option<Arc<dyn AnySecretStore>>,
    sinks: Redaction,
    weak: Weaknesses,
}

impl Keeper {
    /// A keeper of what a store has.
    pub(crate) fn new(
        store: Option<Arc<dyn AnySecretStore>>,
        sinks: Redaction,
        weak: Weaknesses,
    ) -> Self {
        Self { store, sinks, weak }
    }

    /// The search of the host's sinks, for every secret of every tenant.
    pub(crate) fn sinks(&self) -> &Redaction {
        &self.sinks
    }

    /// Whether a defence is missing, which is so in tests alone.
    pub(crate) fn lacks(&self, weakness: Weakness) -> bool {
        self.weak.has(weakness)
    }

    /// The secrets of a call of the tool that these grants are for.
    pub(crate) async fn of_call(
        &self,
        grants: &GrantSet,
        tenant: Option<&TenantId>,
    ) -> Result<Arc<CallSecrets>, SecretError> {
        let mut bound = Vec::new();
        for grant in grants.secrets() {
            let found = match (&self.store, &grant.source) {
                (None, _) | (_, SecretSource::OAuth(_)) => None,
                (Some(store), source) => {
                    let query = SecretQuery {
                        source,
                        name: &grant.name,
                        package: grants.package(),
                        tenant,
                    };
                    store.look_up(query).await?
                }
            };
            let value = match found {
                None => Value::Absent,
                Some(secret) => {
                    let secret = Arc::new(secret);
                    self.sinks.know(&grant.name, &secret);
                    Value::Present(secret)
                }
            };
            bound.push(BoundSecret {
                grant: grant.clone(),
                value,
            });
        }
        Ok(Arc::new(CallSecrets {
            bound,
            redaction: self.sinks.clone(),
            weak: self.weak,
        }))
    }
}
