use std::{collections::HashSet, time::Duration};

use super::*;
use crate::{
    model::{BreakerState, WaitReason},
    outcome::RunOutcome,
    testing::figures::Figures,
    wire::TokenUsage,
};

const ASKED: Asked<'_> = Asked {
    provider: "p",
    model: "m",
};

/// Tells everything there is to tell.
fn tell(metrics: &Metrics) {
    let second = Duration::from_secs(1);
    metrics.turn(ASKED, second, None);
    metrics.turn(ASKED, second, Some("529"));
    metrics.first_chunk(ASKED, second);
    let usage: TokenUsage = serde_json::from_value(serde_json::json!({
        "input_tokens": 1, "output_tokens": 20, "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 4000, "output_tokens_details": { "thinking_tokens": 7 },
    }))
    .unwrap();
    metrics.tokens(ASKED, &usage);
    metrics.cost(ASKED, 1_500_000);
    metrics.retried("p", "m");
    metrics.fell_back(Asked::named("q:n"));
    metrics.breaker("p", "m", BreakerState::Open);
    metrics.breaker("p", "m", BreakerState::HalfOpen);
    metrics.waited("p", "m", WaitReason::Breaker, second);
    metrics.cache_looked("hit");
    metrics.cache_saved(2_000_000);
    metrics.compacted("results");
    let over = serde_json::json!({ "outcome": "budget_exceeded", "budget": "cost", "limit": 1, "used": 1 });
    for outcome in [RunOutcome::Cancelled, serde_json::from_value(over).unwrap()] {
        let figures = RunFigures {
            outcome: Some(&outcome),
            turns: 3,
            calls: 4,
            time: second,
        };
        metrics.run(ASKED, &figures);
    }
}

#[test]
fn everything_told_is_counted_under_the_names_of_the_catalogue() {
    let figures = Figures::new();
    tell(&Metrics::new(&figures.meter()));
    let read = figures.read();
    let mut seen = HashSet::new();
    for key in read.keys() {
        let (name, labels) = key.trim_end_matches('}').split_once('{').unwrap();
        let name = name.trim_end_matches(".count").trim_end_matches(".sum");
        let info = METRICS.iter().find(|it| it.name == name);
        let info = info.unwrap_or_else(|| panic!("{key}"));
        seen.insert(info.name);
        for label in labels.split(',').filter(|it| !it.is_empty()) {
            let (label, _) = label.split_once('=').unwrap();
            assert!(info.labels.contains(&label), "{key}");
        }
    }
    let unseen: Vec<_> = METRICS
        .iter()
        .filter(|it| !seen.contains(it.name))
        .collect();
    assert!(unseen.is_empty(), "{unseen:#?}");
}

#[test]
fn the_values_are_right() {
    let figures = Figures::new();
    tell(&Metrics::new(&figures.meter()));
    let read = figures.read();
    let chat = "gen_ai.operation.name=chat,gen_ai.provider.name=p,gen_ai.request.model=m";
    let model = "gen_ai.provider.name=p,gen_ai.request.model=m";
    for (line, value) in [
        (
            format!(
                "gen_ai.client.inference.usage.input_tokens{{{chat},gen_ai.token.modality=unknown}}"
            ),
            4301.0,
        ),
        (
            format!(
                "gen_ai.client.inference.usage.output_tokens{{{chat},gen_ai.token.modality=unknown}}"
            ),
            20.0,
        ),
        (
            format!(
                "gen_ai.client.inference.usage.cache_read.input_tokens{{{chat},gen_ai.token.modality=unknown}}"
            ),
            4000.0,
        ),
        (
            format!(
                "gen_ai.client.inference.usage.cache_write.input_tokens{{{chat},gen_ai.token.modality=unknown}}"
            ),
            300.0,
        ),
        (
            format!(
                "gen_ai.client.inference.usage.reasoning.output_tokens{{{chat},gen_ai.token.modality=unknown}}"
            ),
            7.0,
        ),
        (
            format!("gen_ai.client.token.usage.sum{{{chat},gen_ai.token.type=input}}"),
            4301.0,
        ),
        (
            format!("gen_ai.client.operation.duration.count{{error.type=529,{chat}}}"),
            1.0,
        ),
        (format!("toolcell.cost.usd{{{model}}}"), 1.5),
        (format!("toolcell.model.breaker.state{{{model}}}"), 1.0),
        (
            format!(
                "toolcell.model.wait.duration.sum{{{model},toolcell.model.wait.reason=breaker}}"
            ),
            1.0,
        ),
        ("toolcell.cache.saved.usd{}".to_owned(), 2.0),
        (
            format!("gen_ai.invoke_agent.duration.count{{error.type=cancelled,{model}}}"),
            1.0,
        ),
        (
            "toolcell.cache.lookups{toolcell.cache.outcome=hit}".to_owned(),
            1.0,
        ),
        ("toolcell.runs{toolcell.outcome=cancelled}".to_owned(), 1.0),
        (
            "toolcell.model.fallbacks{gen_ai.provider.name=q,gen_ai.request.model=n}".to_owned(),
            1.0,
        ),
    ] {
        assert_eq!(read.get(&line), Some(&value), "{line} in {read:#?}");
    }
}

#[test]
fn names_are_unique_and_well_formed() {
    let all: Vec<_> = METRICS.iter().chain(toolcell::telemetry::METRICS).collect();
    let names: HashSet<_> = all.iter().map(|it| it.prometheus_name()).collect();
    assert_eq!(names.len(), all.len());
    for info in all {
        let word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
        assert!(info.name.chars().all(word), "{}", info.name);
        assert!(
            info.bounds.windows(2).all(|two| two[0] < two[1]),
            "{}",
            info.name
        );
        let histogram = info.kind == toolcell::telemetry::MetricKind::Histogram;
        assert_eq!(histogram, !info.bounds.is_empty(), "{}", info.name);
    }
}
