//! How a run uses the model's context.

use serde::{Deserialize, Serialize};

use crate::wire::CacheTtl;

/// The context of a model that the catalog does not know, in tokens.
pub const DEFAULT_WINDOW: u64 = 200_000;

/// The shortest prefix that the prompt cache of a model keeps that the catalog does not know, in tokens.
pub const DEFAULT_CACHE_MIN_TOKENS: u64 = 1024;

/// How a run uses the model's context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextRules {
    /// The model's context in tokens, prompt and answer together. Default what the catalog says of the model, else
    /// [`DEFAULT_WINDOW`].
    pub window: Option<u64>,
    /// From which share of the window on older parts of the conversation give way. Between 0 and 1. Default 0.8.
    pub compact_at: f64,
    /// How many of the newest turns stay whole then. Where they alone fill the context, fewer do. At least 1. Default 4.
    pub keep_turns: usize,
    /// How many tokens of a tool's result the model gets at once. At least 1,000. Default 16,000.
    pub result_tokens: u64,
    /// For how long the server shall keep the prompt's beginning in its cache; nothing is kept without. Only for models
    /// of the Messages API. Default five minutes.
    pub cache: Option<CacheTtl>,
    /// The shortest prefix that the server's cache keeps, in tokens. Default what the catalog says of the model, else
    /// [`DEFAULT_CACHE_MIN_TOKENS`].
    pub cache_min_tokens: Option<u64>,
    /// The name under which the model reads on in results that were cut. It is set by the agent to one that no tool has.
    pub reader: Option<String>,
}

impl Default for ContextRules {
    fn default() -> Self {
        Self {
            window: None,
            compact_at: 0.8,
            keep_turns: 4,
            result_tokens: 16_000,
            cache: Some(CacheTtl::Minutes5),
            cache_min_tokens: None,
            reader: None,
        }
    }
}

impl ContextRules {
    /// What is wrong with these rules, if anything.
    ///
    /// # Errors
    /// The rule that cannot be, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        if !(self.compact_at > 0.0 && self.compact_at <= 1.0) {
            return Err("compact_at must be above 0 and at most 1".into());
        }
        if self.keep_turns == 0 {
            return Err("keep_turns must be at least 1".into());
        }
        if self.result_tokens < 1_000 {
            return Err("result_tokens must be at least 1000".into());
        }
        if self.window.is_some_and(|window| window < 1_000) {
            return Err("window must be at least 1000 tokens".into());
        }
        Ok(())
    }

    /// The model's context in tokens.
    pub fn window(&self) -> u64 {
        self.window.unwrap_or(DEFAULT_WINDOW)
    }

    /// The shortest prefix that the server's cache keeps, in tokens.
    pub(crate) fn cache_min_tokens(&self) -> u64 {
        self.cache_min_tokens.unwrap_or(DEFAULT_CACHE_MIN_TOKENS)
    }

    /// From how many tokens of a prompt on older parts give way: the share of the window, and never so much that the
    /// longest answer would not fit beside it.
    pub fn threshold(&self, max_tokens: u32) -> u64 {
        let window = self.window();
        let share = (window as f64 * self.compact_at) as u64;
        match window.saturating_sub(u64::from(max_tokens)) {
            // An answer that is allowed to fill the whole window says nothing about the prompt.
            0 => share,
            beside => share.min(beside),
        }
    }
}
