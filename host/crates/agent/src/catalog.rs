//! The models there are: what they cost and how much they can read and write. This is data, since it changes without a
//! release of this crate.

mod date;
mod ids;
mod thinking;

use serde::{Deserialize, Serialize};

pub use self::{date::Date, thinking::ThinkingKinds};
use crate::wire::{CacheWrites, Effort, TokenUsage};

/// A table of models.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    unit: String,
    as_of: String,
    models: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    names: Vec<String>,
    #[serde(default)]
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
    /// How it can be told to think, as far as that is known. A server may know more of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<ThinkingKinds>,
    /// How much work it puts into an answer where nothing else is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// What a turn of a batch costs, in percent of its usual price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_percent: Option<u8>,
    /// When it is no longer answered for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires: Option<Date>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dated {
    #[serde(default)]
    from: Option<Date>,
    bands: Vec<Band>,
}

/// A model as the table has it.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogModel<'a> {
    /// Its ids.
    pub names: &'a [String],
    /// Its price on the day that was asked for, where it is known.
    pub price: Option<Price>,
    /// What else is known of it.
    pub info: ModelInfo,
}

/// What one model costs at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    bands: Vec<Band>,
}

/// What a turn costs whose prompt is of a certain length. Amounts are in US dollars per million tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// The longest prompt it is for, cached tokens included; absent for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_prompt_tokens: Option<u64>,
    /// Tokens of the prompt that the cache has no part in.
    pub input: f64,
    /// Tokens of the answer.
    pub output: f64,
    /// Tokens of the prompt that come out of the cache; absent for the price of input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<f64>,
    /// Tokens of the prompt that are written to the cache for five minutes; absent for 1.25 times the price of input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<f64>,
    /// The same for an hour; absent for twice the price of input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<f64>,
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
            as_of: String::new(),
            models: Vec::new(),
        }
    }

    /// Reads a table in the form of this crate's `models.json`. A price without `from` (a date, `YYYY-MM-DD`) holds
    /// since ever; a band without `up_to_prompt_tokens` has no upper end, and must be the last of its price. Absent
    /// cache prices follow the list's rule: a read costs as much as input, a write 1.25 times that (5 minutes) or
    /// twice that (an hour). A model without `prices` has an unknown price, which is not the same as none.
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
        let mut seen: Vec<&str> = Vec::new();
        for entry in &catalog.models {
            let names = entry.names.join(", ");
            if entry.names.is_empty() {
                return Err("a model has no names".into());
            }
            for name in &entry.names {
                if name.is_empty() || seen.contains(&name.as_str()) {
                    return Err(format!("the name `{name}` stands there twice, or is empty"));
                }
                seen.push(name);
            }
            entry
                .check()
                .map_err(|problem| format!("{names}: {problem}"))?;
        }
        Ok(catalog)
    }

    /// This table over another one: what it says of a model counts alone, and the other speaks of the rest.
    #[must_use]
    pub fn over(mut self, other: Self) -> Self {
        self.models.extend(other.models);
        self
    }

    /// The day that the table is of, `YYYY-MM-DD`; of several tables the uppermost one's.
    pub fn as_of(&self) -> &str {
        &self.as_of
    }

    /// Every model, each name once, with its price on a date as for [`price`](Self::price).
    pub fn models<'a>(&'a self, on: Option<&'a str>) -> impl Iterator<Item = CatalogModel<'a>> {
        self.models
            .iter()
            .enumerate()
            .filter_map(move |(at, entry)| {
                let above = self.models.get(..at).unwrap_or_default();
                let shadowed = |name: &String| above.iter().any(|it| it.names.contains(name));
                let hidden = entry.names.iter().all(shadowed);
                (!hidden).then(|| CatalogModel {
                    names: &entry.names,
                    price: entry.price(on),
                    info: entry.info,
                })
            })
    }

    /// The price of a model on a date (`YYYY-MM-DD`), or the newest one without a date. An id with a date at its end
    /// (`claude-haiku-4-5-20251001`) has the price of the id without it, and so have the ids that Amazon Bedrock
    /// (`eu.anthropic.claude-haiku-4-5-20251001-v1:0`) and Google Vertex AI (`claude-haiku-4-5@20251001`) have for the same
    /// model, unless the table has them too.
    pub fn price(&self, model: &str, on: Option<&str>) -> Option<Price> {
        self.entry(model)?.price(on)
    }

    /// What is known of a model besides its price; nothing for one that is not listed.
    pub fn info(&self, model: &str) -> ModelInfo {
        self.entry(model)
            .map(|entry| entry.info)
            .unwrap_or_default()
    }

    /// Whether the table has a model.
    pub fn knows(&self, model: &str) -> bool {
        self.entry(model).is_some()
    }

    fn entry(&self, model: &str) -> Option<&Entry> {
        let named = |name: &str| {
            self.models
                .iter()
                .find(|entry| entry.names.iter().any(|known| known == name))
        };
        ids::forms(model).into_iter().find_map(named)
    }
}

impl Entry {
    fn price(&self, on: Option<&str>) -> Option<Price> {
        self.prices
            .iter()
            .filter(|dated| match (&dated.from, on) {
                (Some(from), Some(on)) => from.to_string().as_str() <= on,
                _ => true,
            })
            .max_by_key(|dated| dated.from)
            .map(|dated| Price {
                bands: dated.bands.clone(),
            })
    }

    fn check(&self) -> Result<(), String> {
        let ModelInfo {
            context_tokens,
            output_tokens,
            cache_min_tokens,
            batch_percent,
            ..
        } = self.info;
        let sizes = [context_tokens, output_tokens, cache_min_tokens];
        let sound = |size: u64| (1..=1_000_000_000).contains(&size);
        if !sizes.into_iter().flatten().all(sound) {
            return Err("a number of tokens must be between 1 and 1000000000".into());
        }
        if batch_percent.is_some_and(|percent| percent > 100) {
            return Err("`batch_percent` must be between 0 and 100".into());
        }
        self.prices.iter().try_for_each(Dated::check)
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
    /// What it costs by the length of the prompt, the shortest first.
    pub fn bands(&self) -> &[Band] {
        &self.bands
    }

    /// The same price for turns that cost only a share of it, such as those of a batch.
    #[must_use]
    pub fn at_percent(&self, percent: u8) -> Self {
        let share = |amount: f64| amount * f64::from(percent) / 100.0;
        let bands = self.bands.iter().map(|band| Band {
            up_to_prompt_tokens: band.up_to_prompt_tokens,
            input: share(band.input),
            output: share(band.output),
            cache_read: band.cache_read.map(share),
            cache_write_5m: band.cache_write_5m.map(share),
            cache_write_1h: band.cache_write_1h.map(share),
        });
        Self {
            bands: bands.collect(),
        }
    }

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
