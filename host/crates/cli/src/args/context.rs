//! Flags about what the model is told, and how much of it.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// What the model is told, and how much of it. Each comes before what `[context]` of the policy says.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ContextOptions {
    /// Files below this directory that the model knows from the start, for example `docs/*.md`; may be given several times
    #[arg(long, value_name = "PATTERN", help_heading = "Context")]
    pub(crate) knowledge: Vec<String>,
    /// Directory that the model reads and writes as its memory, with the tool `memory`; it is made where it is missing
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Context")]
    pub(crate) memory: Option<PathBuf>,
    /// Share of the model's context from which on older parts give way [default: 0.8]
    #[arg(long, value_name = "SHARE", help_heading = "Context")]
    pub(crate) compact_at: Option<f64>,
    /// How many of the newest turns stay whole then [default: 4]
    #[arg(long, value_name = "N", help_heading = "Context")]
    pub(crate) keep_turns: Option<usize>,
    /// How many tokens of a tool's answer the model gets at once [default: 16000]
    #[arg(long, value_name = "N", help_heading = "Context")]
    pub(crate) result_tokens: Option<u64>,
    /// How many tokens the model's context has [default: what the catalog says, else 200000]
    #[arg(long, value_name = "N", help_heading = "Context")]
    pub(crate) window: Option<u64>,
    /// How long the model's server keeps the beginning of prompts [default: 5m]
    #[arg(
        long,
        value_name = "off|5m|1h",
        hide_possible_values = true,
        help_heading = "Context"
    )]
    pub(crate) cache_ttl: Option<CacheTime>,
}

/// How long servers keep the beginning of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CacheTime {
    /// Not at all
    Off,
    /// Five minutes
    #[value(name = "5m")]
    Minutes5,
    /// An hour
    #[value(name = "1h")]
    Hour,
}
