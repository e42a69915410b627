//! Bounds how much the cache keeps: by age and by size, what was used least recently goes first.

use std::{
    io,
    time::{Duration, SystemTime},
};

use cap_std::fs::{Dir, File, MetadataExt};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};

use crate::engine::limits;

/// How the files of compiled components end.
pub(super) const EXTENSION: &str = ".cwasm";

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// All entries together.
    pub(super) bytes: u64,
    /// Since an entry was last used.
    pub(super) age: Duration,
}

impl Bounds {
    pub(super) const DEFAULT: Self = Self {
        bytes: limits::CACHE_BYTES,
        age: limits::CACHE_AGE,
    };
}

/// After this time nobody writes any more to a file that has only its first name.
const ABANDONED: Duration = Duration::from_secs(3_600);

/// One file of the cache.
struct Entry {
    name: String,
    used: SystemTime,
    bytes: u64,
}

/// Notes that an entry was used. Nothing depends on it but what goes first.
pub(super) fn touch(file: &File) {
    let at = |nanoseconds| Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: at(UTIME_OMIT),
        last_modification: at(UTIME_NOW),
    };
    if let Err(error) = futimens(file, &times) {
        tracing::debug!(%error, "the use of a cache entry cannot be noted");
    }
}

/// Removes what is beyond the bounds, but not the entry that was just written, whose time is taken for the present: the
/// clock of the file system is the one that the others were written by.
pub(super) fn prune(dir: &Dir, written: &str, bounds: Bounds) -> io::Result<()> {
    let mut entries = entries(dir)?;
    let Some(now) = entries
        .iter()
        .find(|entry| entry.name == written)
        .map(|entry| entry.used)
    else {
        // Somebody else has removed it already.
        return Ok(());
    };
    // The most recently used first.
    entries.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.name.cmp(&b.name)));
    let mut kept = 0_u64;
    for entry in entries {
        let age = now.duration_since(entry.used).unwrap_or_default();
        let keep = if entry.name.ends_with(EXTENSION) {
            let fits = kept.saturating_add(entry.bytes) <= bounds.bytes;
            entry.name == written || (fits && age <= bounds.age)
        } else {
            age <= ABANDONED
        };
        if keep {
            kept = kept.saturating_add(entry.bytes);
        } else {
            remove(dir, &entry.name)?;
        }
    }
    Ok(())
}

/// Another process may tidy up at the same time.
fn remove(dir: &Dir, name: &str) -> io::Result<()> {
    match dir.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Every file that the cache has written. What has another name is not the cache's, and is left alone.
fn entries(dir: &Dir) -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in dir.entries()? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let unfinished = name.ends_with(".new") || name.starts_with("probe.");
        if !name.ends_with(EXTENSION) && !unfinished {
            continue;
        }
        let Ok(metadata) = dir.symlink_metadata(&name) else {
            continue;
        };
        if metadata.is_dir() {
            continue;
        }
        found.push(Entry {
            name,
            used: metadata.modified()?.into_std(),
            bytes: metadata.size(),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    struct Cache {
        _place: tempfile::TempDir,
        dir: Dir,
        now: SystemTime,
    }

    impl Cache {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let dir = Dir::open_ambient_dir(place.path(), ambient_authority()).unwrap();
            Self {
                _place: place,
                dir,
                now: SystemTime::UNIX_EPOCH + 20_000 * DAY,
            }
        }

        /// A file of so many bytes that was last used so long ago.
        fn file(&self, name: &str, bytes: u64, ago: Duration) {
            let file = self.dir.create(name).unwrap().into_std();
            file.set_len(bytes).unwrap();
            file.set_modified(self.now - ago).unwrap();
        }

        fn pruned(&self, written: &str, bytes: u64) -> Vec<String> {
            let bounds = Bounds {
                bytes,
                age: 30 * DAY,
            };
            prune(&self.dir, written, bounds).unwrap();
            let entries = self.dir.entries().unwrap();
            let mut left: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            left.sort();
            left
        }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = Cache::new();
        cache.file("key", 64, 400 * DAY);
        cache.file("a.cwasm", 40, 3 * DAY);
        cache.file("b.cwasm", 40, 2 * DAY);
        cache.file("c.cwasm", 40, DAY);
        cache.file("d.cwasm", 10, Duration::ZERO);
        assert_eq!(
            cache.pruned("d.cwasm", 130),
            ["a.cwasm", "b.cwasm", "c.cwasm", "d.cwasm", "key"]
        );
        assert_eq!(
            cache.pruned("d.cwasm", 129),
            ["b.cwasm", "c.cwasm", "d.cwasm", "key"]
        );
        // Using one makes it the last to go.
        let used = cache.dir.open("b.cwasm").unwrap();
        touch(&used);
        cache.file("e.cwasm", 10, Duration::ZERO);
        assert_eq!(
            cache.pruned("e.cwasm", 60),
            ["b.cwasm", "d.cwasm", "e.cwasm", "key"]
        );
    }

    #[test]
    fn what_nobody_used_for_long_goes_whatever_its_size() {
        let cache = Cache::new();
        cache.file("old.cwasm", 1, 31 * DAY);
        cache.file("month.cwasm", 1, 30 * DAY);
        cache.file("new.cwasm", 1, Duration::ZERO);
        assert_eq!(
            cache.pruned("new.cwasm", 1_000),
            ["month.cwasm", "new.cwasm"]
        );
    }

    #[test]
    fn the_entry_that_was_just_written_stays_even_alone_beyond_the_bounds() {
        let cache = Cache::new();
        cache.file("small.cwasm", 1, DAY);
        cache.file("huge.cwasm", 1_000, Duration::ZERO);
        assert_eq!(cache.pruned("huge.cwasm", 10), ["huge.cwasm"]);
    }

    #[test]
    fn what_was_left_half_done_goes_and_what_is_not_the_caches_stays() {
        let cache = Cache::new();
        let hours = |hours: u32| hours * Duration::from_secs(3_600);
        cache.file("a.cwasm.0123.new", 5, hours(2));
        cache.file("probe.0123", 0, hours(2));
        cache.file("b.cwasm.4567.new", 5, hours(0));
        cache.file("README", 5, 400 * DAY);
        cache.file("c.cwasm", 5, hours(0));
        cache.dir.create_dir("d.cwasm").unwrap();
        assert_eq!(
            cache.pruned("c.cwasm", 1_000),
            ["README", "b.cwasm.4567.new", "c.cwasm", "d.cwasm"]
        );
    }
}
