//! Connections that wait for the next request of whoever had them before.
//!
//! A connection is used again only under the very same [`Key`]: the caller's own [`PoolKey`], which says whose it is,
//! and everything that decided how it was opened. It waits only once its last response was read to the end and its last
//! request was sent to the end, and before it is used again the address that it was dialled to is checked anew. What
//! nobody uses is closed after a while, and all are closed with the host.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    runtime,
    time::{Instant, sleep_until},
};
use url::Host;

use super::{connect::check_again, connection::Connection, target::Target};

/// Whose connections may be used again by whom: equal names, equal owners. Opaque here. A caller that sends credentials
/// names them in it, so that a connection that carried one never carries a request without it, nor anybody else's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey(Arc<[String]>);

impl PoolKey {
    /// An owner by these names, each of which counts.
    pub(crate) fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

/// How many connections wait, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// How long a connection waits for its next request. Default: 30 s.
    pub idle: Duration,
    /// How long a connection is used at all. Default: 5 min.
    pub lifetime: Duration,
    /// How many requests one connection carries. Default: 100.
    pub requests: u32,
    /// How many wait for one owner and one server. Default: 4.
    pub per_key: usize,
    /// How many wait in all; one more closes the one that has waited longest. Default: 64. With 0 none is used again.
    pub total: usize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30),
            lifetime: Duration::from_secs(300),
            requests: 100,
            per_key: 4,
            total: 64,
        }
    }
}

/// What must be the same for a connection to be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    owner: PoolKey,
    https: bool,
    host: Host,
    port: u16,
    /// Whether the rule let it lead to special addresses.
    special: bool,
    /// What its parser was told to allow.
    header_bytes: u64,
    /// A connection moves only while the runtime lives that it was opened in.
    runtime: runtime::Id,
}

impl Key {
    pub(super) fn new(owner: PoolKey, target: &Target, special: bool, header_bytes: u64) -> Self {
        Self {
            owner,
            https: target.is_https(),
            host: target.host().clone(),
            port: target.port(),
            special,
            header_bytes,
            runtime: runtime::Handle::current().id(),
        }
    }
}

struct Waiting {
    key: Key,
    connection: Connection,
    since: Instant,
}

#[derive(Default)]
struct Shelf {
    /// Those that have waited longest stand first.
    waiting: Vec<Waiting>,
    /// Whether a task closes what has waited too long.
    swept: bool,
}

/// The connections that wait.
pub(super) struct Pool {
    limits: PoolLimits,
    shelf: Mutex<Shelf>,
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            shelf: Mutex::default(),
        }
    }

    /// A connection that can carry a request now, and whose address is one that may be dialled now.
    pub(super) async fn take(&self, key: &Key) -> Option<Connection> {
        loop {
            let mut connection = self.pick(key)?;
            let allowed = connection
                .address()
                .is_none_or(|address| check_again(&key.host, address, key.special).is_ok());
            if allowed && connection.is_ready().await {
                return Some(connection);
            }
        }
    }

    /// The one that was used last, since the server is least likely to have closed it.
    fn pick(&self, key: &Key) -> Option<Connection> {
        let mut shelf = self.lock();
        self.sweep(&mut shelf);
        let at = shelf.waiting.iter().rposition(|it| it.key == *key)?;
        Some(shelf.waiting.remove(at).connection)
    }

    /// Keeps a connection whose exchange is over for the next request under the same key, where the limits allow.
    pub(super) fn put(self: &Arc<Self>, key: Key, connection: Connection) {
        if self.limits.total == 0
            || self.limits.per_key == 0
            || connection.is_closed()
            || connection.requests() >= self.limits.requests
            || connection.age() >= self.limits.lifetime
        {
            return;
        }
        connection.rest();
        let mut shelf = self.lock();
        self.sweep(&mut shelf);
        let same = shelf.waiting.iter().filter(|it| it.key == key).count();
        if same >= self.limits.per_key {
            if let Some(oldest) = shelf.waiting.iter().position(|it| it.key == key) {
                shelf.waiting.remove(oldest);
            }
        } else if shelf.waiting.len() >= self.limits.total {
            shelf.waiting.remove(0);
        }
        shelf.waiting.push(Waiting {
            key,
            connection,
            since: Instant::now(),
        });
        if !shelf.swept {
            shelf.swept = true;
            let sweeping = Sweeping(Arc::downgrade(self));
            tokio::spawn(sweeping.run());
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether the other sides have closed all that wait.
    #[cfg(test)]
    pub(super) fn all_closed(&self) -> bool {
        let shelf = self.lock();
        shelf.waiting.iter().all(|it| it.connection.is_closed())
    }

    /// Closes what has waited too long or lived too long. Gives the moment at which the next one will have.
    fn sweep(&self, shelf: &mut Shelf) -> Option<Instant> {
        let now = Instant::now();
        let ends = |it: &Waiting| {
            let lived = self.limits.lifetime.saturating_sub(it.connection.age());
            let waited = self.limits.idle.saturating_sub(it.since.elapsed());
            now.checked_add(lived.min(waited))
        };
        shelf
            .waiting
            .retain(|it| !it.connection.is_closed() && ends(it).is_none_or(|end| end > now));
        shelf.waiting.iter().filter_map(ends).min()
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections when their time is over, while there are any.
struct Sweeping(Weak<Pool>);

impl Sweeping {
    async fn run(self) {
        loop {
            let Some(pool) = self.0.upgrade() else { return };
            let next = {
                let mut shelf = pool.lock();
                let next = pool.sweep(&mut shelf);
                // Said under the lock: whoever puts the next one there starts a new task.
                shelf.swept = next.is_some();
                next
            };
            drop(pool);
            match next {
                Some(next) => sleep_until(next).await,
                None => return,
            }
        }
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        // Also where its runtime ends before its time.
        if let Some(pool) = self.0.upgrade() {
            pool.lock().swept = false;
        }
    }
}

#[cfg(test)]
mod tests;
