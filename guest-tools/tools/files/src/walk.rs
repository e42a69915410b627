//! Going through a directory and all below it.

use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use crate::limits::WALK_ENTRIES;

/// Directories that programs fill. The descriptions of `list` and `search` name them, too.
const PASSED_OVER: [&str; 5] = [".git", ".venv", "__pycache__", "node_modules", "target"];

/// One thing that was found.
pub(crate) struct Entry {
    /// Where it is, beginning with the path of the walk.
    pub(crate) path: PathBuf,
    /// What it is. A link is a link, wherever it leads.
    pub(crate) kind: FileType,
}

impl Entry {
    /// The path below `root`, with slashes.
    pub(crate) fn below(&self, root: &Path) -> String {
        self.path
            .strip_prefix(root)
            .unwrap_or(&self.path)
            .to_string_lossy()
            .into_owned()
    }
}

/// The entries of one directory, sorted by name.
pub(crate) fn entries(directory: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        entries.push(Entry {
            path: entry.path(),
            kind: entry.file_type()?,
        });
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// Everything that is no directory, at any depth below one, sorted within each directory.
///
/// Links are not followed, so the walk cannot leave its root or run in circles. Directories that
/// programs fill are passed over, unless the walk starts there: they are large, and what somebody
/// looks for is elsewhere.
pub(crate) struct Walk {
    waiting: Vec<Entry>,
    seen: usize,
    /// How many directories could not be listed.
    pub(crate) unreadable: usize,
}

impl Walk {
    /// Starts below `root`, which must be a directory that can be listed.
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        let mut walk = Self {
            waiting: Vec::new(),
            seen: 0,
            unreadable: 0,
        };
        walk.queue(entries(root)?);
        Ok(walk)
    }

    /// Whether the walk ended at [`WALK_ENTRIES`] and not because it saw everything.
    pub(crate) fn stopped_early(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Puts entries on the stack so that the first comes off first.
    fn queue(&mut self, entries: Vec<Entry>) {
        let wanted = |entry: &Entry| {
            !(entry.kind.is_dir() && PASSED_OVER.iter().any(|name| entry.path.ends_with(name)))
        };
        self.waiting
            .extend(entries.into_iter().filter(wanted).rev());
    }
}

impl Iterator for Walk {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        while self.seen < WALK_ENTRIES {
            let entry = self.waiting.pop()?;
            self.seen += 1;
            if !entry.kind.is_dir() {
                return Some(entry);
            }
            match entries(&entry.path) {
                Ok(entries) => self.queue(entries),
                Err(_) => self.unreadable += 1,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Walk;
    use std::fs;

    #[test]
    fn files_come_sorted_without_links_and_what_programs_fill() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["b/c", ".git", "loop", "b/target"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        for file in ["z", "b/y", "b/c/x", ".git/config", "b/target/o", "a"] {
            fs::write(root.path().join(file), "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(root.path(), root.path().join("loop/up")).unwrap();

        let walk = Walk::new(root.path()).unwrap();
        let found: Vec<_> = walk.map(|entry| entry.below(root.path())).collect();
        assert_eq!(found, ["a", "b/c/x", "b/y", "loop/up", "z"]);
        let target = root.path().join("b/target");
        assert_eq!(
            Walk::new(&target).unwrap().count(),
            1,
            "it can be named all the same"
        );
    }
}
