//! Answers kept in a file. Several processes may use it, one at a time: each opens it for one operation, and waits for a
//! short time while another one has it open.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase as _, ReadableTable as _,
    ReadableTableMetadata as _, StorageError, TableDefinition, TableError, WriteTransaction,
};

use super::{CacheError, Counts, Holdings, Key, stats};

/// The answers by their keys.
const REPLIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("replies");
/// The keys in the order in which their answers were kept, so that the oldest can go.
const ORDER: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("order");
/// Of each key: its number in that order, what it weighs, and when it ends in milliseconds since 1970.
const ABOUT: TableDefinition<'_, &[u8], (u64, u64, u64)> = TableDefinition::new("about");
/// Numbers by name: the counts, and the sum of all weights.
const TALLY: TableDefinition<'_, &str, u64> = TableDefinition::new("tally");
const WEIGHT: &str = "weight";

/// How much of the file is held in memory while it is open.
const CACHE_BYTES: usize = 4 << 20;
/// The pause before a file that another process has open is tried again.
const PAUSE: Duration = Duration::from_millis(5);
/// A page of the file; larger values take a power of two.
const PAGE: u64 = 4096;

/// A store in a file.
#[derive(Debug)]
pub(crate) struct Disk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    size: u64,
    wait: Duration,
    /// One operation of this process at a time.
    one: Mutex<()>,
    /// Whether this process has read the whole file once and found nothing damaged.
    checked: AtomicBool,
    /// Whether a damaged file was put aside, which is still to be told.
    put_aside: AtomicBool,
}

impl Disk {
    /// A store of so many bytes at `path`, which is created when something is kept.
    pub(crate) fn new(path: PathBuf, size: u64, wait: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                path,
                size,
                wait,
                one: Mutex::new(()),
                checked: AtomicBool::new(false),
                put_aside: AtomicBool::new(false),
            }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Where a damaged file was put, if one was found since this was asked last.
    pub(crate) fn put_aside(&self) -> Option<PathBuf> {
        let found = self.shared.put_aside.swap(false, Ordering::Relaxed);
        found.then(|| aside(&self.shared.path))
    }

    pub(crate) async fn get(&self, key: Key) -> Result<Option<Vec<u8>>, CacheError> {
        self.blocking(move |shared| shared.get(&key)).await
    }

    pub(crate) async fn put(
        &self,
        key: Key,
        bytes: Vec<u8>,
        now_ms: u64,
        ends_ms: u64,
    ) -> Result<(), CacheError> {
        self.blocking(move |shared| {
            shared.write(|txn, size| put(txn, size, &key, &bytes, now_ms, ends_ms))
        })
        .await
    }

    /// Adds to what all processes counted, and gives the sum.
    pub(crate) async fn count(&self, more: Counts) -> Result<Counts, CacheError> {
        self.blocking(move |shared| {
            if more == Counts::default() {
                return shared.counts();
            }
            shared.write(|txn, _| count(txn, &more))
        })
        .await
    }

    pub(crate) async fn holdings(&self) -> Result<Holdings, CacheError> {
        self.blocking(Shared::holdings).await
    }

    /// Removes every answer and every count by removing the file.
    pub(crate) async fn clear(&self) -> Result<u64, CacheError> {
        self.blocking(|shared| {
            let entries = shared.holdings().unwrap_or_default().entries.unwrap_or(0);
            shared.write(|txn, _| clear(txn))?;
            Ok(entries)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, CacheError> + Send + 'static,
    ) -> Result<T, CacheError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let _one = shared.one.lock().unwrap_or_else(PoisonError::into_inner);
            work(&shared)
        });
        done.await.unwrap_or(Err(CacheError::Broken))
    }
}

impl Shared {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, CacheError> {
        self.read(|txn| {
            let table = match txn.open_table(REPLIES) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            let found = table.get(key.as_bytes().as_slice())?;
            Ok(found.map(|bytes| bytes.value().to_vec()))
        })
    }

