use super::*;
use crate::wire::TokenUsage;

fn spent() -> Spent {
    Spent {
        turns: 1,
        calls: 1,
        prompt_tokens: 60,
        output_tokens: 40,
        cost_micro_usd: Some(500),
        time_ms: 1000,
        ..Spent::default()
    }
}

fn used_up(budget: &Budget, spent: &Spent) -> Option<(BudgetKind, u64, u64)> {
    let it = budget.exceeded(spent)?;
    Some((it.budget, it.limit, it.spent))
}

#[test]
fn each_budget_ends_the_run_at_its_own_number() {
    let roomy = Budget::default();
    assert_eq!(roomy.exceeded(&spent()), None);
    let cases = [
        (
            BudgetKind::Turns,
            Budget {
                turns: 1,
                ..roomy.clone()
            },
            1,
            1,
        ),
        (
            BudgetKind::Tokens,
            Budget {
                tokens: 100,
                ..roomy.clone()
            },
            100,
            100,
        ),
        (
            BudgetKind::Cost,
            Budget {
                cost_micro_usd: Some(400),
                ..roomy.clone()
            },
            400,
            500,
        ),
        (
            BudgetKind::Time,
            Budget {
                time_ms: 1000,
                ..roomy.clone()
            },
            1000,
            1000,
        ),
        (
            BudgetKind::Calls,
            Budget {
                calls: 0,
                ..roomy.clone()
            },
            0,
            1,
        ),
    ];
    for (kind, budget, limit, used) in cases {
        assert_eq!(
            used_up(&budget, &spent()),
            Some((kind, limit, used)),
            "{kind}"
        );
    }
    // As many calls as there may be are fine; it is the next one that is too many.
    assert_eq!(Budget { calls: 1, ..roomy }.exceeded(&spent()), None);
}

#[test]
fn the_default_cost_holds_where_a_price_is_known() {
    let dear = |cost| Spent {
        cost_micro_usd: cost,
        ..spent()
    };
    let budget = Budget::default();
    let limit = Budget::DEFAULT_COST;
    assert_eq!(
        used_up(&budget, &dear(Some(limit))),
        Some((BudgetKind::Cost, limit, limit))
    );
    assert_eq!(budget.exceeded(&dear(None)), None);
}

#[test]
fn a_turn_without_a_price_makes_the_sum_unknown_for_good() {
    let reply = Reply {
        usage: TokenUsage {
            input_tokens: 7,
            ..TokenUsage::default()
        },
        ..Reply::default()
    };
    let mut spent = Spent::default();
    spent.add_turn(&reply, Some(&Price::free()));
    assert_eq!(spent.cost_micro_usd, Some(0));
    spent.add_turn(&reply, None);
    spent.add_turn(&reply, Some(&Price::free()));
    assert_eq!(
        (spent.cost_micro_usd, spent.turns, spent.prompt_tokens),
        (None, 3, 21)
    );
}

#[test]
fn a_turn_costs_what_it_says_and_a_kept_answer_nothing() {
    let mut reply = Reply {
        usage: TokenUsage {
            input_tokens: 7,
            ..TokenUsage::default()
        },
        cost_micro_usd: Some(30),
        ..Reply::default()
    };
    let mut spent = Spent::default();
    spent.add_turn(&reply, Some(&Price::free()));
    reply.cached = Some(crate::wire::Cached::default());
    spent.add_turn(&reply, None);
    assert_eq!(
        (spent.cost_micro_usd, spent.turns, spent.prompt_tokens),
        (Some(30), 2, 7)
    );
}
