//! Several budgets at once.

use std::{sync::Arc, time::Duration};

use super::{Ledger, LedgerError, Reservation, Standing};
use crate::budget::{Allowance, Amount, BudgetKind, Left, Scope};

/// The budgets that the runs of an agent come out of, besides each run's own.
#[derive(Clone)]
pub struct Purse {
    ledger: Arc<dyn Ledger>,
    accounts: Vec<(Scope, Vec<Allowance>)>,
}

impl Purse {
    /// A purse without a budget yet.
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger,
            accounts: Vec::new(),
        }
    }

    /// Adds what a scope may spend; without an allowance, nothing is kept of it.
    #[must_use]
    pub fn with(mut self, scope: Scope, allowances: Vec<Allowance>) -> Self {
        if !allowances.is_empty() {
            self.accounts.push((scope, allowances));
        }
        self
    }

    /// Whether any budget bounds this kind.
    pub fn bounds(&self, kind: BudgetKind) -> bool {
        self.accounts
            .iter()
            .flat_map(|(_, allowances)| allowances)
            .any(|allowance| allowance.of(kind).is_some())
    }

    /// Whether there is no budget.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Takes an amount out of every budget, or out of none.
    ///
    /// # Errors
    /// As [`Ledger::reserve`].
    pub async fn reserve(
        &self,
        amount: Amount,
        lasts: Duration,
    ) -> Result<Vec<Reservation>, LedgerError> {
        let mut taken = Vec::new();
        for (scope, allowances) in &self.accounts {
            match self.ledger.reserve(scope, allowances, amount, lasts).await {
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
    pub async fn settle(
        &self,
        reservations: &[Reservation],
        spent: Amount,
    ) -> Result<(), LedgerError> {
        let mut failed = Ok(());
        for reservation in reservations {
            let settled = self.ledger.settle(reservation, spent).await;
            failed = failed.and(settled);
        }
        failed
    }

    /// What is left of every bound.
    ///
    /// # Errors
    /// As [`Ledger::standing`].
    pub async fn left(&self) -> Result<Vec<Left>, LedgerError> {
        let mut left = Vec::new();
        for (scope, allowances) in &self.accounts {
            let standings = self.ledger.standing(scope).await?;
            left.extend(all_left(scope, allowances, &standings));
        }
        Ok(left)
    }
}

/// What is left of one scope's bounds.
fn all_left(scope: &Scope, allowances: &[Allowance], standings: &[Standing]) -> Vec<Left> {
    let mut all = Vec::new();
    for allowance in allowances {
        let standing = standings.iter().find(|it| it.per == allowance.per);
        for budget in BudgetKind::ALL {
            let Some(limit) = allowance.of(budget) else {
                continue;
            };
            let used = standing.map_or(0, |it| it.spent.plus(&it.reserved).of(budget));
            all.push(Left {
                scope: Some(scope.clone()),
                per: Some(allowance.per),
                budget,
                limit,
                left: limit.saturating_sub(used),
            });
        }
    }
    all
}
