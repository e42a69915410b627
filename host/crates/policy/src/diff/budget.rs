//! What runs, agents and tenants may spend.

use super::{Changes, Direction};
use crate::{BudgetBounds, BudgetKey, BudgetPeriod, Layers};

pub(super) fn compare(changes: &mut Changes, old: &Layers, new: &Layers) {
    // A run has defaults, which are not known here: with one side unwritten, which is more cannot be said.
    let runs = [old.run_budget(|_| None), new.run_budget(|_| None)];
    bounds(changes, "of a run", runs, |_, _| Direction::Widened);
    let shared = [
        ("of an agent", old.agent_budgets(), new.agent_budgets()),
        ("of a tenant", old.tenant_budgets(), new.tenant_budgets()),
    ];
    for (whose, old, new) in shared {
        for per in [BudgetPeriod::Day, BudgetPeriod::Month, BudgetPeriod::Ever] {
            let of = |all: &[(BudgetPeriod, BudgetBounds)]| {
                let found = all.iter().find(|(period, _)| *period == per);
                found.map(|(_, bounds)| bounds.clone()).unwrap_or_default()
            };
            let whose = format!("{whose} per {}", per.name());
            // Without a word there is no bound at all.
            let unbounded = |was: Option<u64>, is: Option<u64>| {
                let most = |amount: Option<u64>| u64::MAX - amount.unwrap_or(u64::MAX);
                Direction::of(&most(was), &most(is))
            };
            bounds(changes, &whose, [of(&old), of(&new)], unbounded);
        }
    }
}

fn bounds(
    changes: &mut Changes,
    whose: &str,
    [old, new]: [BudgetBounds; 2],
    unwritten: impl Fn(Option<u64>, Option<u64>) -> Direction,
) {
    for key in BudgetKey::ALL {
        let (was, is) = (old.get(key), new.get(key));
        let amounts = (was.map(|it| it.amount), is.map(|it| it.amount));
        if amounts.0 == amounts.1 {
            continue;
        }
        let direction = match amounts {
            (Some(was), Some(is)) => Direction::of(&(u64::MAX - was), &(u64::MAX - is)),
            (was, is) => unwritten(was, is),
        };
        let show = |amount: Option<u64>| {
            amount.map_or_else(|| "unwritten".to_owned(), |amount| key.show(amount))
        };
        let text = format!(
            "budget {} {whose}: {} -> {}",
            key.name(),
            show(amounts.0),
            show(amounts.1)
        );
        let rules = (was.map(|it| &it.rule), is.map(|it| &it.rule));
        changes.add(direction, text, rules);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Policy, diff};

    fn told(old: &str, new: &str) -> Vec<String> {
        let layers = |text| Policy::from_toml(text).unwrap().into();
        diff(&layers(old), &layers(new))
            .iter()
            .map(|change| format!("{}: {}", change.direction, change.text))
            .collect()
    }

    #[test]
    fn a_larger_budget_widens() {
        let run = |turns| format!("[budget.run]\nturns = {turns}\n");
        let day = |cost| format!("[budget.tenant]\ncost = \"{cost}\"\n");
        for (old, new, change) in [
            (run(5), run(6), "widened: budget turns of a run: 5 -> 6"),
            (run(6), run(5), "narrowed: budget turns of a run: 6 -> 5"),
            (
                String::new(),
                run(5),
                "widened: budget turns of a run: unwritten -> 5",
            ),
            (
                day(1),
                day(2),
                "widened: budget cost of a tenant per day: 1.00 -> 2.00",
            ),
            (
                day(1),
                String::new(),
                "widened: budget cost of a tenant per day: 1.00 -> unwritten",
            ),
            (
                String::new(),
                day(1),
                "narrowed: budget cost of a tenant per day: unwritten -> 1.00",
            ),
        ] {
            assert_eq!(told(&old, &new), [change]);
        }
        assert!(told(&day(1), &day(1)).is_empty());
    }
}
