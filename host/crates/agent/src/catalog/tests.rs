use super::*;
use crate::wire::CacheWrites;

fn usage(input: u64, output: u64) -> TokenUsage {
    TokenUsage {
        input_tokens: input,
        output_tokens: output,
        ..TokenUsage::default()
    }
}

fn cost(model: &str, usage: &TokenUsage) -> u64 {
    Catalog::embedded()
        .price(model, None)
        .unwrap()
        .cost_micro_usd(usage)
}

#[test]
fn the_embedded_table_is_sound() {
    let catalog = Catalog::from_json(include_str!("../../models.json")).unwrap();
    assert!(!catalog.models.is_empty());
    let mut names: Vec<&String> = catalog
        .models
        .iter()
        .flat_map(|entry| &entry.names)
        .collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "a model is listed twice");
}

#[test]
fn a_turn_costs_what_the_list_says() {
    // Two dollars for a million in, ten for a million out.
    assert_eq!(
        cost("claude-sonnet-5-5", &usage(1_000_000, 100_000)),
        3_000_000
    );
    // The fraction of a millionth counts as a whole one.
    assert_eq!(cost("claude-haiku-5-5", &usage(1, 0)), 1);
    let cached = TokenUsage {
        cache_read_input_tokens: 1000,
        cache_creation_input_tokens: 300,
        cache_creation: Some(CacheWrites {
            ephemeral_5m_input_tokens: 200,
            ephemeral_1h_input_tokens: 100,
        }),
        ..usage(0, 0)
    };
    assert_eq!(cost("claude-opus-5-5", &cached), 200 + 1000 + 800);
}

#[test]
fn long_prompts_have_their_own_band_and_cached_tokens_count() {
    assert_eq!(cost("claude-haiku-5-5", &usage(100_000, 0)), 10_000);
    assert_eq!(cost("claude-haiku-5-5", &usage(100_001, 0)), 50_001);
    let cached = TokenUsage {
        cache_read_input_tokens: 100_000,
        ..usage(1, 0)
    };
    assert_eq!(cost("claude-haiku-5-5", &cached), 5_001);
}

#[test]
fn absent_cache_prices_follow_the_rule() {
    let writes = TokenUsage {
        cache_creation_input_tokens: 1000,
        cache_read_input_tokens: 1000,
        ..usage(0, 0)
    };
    let text = r#"{"unit":"USD per million tokens","as_of":"2026-01-01","models":[{"names":["m"],"prices":[
        {"bands":[{"input":8,"output":40}]}]}]}"#;
    let price = Catalog::from_json(text).unwrap().price("m", None).unwrap();
    assert_eq!(price.cost_micro_usd(&writes), 10_000 + 8_000);
}

#[test]
fn dated_ids_and_dates_are_understood() {
    let catalog = Catalog::embedded();
    assert_eq!(
        catalog.price("claude-haiku-4-5-20251001", None),
        catalog.price("claude-haiku-4-5", None)
    );
    assert_eq!(catalog.price("claude-haiku-4-5-2025100", None), None);
    assert_eq!(catalog.price("gpt", None), None);

    let text = r#"{"unit":"USD per million tokens","as_of":"2026-01-01","models":[{"names":["m"],"prices":[
        {"bands":[{"input":1,"output":1}]},
        {"from":"2026-05-01","bands":[{"input":2,"output":2}]}]}]}"#;
    let catalog = Catalog::from_json(text).unwrap();
    let on = |date| {
        catalog
            .price("m", date)
            .unwrap()
            .cost_micro_usd(&usage(10, 0))
    };
    assert_eq!(
        (on(Some("2026-04-30")), on(Some("2026-05-01")), on(None)),
        (10, 20, 20)
    );
}

