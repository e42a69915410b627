//! How carefully models are asked.

use clap::Args;

/// How carefully the model is asked. The keys of `[model]` in the policy say the same.
#[derive(Debug, Default, Args)]
pub(crate) struct CareOptions {
    /// Ask this model where the first one cannot answer; may be given several times
    #[arg(long, value_name = "MODEL", help_heading = "Model")]
    pub(crate) fallback: Vec<String>,
    /// Send a failed request again this often [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=20), help_heading = "Model")]
    pub(crate) retries: Option<u32>,
    /// Wait this long at most where the server asks for a wait [default: 60s]
    #[arg(long, value_name = "TIME", help_heading = "Model")]
    pub(crate) longest_wait: Option<String>,
    /// Give an answer up that does not begin or go on for this long [default: 2m]
    #[arg(long, value_name = "TIME", help_heading = "Model")]
    pub(crate) idle_timeout: Option<String>,
    /// Give a turn up that takes longer than this [default: 10m]
    #[arg(long, value_name = "TIME", help_heading = "Model")]
    pub(crate) turn_timeout: Option<String>,
    /// Send this many requests a minute at most [default: what the server allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000), help_heading = "Model")]
    pub(crate) requests_per_minute: Option<u64>,
    /// Use this many tokens a minute at most [default: what the server allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000), help_heading = "Model")]
    pub(crate) tokens_per_minute: Option<u64>,
}
