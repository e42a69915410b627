//! A ledger in files: one for each scope, changed under a lock and replaced at once, so that processes can share it and
//! a kill leaves it whole.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;

use super::{Clock, Ledger, LedgerError, Reservation, Standing, book::Book, wrong_name};
use crate::budget::{Allowance, Amount, Scope, ScopeKind};

/// No book is longer: 1,000 reservations take a quarter of it.
const MAX_BYTES: u64 = 1 << 20;
/// The longest name of a file; file systems take 255 bytes.
const MAX_FILE_NAME: usize = 240;
/// How long another process may keep the lock. It needs it for a few milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long until the lock is tried again.
const LOCK_STEP: Duration = Duration::from_millis(5);

/// A ledger in a directory that this user alone may enter.
#[derive(Clone)]
pub struct FileLedger {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    lock_wait: Duration,
}

impl FileLedger {
    /// The ledger of a directory. It is created with the first book.
    pub fn new(dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self {
            dir: dir.into(),
            clock,
            lock_wait: LOCK_WAIT,
        }
    }

    /// The same, which waits so long for another process. Default 10 s.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Every scope that has a book, sorted.
    ///
    /// # Errors
    /// [`LedgerError::Io`] when the directory cannot be read.
    pub fn scopes(&self) -> Result<Vec<Scope>, LedgerError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io_error(&self.dir, source)),
        };
        let mut scopes: Vec<Scope> = entries
            .flatten()
            .filter_map(|entry| scope_of(entry.file_name().to_str()?))
            .collect();
        scopes.sort();
        Ok(scopes)
    }

    /// Forgets what a scope has spent; what is reserved now stays. A damaged book is kept beside the new one, under the
    /// name that is returned.
    ///
    /// # Errors
    /// [`LedgerError`] when the files cannot be changed.
    pub async fn reset(&self, scope: &Scope) -> Result<Option<PathBuf>, LedgerError> {
        let changed = self.change(scope, |book, now_ms| {
            book.reset(now_ms);
            Ok(())
        });
        match changed.await {
            Err(LedgerError::Damaged { .. }) => self.set_aside(scope).await.map(Some),
            changed => changed.map(|()| None),
        }
    }

    async fn set_aside(&self, scope: &Scope) -> Result<PathBuf, LedgerError> {
        let (ledger, scope) = (self.clone(), scope.clone());
        blocking(move || {
            let _lock = ledger.lock(&scope)?;
            let path = ledger.path(&scope);
            let kept = path.with_extension(format!("damaged-{}", ledger.clock.unix_ms()));
            fs::rename(&path, &kept).map_err(|source| io_error(&path, source))?;
            Ok(kept)
        })
        .await
    }

    /// Changes a book under its lock. A book that could not be changed stays as it is.
    async fn change<T, F>(&self, scope: &Scope, change: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Book, u64) -> Result<T, LedgerError> + Send + 'static,
    {
        check(scope)?;
        let (ledger, scope) = (self.clone(), scope.clone());
        blocking(move || {
            let _lock = ledger.lock(&scope)?;
            let path = ledger.path(&scope);
            let mut book = read(&path, &scope)?;
            let done = change(&mut book, ledger.clock.unix_ms())?;
            replace(&path, &book).map_err(|source| io_error(&path, source))?;
            Ok(done)
        })
        .await
    }

    /// Waits for the lock. It is held until the file is closed, also by a kill.
    fn lock(&self, scope: &Scope) -> Result<File, LedgerError> {
        let path = self.path(scope).with_extension("lock");
        let failed = |source| io_error(&path, source);
        create_dir(&self.dir).map_err(|source| io_error(&self.dir, source))?;
        let file = private().truncate(false).open(&path).map_err(failed)?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) if began.elapsed() >= self.lock_wait => {
                    return Err(LedgerError::Locked {
                        path,
                        after: self.lock_wait,
                    });
                }
                // This is a thread for waiting: a lock of the file system wakes nobody.
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_STEP),
            }
        }
    }

    fn path(&self, scope: &Scope) -> PathBuf {
        self.dir.join(file_name(scope))
    }
}

impl Ledger for FileLedger {
    fn reserve<'a>(
        &'a self,
        scope: &'a Scope,
        allowances: &'a [Allowance],
        amount: Amount,
        lasts: Duration,
    ) -> BoxFuture<'a, Result<Reservation, LedgerError>> {
        let allowances = allowances.to_vec();
        Box::pin(self.change(scope, move |book, now_ms| {
            book.reserve(&allowances, amount, now_ms, super::after(now_ms, lasts))
        }))
    }

    fn settle<'a>(
        &'a self,
        reservation: &'a Reservation,
        spent: Amount,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let settled = reservation.clone();
        Box::pin(self.change(&reservation.scope, move |book, now_ms| {
            book.settle(&settled, spent, now_ms);
            Ok(())
        }))
    }

    fn standing<'a>(
        &'a self,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<Standing>, LedgerError>> {
        Box::pin(async move {
            check(scope)?;
            let (ledger, scope) = (self.clone(), scope.clone());
            // A book is replaced at once, so reading needs no lock, and looking changes nothing.
            blocking(move || {
                let mut book = read(&ledger.path(&scope), &scope)?;
                Ok(book.standing(ledger.clock.unix_ms()))
            })
            .await
        })
    }
}

fn check(scope: &Scope) -> Result<(), LedgerError> {
    super::check(scope)?;
    if file_name(scope).len() > MAX_FILE_NAME {
        let why = "it has too many characters besides letters, digits, `_` and `-`";
        return Err(wrong_name(scope, why));
    }
    Ok(())
}

/// Runs what waits for the disk or a lock where nothing else has to wait for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(io_error(Path::new("."), io::Error::other(error))),
    }
}

fn io_error(path: &Path, source: io::Error) -> LedgerError {
    LedgerError::Io {
        path: path.into(),
        source,
    }
}

/// The book of a file; a new one where there is no file. A file without content is damaged, and not new.
fn read(path: &Path, scope: &Scope) -> Result<Book, LedgerError> {
    let damaged = |why| LedgerError::Damaged {
        path: path.into(),
        why,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Book::new(scope.clone()));
        }
        Err(source) => return Err(io_error(path, source)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| io_error(path, source))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(damaged(format!("it has more than {MAX_BYTES} bytes")));
    }
    Book::read(&bytes, scope).map_err(damaged)
}

/// Replaces a book at once. Its lock is held, so the name of the new file is nobody else's.
fn replace(path: &Path, book: &Book) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = private().truncate(true).open(&new)?;
    file.write_all(&serde_json::to_vec(book)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // The new name is on the disk only when its directory is.
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// A file that this user alone may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// `tenant-acme.json`. Letters, digits, `_` and `-` stand for themselves and every other byte for its number, so that no
/// name leaves the directory and no two share a file.
fn file_name(scope: &Scope) -> String {
    let mut name = format!("{}-", scope.kind.name());
    for byte in scope.name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    name.push_str(".json");
    name
}

/// The scope of a file's name; nothing for what is no book.
fn scope_of(file: &str) -> Option<Scope> {
    let (kind, encoded) = file.strip_suffix(".json")?.split_once('-')?;
    let kind = match kind {
        "agent" => ScopeKind::Agent,
        "tenant" => ScopeKind::Tenant,
        _ => return None,
    };
    let mut bytes = Vec::new();
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    let scope = Scope {
        kind,
        name: String::from_utf8(bytes).ok()?,
    };
    (file_name(&scope) == file).then_some(scope)
}

#[cfg(test)]
mod tests;
