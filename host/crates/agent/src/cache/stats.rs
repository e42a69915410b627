//! What a cache was good for.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Requests that were answered from what was kept.
    pub hits: u64,
    /// Requests that were answered with what an identical one got, which was under way at that moment.
    pub shared: u64,
    /// Requests that had to be sent.
    pub misses: u64,
    /// Answers that were kept.
    pub kept: u64,
    /// Answers of requests that were sent and were not kept: cut off, refused, too large, or with something in them that
    /// must not be stored.
    pub not_kept: u64,
    /// Requests that were sent without a look, since their answers are wanted anew.
    pub left_out: u64,
    /// How often the store failed.
    pub failures: u64,
    /// What the answers of hits and shared ones cost when they were asked for, in millionths of a US dollar.
    pub saved_micro_usd: u64,
    /// Hits and shared ones of which the cost is not known, so that it is not in the sum.
    pub unpriced: u64,
}

impl Counts {
    /// Every count with its name.
    pub fn fields(&self) -> [(&'static str, u64); 9] {
        [
            ("hits", self.hits),
            ("shared", self.shared),
            ("misses", self.misses),
            ("kept", self.kept),
            ("not_kept", self.not_kept),
            ("left_out", self.left_out),
            ("failures", self.failures),
            ("saved_micro_usd", self.saved_micro_usd),
            ("unpriced", self.unpriced),
        ]
    }

    /// From every count with its name; unknown names are skipped.
    pub(crate) fn of_fields<'a>(fields: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let mut counts = Self::default();
        for (name, value) in fields {
            if let Some(field) = counts.field(name) {
                *field = value;
            }
        }
        counts
    }

    fn field(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "hits" => &mut self.hits,
            "shared" => &mut self.shared,
            "misses" => &mut self.misses,
            "kept" => &mut self.kept,
            "not_kept" => &mut self.not_kept,
            "left_out" => &mut self.left_out,
            "failures" => &mut self.failures,
            "saved_micro_usd" => &mut self.saved_micro_usd,
            "unpriced" => &mut self.unpriced,
            _ => return None,
        })
    }

    /// Adds what somebody else counted.
    pub fn add(&mut self, other: &Self) {
        for (name, more) in other.fields() {
            if let Some(field) = self.field(name) {
                *field = field.saturating_add(more);
            }
        }
    }

    /// The share of requests that did not have to be sent, from 0 to 1; nothing where none was looked for.
    pub fn hit_rate(&self) -> Option<f64> {
        let found = self.hits.saturating_add(self.shared);
        let all = found.saturating_add(self.misses);
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
        let rate = found as f64 / all as f64;
        (all > 0).then_some(rate)
    }

    fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// What this process counted and no store has yet.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<(Counts, u32)>);

impl Pending {
    /// So many changes are held back at most. A process that is killed takes them with it.
    const MOST: u32 = 16;

    /// Counts, and says whether it is time to store.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) -> bool {
        let mut pending = self.lock();
        change(&mut pending.0);
        pending.1 = pending.1.saturating_add(1);
        pending.1 >= Self::MOST
    }

    /// Takes all that is to be stored, if anything.
    pub(crate) fn take(&self) -> Option<Counts> {
        let (counts, _) = std::mem::take(&mut *self.lock());
        (!counts.is_zero()).then_some(counts)
    }

    /// Puts back what could not be stored.
    pub(crate) fn put_back(&self, counts: &Counts) {
        self.lock().0.add(counts);
    }

    /// What is held back.
    pub(crate) fn held(&self) -> Counts {
        self.lock().0
    }

    fn lock(&self) -> MutexGuard<'_, (Counts, u32)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest file of counts that is read.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// How long another process may hold the file.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Adds counts to a file that several processes may add to, and gives the sum. With nothing to add it only reads. A file
/// that holds no counts begins anew: nothing depends on it.
pub(crate) fn add_to_file(path: &Path, more: &Counts) -> io::Result<Counts> {
    if more.is_zero() && !path.exists() {
        return Ok(Counts::default());
    }
    if let Some(dir) = path.parent() {
        private_dir(dir)?;
    }
    let mut file = private_file(path)?;
    lock(&file)?;
    let mut text = Vec::new();
    (&file).take(MAX_FILE_BYTES).read_to_end(&mut text)?;
    let mut counts: Counts = serde_json::from_slice(&text).unwrap_or_default();
    counts.add(more);
    let text = serde_json::to_vec(&counts)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&text)?;
    file.set_len(text.len() as u64)?;
    Ok(counts)
}

fn lock(file: &File) -> io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
    }
    let busy = "another process holds it";
    Err(io::Error::new(io::ErrorKind::WouldBlock, busy))
}

/// Creates a directory that only its owner may enter, with the parents it needs.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Opens or creates a file that only its owner may read, through no link.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    if let Ok(there) = path.symlink_metadata() {
        check_private(&there)?;
    }
    options.open(path)
}

/// What others can write to may hold answers of theirs, and what others can read is not kept to oneself.
fn check_private(there: &std::fs::Metadata) -> io::Result<()> {
    if !there.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(there) & 0o077 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others may read or write it",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
