//! The words for how a turn of a model is wanted, which are the same in a policy and on the command line.

use std::{fmt, str::FromStr};

use super::MAX_OUTPUT_TOKENS;

/// Whether and how long a model thinks before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelThinking {
    /// As long as it finds right.
    Adaptive,
    /// Not at all.
    Off,
    /// Only between the calls of tools.
    BetweenTools,
    /// At most so many tokens.
    Tokens(u32),
}

/// Whether and which tools a model may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelToolChoice {
    /// As it likes.
    Auto,
    /// At least one.
    Any,
    /// None.
    None,
    /// This one.
    Tool(String),
}

/// The words that may stand here.
impl FromStr for ModelThinking {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "adaptive" => Ok(Self::Adaptive),
            "off" => Ok(Self::Off),
            "between_tools" => Ok(Self::BetweenTools),
            number => match number.parse() {
                Ok(tokens @ 1..=MAX_OUTPUT_TOKENS) => Ok(Self::Tokens(tokens)),
                _ => Err("`adaptive`, `off`, `between_tools`"),
            },
        }
    }
}

impl fmt::Display for ModelThinking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adaptive => f.write_str("adaptive"),
            Self::Off => f.write_str("off"),
            Self::BetweenTools => f.write_str("between_tools"),
            Self::Tokens(tokens) => write!(f, "{tokens}"),
        }
    }
}

/// The words that may stand here.
impl FromStr for ModelToolChoice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "any" => Ok(Self::Any),
            "none" => Ok(Self::None),
            other => match other.strip_prefix("tool:") {
                Some(name) if !name.is_empty() => Ok(Self::Tool(name.to_owned())),
                _ => Err("`auto`, `any`, `none`"),
            },
        }
    }
}

impl fmt::Display for ModelToolChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Any => f.write_str("any"),
            Self::None => f.write_str("none"),
            Self::Tool(name) => write!(f, "tool:{name}"),
        }
    }
}
