//! Whether the demo did what it shows.

use std::path::Path;

use serde::Serialize;
use toolcell::{
    Denial, ErrorKind,
    audit::{self, AuditRecord},
};
use toolcell_agent::{RunOutcome, RunReport};

use super::project::{SOUND, Scratch, WRONG};
use crate::timeline::Called;

/// Something that the demo promises.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) what: String,
    pub(super) passed: bool,
    /// Whether the demo fails without it.
    pub(super) required: bool,
    /// The rule that decided, for a refusal.
    pub(super) rule: Option<String>,
}

impl Check {
    fn new(what: &str, passed: bool) -> Self {
        Self {
            what: what.to_owned(),
            passed,
            required: true,
            rule: None,
        }
    }

    fn refusal(what: &str, denial: Option<&Denial>) -> Self {
        let mut check = Self::new(what, denial.is_some());
        check.rule = denial.map(|denial| denial.rule.clone());
        check
    }
}

/// Every promise.
pub(super) fn all(
    report: &RunReport,
    called: &[Called],
    scratch: &Scratch,
    audit: &Path,
) -> Vec<Check> {
    let fixed = Scratch::before(WRONG).replace("156.05", "165.05");
    let corrected = scratch.now(WRONG) == fixed && scratch.now(SOUND) == Scratch::before(SOUND);
    let calculated = called
        .iter()
        .any(|call| call.tool == "calc" && call.code.is_none());
    let file = denial(called, "files", "/etc/passwd");
    let request = denial(called, "net", "https://example.net/");
    vec![
        Check::new("the agent finished", report.outcome == RunOutcome::Finished),
        Check::new(
            "the wrong total was corrected, from 156.05 to 165.05, and nothing else changed",
            corrected,
        ),
        Check::new("the totals were calculated by a tool", calculated),
        Check::refusal("reading /etc/passwd was refused", file),
        Check::refusal("the request to https://example.net/ was refused", request),
        Check::new(
            "the audit log holds both refusals and is intact",
            recorded(audit, called),
        ),
    ]
}

/// The refusal of an access, in a call that the policy denied.
fn denial<'c>(called: &'c [Called], capability: &str, access: &str) -> Option<&'c Denial> {
    called
        .iter()
        .filter(|call| call.code == Some(ErrorKind::Denied))
        .flat_map(|call| &call.denials)
        .find(|denial| denial.capability == capability && denial.access.contains(access))
}

/// Whether the log was not changed and holds every refusal of the run, at its end.
fn recorded(path: &Path, called: &[Called]) -> bool {
    let intact = audit::verify_file(path).is_ok_and(|found| found.is_intact());
    let Ok(entries) = audit::read_file(path) else {
        return false;
    };
    let mut logged: Vec<Denial> = Vec::new();
    for entry in entries.flatten() {
        match entry.record {
            // What other commands logged before is not what this one did.
            AuditRecord::Session(_) => logged.clear(),
            AuditRecord::Call(call) => logged.extend(call.denials),
            AuditRecord::Workers(_) | AuditRecord::Decision(_) | AuditRecord::Recovered(_) => {}
        }
    }
    intact
        && called
            .iter()
            .flat_map(|call| &call.denials)
            .all(|denial| logged.contains(denial))
}
