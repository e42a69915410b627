//! Many tasks at once.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::{
    BudgetOptions, CacheOptions, CareOptions, ModelOptions, PolicyOptions, TelemetryOptions,
    WorkerOptions,
};
use crate::env;

/// How tasks are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// Through the provider's API for batches where that is certain to work, else one by one
    Auto,
    /// Through the provider's API for batches: one turn each, without tools, at half the price
    Batch,
    /// One run for each, several at a time
    Direct,
}

#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// Tasks, one JSON object a line: {"id", "task", "system"?, "model"?, "max_tokens"?}
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present_any = ["resume", "give_up"], conflicts_with_all = ["resume", "give_up"])]
    pub(crate) tasks: Option<PathBuf>,
    /// Where the answers go; tasks that have one there are left out [default: FILE with `.answers.jsonl`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["resume", "give_up"])]
    pub(crate) out: Option<PathBuf>,
    /// Go on with a batch
    #[arg(long, value_name = "ID", conflicts_with = "give_up")]
    pub(crate) resume: Option<String>,
    /// Have the provider give up what is with it
    #[arg(long, value_name = "ID")]
    pub(crate) give_up: Option<String>,
    /// Try tasks again that ended without an answer
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// How tasks are sent: auto, batch or direct [default: auto]
    #[arg(long, value_name = "HOW", hide_possible_values = true, conflicts_with_all = ["resume", "give_up"])]
    pub(crate) via: Option<Via>,
    /// Offer no tools, whatever the policy grants
    #[arg(long, conflicts_with_all = ["resume", "give_up"])]
    pub(crate) no_tools: bool,
    /// How many runs at a time, where they are sent one by one
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: u16,
    /// `PROVIDER:MODEL` of tasks that name none [default: that of the policy, else anthropic:claude-sonnet-5-5]
    #[arg(long, value_name = "MODEL", env = env::MODEL, hide_env_values = true)]
    pub(crate) model: Option<String>,
    /// What the model is told before tasks that bring no such word
    #[arg(long, value_name = "TEXT|@FILE", conflicts_with_all = ["resume", "give_up"])]
    pub(crate) system: Option<String>,
    #[command(flatten)]
    pub(crate) turns: ModelOptions,
    #[command(flatten)]
    pub(crate) care: CareOptions,
    #[command(flatten)]
    pub(crate) cache: CacheOptions,
    #[command(flatten)]
    pub(crate) budget: BudgetOptions,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
    #[command(flatten)]
    pub(crate) workers: WorkerOptions,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryOptions,
}
