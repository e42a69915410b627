//! The file of answers.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use toolcell::Redaction;

use super::{Answer, BatchError, ticket::private};

/// The file of answers, open for more. They are written as they come, and those that are there stay.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    file: File,
    redaction: Redaction,
    /// Whether each task that has a line has an answer. Of several lines of one task the last one counts.
    done: HashMap<String, bool>,
}

impl Results {
    /// Opens a file, and reads which tasks it has answers of. A last line that was cut off by a kill is removed. No answer
    /// holds what `redaction` knows.
    ///
    /// # Errors
    /// [`BatchError::Io`]; [`BatchError::Damaged`] for a file that holds something else, which is left as it is.
    pub fn open(path: impl Into<PathBuf>, redaction: &Redaction) -> Result<Self, BatchError> {
        let path = path.into();
        let failed = |source| BatchError::Io {
            path: path.clone(),
            source,
        };
        let mut options = private();
        options.read(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        let (done, whole) = read(&path, &file)?;
        file.set_len(whole).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self {
            path,
            file,
            redaction: redaction.clone(),
            done,
        })
    }

    /// Whether a task has its answer; nothing where there is no line of it.
    pub fn done(&self, id: &str) -> Option<bool> {
        self.done.get(id).copied()
    }

    /// How many tasks have an answer, and how many a line that says why there is none.
    pub fn count(&self) -> (usize, usize) {
        let answered = self.done.values().filter(|ok| **ok).count();
        (answered, self.done.len().saturating_sub(answered))
    }

    /// Forgets the tasks that have no answer, so that they are tried again, and says how many they are. Their lines stay.
    pub fn retry_failed(&mut self) -> usize {
        let before = self.done.len();
        self.done.retain(|_, ok| *ok);
        before.saturating_sub(self.done.len())
    }

    /// Adds an answer. It is with the operating system when this returns.
    ///
    /// # Errors
    /// [`BatchError::Io`].
    pub fn add(&mut self, answer: &Answer) -> Result<(), BatchError> {
        let line = self.line(answer);
        let written = line.and_then(|line| self.file.write_all(&line));
        written.map_err(|source| self.io(source))?;
        self.done.insert(answer.id.clone(), answer.ok);
        Ok(())
    }

    /// Has all of it on the disk.
    ///
    /// # Errors
    /// [`BatchError::Io`].
    pub fn sync(&self) -> Result<(), BatchError> {
        self.file.sync_all().map_err(|source| self.io(source))
    }

    fn line(&self, answer: &Answer) -> io::Result<Vec<u8>> {
        let mut value = serde_json::to_value(answer)?;
        if let Some(fields) = value.as_object_mut() {
            // The id is the operator's own, and what an answer is found by.
            for (_, field) in fields.iter_mut().filter(|(name, _)| *name != "id") {
                self.redaction.json(field);
            }
        }
        let mut line = serde_json::to_vec(&value)?;
        line.push(b'\n');
        Ok(line)
    }

    fn io(&self, source: io::Error) -> BatchError {
        BatchError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

/// Which tasks have a line, and how many bytes are whole lines.
fn read(path: &Path, file: &File) -> Result<(HashMap<String, bool>, u64), BatchError> {
    #[derive(serde::Deserialize)]
    struct Line {
        id: String,
        ok: bool,
    }
    let mut reader = BufReader::new(file);
    let (mut done, mut whole, mut number) = (HashMap::new(), 0_u64, 0_usize);
    let mut line = Vec::new();
    loop {
        line.clear();
        number = number.saturating_add(1);
        let read = reader.read_until(b'\n', &mut line);
        let length = read.map_err(|source| BatchError::Io {
            path: path.into(),
            source,
        })?;
        if !line.ends_with(b"\n") {
            return Ok((done, whole));
        }
        let parsed: Line = serde_json::from_slice(&line).map_err(|error| BatchError::Damaged {
            path: path.into(),
            why: format!("line {number} is no answer: {error}"),
        })?;
        done.insert(parsed.id, parsed.ok);
        whole = whole.saturating_add(length as u64);
    }
}
