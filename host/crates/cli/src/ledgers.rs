//! What agents and tenants have spent, kept in the state directory.

use toolcell::ErrorKind;
use toolcell_agent::ledger::LedgerError;

use crate::failure::Failure;

/// Why the ledger cannot be used, and what to do about it.
pub(crate) fn failed(error: &LedgerError) -> Failure {
    let reset =
        "look at the file; `toolcell budget reset` begins anew and keeps it beside the new one";
    match error {
        LedgerError::Exceeded(exceeded) => {
            Failure::new(ErrorKind::BudgetExceeded, exceeded.to_string())
        }
        LedgerError::Io { path, source } => Failure::io("use the ledger", path, source),
        LedgerError::Damaged { .. } => {
            Failure::new(ErrorKind::Unavailable, error.to_string()).help(reset)
        }
        LedgerError::Locked { .. } | LedgerError::Full { .. } => {
            Failure::new(ErrorKind::Busy, error.to_string()).help("try again later")
        }
        error => Failure::usage(error.to_string()),
    }
}
