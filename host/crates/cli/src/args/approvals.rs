//! Flags about questions that a person answers.

use clap::{Args, Subcommand};

#[derive(Debug, Default, Args)]
pub(crate) struct ApprovalOptions {
    /// Stop where nobody answers a question, so that the run goes on later with the answer
    #[arg(long, help_heading = "Approval")]
    pub(crate) park: bool,
    /// Allow what the resumed run waits for, by the question's id; may be given several times
    #[arg(long, value_name = "ID", help_heading = "Approval")]
    pub(crate) approve: Vec<String>,
    /// Deny it
    #[arg(long, value_name = "ID", help_heading = "Approval")]
    pub(crate) deny: Vec<String>,
    /// Allow everything that the resumed run waits for, apart from what is denied
    #[arg(long, conflicts_with = "approve", help_heading = "Approval")]
    pub(crate) approve_all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsVerb {
    /// List the answers that are remembered
    List,
    /// Forget remembered answers, so that the questions are asked again
    Forget {
        /// Which, as `list` names them
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// All of them
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
}
