//! The response cache: what a model answered is answered again to the same request, without asking and at no cost.
//!
//! It is off until an operator turns it on, and so says that the same request may have the same answer. [`Cached`] is the
//! layer in front of a model; a [`ResponseCache`] is what it looks into: in memory, in a file, or in a Redis server that
//! several hosts share. A store that fails never fails a run: the request is sent as if nothing was kept.
//!
//! [`Cached`]: crate::model::Cached

#[cfg(feature = "cache-disk")]
mod disk;
mod entry;
mod flights;
mod keep;
mod key;
mod memory;
#[cfg(feature = "cache-redis")]
mod redis;
mod search;
mod shared_key;
mod stats;
mod store;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use toolcell::{LikelySecrets, Redaction};

pub use entry::Entry;
pub(crate) use flights::{Boarding, Flight, Flights, Waited};
pub(crate) use keep::refused;
pub use key::{Key, left_out};
#[cfg(feature = "cache-redis")]
pub use redis::RedisUrl;
use search::Search;
pub use shared_key::SharedKey;
pub use stats::Counts;
use stats::Pending;
pub use store::{Holdings, Store};

/// How a cache keeps answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRules {
    /// How long an answer is kept. Default 24 hours.
    pub ttl: Duration,
    /// How many bytes a store in memory or on disk may take. A Redis server has a limit of its own. Default 256 MiB.
    pub size: u64,
    /// The largest answer that is kept, in bytes; never more than a quarter of `size`. Default 4 MiB.
    pub entry: u64,
    /// How long another process may have the file of answers open. Default 500 ms.
    pub wait: Duration,
    /// After a failure the store is left alone for so long. Default 10 s.
    pub rest: Duration,
}

impl Default for CacheRules {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(24 * 3600),
            size: 256 << 20,
            entry: 4 << 20,
            wait: Duration::from_millis(500),
            rest: Duration::from_secs(10),
        }
    }
}

impl CacheRules {
    /// The largest answer that is kept, in bytes.
    pub fn entry_bytes(&self) -> u64 {
        self.entry.min(self.size / 4)
    }
}

/// Why a store does not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A file of the cache cannot be used.
    #[error("the cache file {path} cannot be used: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process has the file open, and did not close it in time.
    #[error("another process holds the cache file {path}")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The file was damaged, and is put aside.
    #[error("the cache file {path} was damaged and is put aside")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The Redis server cannot be used.
    #[error("the Redis server {url} cannot be used: {message}")]
    Redis {
        /// Where it is, without a password.
        url: String,
        /// What went wrong.
        message: String,
    },
    /// An operation ended in the middle.
    #[error("the cache broke off")]
    Broken,
}

/// The wall clock.
type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;
/// Hears what a person should know.
type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// Answers that are kept, and what they were good for. Clones of its `Arc` are one cache: all agents of a process share it.
pub struct ResponseCache {
    store: Store,
    settings: CacheRules,
    shared: Option<SharedKey>,
    clock: Clock,
    tell: Tell,
    pending: Pending,
    pub(crate) flights: Flights,
    pub(crate) search: Search,
    /// What this process counted in all.
    counted: Mutex<Counts>,
    /// When the store is tried again, after a failure.
    resting: Mutex<Option<Instant>>,
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCache")
            .field("store", &self.store)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What a cache was good for, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStats {
    /// What was counted by all who use the store, since it was cleared last.
    pub counts: Counts,
    /// What it holds now.
    pub holdings: Holdings,
}

impl ResponseCache {
    /// A cache over a store. `clock` tells the wall clock time.
    pub fn new(
        store: Store,
        settings: CacheRules,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            settings,
            shared: None,
            clock: Arc::new(clock),
            tell: Arc::new(|_| {}),
            pending: Pending::default(),
            flights: Flights::default(),
            search: Search::default(),
            counted: Mutex::default(),
            resting: Mutex::new(None),
        }
    }

    /// The same, whose answers count only where they were kept with this key. Without one, whoever can write to a shared
    /// store can have a model say anything.
    #[must_use]
    pub fn with_key(mut self, key: SharedKey) -> Self {
        self.shared = Some(key);
        self
    }

