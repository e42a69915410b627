//! What passes over one connection, and on whose account.
//!
//! A connection carries one exchange at a time, a request and its response, whichever version of HTTP it speaks. So
//! every byte on it belongs to exactly one call, is counted where it passes, and is held against that call's limits:
//! no frame of HTTP/2, be it a ping, a setting or an interim answer, is outside of them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    error::{EgressError, LimitKind},
    meter::Meter,
};

/// The most bytes before the head of an answer is complete, interim answers (1xx) included; twice the call's limit
/// `headers` where that is more.
pub(crate) const HEAD_BYTES_MAX: u64 = 256 * 1024;
/// How many bytes may arrive for one byte of a body that was handed on, framing and padding included.
pub(super) const FRAMING_MAX: u64 = 32;
/// How many bytes may have arrived beyond that: what is read ahead of whoever reads the body, the head, and trailers.
pub(super) const AHEAD_BYTES_MAX: u64 = 1024 * 1024;
/// The most bytes that a server may send to a connection nobody uses.
pub(super) const IDLE_BYTES_MAX: u64 = 16 * 1024;

/// One request and its response, as far as they have come.
#[derive(Debug)]
pub(crate) struct Exchange {
    meter: Arc<Meter>,
    head_bytes_max: u64,
    head_done: AtomicBool,
    received: AtomicU64,
    body: AtomicU64,
    stopped: OnceLock<EgressError>,
}

impl Exchange {
    /// An exchange on a call's account, where the head of an answer may have so many bytes.
    pub(crate) fn new(meter: Arc<Meter>, header_bytes: u64) -> Self {
        Self {
            meter,
            head_bytes_max: HEAD_BYTES_MAX.max(header_bytes.saturating_mul(2)),
            head_done: AtomicBool::new(false),
            received: AtomicU64::new(0),
            body: AtomicU64::new(0),
            stopped: OnceLock::new(),
        }
    }

    /// From here on the body's own limit counts.
    pub(crate) fn head_done(&self) {
        self.head_done.store(true, Ordering::Relaxed);
    }

    /// Bytes of the body were handed on.
    pub(crate) fn handed_on(&self, bytes: u64) {
        self.body.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether nothing at all came back.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.received.load(Ordering::Relaxed) == 0
    }

    /// Why we stopped it, where it was us.
    pub(crate) fn stopped(&self) -> Option<EgressError> {
        self.stopped.get().cloned()
    }

    /// Remembers why it is stopped. The first reason stands: what follows is its consequence.
    pub(crate) fn stop(&self, why: EgressError) -> io::Error {
        let _ = self.stopped.set(why);
        io::Error::from(io::ErrorKind::ConnectionAborted)
    }

    fn receive(&self, bytes: u64) -> io::Result<()> {
        self.meter.receive(bytes);
        let before = self.received.fetch_add(bytes, Ordering::Relaxed);
        let received = before.saturating_add(bytes);
        if !self.head_done.load(Ordering::Relaxed) {
            if received > self.head_bytes_max {
                return Err(self.stop(EgressError::HeadTooLarge));
            }
            return Ok(());
        }
        let body = self.body.load(Ordering::Relaxed);
        let most = body
            .saturating_mul(FRAMING_MAX)
            .saturating_add(self.head_bytes_max)
            .saturating_add(AHEAD_BYTES_MAX);
        if received > most {
            return Err(self.stop(EgressError::Protocol));
        }
        Ok(())
    }
}

#[derive(Debug)]
enum Account {
    /// On nobody's, with what may still arrive.
    Nobody(u64),
    Of(Arc<Exchange>),
}

/// On whose account a connection carries what it carries now.
#[derive(Debug)]
pub(crate) struct Wire(Mutex<Account>);

impl Wire {
    /// A connection that is opened for this exchange.
    pub(crate) fn new(exchange: Arc<Exchange>) -> Self {
        Self(Mutex::new(Account::Of(exchange)))
    }

    /// From here on it carries this exchange.
    pub(crate) fn begin(&self, exchange: Arc<Exchange>) {
        *self.lock() = Account::Of(exchange);
    }

    /// The exchange is over, and no other has begun.
    pub(crate) fn end(&self) {
        *self.lock() = Account::Nobody(IDLE_BYTES_MAX);
    }

    fn receive(&self, bytes: u64) -> io::Result<()> {
        match &mut *self.lock() {
            Account::Of(exchange) => exchange.receive(bytes),
            Account::Nobody(left) => {
                *left = left
                    .checked_sub(bytes)
                    .ok_or(io::ErrorKind::ConnectionAborted)?;
                Ok(())
            }
        }
    }

    fn exchange(&self) -> Option<Arc<Exchange>> {
        match &*self.lock() {
            Account::Of(exchange) => Some(Arc::clone(exchange)),
            Account::Nobody(_) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose bytes are counted.
pub(crate) struct Metered<S> {
    inner: S,
    wire: Arc<Wire>,
}

impl<S> Metered<S> {
    /// Counts what passes over `inner`.
    pub(crate) fn new(inner: S, wire: Arc<Wire>) -> Self {
        Self { inner, wire }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let read = u64::try_from(buf.filled().len().saturating_sub(before)).unwrap_or_default();
        let counted = this.wire.receive(read);
        if counted.is_err() {
            // A read that fails has read nothing.
            buf.set_filled(before);
        }
        Poll::Ready(counted)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // What HTTP/2 answers to a server while nobody uses the connection is as little as what the server may send.
        let Some(exchange) = this.wire.exchange() else {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        };
        let meter = &exchange.meter;
        let taken = meter.take(buf.len());
        if taken == 0 && !buf.is_empty() {
            let limit = LimitKind::Sent(meter.sent_max());
            return Poll::Ready(Err(exchange.stop(EgressError::Limit(limit))));
        }
        let allowed = buf.get(..taken).unwrap_or(buf);
        let written = Pin::new(&mut this.inner).poll_write(cx, allowed);
        let used = match &written {
            Poll::Ready(Ok(bytes)) => *bytes,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        meter.give_back(taken.saturating_sub(used));
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
