//! Reading a log back: finding what was done to it, and its records.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    AuditError, AuditRecord,
    chain::{Hash, Head, Link},
    sink::{self, Access, Place, shown},
};

/// How many findings are kept. More are only counted.
const MAX_FINDINGS: usize = 100;
/// The longest line that is read, in bytes: far longer than any that is written.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// Something that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The number of the line in the file, from 1. What concerns the end of the log names the line after the last.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
}

/// What became of checking a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How many lines the log has.
    pub lines: u64,
    /// The hash of its last line that could be read; zeros for none.
    pub last: Hash,
    /// What is wrong, in the order of the lines; at most 100 are kept.
    pub findings: Vec<Finding>,
    /// How many findings there are in all.
    pub findings_total: u64,
}

impl Verification {
    /// Whether nothing was changed, removed, inserted or moved.
    pub fn is_intact(&self) -> bool {
        self.findings_total == 0
    }

    fn find(&mut self, line: u64, what: impl Into<String>) {
        self.findings_total += 1;
        if self.findings.len() < MAX_FINDINGS {
            let what = what.into();
            self.findings.push(Finding { line, what });
        }
    }
}

/// Checks the log at `path` against its head. Hosts may write to it meanwhile: it is checked up to the end that it
/// had at first.
///
/// # Errors
/// When either file cannot be opened or read.
pub fn verify_file(path: &Path) -> Result<Verification, AuditError> {
    let failed = |source| AuditError::Open {
        path: shown(path),
        source,
    };
    let (log, head) = open_end(path).map_err(failed)?;
    verify(BufReader::new(log), head).map_err(failed)
}

/// The log up to its present end, and its head where that can be read.
fn open_end(path: &Path) -> io::Result<(io::Take<File>, Option<Head>)> {
    let place = Place::new(path, Access::Read)?;
    let log = place.open_log()?;
    log.lock_shared()?;
    let head = match place.open_head() {
        Ok(head) => sink::read_head(&head)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let size = log.metadata()?.len();
    log.unlock()?;
    Ok((log.take(size), head))
}

/// Checks a log against its head, which is absent where it cannot be read.
///
/// # Errors
/// When `log` cannot be read.
pub fn verify(mut log: impl BufRead, head: Option<Head>) -> io::Result<Verification> {
    let mut found = Verification::default();
    let mut end = Head::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        log.by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        found.lines += 1;
        end = check_line(&mut found, end, &line);
    }
    found.last = end.hash;
    check_end(&mut found, &end, head);
    Ok(found)
}

/// Checks a line against the one before, whose end is `end`, and gives its own end. After a finding, the chain is
/// taken up again where the line says it is, so that one change does not accuse every line after it.
fn check_line(found: &mut Verification, end: Head, line: &[u8]) -> Head {
    let number = found.lines;
    let bytes = end.bytes + line.len() as u64;
    // A forged line may claim any number.
    let expected = end.count.saturating_add(1);
    let skipped = Head {
        count: expected,
        bytes,
        ..end
    };
    let Some(line) = line.strip_suffix(b"\n") else {
        found.find(number, "the line is not finished");
        return skipped;
    };
    let link = match Link::read(line) {
        Ok(link) => link,
        Err(what) => {
            found.find(number, what);
            return skipped;
        }
    };
    if link.seq > expected {
        let missing = missing(expected, link.seq - 1);
        found.find(number, format!("{missing} missing before this line"));
    } else if link.seq < expected {
        found.find(
            number,
            format!("record {} stands where {expected} belongs", link.seq),
        );
    } else if link.prev != end.hash && !found.accuses(number - 1) {
        found.find(number, "the line does not follow the one before it");
    }
    Head {
        count: link.seq,
        bytes,
        hash: link.hash,
    }
}

impl Verification {
    /// Whether a finding names this line already, which then explains why the next does not follow it.
    fn accuses(&self, line: u64) -> bool {
        self.findings.last().is_some_and(|last| last.line == line)
    }
}

/// The subject of a sentence about the records `from` to `to`.
fn missing(from: u64, to: u64) -> String {
    if from == to {
        format!("record {from} is")
    } else {
        format!("records {from} to {to} are")
    }
}

fn check_end(found: &mut Verification, end: &Head, head: Option<Head>) {
    let after = found.lines + 1;
    match head {
        None if found.lines == 0 => {}
        None => found.find(
            after,
            "the head file is missing or was changed, so lines may be missing here",
        ),
        Some(head) if head.count > end.count => found.find(
            after,
            format!("{} missing here", missing(end.count + 1, head.count)),
        ),
        Some(head) if head.count < end.count => found.find(
            found.lines,
            format!(
                "the head file ends at record {}: what follows was added by someone else, or by a writer that was stopped",
                head.count
            ),
        ),
        Some(head) if head.hash != end.hash || head.bytes != end.bytes => {
            if found.is_intact() {
                found.find(found.lines, "the last line is not the one that the head file names");
            }
        }
        Some(_) => {}
    }
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The number of the record, from 1.
    pub seq: u64,
    /// When it was written: RFC 3339, UTC, with microseconds.
    pub time: String,
    /// The hash of the line before it.
    pub prev: Hash,
    /// What it says.
    #[serde(flatten)]
    pub record: AuditRecord,
    /// The hash of the line.
    pub hash: Hash,
}

/// The records of the log at `path`, in order; a line that cannot be read is a finding. Nothing is verified.
///
/// # Errors
/// When the log cannot be opened.
pub fn read_file(
    path: &Path,
) -> Result<impl Iterator<Item = Result<Entry, Finding>> + use<>, AuditError> {
    let (log, _) = open_end(path).map_err(|source| AuditError::Open {
        path: shown(path),
        source,
    })?;
    Ok((1..)
        .zip(BufReader::new(log).split(b'\n'))
        .map(|(number, line)| {
            line.map_err(|error| error.to_string())
                .and_then(|line| serde_json::from_slice(&line).map_err(|error| error.to_string()))
                .map_err(|what| Finding { line: number, what })
        }))
}

#[cfg(test)]
mod tests;
