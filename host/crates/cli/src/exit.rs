//! Exit statuses. They are part of the contract with scripts: they only grow, and none changes its meaning.

use toolcell::ErrorKind;

/// Everything went well.
pub(crate) const OK: u8 = 0;
/// The tool answered with an error, or a check failed, or something the call relies on does not answer.
pub(crate) const FAILED: u8 = 1;
/// The command line, an input, a policy, a manifest or a component is not valid.
pub(crate) const INVALID: u8 = 2;
/// Denied by the policy or by a person.
pub(crate) const DENIED: u8 = 3;
/// A limit was hit, or a budget is used up.
pub(crate) const LIMIT: u8 = 4;
/// The tool trapped.
pub(crate) const TRAPPED: u8 = 5;
/// The run waits for a person's answer, and goes on with `run --resume`. It is the status that says to try again later.
pub(crate) const WAITING: u8 = 75;
/// toolcell itself failed.
pub(crate) const INTERNAL: u8 = 70;
/// Interrupted.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit status for an error of a kind.
pub(crate) fn status(kind: ErrorKind) -> u8 {
    use ErrorKind as E;
    match kind {
        E::InvalidOutput
        | E::AuthRequired
        | E::ToolError
        | E::Unavailable
        | E::Busy
        | E::DigestMismatch
        | E::SignatureInvalid => FAILED,
        E::UnknownTool
        | E::InvalidInput
        | E::InvalidPolicy
        | E::InvalidManifest
        | E::InvalidComponent
        | E::Untrusted => INVALID,
        E::Denied => DENIED,
        E::LimitTime
        | E::LimitCpu
        | E::LimitMemory
        | E::LimitOutput
        | E::LimitLog
        | E::LimitEgress
        | E::LimitFiles
        | E::BudgetExceeded => LIMIT,
        E::Trap => TRAPPED,
        E::Cancelled => INTERRUPTED,
        // `ErrorKind` may grow; a kind that is not placed here is our mistake, and the test below finds it.
        _ => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_internal_is_internal() {
        for kind in ErrorKind::ALL {
            let internal = *kind == ErrorKind::Internal;
            assert_eq!(status(*kind) == INTERNAL, internal, "{kind}");
        }
    }

    #[test]
    fn every_limit_is_a_limit() {
        for kind in ErrorKind::ALL {
            if kind.code().starts_with("limit_") {
                assert_eq!(status(*kind), LIMIT, "{kind}");
            }
        }
        assert_eq!(status(ErrorKind::Denied), DENIED);
        assert_eq!(status(ErrorKind::Trap), TRAPPED);
        assert_eq!(status(ErrorKind::Cancelled), INTERRUPTED);
    }
}
