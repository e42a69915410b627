//! What is kept of runs, and what goes: the transcripts in the state directory, and the archive.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use toolcell_agent::transcript::{Summary, summary};
use toolcell_policy::{Retention, RetentionSettings};

use crate::{
    archive::{self, Archive},
    dirs::Dirs,
    failure::Failure,
};

/// Something that is kept, with what decides whether it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) id: String,
    /// A file, or the directory of an archived run.
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) changed: SystemTime,
}

/// The runs in the state directory, the newest first. What is no transcript by its name is none.
pub(crate) fn runs(dirs: &Dirs) -> Result<Vec<Kept>, Failure> {
    let dir = dirs.runs();
    let failed = |error: &io::Error| Failure::io("list the runs in", &dir, error);
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed(&error))?,
    };
    let mut runs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed(&error))?;
        let path = entry.path();
        let id = path.file_stem().and_then(|stem| stem.to_str());
        let is_run = path.extension().is_some_and(|it| it == "jsonl");
        // A run that ended this moment may be gone.
        if let (Some(id), true, Ok(there)) = (id, is_run, entry.metadata())
            && there.is_file()
            && is_id(id)
        {
            runs.push(Kept {
                id: id.to_owned(),
                bytes: there.len(),
                changed: there.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                path,
            });
        }
    }
    newest_first(&mut runs);
    Ok(runs)
}

pub(crate) fn newest_first(kept: &mut [Kept]) {
    kept.sort_by(|a, b| (b.changed, &b.id).cmp(&(a.changed, &a.id)));
}

/// Whether a word can be the id of a run, and so leads nowhere else.
pub(crate) fn is_id(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric())
}

/// The ones that no longer are to be kept, the oldest first. What is too old goes; then the oldest, until the rest fits.
pub(crate) fn expired(kept: &[Kept], rule: Retention, now: SystemTime) -> Vec<&Kept> {
    let age = |it: &Kept| now.duration_since(it.changed).unwrap_or(Duration::ZERO);
    let mut oldest: Vec<&Kept> = kept.iter().collect();
    oldest.sort_by(|a, b| (a.changed, &a.id).cmp(&(b.changed, &b.id)));
    let mut bytes: u64 = kept.iter().fold(0, |sum, it| sum.saturating_add(it.bytes));
    let mut gone = Vec::new();
    for it in oldest {
        let old = rule.age.is_some_and(|most| age(it) > most);
        let much = rule.size.is_some_and(|most| bytes > most);
        if !old && !much {
            break;
        }
        bytes = bytes.saturating_sub(it.bytes);
        gone.push(it);
    }
    gone
}

/// What came of pruning.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    /// What was removed, or would be.
    pub(crate) runs: Vec<Kept>,
    /// How many of them were packed before.
    pub(crate) packed: usize,
    /// Archived runs that were removed, or would be.
    pub(crate) archived: Vec<Kept>,
    /// Runs that would have gone, and are going on or wait for a person.
    pub(crate) held: Vec<Kept>,
    /// What could not be removed, and why.
    pub(crate) failed: Vec<(Kept, String)>,
}

/// How far pruning goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Whether anything is removed at all.
    pub(crate) dry_run: bool,
    /// How many runs are looked at.
    pub(crate) most: usize,
}

/// Removes what the rules no longer keep. Runs are packed first where there is an archive.
pub(crate) fn prune(
    dirs: &Dirs,
    settings: &RetentionSettings,
    archive: Option<&Archive<'_>>,
    reach: Reach,
    now: SystemTime,
) -> Result<Pruned, Failure> {
    let mut pruned = Pruned::default();
    let all = runs(dirs)?;
    for run in expired(&all, settings.runs, now)
        .into_iter()
        .take(reach.most)
    {
        match remove_run(run, archive, reach.dry_run) {
            Ok(Removed::Held) => pruned.held.push(run.clone()),
            Ok(Removed::Gone { packed }) => {
                pruned.packed += usize::from(packed);
                pruned.runs.push(run.clone());
            }
            Err(failure) => pruned.failed.push((run.clone(), failure.message)),
        }
    }
    if let Some(archive) = archive {
        let all = archive::list(&archive.dir)?;
        for old in expired(&all, settings.archive, now)
            .into_iter()
            .take(reach.most)
        {
            let gone = match reach.dry_run {
                true => Ok(()),
                false => fs::remove_dir_all(&old.path),
            };
            match gone {
                Ok(()) => pruned.archived.push(old.clone()),
                Err(error) => pruned.failed.push((old.clone(), error.to_string())),
            }
        }
    }
    Ok(pruned)
}

enum Removed {
    /// It is going on, or waits for a person.
    Held,
    Gone {
        packed: bool,
    },
}

/// Removes a run while nobody can go on with it.
fn remove_run(
    run: &Kept,
    archive: Option<&Archive<'_>>,
    dry_run: bool,
) -> Result<Removed, Failure> {
    let Some((_held, short)) = hold(&run.path)? else {
        return Ok(Removed::Held);
    };
    // What is no transcript is nobody's run, and goes by its age like one.
    if short.as_ref().is_some_and(|short| !short.is_over()) {
        return Ok(Removed::Held);
    }
    if dry_run {
        return Ok(Removed::Gone {
            packed: archive.is_some() && short.is_some(),
        });
    }
    let mut packed = false;
    if let (Some(archive), Some(short)) = (archive, &short) {
        archive.pack(run, short)?;
        packed = true;
    }
    fs::remove_file(&run.path).map_err(|error| Failure::io("remove", &run.path, &error))?;
    Ok(Removed::Gone { packed })
}

/// A run that nobody can go on with until the file is dropped, and what it says in short; nothing where somebody is at it.
pub(crate) fn hold(path: &Path) -> Result<Option<(File, Option<Summary>)>, Failure> {
    let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
    // It is read before it is held, since the look would find its own lock.
    let short = summary(path).ok();
    match file.try_lock() {
        Ok(()) => Ok(Some((file, short))),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(Failure::io("lock", path, &error)),
    }
}

#[cfg(test)]
mod tests;