    fn counts(&self) -> Result<Counts, CacheError> {
        self.read(|txn| {
            let table = match txn.open_table(TALLY) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Counts::default()),
                table => table?,
            };
            let mut counts = Vec::new();
            for (name, _) in Counts::default().fields() {
                if let Some(value) = table.get(name)? {
                    counts.push((name, value.value()));
                }
            }
            Ok(Counts::of_fields(counts))
        })
    }

    fn holdings(&self) -> Result<Holdings, CacheError> {
        let entries = self.read(|txn| match txn.open_table(REPLIES) {
            Err(TableError::TableDoesNotExist(_)) => Ok(0),
            table => Ok(table?.len()?),
        })?;
        let bytes = self.path.metadata().map_or(0, |it| it.len());
        Ok(Holdings {
            entries: Some(entries),
            bytes: Some(bytes),
        })
    }

    /// Reads, also beside others who read. Where there is no file there is nothing.
    fn read<T: Default>(
        &self,
        work: impl Fn(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, CacheError> {
        if !self.path.exists() {
            return Ok(T::default());
        }
        let read = if self.checked.load(Ordering::Relaxed) {
            match self.wait_for(|| self.builder().open_read_only(&self.path)) {
                Ok(db) => Some(
                    db.begin_read()
                        .map_err(Into::into)
                        .and_then(|txn| work(&txn)),
                ),
                // Whoever wrote last was killed: it must be opened for writing to be put in order.
                Err(DatabaseError::RepairAborted) => None,
                Err(error) => Some(Err(error.into())),
            }
        } else {
            None
        };
        let read = match read {
            Some(read) => read,
            None => {
                let db = self.open()?;
                db.begin_read()
                    .map_err(Into::into)
                    .and_then(|txn| work(&txn))
            }
        };
        self.judged(read)
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction, u64) -> Result<T, redb::Error>,
    ) -> Result<T, CacheError> {
        let mut db = self.open()?;
        let done = commit(&db, |txn| work(txn, self.size));
        let value = self.judged(done)?;
        // What was removed leaves holes that are filled again; only a smaller limit leaves too many.
        let most = self.size.saturating_mul(2).saturating_add(16 << 20);
        if self.path.metadata().is_ok_and(|it| it.len() > most) {
            let _ = db.compact();
        }
        Ok(value)
    }

    /// The file, open for this process alone. A damaged one is put aside, and a new one begun.
    fn open(&self) -> Result<Database, CacheError> {
        let file = |source| CacheError::File {
            path: self.path.clone(),
            source,
        };
        for attempt in 0.. {
            if let Some(dir) = self.path.parent() {
                stats::private_dir(dir).map_err(file)?;
            }
            stats::private_file(&self.path).map_err(file)?;
            match self.wait_for(|| self.builder().create(&self.path)) {
                Ok(db) => {
                    self.checked.store(true, Ordering::Relaxed);
                    return Ok(db);
                }
                Err(error) if attempt == 0 && is_damage(&error) => self.put_aside()?,
                Err(error) => return self.judged(Err(error.into())),
            }
        }
        Err(CacheError::Broken)
    }

    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        // A file that was changed by something else than this library would make it panic. So each process reads all of it
        // once, and trusts it then.
        builder.set_check_integrity_on_open(!self.checked.load(Ordering::Relaxed));
        builder
    }

    /// Opens, and waits while another process has the file open, but not for ever.
    fn wait_for<T>(&self, open: impl Fn() -> Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        let began = Instant::now();
        loop {
            match open() {
                Err(DatabaseError::DatabaseAlreadyOpen) if began.elapsed() < self.wait => {
                    std::thread::sleep(PAUSE);
                }
                opened => return opened,
            }
        }
    }

    fn judged<T>(&self, done: Result<T, redb::Error>) -> Result<T, CacheError> {
        done.map_err(|error| match error {
            redb::Error::DatabaseAlreadyOpen => CacheError::Busy {
                path: self.path.clone(),
            },
            redb::Error::Corrupted(_) => match self.put_aside() {
                Ok(()) => CacheError::Damaged {
                    path: self.path.clone(),
                },
                Err(error) => error,
            },
            redb::Error::Io(source) => CacheError::File {
                path: self.path.clone(),
                source,
            },
            error => CacheError::File {
                path: self.path.clone(),
                source: std::io::Error::other(error.to_string()),
            },
        })
    }

    /// Keeps a damaged file beside the place where a new one begins; an older one goes.
    fn put_aside(&self) -> Result<(), CacheError> {
        self.checked.store(false, Ordering::Relaxed);
        std::fs::rename(&self.path, aside(&self.path)).map_err(|source| CacheError::File {
            path: self.path.clone(),
            source,
        })?;
        self.put_aside.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Where a damaged file is put.
fn aside(path: &Path) -> PathBuf {
    path.with_added_extension("damaged")
}

fn is_damage(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Storage(StorageError::Corrupted(_)) | DatabaseError::UpgradeRequired(_) => {
            true
        }
        DatabaseError::Storage(StorageError::Io(error)) => matches!(
            error.kind(),
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
        ),
        _ => false,
    }
}

