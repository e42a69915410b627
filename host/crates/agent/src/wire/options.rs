//! How a turn is wanted: what is the same for every provider, each of which says it in its own words.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a turn is wanted. Everything absent is left to the provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnOptions {
    /// Whether and which tools the model may ask for.
    pub tool_choice: ToolChoice,
    /// At most one tool a turn. Default no.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub one_tool_at_a_time: bool,
    /// Whether and how long the model thinks before it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// How much work the model puts into its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// The form of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<OutputFormat>,
    /// The model stops where it would write one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<String>,
    /// How words are chosen.
    #[serde(skip_serializing_if = "Sampling::is_default")]
    pub sampling: Sampling,
}

/// Whether and which tools the model may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// At least one.
    Any,
    /// None.
    None,
    /// This one.
    Tool(String),
}

/// Whether and how long a model thinks before it answers. Which of these a model knows is in the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thinking {
    /// As long as it finds right.
    Adaptive,
    /// At most so many tokens, which count towards the longest answer.
    Tokens(u32),
    /// Only between the calls of tools.
    BetweenTools,
    /// Not at all.
    Off,
}

/// How much work a model puts into an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// The least.
    Low,
    /// Less than usual.
    Medium,
    /// The usual.
    High,
    /// More than usual.
    Xhigh,
    /// The most.
    Max,
}

impl Effort {
    /// All, the least first.
    pub const ALL: [Self; 5] = [Self::Low, Self::Medium, Self::High, Self::Xhigh, Self::Max];

    /// The word for it, which is the same in every API that has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// An answer that is JSON of one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputFormat {
    /// A name for the shape: `[a-zA-Z0-9_-]`, at most 64 characters.
    pub name: String,
    /// JSON Schema of the answer.
    pub schema: Value,
}

/// How words are chosen. Many models take none of it: the Messages API refuses it since version 2026-10-21.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// From 0, nearly the same answer every time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Only the likeliest words that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Only so many of the likeliest words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// The same seed, request and model give the same answer where a server can do that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
}

impl Sampling {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