    /// The same, which says to `tell` what a person should know: each trouble once, when it begins.
    #[must_use]
    pub fn telling(mut self, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self
    }

    /// An answer that holds one of these secrets, or what looks like one, is not kept from now on: without it, it would be
    /// another answer.
    pub fn search(&self, redaction: &Redaction, likely: &LikelySecrets) {
        self.search.set(redaction, likely);
    }

    /// Where answers are kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The key that the hosts share, if any.
    pub(crate) fn shared(&self) -> Option<&SharedKey> {
        self.shared.as_ref()
    }

    /// The answer that is kept under a key. A store that fails has none.
    pub async fn get(&self, key: &Key) -> Option<Entry> {
        if self.is_resting() {
            return None;
        }
        let found = self.store.get(key).await;
        let bytes = self.noted(found)??;
        Entry::open(
            &bytes,
            key,
            self.shared(),
            (self.clock)(),
            self.settings.ttl,
        )
        .ok()
    }

    /// Keeps an answer, and says whether that was done.
    pub async fn put(&self, key: &Key, entry: &Entry) -> bool {
        let Ok(bytes) = entry.seal(key, self.shared()) else {
            return false;
        };
        let fits = u64::try_from(bytes.len()).is_ok_and(|it| it <= self.settings.entry_bytes());
        if !fits || self.is_resting() {
            return false;
        }
        let (now, ttl) = ((self.clock)(), self.settings.ttl);
        let kept = self
            .store
            .put(*key, bytes, entry::millis(now), entry.ends_ms(), ttl)
            .await;
        self.noted(kept).is_some()
    }

    /// An entry that is kept from now on.
    pub(crate) fn entry(&self, reply: crate::wire::Reply, cost_micro_usd: Option<u64>) -> Entry {
        Entry::new(reply, cost_micro_usd, (self.clock)(), self.settings.ttl)
    }

    /// Counts, and stores the counts now and then.
    pub(crate) async fn count(&self, change: impl Fn(&mut Counts)) {
        change(&mut self.counted.lock().unwrap_or_else(PoisonError::into_inner));
        if self.pending.count(change) {
            self.flush().await;
        }
    }

    /// What was counted through this cache, which others of the same store have no part in.
    pub fn counted(&self) -> Counts {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores what was counted. To be called when a process is done with its runs.
    pub async fn flush(&self) {
        if self.is_resting() {
            return;
        }
        if let Some(counts) = self.pending.take() {
            let stored = self.store.count(&counts).await;
            if self.noted(stored).is_none() {
                self.pending.put_back(&counts);
            }
        }
    }

    /// What all who use the store counted, and what it holds.
    ///
    /// # Errors
    /// [`CacheError`] when the store cannot be read.
    pub async fn stats(&self) -> Result<CacheStats, CacheError> {
        let mut counts = self.store.count(&Counts::default()).await?;
        counts.add(&self.pending.held());
        let holdings = self.store.holdings().await?;
        Ok(CacheStats { counts, holdings })
    }

    /// Removes all that is kept, and the counts. Says how many answers there were.
    ///
    /// # Errors
    /// [`CacheError`] when the store cannot be changed.
    pub async fn clear(&self) -> Result<u64, CacheError> {
        self.pending.take();
        self.store.clear().await
    }

    fn is_resting(&self) -> bool {
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.is_some_and(|until| Instant::now() < until)
    }

    /// Tells of a failure once, and leaves the store alone for a while. A success ends that.
    fn noted<T>(&self, done: Result<T, CacheError>) -> Option<T> {
        if let Some(aside) = self.store.put_aside() {
            (self.tell)(&format!(
                "the cache file was damaged; it is now {}, and a new one was begun",
                aside.display()
            ));
        }
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match done {
            Ok(value) => {
                *resting = None;
                return Some(value);
            }
            // Told above, and the next try begins anew.
            Err(CacheError::Damaged { .. }) => return None,
            Err(error) => error,
        };
        if resting.is_none() {
            (self.tell)(&format!(
                "{error}; models are asked without the cache, which is tried again every {} s",
                self.settings.rest.as_secs()
            ));
        }
        *resting = Some(Instant::now() + self.settings.rest);
        drop(resting);
        self.pending
            .count(|it| it.failures = it.failures.saturating_add(1));
        None
    }
}