fn commit<T>(
    db: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let txn = db.begin_write()?;
    let value = work(&txn)?;
    txn.commit()?;
    Ok(value)
}

fn put(
    txn: &WriteTransaction,
    size: u64,
    key: &Key,
    bytes: &[u8],
    now_ms: u64,
    ends_ms: u64,
) -> Result<(), redb::Error> {
    let key = key.as_bytes().as_slice();
    let mut replies = txn.open_table(REPLIES)?;
    let mut order = txn.open_table(ORDER)?;
    let mut about = txn.open_table(ABOUT)?;
    let mut tally = txn.open_table(TALLY)?;
    let mut weight = tally.get(WEIGHT)?.map_or(0, |it| it.value());
    if let Some((number, weighed, _)) = about.remove(key)?.map(|it| it.value()) {
        order.remove(number)?;
        weight = weight.saturating_sub(weighed);
    }
    let more = weigh(bytes.len());
    loop {
        let oldest = order.first()?;
        let Some((number, old)) =
            oldest.map(|(number, key)| (number.value(), key.value().to_vec()))
        else {
            break;
        };
        let (_, weighed, ends) = about.get(&*old)?.map_or((0, 0, 0), |it| it.value());
        if weight.saturating_add(more) <= size && ends > now_ms {
            break;
        }
        order.remove(number)?;
        about.remove(&*old)?;
        replies.remove(&*old)?;
        weight = weight.saturating_sub(weighed);
    }
    let number = order
        .last()?
        .map_or(0, |(number, _)| number.value().saturating_add(1));
    order.insert(number, key)?;
    about.insert(key, (number, more, ends_ms))?;
    replies.insert(key, bytes)?;
    tally.insert(WEIGHT, weight.saturating_add(more))?;
    Ok(())
}

fn count(txn: &WriteTransaction, more: &Counts) -> Result<Counts, redb::Error> {
    let mut tally = txn.open_table(TALLY)?;
    let mut counts = Counts::default();
    for (name, more) in more.fields() {
        let sum = tally
            .get(name)?
            .map_or(0, |it| it.value())
            .saturating_add(more);
        tally.insert(name, sum)?;
        counts.add(&Counts::of_fields([(name, sum)]));
    }
    Ok(counts)
}

fn clear(txn: &WriteTransaction) -> Result<(), redb::Error> {
    txn.delete_table(REPLIES)?;
    txn.delete_table(ORDER)?;
    txn.delete_table(ABOUT)?;
    txn.delete_table(TALLY)?;
    Ok(())
}

/// What an answer of so many bytes takes in the file.
fn weigh(bytes: usize) -> u64 {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(200);
    if bytes <= PAGE {
        bytes
    } else {
        bytes.checked_next_power_of_two().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
