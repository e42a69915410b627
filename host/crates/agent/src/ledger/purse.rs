//! Several budgets at once.

use std::{sync::Arc, time::Duration};

use toolcell::TenantId;

use super::{Ledger, LedgerError, Reservation};
use crate::budget::{Allowance, Amount, BudgetKind, Left, Scope};

/// The budgets that runs of one agent share with others: runs of the same name, and runs of the same tenant.
#[derive(Clone)]
pub struct Shared {
    /// Where it is kept what was spent.
    pub ledger: Arc<dyn Ledger>,
    /// The agent's name.
    pub agent: String,
    /// What all runs of that name may spend; all of it holds.
    pub of_agent: Vec<Allowance>,
    /// What all runs of one tenant may spend; all of it holds. Runs without a tenant have [`Shared::DEFAULT_NAME`].
    pub of_tenant: Vec<Allowance>,
}

impl Shared {
    /// The name of an agent or a tenant that has none.
    pub const DEFAULT_NAME: &str = "default";

    /// Whether cost is bounded.
    pub(crate) fn bounds_cost(&self) -> bool {
        let mut all = self.of_agent.iter().chain(&self.of_tenant);
        all.any(|allowance| allowance.cost_micro_usd.is_some())
    }

    /// What a run of a tenant comes out of.
    pub(crate) fn purse(&self, tenant: Option<&TenantId>) -> Purse {
        let tenant = tenant.map_or(Self::DEFAULT_NAME, TenantId::as_str);
        let accounts = [
            (Scope::agent(&self.agent), &self.of_agent),
            (Scope::tenant(tenant), &self.of_tenant),
        ];
        let accounts = accounts
            .into_iter()
            .filter(|(_, allowances)| !allowances.is_empty());
        let accounts = accounts
            .map(|(scope, allowances)| (Arc::clone(&self.ledger), scope, allowances.clone()));
        Purse {
            accounts: accounts.collect(),
        }
    }
}

/// The budgets that a run comes out of, besides its own.
#[derive(Clone, Default)]
pub(crate) struct Purse {
    accounts: Vec<(Arc<dyn Ledger>, Scope, Vec<Allowance>)>,
}

impl Purse {
    /// Whether any budget bounds this kind.
    pub(crate) fn bounds(&self, kind: BudgetKind) -> bool {
        self.accounts
            .iter()
            .flat_map(|(_, _, allowances)| allowances)
            .any(|allowance| allowance.of(kind).is_some())
    }

    /// Takes an amount out of every budget, or out of none.
    ///
    /// # Errors
    /// As [`Ledger::reserve`].
    pub(crate) async fn reserve(
        &self,
        amount: Amount,
        lasts: Duration,
    ) -> Result<Vec<Reservation>, LedgerError> {
        let mut taken = Vec::new();
        for (ledger, scope, allowances) in &self.accounts {
            match ledger.reserve(scope, allowances, amount, lasts).await {
                Ok(reservation) => taken.push(reservation),
                Err(error) => {
                    // Nothing was sent. What cannot be given back counts as spent, which is the safe side.
                    let _ = self.settle(&taken, Amount::default()).await;
                    return Err(error);
                }
            }
        }
        Ok(taken)
    }

    /// Settles all of them, also when one fails.
    ///
    /// # Errors
    /// The first error.
    pub(crate) async fn settle(
        &self,
        reservations: &[Reservation],
        spent: Amount,
    ) -> Result<(), LedgerError> {
        let mut failed = Ok(());
        // They stand in the order of the accounts, and there are fewer where an account had no room.
        for ((ledger, _, _), reservation) in self.accounts.iter().zip(reservations) {
            let settled = ledger.settle(reservation, spent).await;
            failed = failed.and(settled);
        }
        failed
    }

    /// What is left of every bound.
    ///
    /// # Errors
    /// As [`Ledger::standing`].
    pub(crate) async fn left(&self) -> Result<Vec<Left>, LedgerError> {
        let mut left = Vec::new();
        for (ledger, scope, allowances) in &self.accounts {
            let standings = ledger.standing(scope).await?;
            for allowance in allowances {
                let standing = standings.iter().find(|it| it.per == allowance.per);
                let used = standing.map_or_else(Amount::default, |it| it.spent.plus(&it.reserved));
                left.extend(allowance.left(Some(scope), &used));
            }
        }
        Ok(left)
    }
}
