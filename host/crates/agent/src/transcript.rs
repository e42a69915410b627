//! A run on disk: JSON Lines, written as it happens, from which a killed run goes on.
//!
//! The order is what makes it safe: a turn is written before its tools run, a call before it begins, and its result
//! before the model hears of it. So after a kill it is known of each call whether it finished, may have begun, or
//! never did.

mod resume;
mod summary;

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use toolcell::{ApprovalId, ApprovalRequest, Denial, Redaction};

use crate::{
    context::{Compaction, ContextRules},
    machine::{Run, ToolOutput},
    outcome::RunOutcome,
    wire::{Reply, TokenUsage},
};

pub(crate) use resume::replay;
pub use summary::{Summary, Told, story, story_of, summary};

/// The form of the lines.
const FORMAT: u32 = 1;

/// No transcript longer than this is read.
const MAX_BYTES: u64 = 1 << 30;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Record {
    /// The first line: the run before its first turn.
    Header { format: u32, run: Box<Run> },
    /// A whole turn of the model.
    Reply { time_ms: u64, reply: Reply },
    /// A request of which no turn came about, and which is paid for all the same.
    Lost {
        time_ms: u64,
        usage: TokenUsage,
        cost_micro_usd: Option<u64>,
    },
    /// A call is about to begin.
    ToolStart {
        id: String,
        tool: String,
        input: Value,
    },
    /// A call ended, or was answered without being run.
    ToolResult {
        id: String,
        time_ms: u64,
        output: ToolOutput,
        #[serde(default)]
        wall_us: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        denials: Vec<Denial>,
    },
    /// Somebody is asked about a call, or is to be asked later: it has done nothing, and can be made again.
    Asked {
        id: String,
        approval: Box<ApprovalRequest>,
    },
    /// The question about a call has its answer: from here on it may have begun.
    Answered {
        id: String,
        approval: ApprovalId,
        allowed: bool,
    },
    /// Parts of the conversation gave way. A summary cost a turn, whose reply is here.
    Compaction {
        time_ms: u64,
        compaction: Compaction,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply: Option<Reply>,
    },
    /// A process takes the run up again: it asks this model from here on, and goes on under these rules.
    Resume {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<ContextRules>,
    },
    /// A process is done with the run.
    End {
        time_ms: u64,
        #[serde(flatten)]
        outcome: RunOutcome,
    },
}

/// A run's file, open for writing. Only one process at a time may hold it.
#[derive(Debug)]
pub struct Transcript {
    path: PathBuf,
    file: File,
    redaction: Redaction,
}

/// Why a transcript cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranscriptError {
    /// The file cannot be read or written.
    #[error("transcript {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process writes it.
    #[error("transcript {path} belongs to a run that is still going")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A line makes no sense. A last line that was cut off by a kill is none of these.
    #[error("transcript {path}, line {line}: {message}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

