//! Answers kept in the memory of this process.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};

use super::{CacheError, Counts, Holdings, Key, stats};

/// What one entry takes beside its bytes, about.
const OVERHEAD: usize = 160;

/// A store in memory. It ends with the process; what it was good for may be counted in a file.
#[derive(Debug)]
pub(crate) struct Memory {
    entries: Cache<Key, Arc<[u8]>>,
    counts: Option<PathBuf>,
    /// What was counted, where there is no file for it.
    sum: Mutex<Counts>,
}

impl Memory {
    /// Room for so many bytes. Where it is full, what was not used for the longest time goes.
    pub(crate) fn new(size: u64, ttl: Duration, counts: Option<PathBuf>) -> Self {
        let weight = |_: &Key, bytes: &Arc<[u8]>| {
            u32::try_from(bytes.len().saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
        };
        let entries = Cache::builder()
            .max_capacity(size)
            .weigher(weight)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(ttl)
            .build();
        Self {
            entries,
            counts,
            sum: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Vec<u8>> {
        self.entries.get(key).map(|bytes| bytes.to_vec())
    }

    pub(crate) fn put(&self, key: Key, bytes: Vec<u8>) {
        self.entries.insert(key, bytes.into());
        // Else the room is passed until somebody happens to tidy up.
        self.entries.run_pending_tasks();
    }

    pub(crate) fn clear(&self) -> u64 {
        self.entries.run_pending_tasks();
        let entries = self.entries.entry_count();
        self.entries.invalidate_all();
        self.entries.run_pending_tasks();
        entries
    }

    pub(crate) fn holdings(&self) -> Holdings {
        self.entries.run_pending_tasks();
        Holdings {
            entries: Some(self.entries.entry_count()),
            bytes: Some(self.entries.weighted_size()),
        }
    }

    /// Adds to what all processes counted, and gives the sum.
    pub(crate) async fn count(&self, more: &Counts) -> Result<Counts, CacheError> {
        let Some(path) = self.counts.clone() else {
            let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.add(more);
            return Ok(*sum);
        };
        let more = *more;
        let shown = path.clone();
        let added = tokio::task::spawn_blocking(move || stats::add_to_file(&path, &more)).await;
        match added {
            Ok(Ok(sum)) => Ok(sum),
            Ok(Err(source)) => Err(CacheError::File {
                path: shown,
                source,
            }),
            Err(_) => Err(CacheError::Broken),
        }
    }

    pub(crate) fn forget_counts(&self) -> Result<(), CacheError> {
        let Some(path) = &self.counts else {
            *self.sum.lock().unwrap_or_else(PoisonError::into_inner) = Counts::default();
            return Ok(());
        };
        match std::fs::remove_file(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(CacheError::File {
                path: path.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }
}
