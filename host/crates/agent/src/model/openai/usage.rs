//! The tokens of a turn, as servers count them.

use serde_json::{Map, Value, json};

use crate::wire::TokenUsage;

/// A token has about so many bytes of text, halves counted as two.
const HALF_BYTES_PER_TOKEN: u64 = 7;

/// The server's counts in ours, which are disjoint: a cached token is no plain input.
pub(super) fn usage(counts: Map<String, Value>) -> TokenUsage {
    let number = |path: &str| {
        let mut at = None;
        for key in path.split('.') {
            at = match at {
                None => counts.get(key),
                Some(value) => Value::get(value, key),
            };
            at?;
        }
        at.and_then(Value::as_u64)
    };
    let prompt = number("prompt_tokens").unwrap_or(0);
    // OpenAI's place, then DeepSeek's, then Moonshot's.
    let read = number("prompt_tokens_details.cached_tokens")
        .or_else(|| number("prompt_cache_hit_tokens"))
        .or_else(|| number("cached_tokens"))
        .unwrap_or(0)
        .min(prompt);
    let written = number("prompt_tokens_details.cache_write_tokens")
        .unwrap_or(0)
        .min(prompt.saturating_sub(read));
    let mut output = number("completion_tokens").unwrap_or(0);
    let thinking = number("completion_tokens_details.reasoning_tokens");
    // Some leave the reasoning out of what was written, and only the total says so.
    let apart = output.saturating_add(thinking.unwrap_or(0));
    if number("total_tokens").is_some_and(|total| total == prompt.saturating_add(apart)) {
        output = apart;
    }
    let mut extra = counts;
    extra.remove("prompt_tokens");
    extra.remove("completion_tokens");
    if let Some(thinking) = thinking {
        let details = json!({ "thinking_tokens": thinking });
        extra.insert("output_tokens_details".to_owned(), details);
    }
    without_ours(&mut extra);
    TokenUsage {
        input_tokens: prompt.saturating_sub(read).saturating_sub(written),
        output_tokens: output,
        cache_creation_input_tokens: written,
        cache_read_input_tokens: read,
        cache_creation: None,
        extra,
    }
}

/// What a server's own fields must not be called, since ours are.
fn without_ours(extra: &mut Map<String, Value>) {
    for ours in [
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "cache_creation",
    ] {
        extra.remove(ours);
    }
}

/// About what a turn used, where the server does not say: budgets must hold with every server.
pub(super) fn estimated(prompt: u64, written: usize) -> TokenUsage {
    let written = u64::try_from(written).unwrap_or(u64::MAX);
    TokenUsage {
        input_tokens: prompt,
        output_tokens: written.saturating_mul(2).div_ceil(HALF_BYTES_PER_TOKEN),
        extra: Map::from_iter([("estimated".to_owned(), true.into())]),
        ..TokenUsage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(counts: Value) -> TokenUsage {
        usage(counts.as_object().unwrap().clone())
    }

    fn four(counts: Value) -> [u64; 4] {
        let usage = counted(counts);
        [
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_creation_input_tokens,
            usage.cache_read_input_tokens,
        ]
    }

    #[test]
    fn counts_are_disjoint() {
        let openai = json!({
            "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
            "prompt_tokens_details": { "cached_tokens": 60, "cache_write_tokens": 30, "audio_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 12 },
        });
        assert_eq!(four(openai.clone()), [10, 20, 30, 60]);
        let usage = counted(openai);
        assert_eq!((usage.prompt_tokens(), usage.total_tokens()), (100, 120));
        assert_eq!(usage.extra["output_tokens_details"]["thinking_tokens"], 12);
        assert_eq!(usage.extra["prompt_tokens_details"]["audio_tokens"], 0);
    }

    #[test]
    fn cached_tokens_stand_where_each_server_puts_them() {
        let deepseek = json!({ "prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5 });
        assert_eq!(four(deepseek), [5, 1, 0, 4]);
        let moonshot = json!({ "prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 3 });
        assert_eq!(four(moonshot), [6, 1, 0, 3]);
    }

    #[test]
    fn reasoning_left_out_of_the_answer_is_counted() {
        let apart = json!({
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45,
            "completion_tokens_details": { "reasoning_tokens": 30 },
        });
        assert_eq!(four(apart), [10, 35, 0, 0]);
    }

    #[test]
    fn nonsense_counts_for_nothing_or_little() {
        assert_eq!(four(json!({})), [0; 4]);
        assert_eq!(
            four(json!({ "prompt_tokens": -1, "completion_tokens": "x" })),
            [0; 4]
        );
        let more_than_all = json!({ "prompt_tokens": 5, "prompt_tokens_details": { "cached_tokens": 9, "cache_write_tokens": 9 } });
        assert_eq!(four(more_than_all), [0, 0, 0, 5]);
        assert!(counted(json!({ "input_tokens": 5 })).extra.is_empty());
    }

    #[test]
    fn an_estimate_is_marked() {
        let usage = estimated(100, 7);
        assert_eq!((usage.input_tokens, usage.output_tokens), (100, 2));
        assert_eq!(usage.extra["estimated"], true);
    }
}