impl Transcript {
    /// Begins a new file that only its owner can read.
    ///
    /// # Errors
    /// [`TranscriptError::Io`], also when the file is already there.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, TranscriptError> {
        let path = path.into();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(file) => Self::of(path, file).locked(),
            Err(source) => Err(TranscriptError::Io { path, source }),
        }
    }

    fn of(path: PathBuf, file: File) -> Self {
        Self {
            path,
            file,
            redaction: Redaction::new(),
        }
    }

    /// One that can only be read, as if the disk were full.
    #[cfg(test)]
    pub(crate) fn unwritable(path: &Path) -> Self {
        Self::of(path.into(), File::open(path).unwrap())
    }

    /// The same, which writes none of these secrets. A run that goes on from it has `[secret NAME]` in their place.
    #[must_use]
    pub fn searching(mut self, redaction: &Redaction) -> Self {
        self.redaction = redaction.clone();
        self
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The questions that a run waits for, in the order in which they were asked.
    ///
    /// # Errors
    /// [`TranscriptError`] when the file cannot be read or holds no transcript.
    pub fn waiting(path: impl AsRef<Path>) -> Result<Vec<ApprovalRequest>, TranscriptError> {
        let path = path.as_ref();
        let resumed = replay(Self::read(path)?).map_err(|(line, message)| {
            let path = path.into();
            TranscriptError::Line {
                path,
                line,
                message,
            }
        })?;
        Ok(resumed.questions())
    }

    /// Every line of a file that another process may be writing.
    fn read(path: &Path) -> Result<Vec<Record>, TranscriptError> {
        let bytes = File::open(path)
            .and_then(|file| read(&file))
            .map_err(|source| TranscriptError::Io {
                path: path.into(),
                source,
            })?;
        Ok(parse(path, &bytes)?.records)
    }

    /// The model's turns as a script for [`Scripted`](crate::model::Scripted).
    ///
    /// # Errors
    /// [`TranscriptError`] when the file cannot be read or holds no transcript.
    pub fn to_script(path: impl AsRef<Path>) -> Result<String, TranscriptError> {
        let path = path.as_ref();
        let mut script = String::new();
        for record in Self::read(path)? {
            let reply = match record {
                Record::Reply { reply, .. } => Some(reply),
                Record::Compaction { reply, .. } => reply,
                _ => None,
            };
            if let Some(reply) = reply {
                let mut turn = json!({
                    "content": reply.content,
                    "stop_reason": reply.stop_reason,
                    "usage": reply.usage,
                });
                if let (Some(details), Some(turn)) = (reply.stop_details, turn.as_object_mut()) {
                    turn.insert("stop_details".into(), details);
                }
                script.push_str(&turn.to_string());
                script.push('\n');
            }
        }
        Ok(script)
    }

    /// Opens a file to go on with it, and reads what it holds. A last line that was cut off is removed.
    pub(crate) fn open(path: impl Into<PathBuf>) -> Result<(Self, Vec<Record>), TranscriptError> {
        let path = path.into();
        let mut transcript = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => Self::of(path, file).locked()?,
            Err(source) => return Err(TranscriptError::Io { path, source }),
        };
        let bytes = transcript.io(read(&transcript.file))?;
        let parsed = parse(&transcript.path, &bytes)?;
        let whole = u64::try_from(parsed.whole_bytes).unwrap_or(u64::MAX);
        let cut = transcript.file.set_len(whole);
        transcript.io(cut)?;
        let sought = transcript.file.seek(SeekFrom::End(0));
        transcript.io(sought)?;
        if parsed.unended {
            let ended = transcript.file.write_all(b"\n");
            transcript.io(ended)?;
        }
        Ok((transcript, parsed.records))
    }

    pub(crate) fn begin(&mut self, run: &Run) -> Result<(), TranscriptError> {
        self.append(&Record::Header {
            format: FORMAT,
            run: Box::new(run.clone()),
        })
    }

    /// Adds a line. It is with the operating system when this returns, so a kill does not lose it.
    pub(crate) fn append(&mut self, record: &Record) -> Result<(), TranscriptError> {
        let written = self.line(record).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        self.io(written)
    }

    /// The record as it is written: without any secret, and so that it can be read again.
    fn line(&self, record: &Record) -> io::Result<Vec<u8>> {
        if self.redaction.is_empty() {
            return Ok(serde_json::to_vec(record)?);
        }
        let mut value = serde_json::to_value(record)?;
        if !self.redaction.json(&mut value) {
            return Ok(serde_json::to_vec(record)?);
        }
        let line = serde_json::to_vec(&value)?;
        if serde_json::from_slice::<Record>(&line).is_err() {
            let message = "a record is none any more without the secret that it holds";
            return Err(io::Error::other(message));
        }
        Ok(line)
    }

    fn locked(self) -> Result<Self, TranscriptError> {
        match self.file.try_lock() {
            // Whoever held it may have removed it.
            Ok(()) if self.io(self.file.metadata())?.nlink() == 0 => Err(TranscriptError::Io {
                path: self.path,
                source: io::ErrorKind::NotFound.into(),
            }),
            Ok(()) => Ok(self),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(TranscriptError::Locked { path: self.path })
            }
            Err(std::fs::TryLockError::Error(source)) => Err(TranscriptError::Io {
                path: self.path,
                source,
            }),
        }
    }

    fn io<T>(&self, result: io::Result<T>) -> Result<T, TranscriptError> {
        result.map_err(|source| TranscriptError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

struct Parsed {
    records: Vec<Record>,
    /// The length of all whole lines.
    whole_bytes: usize,
    /// Whether the last line is whole and lacks its end.
    unended: bool,
}

fn read(mut file: &File) -> io::Result<Vec<u8>> {
    if file.metadata()?.len() > MAX_BYTES {
        let message = format!("it is longer than {MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads lines. Only the last one may be cut off.
fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed, TranscriptError> {
    let mut parsed = Parsed {
        records: Vec::new(),
        whole_bytes: 0,
        unended: false,
    };
    let wrong = |line, message| TranscriptError::Line {
        path: path.into(),
        line,
        message,
    };
    for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        let ended = line.ends_with(b"\n");
        match serde_json::from_slice(line) {
            Ok(record) => parsed.records.push(record),
            Err(_) if !ended => break,
            Err(error) => return Err(wrong(number, error.to_string())),
        }
        parsed.whole_bytes += line.len();
        parsed.unended = !ended;
    }
    match parsed.records.first() {
        Some(Record::Header { format: FORMAT, .. }) => Ok(parsed),
        Some(Record::Header { format, .. }) => Err(wrong(
            1,
            format!("its format is {format}; this version reads {FORMAT}"),
        )),
        _ => Err(wrong(1, "it does not begin with a header".into())),
    }
}

#[cfg(test)]
mod tests;
