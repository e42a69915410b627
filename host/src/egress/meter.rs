//! Counts what goes over the wire, and stops what goes beyond a limit.
//!
//! It counts under HTTP and above TLS: request lines, headers and framing are part of what a tool sends, since data
//! can leave in a header as well as in a body.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::{EgressError, LimitKind};

/// The most bytes before the head of an answer is complete, interim answers (1xx) included; twice the call's limit
/// `headers` where that is more.
pub(crate) const HEAD_BYTES_MAX: u64 = 256 * 1024;

/// What one call sent and received, over all its requests. Counts HTTP bytes, not those of TLS.
#[derive(Debug)]
pub(crate) struct Meter {
    sent: AtomicU64,
    sent_max: u64,
    received: AtomicU64,
}

impl Meter {
    /// A meter at zero that lets through `sent_max` bytes on the way out.
    pub(crate) fn new(sent_max: u64) -> Self {
        Self {
            sent: AtomicU64::new(0),
            sent_max,
            received: AtomicU64::new(0),
        }
    }

    /// Bytes sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Takes up to `wanted` bytes out of what may still be sent. Requests of a call run at the same time, so the
    /// bytes are taken before they are written and given back when they were not.
    fn take(&self, wanted: usize) -> usize {
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        let before = self
            .sent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sent| {
                Some(sent.saturating_add(wanted).min(self.sent_max))
            })
            .unwrap_or_default();
        let taken = wanted.min(self.sent_max.saturating_sub(before));
        usize::try_from(taken).unwrap_or(usize::MAX)
    }

    fn give_back(&self, bytes: usize) {
        self.sent
            .fetch_sub(u64::try_from(bytes).unwrap_or_default(), Ordering::Relaxed);
    }
}

/// One connection's own state, shared with those who explain its end.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    head_done: AtomicBool,
    stopped: OnceLock<EgressError>,
}

impl Wire {
    /// From here on the body's own limit counts.
    pub(crate) fn head_done(&self) {
        self.head_done.store(true, Ordering::Relaxed);
    }

    /// Why we stopped the connection, where it was us.
    pub(crate) fn stopped(&self) -> Option<EgressError> {
        self.stopped.get().cloned()
    }

    fn stop(&self, why: EgressError) -> io::Error {
        // The first reason stands: what follows is its consequence.
        let _ = self.stopped.set(why);
        io::Error::from(io::ErrorKind::ConnectionAborted)
    }
}

/// A connection under a meter.
pub(crate) struct Metered<S> {
    inner: S,
    meter: Arc<Meter>,
    wire: Arc<Wire>,
    head_bytes: u64,
    head_bytes_max: u64,
}

impl<S> Metered<S> {
    /// Puts a connection under a call's meter.
    pub(crate) fn new(inner: S, meter: Arc<Meter>, wire: Arc<Wire>) -> Self {
        Self {
            inner,
            meter,
            wire,
            head_bytes: 0,
            head_bytes_max: HEAD_BYTES_MAX,
        }
    }

    /// The same connection, where one head may have so many bytes.
    pub(crate) fn with_head_max(mut self, header_bytes: u64) -> Self {
        self.head_bytes_max = HEAD_BYTES_MAX.max(header_bytes.saturating_mul(2));
        self
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
        this.meter.received.fetch_add(read, Ordering::Relaxed);
        if !this.wire.head_done.load(Ordering::Relaxed) {
            this.head_bytes = this.head_bytes.saturating_add(read);
            if this.head_bytes > this.head_bytes_max {
                // A read that fails has read nothing.
                buf.set_filled(before);
                return Poll::Ready(Err(this.wire.stop(EgressError::HeadTooLarge)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let taken = this.meter.take(buf.len());
        if taken == 0 && !buf.is_empty() {
            let limit = LimitKind::Sent(this.meter.sent_max);
            return Poll::Ready(Err(this.wire.stop(EgressError::Limit(limit))));
        }
        let allowed = buf.get(..taken).unwrap_or(buf);
        let written = Pin::new(&mut this.inner).poll_write(cx, allowed);
        let used = match &written {
            Poll::Ready(Ok(bytes)) => *bytes,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        this.meter.give_back(taken.saturating_sub(used));
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
