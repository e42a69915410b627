//! How a run ended.

use std::fmt;

use serde::{Deserialize, Serialize};
use toolcell::{ApprovalRequest, ErrorKind};

use crate::budget::Exceeded;

/// How a run ended. The model's last text is in [`RunReport::text`](crate::RunReport::text).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunOutcome {
    /// The model ended its turn.
    Finished,
    /// The last answer reached its maximum length and is cut off. Tool uses in it were not run.
    MaxTokens,
    /// The model declined.
    Refused {
        /// The provider's category, for example `cyber`.
        category: Option<String>,
        /// The provider's explanation.
        explanation: Option<String>,
    },
    /// The conversation no longer fits the model's context.
    ContextOverflow {
        /// What the server said.
        message: String,
    },
    /// A budget is used up, or has no room for what comes next.
    BudgetExceeded(Box<Exceeded>),
    /// The model asked for one identical call again and again.
    Repeated {
        /// The tool.
        tool: String,
        /// How often in a row.
        times: u32,
    },
    /// The model stopped for a reason that this version does not know, or for none.
    Stopped {
        /// The reason, as the server gave it.
        reason: Option<String>,
    },
    /// The model could not be asked, or answered what makes no sense. The run can be resumed.
    Failed {
        /// The stable code.
        code: ErrorKind,
        /// What happened.
        message: String,
    },
    /// Somebody stopped the run. It can be resumed.
    Cancelled,
    /// Calls wait for a person's consent, and nobody can give it now. The run can be resumed with the answers, from its
    /// transcript, in another process and on another machine too.
    Waiting {
        /// The questions, one for each call that waits.
        approvals: Vec<ApprovalRequest>,
    },
}

impl RunOutcome {
    /// The word for it, as `outcome` has it in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::MaxTokens => "max_tokens",
            Self::Refused { .. } => "refused",
            Self::ContextOverflow { .. } => "context_overflow",
            Self::BudgetExceeded { .. } => "budget_exceeded",
            Self::Repeated { .. } => "repeated",
            Self::Stopped { .. } => "stopped",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
            Self::Waiting { .. } => "waiting",
        }
    }

    /// The stable code of an outcome that is a failure; absent for the others. A run that waits is `unavailable`: what it
    /// relies on, a person, does not answer, and a later try may succeed.
    pub fn code(&self) -> Option<ErrorKind> {
        match self {
            Self::Finished => None,
            Self::MaxTokens | Self::ContextOverflow { .. } => Some(ErrorKind::LimitOutput),
            Self::BudgetExceeded(_) | Self::Repeated { .. } => Some(ErrorKind::BudgetExceeded),
            Self::Refused { .. } => Some(ErrorKind::Denied),
            Self::Stopped { .. } | Self::Waiting { .. } => Some(ErrorKind::Unavailable),
            Self::Failed { code, .. } => Some(*code),
            Self::Cancelled => Some(ErrorKind::Cancelled),
        }
    }
}

impl fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::MaxTokens => f.write_str("the answer was cut off at its maximum length"),
            Self::Refused {
                category,
                explanation,
            } => {
                f.write_str("the model declined")?;
                if let Some(category) = category {
                    write!(f, " ({category})")?;
                }
                explanation
                    .as_ref()
                    .map_or(Ok(()), |explanation| write!(f, ": {explanation}"))
            }
            Self::ContextOverflow { message } => {
                write!(
                    f,
                    "the conversation no longer fits the model's context: {message}"
                )
            }
            Self::BudgetExceeded(exceeded) => exceeded.fmt(f),
            Self::Repeated { tool, times } => {
                write!(
                    f,
                    "the model asked for the same call of {tool} {times} times in a row"
                )
            }
            Self::Stopped { reason } => match reason {
                Some(reason) => write!(f, "the model stopped for an unknown reason: {reason}"),
                None => f.write_str("the model stopped and gave no reason"),
            },
            Self::Failed { code, message } => write!(f, "{code}: {message}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Waiting { approvals } => match approvals.as_slice() {
                [one] => write!(f, "the run waits for a person's answer to {}", one.id),
                all => write!(
                    f,
                    "the run waits for a person's answers to {} questions",
                    all.len()
                ),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{BudgetKind, Period, Scope};

    fn used_up(budget: BudgetKind, limit: u64, spent: u64) -> Exceeded {
        Exceeded {
            scope: None,
            per: None,
            budget,
            limit,
            spent,
            reserved: 0,
            wanted: 0,
        }
    }

    #[test]
    fn a_turn_of_too_many_calls_is_not_told_as_calls_that_were_made() {
        let exceeded = |budget| RunOutcome::BudgetExceeded(Box::new(used_up(budget, 1, 2)));
        assert_eq!(
            exceeded(BudgetKind::Calls).to_string(),
            "the budget on calls is 1, and with those of its last turn the model asked for 2"
        );
        assert_eq!(
            exceeded(BudgetKind::Turns).to_string(),
            "the budget on turns is used up: 2 of 1"
        );
    }

    /// An outcome stands in one JSON object with what a run spent and said, so their names must differ.
    #[test]
    fn outcomes_share_an_object_with_the_report() {
        let outcomes = [
            RunOutcome::Finished,
            RunOutcome::MaxTokens,
            RunOutcome::Refused {
                category: Some("cyber".into()),
                explanation: Some("no".into()),
            },
            RunOutcome::ContextOverflow {
                message: "m".into(),
            },
            RunOutcome::BudgetExceeded(Box::new(used_up(BudgetKind::Cost, 1, 2))),
            RunOutcome::BudgetExceeded(Box::new(Exceeded {
                scope: Some(Scope::tenant("t")),
                per: Some(Period::Month),
                reserved: 3,
                wanted: 4,
                ..used_up(BudgetKind::Tokens, 1, 2)
            })),
            RunOutcome::Repeated {
                tool: "t".into(),
                times: 8,
            },
            RunOutcome::Stopped { reason: None },
            RunOutcome::Failed {
                code: ErrorKind::Unavailable,
                message: "m".into(),
            },
            RunOutcome::Cancelled,
            RunOutcome::Waiting {
                approvals: vec![crate::testing::approval("t1", "write")],
            },
        ];
        for outcome in outcomes {
            let alone = serde_json::to_value(&outcome).unwrap();
            assert_eq!(alone["outcome"], outcome.name());
            for taken in ["type", "text", "spent", "time_ms"] {
                assert!(alone.get(taken).is_none(), "{alone}");
            }
            assert_eq!(
                serde_json::from_value::<RunOutcome>(alone).unwrap(),
                outcome
            );
            assert_eq!(outcome.code().is_none(), outcome == RunOutcome::Finished);
            assert!(!outcome.to_string().is_empty());
        }
    }
}
