//! Amounts of what has a budget, and how much of it there may be.

use serde::{Deserialize, Serialize};

use super::{BudgetKind, Period, Scope};

/// So much of everything that has a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Amount {
    /// Model turns.
    pub turns: u64,
    /// Tool calls.
    pub calls: u64,
    /// Tokens, read and written.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// Wall clock time of turns and calls in milliseconds.
    pub time_ms: u64,
}

impl Amount {
    /// How much of one kind.
    pub fn of(&self, kind: BudgetKind) -> u64 {
        match kind {
            BudgetKind::Turns => self.turns,
            BudgetKind::Calls => self.calls,
            BudgetKind::Tokens => self.tokens,
            BudgetKind::Cost => self.cost_micro_usd,
            BudgetKind::Time => self.time_ms,
        }
    }

    /// What is more than in the other.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self {
            turns: self.turns.saturating_sub(other.turns),
            calls: self.calls.saturating_sub(other.calls),
            tokens: self.tokens.saturating_sub(other.tokens),
            cost_micro_usd: self.cost_micro_usd.saturating_sub(other.cost_micro_usd),
            time_ms: self.time_ms.saturating_sub(other.time_ms),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            turns: self.turns.saturating_add(other.turns),
            calls: self.calls.saturating_add(other.calls),
            tokens: self.tokens.saturating_add(other.tokens),
            cost_micro_usd: self.cost_micro_usd.saturating_add(other.cost_micro_usd),
            time_ms: self.time_ms.saturating_add(other.time_ms),
        }
    }
}

/// What may be spent in one period. What is absent has no bound here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// In which period.
    pub per: Period,
    /// Model turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    /// Tool calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Tokens, read and written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<u64>,
    /// Wall clock time of turns and calls in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
}

impl Allowance {
    /// No bound at all.
    pub fn unbounded(per: Period) -> Self {
        Self {
            per,
            turns: None,
            calls: None,
            tokens: None,
            cost_micro_usd: None,
            time_ms: None,
        }
    }

    /// The bound on one kind.
    pub fn of(&self, kind: BudgetKind) -> Option<u64> {
        match kind {
            BudgetKind::Turns => self.turns,
            BudgetKind::Calls => self.calls,
            BudgetKind::Tokens => self.tokens,
            BudgetKind::Cost => self.cost_micro_usd,
            BudgetKind::Time => self.time_ms,
        }
    }

    /// What is left of each bound. Without a scope it is a run's own.
    pub(crate) fn left(&self, scope: Option<&Scope>, used: &Amount) -> Vec<Left> {
        let one = |budget| {
            let limit = self.of(budget)?;
            Some(Left {
                scope: scope.cloned(),
                per: scope.map(|_| self.per),
                budget,
                limit,
                left: limit.saturating_sub(used.of(budget)),
            })
        };
        BudgetKind::ALL.into_iter().filter_map(one).collect()
    }

    /// Whether there is room for `wanted` beside what is spent and reserved; else the first bound that has none. A bound
    /// that is used up stands in the way of nothing that needs none of it. Without a scope it is a run's own.
    pub(crate) fn room(
        &self,
        scope: Option<&Scope>,
        spent: &Amount,
        reserved: &Amount,
        wanted: &Amount,
    ) -> Result<(), Box<Exceeded>> {
        for budget in BudgetKind::ALL {
            let Some(limit) = self.of(budget).filter(|_| wanted.of(budget) > 0) else {
                continue;
            };
            let exceeded = Exceeded {
                scope: scope.cloned(),
                per: scope.map(|_| self.per),
                budget,
                limit,
                spent: spent.of(budget),
                reserved: reserved.of(budget),
                wanted: wanted.of(budget),
            };
            if exceeded.wanted > exceeded.left() {
                return Err(Box::new(exceeded));
            }
        }
        Ok(())
    }
}

/// A budget that has no room for what is asked for. Amounts are turns, calls, tokens, millionths of a US dollar, or
/// milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", self.told())]
pub struct Exceeded {
    /// Whose; absent for the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// For which time; absent for the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Period>,
    /// Of what.
    pub budget: BudgetKind,
    /// The budget.
    pub limit: u64,
    /// What was spent of it.
    #[serde(rename = "used")]
    pub spent: u64,
    /// What others hold who have not settled yet.
    #[serde(default)]
    pub reserved: u64,
    /// What was asked for; 0 where the budget was used up before.
    #[serde(default)]
    pub wanted: u64,
}

impl Exceeded {
    /// What there was room for.
    pub fn left(&self) -> u64 {
        self.limit
            .saturating_sub(self.spent)
            .saturating_sub(self.reserved)
    }

    fn told(&self) -> String {
        let show = |amount| self.budget.show(amount);
        let (limit, spent) = (show(self.limit), show(self.spent));
        let whose = match (&self.scope, self.per) {
            (Some(scope), Some(per)) => format!(" of {scope} {}", per.told()),
            _ => String::new(),
        };
        let budget = format!("the budget{whose} on {}", self.budget);
        let reserved = match self.reserved {
            0 => String::new(),
            reserved => format!(", {} are reserved", show(reserved)),
        };
        match (self.budget, self.wanted) {
            // Calls are counted when they are asked for, and a turn that asks for too many is not run at all.
            (BudgetKind::Calls, 0) => format!(
                "{budget} is {limit}, and with those of its last turn the model asked for {spent}"
            ),
            (_, 0) => format!("{budget} is used up: {spent} of {limit}"),
            (_, wanted) => format!(
                "{budget} is {limit}: {spent} are spent{reserved}, and what comes next may need {}",
                show(wanted)
            ),
        }
    }
}

/// What is left of one budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Whose; absent for the run's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// For which time; absent for the run's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per: Option<Period>,
    /// Of what.
    pub budget: BudgetKind,
    /// The budget.
    pub limit: u64,
    /// What is neither spent nor reserved.
    pub left: u64,
}
