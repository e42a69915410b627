//! The models there are: what they cost and how much they can read and write. This is data, since it changes without a
//! release of this crate.

use serde::{Deserialize, Serialize};

use crate::wire::{CacheWrites, TokenUsage};

/// A table of models.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    unit: String,
    #[serde(rename = "as_of")]
    _as_of: String,
    models: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    names: Vec<String>,
    prices: Vec<Dated>,
    #[serde(default)]
    info: ModelInfo,
}

/// What is known of a model besides its price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelInfo {
    /// How many tokens prompt and answer may have together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// How many tokens an answer may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// The shortest prefix, in tokens, that the server's prompt cache keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_min_tokens: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dated {
    #[serde(default)]
    from: Option<String>,
    bands: Vec<Band>,
}

/// What one model costs at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    bands: Vec<Band>,
}

/// What a turn costs whose prompt is of a certain length. Amounts are in US dollars per million tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Band {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    up_to_prompt_tokens: Option<u64>,
    input: f64,
    output: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_read: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_write_5m: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_write_1h: Option<f64>,
}

const UNIT: &str = "USD per million tokens";

impl Catalog {
    /// The table that this version was built with.
    pub fn embedded() -> Self {
        // A test reads the same file, so an unreadable one never gets as far as this.
        Self::from_json(include_str!("../models.json")).unwrap_or_else(|_| Self::none())
    }

    /// A table without any model: every cost is unknown.
    pub fn none() -> Self {
        Self {
            unit: UNIT.into(),
            _as_of: String::new(),
            models: Vec::new(),
        }
    }

    /// Reads a table in the form of this crate's `models.json`. A price without `from` (a date, `YYYY-MM-DD`) holds
    /// since ever; a band without `up_to_prompt_tokens` has no upper end, and must be the last of its price. Absent
    /// cache prices follow the list's rule: a read costs as much as input, a write 1.25 times that (5 minutes) or
    /// twice that (an hour).
    ///
    /// # Errors
    /// Says what is wrong with the text, and where.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let catalog: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if catalog.unit != UNIT {
            return Err(format!(
                "unit is `{}`; only `{UNIT}` is known",
                catalog.unit
            ));
        }
        for (entry, dated) in catalog
            .models
            .iter()
            .flat_map(|entry| entry.prices.iter().map(move |dated| (entry, dated)))
        {
            dated
                .check()
                .map_err(|problem| format!("price of {}: {problem}", entry.names.join(", ")))?;
        }
        Ok(catalog)
    }

    /// The price of a model on a date (`YYYY-MM-DD`), or the newest one without a date. An id with a date at its end
    /// (`claude-haiku-4-5-20251001`) has the price of the id without it.
    pub fn price(&self, model: &str, on: Option<&str>) -> Option<Price> {
        self.entry(model)?
            .prices
            .iter()
            .filter(|dated| match (&dated.from, on) {
                (Some(from), Some(on)) => from.as_str() <= on,
                _ => true,
            })
            .max_by(|a, b| a.from.cmp(&b.from))
            .map(|dated| Price {
                bands: dated.bands.clone(),
            })
    }

    /// What is known of a model besides its price; nothing for one that is not listed.
    pub fn info(&self, model: &str) -> ModelInfo {
        self.entry(model)
            .map(|entry| entry.info)
            .unwrap_or_default()
    }

    fn entry(&self, model: &str) -> Option<&Entry> {
        let undated = model.rsplit_once('-').and_then(|(name, date)| {
            (date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
        });
        let named = |name: &str| {
            self.models
                .iter()
                .find(|entry| entry.names.iter().any(|known| known == name))
        };
        named(model).or_else(|| named(undated?))
    }
}

impl Dated {
    fn check(&self) -> Result<(), String> {
        let ends: Vec<Option<u64>> = self
            .bands
            .iter()
            .map(|band| band.up_to_prompt_tokens)
            .collect();
        let rising = ends
            .iter()
            .zip(ends.iter().skip(1))
            .all(|(a, b)| a.is_some_and(|a| b.is_none_or(|b| a < b)));
        if !rising || ends.last() != Some(&None) {
            return Err(
                "bands must rise, and only the last one has no `up_to_prompt_tokens`".into(),
            );
        }
        let amounts = self.bands.iter().flat_map(|band| {
            [
                Some(band.input),
                Some(band.output),
                band.cache_read,
                band.cache_write_5m,
                band.cache_write_1h,
            ]
        });
        if amounts
            .flatten()
            .any(|amount| !(0.0..=1e6).contains(&amount))
        {
            return Err("an amount must be between 0 and 1000000".into());
        }
        Ok(())
    }
}

impl Price {
    /// The price of what costs nothing, such as recorded turns.
    pub fn free() -> Self {
        Self {
            bands: vec![Band {
                up_to_prompt_tokens: None,
                input: 0.0,
                output: 0.0,
                cache_read: None,
                cache_write_5m: None,
                cache_write_1h: None,
            }],
        }
    }

    /// The most that a turn can cost, in millionths of a US dollar, rounded up: nothing of its prompt comes out of the
    /// cache, and where writing to the cache is dearer than reading the prompt, all of it is written there, for an hour
    /// or for five minutes.
    pub(crate) fn worst_micro_usd(&self, prompt: u64, output: u64, hour: bool) -> u64 {
        let plain = TokenUsage {
            input_tokens: prompt,
            output_tokens: output,
            ..TokenUsage::default()
        };
        let written = TokenUsage {
            input_tokens: 0,
            cache_creation_input_tokens: prompt,
            cache_creation: hour.then(|| CacheWrites {
                ephemeral_1h_input_tokens: prompt,
                ..CacheWrites::default()
            }),
            ..plain.clone()
        };
        let plain = self.cost_micro_usd(&plain);
        // A list without a price for writes is that of a server which does not take any.
        if self.writes(|band| band.cache_write_5m.or(band.cache_write_1h)) {
            plain.max(self.cost_micro_usd(&written))
        } else {
            plain
        }
    }

    /// Whether the list has a price of its own for such writes.
    fn writes(&self, price: impl Fn(&Band) -> Option<f64>) -> bool {
        self.bands.iter().any(|band| price(band).is_some())
    }

    /// What a turn cost, in millionths of a US dollar, rounded up.
    pub fn cost_micro_usd(&self, usage: &TokenUsage) -> u64 {
        let prompt = usage.prompt_tokens();
        let Some(band) = self
            .bands
            .iter()
            .find(|band| band.up_to_prompt_tokens.is_none_or(|most| prompt <= most))
        else {
            return 0;
        };
        // What is not said to be kept for an hour is kept for five minutes.
        let hour = usage
            .cache_creation
            .as_ref()
            .map_or(0, |writes| writes.ephemeral_1h_input_tokens)
            .min(usage.cache_creation_input_tokens);
        let minutes = usage.cache_creation_input_tokens - hour;
        let parts = [
            (usage.input_tokens, band.input),
            (usage.output_tokens, band.output),
            (
                usage.cache_read_input_tokens,
                band.cache_read.unwrap_or(band.input),
            ),
            (minutes, band.cache_write_5m.unwrap_or(band.input * 1.25)),
            (hour, band.cache_write_1h.unwrap_or(band.input * 2.0)),
        ];
        // Whole thousandths of a millionth, so that the sum is exact.
        let nano: u128 = parts
            .iter()
            .map(|(tokens, price)| u128::from(*tokens) * (price * 1000.0).round() as u128)
            .sum();
        u64::try_from(nano.div_ceil(1000)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
