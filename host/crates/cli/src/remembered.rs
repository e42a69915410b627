//! The answers that a person wanted to be remembered: a file in the state directory, which no policy and no repository can
//! write.
//!
//! An answer counts only for what it was given for, to the letter ([`RememberedFor::covers`]), and for a limited time. Only
//! a person's key makes one.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use toolcell::{ErrorKind, RememberedFor};

use crate::{
    dirs::{self, Dirs},
    failure::Failure,
    private::{self, Refused},
};

/// The form of the file.
const FORMAT: u32 = 1;
/// The most answers that are kept.
pub(crate) const MAX_ANSWERS: usize = 1_000;
/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RememberedAnswer {
    /// What it is for.
    #[serde(rename = "for")]
    pub(crate) what: RememberedFor,
    /// Whether it may happen.
    pub(crate) allow: bool,
    /// When it was given, in seconds since 1970.
    pub(crate) since: u64,
    /// When it is forgotten, in seconds since 1970.
    pub(crate) until: u64,
}

impl RememberedAnswer {
    /// Its name on the command line.
    pub(crate) fn id(&self) -> String {
        let text = serde_json::to_vec(&self.what).unwrap_or_default();
        let digest = Sha256::digest(&text);
        digest
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    answers: Vec<RememberedAnswer>,
}

/// The file. Others may write it at the same time.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    path: PathBuf,
    lock: PathBuf,
}

impl Remembered {
    pub(crate) fn of(dirs: &Dirs) -> Self {
        Self {
            path: dirs.state.join("approvals.json"),
            lock: dirs.state.join("approvals.lock"),
        }
    }

    /// Every answer that counts now. A file that is absent has none; one that is damaged, or that others could have
    /// written, is an error, and nothing is allowed by it.
    pub(crate) fn read(&self, now: SystemTime) -> Result<Vec<RememberedAnswer>, Failure> {
        let bytes = match private::read(&self.path, MAX_BYTES) {
            Ok((bytes, _)) => bytes,
            Err(Refused::Absent) => return Ok(Vec::new()),
            Err(refused) => {
                let (why, help) = refused.told(&self.path);
                let why = why.replacen("its file", "the file", 1);
                return Err(self.unusable(&why).help(help));
            }
        };
        let content: Content = serde_json::from_slice(&bytes).map_err(|error| {
            let help = "remove it; the questions are asked again then";
            self.unusable(&format!("it is damaged: {error}")).help(help)
        })?;
        if content.format != FORMAT {
            let why = format!(
                "its format is {}; this version reads {FORMAT}",
                content.format
            );
            return Err(self
                .unusable(&why)
                .help("remove it, or use the version that wrote it"));
        }
        let now = seconds(now);
        let mut answers = content.answers;
        // One from the future is none either: the clock was set back, or somebody else wrote it.
        answers.retain(|answer| answer.since <= now && now < answer.until);
        Ok(answers)
    }

    /// The answer to a question, if there is one. Of two the stricter counts.
    pub(crate) fn find(
        &self,
        what: &RememberedFor,
        now: SystemTime,
    ) -> Result<Option<bool>, Failure> {
        let answers = self.read(now)?;
        let mut found = answers.iter().filter(|answer| answer.what.covers(what));
        let first = found.next().map(|answer| answer.allow);
        Ok(first.map(|allow| allow && found.all(|answer| answer.allow)))
    }

    /// Keeps an answer in the place of any other one for the same.
    pub(crate) fn add(
        &self,
        what: &RememberedFor,
        allow: bool,
        now: SystemTime,
        time: Duration,
    ) -> Result<(), Failure> {
        let since = seconds(now);
        let answer = RememberedAnswer {
            what: what.clone(),
            allow,
            since,
            until: since.saturating_add(time.as_secs()),
        };
        self.change(now, |answers| {
            answers.retain(|other| !other.what.covers(what));
            if answers.len() >= MAX_ANSWERS {
                let message = format!("{MAX_ANSWERS} answers are remembered, and no more can be");
                return Err(Failure::new(ErrorKind::BudgetExceeded, message)
                    .help("forget some with `toolcell approvals forget`"));
            }
            answers.push(answer);
            Ok(())
        })
    }

    /// Changes the list while nobody else does.
    pub(crate) fn change<T>(
        &self,
        now: SystemTime,
        change: impl FnOnce(&mut Vec<RememberedAnswer>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _held = self.lock()?;
        let mut answers = self.read(now)?;
        let before = answers.clone();
        let came = change(&mut answers)?;
        if answers != before || !self.path.exists() {
            let content = Content {
                format: FORMAT,
                answers,
            };
            let text = serde_json::to_vec_pretty(&content)
                .map_err(|error| Failure::new(ErrorKind::Internal, error.to_string()))?;
            dirs::write_private(&self.path, &text)?;
        }
        Ok(came)
    }

    /// A file of its own is locked: the list itself is replaced as a whole.
    fn lock(&self) -> Result<File, Failure> {
        let failed = |error: &std::io::Error| Failure::io("lock", &self.lock, error);
        if let Some(dir) = self.lock.parent() {
            dirs::create_private(dir)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&self.lock)
            .map_err(|error| failed(&error))?;
        file.lock().map_err(|error| failed(&error))?;
        Ok(file)
    }

    fn unusable(&self, why: &str) -> Failure {
        let path = self.path.display();
        let message = format!("the list of remembered answers {path} cannot be used: {why}");
        Failure::new(ErrorKind::Untrusted, message)
    }
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
