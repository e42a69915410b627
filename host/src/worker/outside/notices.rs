//! What a worker tells while a call runs, checked and handed to the host's own record.

use std::time::Duration;

use toolcell_policy::GrantSet;

use crate::{
    CallEvent, Denial, ErrorKind,
    capability::{
        files,
        progress::{INTERVAL, ProgressState},
        recorder::{MAX_DENIALS, MAX_PATHS, Notice, Recorder, shown},
    },
    worker::wire::WireError,
};

use super::{MAX_MESSAGE_CHARS, line};

/// How many bytes one byte of a guest's log can become: `U+FFFD` for one that is no UTF-8.
const REPLACED: u64 = 3;

/// Applies the notices of one call. There can be no more of them than an honest worker has to tell.
pub(super) struct Notices {
    grants: GrantSet,
    recorder: Recorder,
    out_of_time: String,
    progress: ProgressState,
    left: u64,
    lines_left: u64,
    log_left: u64,
}

impl Notices {
    pub(super) fn new(grants: GrantSet, recorder: Recorder, out_of_time: String) -> Self {
        let limits = grants.limits();
        let reports = reports(limits.time);
        // What the guest left on its two streams without a newline is told after the last line.
        let lines_left = u64::from(limits.log_lines).saturating_add(2);
        let others = (MAX_DENIALS + MAX_PATHS + 2) as u64;
        Self {
            left: others.saturating_add(lines_left).saturating_add(reports),
            lines_left,
            log_left: limits.log.saturating_mul(REPLACED),
            progress: ProgressState::new(recorder.clone()),
            grants,
            recorder,
            out_of_time,
        }
    }

    /// Records a notice, or refuses one that an honest worker would not send.
    pub(super) fn apply(&mut self, notice: Notice) -> Result<(), WireError> {
        self.left = left(self.left, 1, "too many notices")?;
        match notice {
            Notice::Denied(denial) => self.recorder.deny(self.checked(denial)),
            Notice::Outside(path, used) => {
                files::deny_outside(&self.grants, &self.recorder, &path, used);
            }
            Notice::Touched(path, used) => self.recorder.touch(&path, used),
            Notice::Changes => self.recorder.changes(),
            Notice::Exceeded(kind, message) => self.exceeded(kind, &message)?,
            Notice::Log(level, message) => {
                self.lines_left = left(self.lines_left, 1, "too many lines of log")?;
                self.log_left = left(self.log_left, message.len() as u64, "too much log")?;
                if self.recorder.is_heard() {
                    self.recorder.emit(CallEvent::Log {
                        level: known_level(&level)?.to_owned(),
                        message,
                    });
                }
            }
            Notice::Progress(done, total, message) => self.progress.tell(done, total, message),
        }
        Ok(())
    }

    /// Passes on what was held back.
    pub(super) fn finish(&mut self) {
        self.progress.finish();
    }

    /// Files are all that a worker decides about.
    fn checked(&self, denial: Denial) -> Denial {
        let grants = self
            .grants
            .files()
            .iter()
            .map(|grant| grant.rule.to_string());
        let scratch = self.grants.scratch().map(|grant| grant.rule.to_string());
        let known = denial.rule.starts_with("default: ")
            || grants.chain(scratch).any(|rule| rule == denial.rule);
        Denial {
            capability: "files".to_owned(),
            rule: if known {
                shown(&denial.rule)
            } else {
                "default: refused by the tool's process".to_owned()
            },
            ..denial
        }
    }

    fn exceeded(&self, kind: ErrorKind, message: &str) -> Result<(), WireError> {
        let message = match kind {
            ErrorKind::LimitTime => self.out_of_time.clone(),
            ErrorKind::LimitCpu
            | ErrorKind::LimitMemory
            | ErrorKind::LimitOutput
            | ErrorKind::LimitLog
            | ErrorKind::LimitFiles
            | ErrorKind::Unavailable => line(message, MAX_MESSAGE_CHARS),
            _ => return Err(WireError::OutOfTurn("a limit that no worker holds")),
        };
        let _ = self.recorder.exceed(kind, message);
        Ok(())
    }
}

/// How many reports of progress there can be in a call.
fn reports(time: Duration) -> u64 {
    let whole = time.as_millis() / INTERVAL.as_millis().max(1);
    u64::try_from(whole).unwrap_or(u64::MAX).saturating_add(2)
}

fn left(left: u64, taken: u64, what: &'static str) -> Result<u64, WireError> {
    left.checked_sub(taken).ok_or(WireError::OutOfTurn(what))
}

fn known_level(level: &str) -> Result<&'static str, WireError> {
    const LEVELS: [&str; 7] = [
        "trace", "debug", "info", "warn", "error", "stdout", "stderr",
    ];
    LEVELS
        .into_iter()
        .find(|known| *known == level)
        .ok_or(WireError::OutOfTurn("a log line of no known level"))
}
