//! `toolcell models`, and the flag that names a catalog.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::PolicyOptions;
use crate::env;

/// Which models are known.
#[derive(Debug, Default, Args)]
pub(crate) struct CatalogOptions {
    /// A file with prices and sizes of models, over those that toolcell knows
    #[arg(long, value_name = "FILE", env = env::CATALOG, hide_env_values = true, value_hint = ValueHint::FilePath, help_heading = "Model")]
    pub(crate) catalog: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsVerb {
    /// List the models that are known, and the providers with where their keys are
    List {
        /// Also ask the servers which models they offer
        #[arg(long)]
        online: bool,
        #[command(flatten)]
        catalog: CatalogOptions,
        #[command(flatten)]
        policy: PolicyOptions,
    },
    /// Ask models for a word each, and say what is wrong
    Check {
        /// Models, such as `anthropic:claude-sonnet-5-5` [default: that of `toolcell run`]
        #[arg(value_name = "PROVIDER:MODEL")]
        models: Vec<String>,
        #[command(flatten)]
        policy: PolicyOptions,
    },
}
