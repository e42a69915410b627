use proptest::prelude::*;

use super::*;
use crate::{Layer, Layers, Policy};

fn policy(text: &str) -> Policy {
    Policy::from_toml(text).unwrap()
}

const ALL: &str = r#"
[budget.run]
tokens = 4000000
cost = "5.00"
turns = 50
calls = 200
time = "1h"

[budget.agent]
turns = 0
per = "month"

[budget.tenant]
cost = "0.000001"
"#;

#[test]
fn what_is_written_is_printed_again() {
    let printed = policy(ALL).to_toml();
    assert_eq!(policy(&printed).to_toml(), printed);
    for line in [
        "tokens = 4000000",
        "cost = \"5.00\"",
        "time = \"1h\"",
        "per = \"month\"",
        "cost = \"0.000001\"",
        "per = \"day\"",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn what_is_wrong_is_told() {
    for (text, words) in [
        ("[budget]\nruns = {}", "no key `runs`"),
        ("[budget.run]\nper = \"day\"", "no key `per`"),
        ("[budget.agent]\nper = \"week\"", "cannot be `week`"),
        ("[budget.agent]\ntokens = -1", "is not a number"),
        (
            "[budget.agent]\ntokens = 1000000000000001",
            "is 1000000000000001",
        ),
        ("[budget.agent]\nturns = 1000000001", "is 1000000001"),
        ("[budget.tenant]\ncost = 5", "must be a string"),
        ("[budget.tenant]\ncost = \"-5\"", "no amount of US dollars"),
        (
            "[budget.tenant]\ncost = \"1.0000001\"",
            "no amount of US dollars",
        ),
        ("[budget.tenant]\ntime = \"1d\"", "is no time"),
    ] {
        let told = Policy::from_toml(text).unwrap_err().to_string();
        assert!(told.contains(words), "{text}: {told}");
    }
}

fn shown(bounds: &BudgetBounds) -> Vec<String> {
    let mut all: Vec<String> = bounds
        .iter()
        .map(|bound| {
            format!(
                "{} {} {}",
                bound.key.name(),
                bound.key.show(bound.amount),
                bound.rule
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn every_file_only_lowers() {
    let file = |name: &str, text: &str| Policy::parse(name, text).unwrap();
    let layers = Layers::new()
        .with(Layer::System, file("s", "[budget.run]\nturns = 100\n[budget.agent]\ntokens = 10\n"))
        .with(
            Layer::Project,
            file("p", "[budget.run]\nturns = 500\ncalls = 900\n[budget.agent]\ntokens = 7\ncalls = 3\n[budget.tenant]\nper = \"run\"\nturns = 60\n"),
        );
    let defaults = |key| match key {
        BudgetKey::Turns => Some(50),
        BudgetKey::Calls => Some(200),
        _ => None,
    };
    // The highest file may raise a default, and no other may; what is per run lowers what a run may spend.
    assert_eq!(
        shown(&layers.run_budget(defaults)),
        [
            "calls 200 default: calls = 200",
            "turns 60 p:9 budget.tenant.turns"
        ]
    );
    let budgets = layers.agent_budgets();
    assert_eq!(budgets.len(), 1);
    assert_eq!(budgets[0].0, BudgetPeriod::Day);
    assert_eq!(
        shown(&budgets[0].1),
        [
            "calls 3 p:6 budget.agent.calls",
            "tokens 7 p:5 budget.agent.tokens"
        ]
    );
    assert!(layers.tenant_budgets().is_empty());
    assert!(Layers::new().run_budget(|_| None).is_empty());
}

#[test]
fn budgets_for_different_times_hold_side_by_side() {
    let per = |per, tokens| {
        policy(&format!(
            "[budget.tenant]\nper = \"{per}\"\ntokens = {tokens}\n"
        ))
    };
    let layers = Layers::new()
        .with(Layer::System, per("month", 100))
        .with(Layer::User, per("day", 10))
        .with(Layer::Project, per("month", 90));
    let budgets = layers.tenant_budgets();
    let amounts: Vec<_> = budgets
        .iter()
        .map(|(per, bounds)| (*per, bounds.get(BudgetKey::Tokens).unwrap().amount))
        .collect();
    assert_eq!(
        amounts,
        [(BudgetPeriod::Day, 10), (BudgetPeriod::Month, 90)]
    );
}

#[test]
fn amounts_of_money_are_exact() {
    for (text, amount) in [
        ("5", 5_000_000),
        ("0.5", 500_000),
        ("0.50", 500_000),
        ("0.000001", 1),
        ("1000000000", 1_000_000_000_000_000),
        ("00.10", 100_000),
    ] {
        assert_eq!(parse_usd(text), Some(amount), "{text}");
    }
    for text in [
        "",
        ".",
        ".5",
        "5.",
        "+5",
        "-5",
        "5 ",
        "5e3",
        "1_000",
        "1,5",
        "0.0000001",
        "1000000001",
        "99999999999999999999",
        "NaN",
        "٣",
    ] {
        assert_eq!(parse_usd(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn money_is_printed_and_read(amount in 0..1_000_000_000_000_000_u64) {
        prop_assert_eq!(parse_usd(&format_usd(amount)), Some(amount));
    }

    #[test]
    fn no_text_breaks_the_reader_of_money(text in "\\PC{0,30}") {
        let _ = parse_usd(&text);
    }
}
