//! What a run may spend, and what it has spent.

mod amount;
mod scope;

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use amount::{Allowance, Amount, Exceeded, Left};
pub use scope::{Period, Scope, ScopeKind};

use crate::{
    catalog::Price,
    wire::{Reply, TokenUsage},
};

/// What a run may spend at most. Everything is finite by default. The worst case of a request has to fit before it is
/// sent, and a turn's calls before any of them runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Model turns. Default 50.
    pub turns: u32,
    /// Tool calls. A turn that asks for more than are left is not run at all. Default 200.
    pub calls: u32,
    /// Tokens, prompts and answers together, summed over all turns. Default 4,000,000.
    pub tokens: u64,
    /// Cost in millionths of a US dollar. Absent means [`Budget::DEFAULT_COST`] where the model's price is known, and
    /// no bound on cost (only on tokens) where it is not.
    pub cost_micro_usd: Option<u64>,
    /// Wall clock time, also over all resumptions, in milliseconds. It also cuts off a turn or a call that is under
    /// way. Default one hour.
    pub time_ms: u64,
}

impl Budget {
    /// Five US dollars, in millionths.
    pub const DEFAULT_COST: u64 = 5_000_000;

    /// The wall clock time as a duration.
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.time_ms)
    }

    /// The same as an allowance. Where no price is known, the default bound on cost holds nothing.
    pub(crate) fn allowance(&self, priced: bool) -> Allowance {
        Allowance {
            per: Period::Ever,
            turns: Some(self.turns.into()),
            calls: Some(self.calls.into()),
            tokens: Some(self.tokens),
            cost_micro_usd: self.cost_micro_usd.or(priced.then_some(Self::DEFAULT_COST)),
            time_ms: Some(self.time_ms),
        }
    }

    /// The first budget that is used up.
    pub(crate) fn exceeded(&self, spent: &Spent) -> Option<Exceeded> {
        let allowance = self.allowance(spent.cost_micro_usd.is_some());
        let spent = spent.amount();
        BudgetKind::ALL.into_iter().find_map(|budget| {
            let (limit, used) = (allowance.of(budget)?, spent.of(budget));
            // A turn's calls are counted when they are asked for, before any of them runs.
            let full = match budget {
                BudgetKind::Calls => used > limit,
                _ => used >= limit,
            };
            full.then_some(Exceeded {
                scope: None,
                per: None,
                budget,
                limit,
                spent: used,
                reserved: 0,
                wanted: 0,
            })
        })
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            turns: 50,
            calls: 200,
            tokens: 4_000_000,
            cost_micro_usd: None,
            time_ms: 3_600_000,
        }
    }
}

/// Which budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetKind {
    /// Model turns.
    Turns,
    /// Tool calls.
    Calls,
    /// Tokens.
    Tokens,
    /// Millionths of a US dollar.
    Cost,
    /// Milliseconds.
    Time,
}

impl BudgetKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Turns,
        Self::Calls,
        Self::Tokens,
        Self::Cost,
        Self::Time,
    ];

    /// An amount of it for people, for example `2.50 USD`.
    pub fn show(self, amount: u64) -> String {
        match self {
            Self::Turns | Self::Calls | Self::Tokens => amount.to_string(),
            Self::Cost => format!("{}.{:04} USD", amount / 1_000_000, amount % 1_000_000 / 100),
            Self::Time => toolcell_policy::format_duration(Duration::from_millis(amount)),
        }
    }
}

impl fmt::Display for BudgetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Turns => "turns",
            Self::Calls => "calls",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Time => "time",
        })
    }
}

/// What a run has spent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Model turns.
    pub turns: u32,
    /// Tool calls the model asked for.
    pub calls: u32,
    /// Prompt tokens, cached or not, summed over all turns.
    pub prompt_tokens: u64,
    /// Prompt tokens among them that were read from the cache.
    pub cache_read_tokens: u64,
    /// Tokens the model wrote.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar, rounded up each turn; absent when the model's price is not known.
    pub cost_micro_usd: Option<u64>,
    /// Wall clock time in milliseconds, also over all resumptions.
    pub time_ms: u64,
}

impl Spent {
    /// Prompts and answers together.
    pub fn total_tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.output_tokens)
    }

    /// All of it, in one amount.
    pub fn amount(&self) -> Amount {
        Amount {
            turns: self.turns.into(),
            calls: self.calls.into(),
            tokens: self.total_tokens(),
            cost_micro_usd: self.cost_micro_usd.unwrap_or(0),
            time_ms: self.time_ms,
        }
    }

    /// Counts a request of which no turn came about, and which is paid for all the same.
    pub(crate) fn add_lost(&mut self, usage: &TokenUsage, cost_micro_usd: Option<u64>) {
        self.prompt_tokens = self.prompt_tokens.saturating_add(usage.prompt_tokens());
        self.output_tokens = self.output_tokens.saturating_add(usage.output_tokens);
        self.add_cost(cost_micro_usd, self.turns == 0);
    }

    /// One sum without a price makes all of it unknown, and an unknown sum must not look like a small one.
    fn add_cost(&mut self, cost: Option<u64>, first: bool) {
        let known = self.cost_micro_usd.or(first.then_some(0));
        self.cost_micro_usd = known
            .zip(cost)
            .map(|(so_far, cost)| so_far.saturating_add(cost));
    }

    /// Counts a turn. It cost what it says itself; a turn that does not say is reckoned at `price`. An answer out of the
    /// response cache is a turn and nothing else.
    pub(crate) fn add_turn(&mut self, reply: &Reply, price: Option<&Price>) {
        self.turns = self.turns.saturating_add(1);
        if reply.cached.is_some() {
            let first = self.turns == 1;
            self.cost_micro_usd = self.cost_micro_usd.or(first.then_some(0));
            return;
        }
        let usage = &reply.usage;
        self.prompt_tokens = self.prompt_tokens.saturating_add(usage.prompt_tokens());
        self.cache_read_tokens = self
            .cache_read_tokens
            .saturating_add(usage.cache_read_input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(usage.output_tokens);
        let cost = reply
            .cost_micro_usd
            .or_else(|| Some(price?.cost_micro_usd(usage)));
        self.add_cost(cost, self.turns == 1);
    }
}

#[cfg(test)]
mod tests;
