//! Verbs about runs that were kept.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::PolicyOptions;

#[derive(Debug, Subcommand)]
pub(crate) enum RunsVerb {
    /// List the runs that were kept, the newest first
    List {
        /// How many; 0 lists all
        #[arg(long, value_name = "N", default_value_t = 20)]
        last: usize,
        /// List the archived ones instead
        #[arg(long)]
        archived: bool,
        #[command(flatten)]
        policy: PolicyOptions,
    },
    /// Show what happened in a run, step by step; an archived one is checked against its digests
    Show {
        /// The id of the run
        id: String,
        #[command(flatten)]
        policy: PolicyOptions,
    },
    /// Pack runs that are over, each with the audit records of its calls and digests of both
    Archive(ArchiveArgs),
    /// Remove what `[retention]` no longer keeps: the oldest runs first, and never one that is going on
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ArchiveArgs {
    /// The ids of the runs
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) ids: Vec<String>,
    /// Every run that is over
    #[arg(long)]
    pub(crate) all: bool,
    /// Where to [default: `retention.archive.path` of the policy]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) to: Option<PathBuf>,
    /// Remove each run once its archive was read back and is right
    #[arg(long)]
    pub(crate) remove: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Keep runs for this time, for example `30d` [default: `retention.runs.age`]
    #[arg(long, value_name = "TIME")]
    pub(crate) age: Option<String>,
    /// Keep this much of them, for example `1GiB` [default: `retention.runs.size`]
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<String>,
    /// Only say what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
}
