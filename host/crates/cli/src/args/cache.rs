//! Flags and verbs about kept answers of models.

use clap::{Args, Subcommand};

use super::PolicyOptions;
use crate::env;

/// Whether and where answers of models are kept.
#[derive(Debug, Default, Args)]
pub(crate) struct CacheOptions {
    /// Answer a request to a model as an identical one was answered before: `off`, `memory`, `disk`, or `redis://HOST` [default: `cache.store` of the policy, else off]
    #[arg(long, value_name = "STORE", env = env::CACHE, hide_env_values = true, help_heading = "Model")]
    pub(crate) cache: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheVerb {
    /// Say how often answers were found, what that saved, and what is kept
    Stats {
        #[command(flatten)]
        which: CacheWhich,
    },
    /// Remove every answer and every count
    Clear {
        #[command(flatten)]
        which: CacheWhich,
    },
    /// Say where answers are kept
    Path {
        #[command(flatten)]
        which: CacheWhich,
    },
}

/// Which store a verb is about.
#[derive(Debug, Args)]
pub(crate) struct CacheWhich {
    /// `memory`, `disk`, or `redis://HOST` [default: `cache.store` of the policy; without one, those of this machine]
    #[arg(long, value_name = "STORE", env = env::CACHE, hide_env_values = true)]
    pub(crate) cache: Option<String>,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
}