#[test]
fn a_table_that_makes_no_sense_is_refused() {
    let table = |bands: &str| {
        let text = format!(
            r#"{{"unit":"USD per million tokens","as_of":"x","models":[{{"names":["m"],"prices":[{{"bands":{bands}}}]}}]}}"#
        );
        Catalog::from_json(&text).unwrap_err()
    };
    for bands in [
        "[]",
        r#"[{"up_to_prompt_tokens":5,"input":1,"output":1}]"#,
        r#"[{"input":1,"output":1},{"input":1,"output":1}]"#,
        r#"[{"up_to_prompt_tokens":5,"input":1,"output":1},{"up_to_prompt_tokens":5,"input":1,"output":1},{"input":1,"output":1}]"#,
    ] {
        assert!(table(bands).contains("m: bands must rise"), "{bands}");
    }
    assert!(table(r#"[{"input":-1,"output":1}]"#).contains("between 0 and"));
    assert!(table(r#"[{"inputs":1,"output":1}]"#).contains("unknown field `inputs`"));
    assert!(
        Catalog::from_json(r#"{"unit":"EUR","as_of":"x","models":[]}"#)
            .unwrap_err()
            .contains("EUR")
    );
}

#[test]
fn ids_of_clouds_have_the_price_of_the_model() {
    let catalog = Catalog::embedded();
    let price = catalog.price("claude-haiku-4-5", None);
    assert!(price.is_some());
    for id in [
        "anthropic.claude-haiku-4-5-20251001-v1:0",
        "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        "claude-haiku-4-5@20251001",
    ] {
        assert_eq!(catalog.price(id, None), price, "{id}");
        assert_eq!(catalog.info(id).context_tokens, Some(200_000), "{id}");
    }
    // A price that nobody knows is not no price.
    assert!(catalog.knows("claude-mythos-preview"));
    assert_eq!(catalog.price("claude-mythos-preview", None), None);
}

#[test]
fn one_table_over_another_decides_about_its_own_models() {
    let text = r#"{"unit":"USD per million tokens","as_of":"2027-01-01","models":[
        {"names":["eu.anthropic.claude-haiku-4-5-20251001-v1:0"],"prices":[{"bands":[{"input":1.1,"output":5.5}]}]},
        {"names":["claude-opus-5"],"info":{"context_tokens":5}},
        {"names":["local"],"prices":[{"bands":[{"input":0,"output":0}]}]}]}"#;
    let catalog = Catalog::from_json(text).unwrap().over(Catalog::embedded());
    assert_eq!(catalog.as_of(), "2027-01-01");
    let micro = |id: &str| {
        catalog
            .price(id, None)
            .map(|it| it.cost_micro_usd(&usage(1_000_000, 0)))
    };
    assert_eq!(
        micro("eu.anthropic.claude-haiku-4-5-20251001-v1:0"),
        Some(1_100_000)
    );
    assert_eq!(micro("claude-haiku-4-5"), Some(1_000_000));
    assert_eq!(micro("claude-opus-5"), None);
    assert_eq!(micro("local"), Some(0));
    let seen = catalog
        .models(None)
        .filter(|it| it.names.iter().any(|name| name == "claude-opus-5"));
    assert_eq!(seen.count(), 1);
}

#[test]
fn a_batch_costs_its_share() {
    let price = Catalog::embedded()
        .price("claude-sonnet-5-5", None)
        .unwrap();
    let half = price.at_percent(50);
    let tokens = usage(1_000_000, 100_000);
    assert_eq!(
        half.cost_micro_usd(&tokens) * 2,
        price.cost_micro_usd(&tokens)
    );
}

#[test]
fn a_table_is_read_strictly_and_says_where() {
    let refused = |model: &str| {
        let text = format!(
            "{{\"unit\":\"USD per million tokens\",\"as_of\":\"2026-01-01\",\"models\":[\n{model}\n]}}"
        );
        Catalog::from_json(&text).unwrap_err()
    };
    for (model, words) in [
        (r#"{"names":[]}"#, "no names"),
        (r#"{"names":["m","m"]}"#, "`m` stands there twice"),
        (
            r#"{"names":["m"]},{"names":["m"]}"#,
            "`m` stands there twice",
        ),
        (
            r#"{"names":["m"],"info":{"context_tokens":0}}"#,
            "m: a number of tokens",
        ),
        (
            r#"{"names":["m"],"info":{"batch_percent":101}}"#,
            "m: `batch_percent`",
        ),
        (
            r#"{"names":["m"],"info":{"thinking":["auto"]}}"#,
            "`auto` is no way of thinking",
        ),
        (
            r#"{"names":["m"],"info":{"effort":"most"}}"#,
            "unknown variant `most`",
        ),
        (
            r#"{"names":["m"],"info":{"retires":"soon"}}"#,
            "`soon` is no day",
        ),
        (
            r#"{"names":["m"],"info":{"context":5}}"#,
            "unknown field `context`",
        ),
        (
            r#"{"names":["m"],"prices":[{"from":"2026-1-1","bands":[]}]}"#,
            "`2026-1-1` is no day",
        ),
    ] {
        let error = refused(model);
        assert!(error.contains(words), "{error}");
    }
    assert!(refused(r#"{"names":["m"],"info":{"context":5}}"#).contains("at line 2 column"));
}
