//! What runs may spend: the policy, narrowed by flags, and the ledger of what was spent.

use std::{sync::Arc, time::SystemTime};

use toolcell::{ErrorKind, text::escape_control};
use toolcell_agent::{
    Budget,
    budget::{Allowance, Left, Period},
    ledger::{FileLedger, LedgerError, Shared},
};
use toolcell_policy::{BudgetBounds, BudgetKey, BudgetPeriod, Layers, civil_from_days};

use crate::{args::BudgetOptions, dirs::Dirs, failure::Failure};

const DAY_MS: u64 = 86_400_000;

/// The ledger of this user.
pub(crate) fn ledger(dirs: &Dirs) -> FileLedger {
    FileLedger::new(dirs.state.join("ledger"), Arc::new(unix_ms))
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    // A clock before 1970 is none.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

/// The day of a moment, in UTC: `2026-11-21`.
pub(crate) fn day(unix_ms: u64) -> String {
    let (year, month, day) = civil_from_days(unix_ms / DAY_MS);
    format!("{year:04}-{month:02}-{day:02}")
}

/// What a run may spend by itself. A flag may raise what no policy says, and nothing that one does.
pub(crate) fn of_run(layers: &Layers, options: &BudgetOptions) -> Result<Budget, Failure> {
    let usual = Budget::default();
    let bounds = layers.run_budget(|key| {
        Some(match key {
            BudgetKey::Turns => usual.turns.into(),
            BudgetKey::Calls => usual.calls.into(),
            BudgetKey::Tokens => usual.tokens,
            BudgetKey::Cost => Budget::DEFAULT_COST,
            BudgetKey::Time => usual.time_ms,
        })
    });
    let of = |key, flag: Option<u64>| bound(&bounds, key, flag);
    let count = |key, flag: Option<u32>, usual: u32| {
        let amount = of(key, flag.map(u64::from))?
            .map_or(usual, |amount| u32::try_from(amount).unwrap_or(u32::MAX));
        Ok::<_, Failure>(amount)
    };
    Ok(Budget {
        turns: count(BudgetKey::Turns, options.max_turns, usual.turns)?,
        calls: count(BudgetKey::Calls, options.max_calls, usual.calls)?,
        tokens: of(BudgetKey::Tokens, options.max_tokens)?.unwrap_or(usual.tokens),
        // Unsaid, it holds only where the price is known.
        cost_micro_usd: of(BudgetKey::Cost, max_cost(options)?)?,
        time_ms: of(BudgetKey::Time, max_time(options)?)?.unwrap_or(usual.time_ms),
    })
}

/// What is said about one thing; nothing where only the default holds.
fn bound(bounds: &BudgetBounds, key: BudgetKey, flag: Option<u64>) -> Result<Option<u64>, Failure> {
    let written = bounds.get(key).filter(|bound| bound.rule.line > 0);
    match (flag, written) {
        (Some(flag), Some(bound)) if flag > bound.amount => {
            let (name, most) = (key.name(), key.show(bound.amount));
            let message = format!("--max-{name} is more than the policy lets a run spend: {most}");
            Err(Failure::usage(message)
                .rule(bound.rule.to_string())
                .help(format!("give at most {most}, or leave it out")))
        }
        (Some(flag), _) => Ok(Some(flag)),
        (None, Some(bound)) => Ok(Some(bound.amount)),
        (None, None) => Ok(None),
    }
}

fn max_time(options: &BudgetOptions) -> Result<Option<u64>, Failure> {
    let Some(text) = &options.max_time else {
        return Ok(None);
    };
    let time = toolcell_policy::parse_duration(text).ok_or_else(|| {
        Failure::usage(format!("`{text}` is no time")).help("write for example `90s` or `10m`")
    })?;
    Ok(Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

fn max_cost(options: &BudgetOptions) -> Result<Option<u64>, Failure> {
    let Some(text) = &options.max_cost else {
        return Ok(None);
    };
    match toolcell_policy::parse_usd(text) {
        Some(cost) if cost > 0 => Ok(Some(cost)),
        _ => Err(Failure::usage(
            "--max-cost is an amount of US dollars above 0, for example 0.50",
        )),
    }
}

/// What the runs of an agent share with others; nothing where no policy says anything.
pub(crate) fn shared(layers: &Layers, options: &BudgetOptions, dirs: &Dirs) -> Option<Shared> {
    let shared = Shared {
        ledger: Arc::new(ledger(dirs)),
        agent: agent(options).to_owned(),
        of_agent: allowances(&layers.agent_budgets()),
        of_tenant: allowances(&layers.tenant_budgets()),
    };
    let any = !shared.of_agent.is_empty() || !shared.of_tenant.is_empty();
    any.then_some(shared)
}

fn agent(options: &BudgetOptions) -> &str {
    options.agent.as_deref().unwrap_or(Shared::DEFAULT_NAME)
}

/// The bounds of a policy as the ledger takes them.
pub(crate) fn allowances(budgets: &[(BudgetPeriod, BudgetBounds)]) -> Vec<Allowance> {
    let one = |(per, bounds): &(BudgetPeriod, BudgetBounds)| {
        let of = |key| bounds.get(key).map(|bound| bound.amount);
        Some(Allowance {
            per: match per {
                BudgetPeriod::Day => Period::Day,
                BudgetPeriod::Month => Period::Month,
                BudgetPeriod::Ever => Period::Ever,
                // Is part of what each run may spend.
                BudgetPeriod::Run => return None,
            },
            turns: of(BudgetKey::Turns),
            calls: of(BudgetKey::Calls),
            tokens: of(BudgetKey::Tokens),
            cost_micro_usd: of(BudgetKey::Cost),
            time_ms: of(BudgetKey::Time),
        })
    };
    budgets.iter().filter_map(one).collect()
}

/// What is left of a budget that a run shares with others, in words; nothing for the run's own.
pub(crate) fn left(left: &Left) -> Option<String> {
    let scope = left.scope.as_ref()?;
    let (rest, limit) = (left.budget.show(left.left), left.budget.show(left.limit));
    let per = left.per.map_or("run", Period::name);
    let (kind, name) = (scope.kind.name(), escape_control(&scope.name));
    Some(format!(
        "left of {kind} {name} per {per}: {rest} of {limit} ({})",
        left.budget
    ))
}

/// Why the ledger cannot be used, and what to do about it.
pub(crate) fn failed(error: &LedgerError) -> Failure {
    match error {
        LedgerError::Exceeded(exceeded) => {
            Failure::new(ErrorKind::BudgetExceeded, exceeded.to_string())
        }
        LedgerError::Io { path, source } => Failure::io("use the ledger", path, source),
        LedgerError::Damaged { .. } => Failure::new(ErrorKind::Unavailable, error.to_string()).help(
            "look at the file; `toolcell budget reset` begins anew and keeps it under another name",
        ),
        LedgerError::Locked { .. } | LedgerError::Full { .. } => {
            Failure::new(ErrorKind::Busy, error.to_string()).help("try again later")
        }
        error => Failure::usage(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use toolcell_policy::Policy;

    use super::*;

    fn layers(text: &str) -> Layers {
        Policy::from_toml(text).unwrap().into()
    }

    #[test]
    fn flags_lower_a_policy_and_raise_a_default() {
        let turns = |max_turns| BudgetOptions {
            max_turns,
            ..BudgetOptions::default()
        };
        let run = layers("[budget.run]\nturns = 20\ncost = \"1.00\"\n");
        assert_eq!(of_run(&run, &turns(Some(5))).unwrap().turns, 5);
        let usual = of_run(&run, &turns(None)).unwrap();
        assert_eq!((usual.turns, usual.cost_micro_usd), (20, Some(1_000_000)));
        let failure = of_run(&run, &turns(Some(21))).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::InvalidInput);
        assert_eq!(
            failure.rule.as_deref(),
            Some("toolcell.toml:2 budget.run.turns")
        );
        let none = Layers::new();
        assert_eq!(of_run(&none, &turns(Some(500))).unwrap().turns, 500);
        assert_eq!(of_run(&none, &turns(None)).unwrap(), Budget::default());
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for cost in ["-1", "0", "five", "", "1e3", "NaN"] {
            let options = BudgetOptions {
                max_cost: Some(cost.to_owned()),
                ..BudgetOptions::default()
            };
            assert!(of_run(&Layers::new(), &options).is_err(), "{cost}");
        }
    }

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!(day(1_795_262_399_999), "2026-11-21");
        assert_eq!(day(0), "1970-01-01");
    }
}
