//! Where answers are kept.

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

#[cfg(feature = "cache-disk")]
use super::disk::Disk;
#[cfg(feature = "cache-redis")]
use super::redis::{Redis, RedisUrl};
use super::{CacheError, CacheRules, Counts, Key, memory::Memory};

/// What a store holds. What is absent cannot be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Holdings {
    /// How many answers.
    pub entries: Option<u64>,
    /// How many bytes they take.
    pub bytes: Option<u64>,
}

/// Where answers are kept.
#[derive(Debug)]
pub struct Store(Kind);

#[derive(Debug)]
enum Kind {
    Memory(Memory),
    #[cfg(feature = "cache-disk")]
    Disk(Disk),
    #[cfg(feature = "cache-redis")]
    Redis(Redis),
}

impl Store {
    /// In the memory of this process. `counts` is a file that outlives it, with what the store was good for.
    pub fn memory(settings: &CacheRules, counts: Option<PathBuf>) -> Self {
        Self(Kind::Memory(Memory::new(
            settings.size,
            settings.ttl,
            counts,
        )))
    }

    /// In a file, which several processes may use.
    #[cfg(feature = "cache-disk")]
    pub fn disk(settings: &CacheRules, path: PathBuf) -> Self {
        Self(Kind::Disk(Disk::new(path, settings.size, settings.wait)))
    }

    /// In a Redis server, which several hosts may share. `authorities` are certificates in PEM that sign the server's,
    /// where those that the web trusts do not. Nothing is sent yet.
    ///
    /// # Errors
    /// [`CacheError::Redis`] when no client can be made of that.
    #[cfg(feature = "cache-redis")]
    pub fn redis(
        settings: &CacheRules,
        url: RedisUrl,
        authorities: Option<Vec<u8>>,
    ) -> Result<Self, CacheError> {
        let redis = Redis::new(url, authorities, settings.entry_bytes())?;
        Ok(Self(Kind::Redis(redis)))
    }

    /// `memory`, `disk` or `redis`.
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Kind::Memory(_) => "memory",
            #[cfg(feature = "cache-disk")]
            Kind::Disk(_) => "disk",
            #[cfg(feature = "cache-redis")]
            Kind::Redis(_) => "redis",
        }
    }

    /// Where it is: a file, or a server without its password; nothing for memory.
    pub fn place(&self) -> Option<String> {
        match &self.0 {
            Kind::Memory(_) => None,
            #[cfg(feature = "cache-disk")]
            Kind::Disk(disk) => Some(disk.path().display().to_string()),
            #[cfg(feature = "cache-redis")]
            Kind::Redis(redis) => Some(redis.url().to_string()),
        }
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, CacheError> {
        match &self.0 {
            Kind::Memory(memory) => Ok(memory.get(key)),
            #[cfg(feature = "cache-disk")]
            Kind::Disk(disk) => disk.get(*key).await,
            #[cfg(feature = "cache-redis")]
            Kind::Redis(redis) => redis.get(key).await,
        }
    }

    pub(super) async fn put(
        &self,
        key: Key,
        bytes: Vec<u8>,
        now_ms: u64,
        ends_ms: u64,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        match &self.0 {
            Kind::Memory(memory) => {
                memory.put(key, bytes);
                Ok(())
            }
            #[cfg(feature = "cache-disk")]
            Kind::Disk(disk) => disk.put(key, bytes, now_ms, ends_ms).await,
            #[cfg(feature = "cache-redis")]
            Kind::Redis(redis) => redis.put(&key, bytes, ttl).await,
        }
    }

    /// Adds to the counts, and gives their sum.
    pub(super) async fn count(&self, more: &Counts) -> Result<Counts, CacheError> {
        match &self.0 {
            Kind::Memory(memory) => memory.count(more).await,
            #[cfg(feature = "cache-disk")]
            Kind::Disk(disk) => disk.count(*more).await,
            #[cfg(feature = "cache-redis")]
            Kind::Redis(redis) => redis.count(more).await,
        }
    }

    pub(super) async fn holdings(&self) -> Result<Holdings, CacheError> {
        match &self.0 {
            Kind::Memory(memory) => Ok(memory.holdings()),
            #[cfg(feature = "cache-disk")]
            Kind::Disk(disk) => disk.holdings().await,
            #[cfg(feature = "cache-redis")]
            Kind::Redis(redis) => redis.holdings().await,
        }
    }

    pub(super) async fn clear(&self) -> Result<u64, CacheError> {
        match &self.0 {
            Kind::Memory(memory) => memory.forget_counts().map(|()| memory.clear()),
            #[cfg(feature = "cache-disk")]
            Kind::Disk(disk) => disk.clear().await,
            #[cfg(feature = "cache-redis")]
            Kind::Redis(redis) => redis.clear().await,
        }
    }

    /// Where a damaged file was put, if one was found since this was asked last.
    pub(super) fn put_aside(&self) -> Option<PathBuf> {
        match &self.0 {
            #[cfg(feature = "cache-disk")]
            Kind::Disk(disk) => disk.put_aside(),
            _ => None,
        }
    }
}
