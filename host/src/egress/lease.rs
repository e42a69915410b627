//! A connection while one exchange has it.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicBool, Ordering},
};

use tokio_util::sync::CancellationToken;

use super::{
    connection::Connection,
    error::EgressError,
    pool::{Key, Pool},
    wire::Exchange,
};

/// Where a connection may wait for its next exchange.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) pool: Weak<Pool>,
    pub(super) key: Key,
}

/// A connection while one exchange has it: afterwards it waits for the next one, or is closed.
pub(super) struct Lease {
    connection: Mutex<Option<Connection>>,
    home: Option<Home>,
    exchange: Arc<Exchange>,
    /// Whether the request was sent to its end.
    sent: Arc<AtomicBool>,
    over: CancellationToken,
}

impl Lease {
    pub(super) fn new(
        connection: Connection,
        home: Option<Home>,
        exchange: Arc<Exchange>,
        sent: Arc<AtomicBool>,
    ) -> Self {
        Self {
            connection: Mutex::new(Some(connection)),
            home,
            exchange,
            sent,
            over: CancellationToken::new(),
        }
    }

    /// Is cancelled once the exchange is over, in whatever way.
    pub(super) fn over(&self) -> CancellationToken {
        self.over.clone()
    }

    /// The response was read to its end.
    pub(super) fn finish(&self) {
        let connection = self.take();
        let clean = self.sent.load(Ordering::Relaxed) && self.exchange.stopped().is_none();
        if let (Some(connection), Some(home), true) = (connection, &self.home, clean)
            && let Some(pool) = home.pool.upgrade()
        {
            pool.put(home.key.clone(), connection);
        }
        self.over.cancel();
    }

    /// Closes the connection, unless the response was read to its end.
    pub(super) fn give_up(&self) {
        drop(self.take());
        self.over.cancel();
    }

    fn take(&self) -> Option<Connection> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connection.take()
    }
}

/// Whoever waits for the end of an exchange. To drop it is to give the exchange up.
pub(super) struct Watch(pub(super) Arc<Lease>);

impl Watch {
    /// Waits until the exchange is over, and tells why where it was stopped.
    pub(super) async fn until_over(self) -> Result<(), EgressError> {
        let Self(lease) = &self;
        lease.over.cancelled().await;
        lease.exchange.stopped().map_or(Ok(()), Err)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.give_up();
    }
}
