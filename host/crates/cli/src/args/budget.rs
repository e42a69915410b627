//! What a run may spend, and what was spent.

use clap::{Args, Subcommand};

use super::PolicyOptions;

/// What a run may spend, and in whose name.
#[derive(Debug, Default, Args)]
pub(crate) struct BudgetOptions {
    /// End after this many turns of the model
    #[arg(long, value_name = "N", help_heading = "Budget")]
    pub(crate) max_turns: Option<u32>,
    /// End after this many tool calls
    #[arg(long, value_name = "N", help_heading = "Budget")]
    pub(crate) max_calls: Option<u32>,
    /// Spend at most this many tokens, read and written
    #[arg(long, value_name = "N", help_heading = "Budget")]
    pub(crate) max_tokens: Option<u64>,
    /// Spend at most this much, in US dollars
    #[arg(
        long,
        value_name = "USD",
        allow_negative_numbers = true,
        help_heading = "Budget"
    )]
    pub(crate) max_cost: Option<String>,
    /// End after this time, for example `10m`
    #[arg(long, value_name = "TIME", help_heading = "Budget")]
    pub(crate) max_time: Option<String>,
    /// The name whose budget `[budget.agent]` it comes out of [default: default]
    #[arg(long, value_name = "NAME", value_parser = name, help_heading = "Budget")]
    pub(crate) agent: Option<String>,
}

/// What to do with what was spent.
#[derive(Debug, Subcommand)]
pub(crate) enum BudgetVerb {
    /// Show what agents and tenants have spent, and what is left
    Show {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        policy: PolicyOptions,
    },
    /// Forget what an agent or a tenant has spent
    Reset {
        #[command(flatten)]
        whose: Whose,
        /// Forget it without being asked
        #[arg(long)]
        yes: bool,
    },
}

/// An agent or a tenant.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Whose {
    /// This agent
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) agent: Option<String>,
    /// This tenant; `default` is whoever uses the command line
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) tenant: Option<String>,
}

/// A name under which a budget is kept.
fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.@".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(fits) {
        return Err("a name has 1 to 64 letters, digits, `_`, `-`, `.` and `@`".to_owned());
    }
    Ok(text.to_owned())
}
