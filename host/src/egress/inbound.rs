//! The body of a response, as it arrives.
//!
//! A task of its own reads it, a little ahead of whoever wants it: so a small answer lets its connection go whether or not
//! anybody reads it, and a server's time is never mixed up with that of a slow reader.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    time::{Instant, timeout_at},
};

use super::{
    Timeouts,
    connection::header_bytes,
    error::{EgressError, LimitKind, Phase},
    lease::Lease,
    request::{Bounds, HEADERS_MAX, explain},
    wire::Exchange,
};

/// How much of a body is read ahead of whoever wants it.
const AHEAD_BYTES: u32 = 64 * 1024;
/// What a piece counts for at least, so that there are never many.
const PIECE_BYTES_MIN: u32 = 256;

/// What arrived, with the room that it takes until somebody wants it.
enum Arrived {
    Piece(Frame<Bytes>, OwnedSemaphorePermit),
    Failed(EgressError),
    End,
}

/// The body of a response: it fails when it grows beyond its limit, when it stalls and when it is too slow. To drop it
/// before its end has arrived is to close the connection.
pub(crate) struct Inbound {
    arrived: UnboundedReceiver<Arrived>,
    lease: Arc<Lease>,
    hint: SizeHint,
    ended: bool,
}

impl Inbound {
    pub(super) fn new(
        incoming: Incoming,
        exchange: Arc<Exchange>,
        lease: Arc<Lease>,
        bounds: Bounds,
        timeouts: Timeouts,
    ) -> Self {
        let (sender, arrived) = unbounded_channel();
        let (hint, ended) = (incoming.size_hint(), incoming.is_end_stream());
        if ended {
            lease.finish();
        } else {
            let reading = Reading {
                between_bytes: bounds.between_bytes.unwrap_or(timeouts.between_bytes),
                left: bounds.response_bytes,
                rate: Rate::new(timeouts.rate_window, timeouts.rate_bytes),
                room: Arc::new(Semaphore::new(AHEAD_BYTES as usize)),
                incoming,
                exchange,
                bounds,
            };
            tokio::spawn(reading.until_over(Arc::clone(&lease), sender));
        }
        Self {
            arrived,
            lease,
            hint,
            ended,
        }
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(this.arrived.poll_recv(cx)) {
            Some(Arrived::Piece(frame, _room)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let left = |hint: u64| hint.saturating_sub(u64::try_from(bytes).unwrap_or(hint));
                if let Some(exact) = this.hint.exact() {
                    this.hint = SizeHint::with_exact(left(exact));
                }
                Some(Ok(frame))
            }
            Some(Arrived::Failed(error)) => Some(Err(error)),
            Some(Arrived::End) => None,
            // Whoever drove the exchange gave it up.
            None => Some(Err(EgressError::Incomplete)),
        };
        this.ended = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        // Nothing happens where the end has arrived.
        self.lease.give_up();
    }
}

/// Reads a body.
struct Reading {
    incoming: Incoming,
    exchange: Arc<Exchange>,
    bounds: Bounds,
    between_bytes: Duration,
    left: u64,
    rate: Rate,
    room: Arc<Semaphore>,
}

impl Reading {
    /// Reads until the end, an error, or until the exchange was given up.
    async fn until_over(mut self, lease: Arc<Lease>, sender: UnboundedSender<Arrived>) {
        let over = lease.over();
        let read = over.run_until_cancelled(self.read(&sender)).await;
        // Nobody may be there any more to hear of it.
        match read {
            Some(Ok(())) => {
                lease.finish();
                let _ = sender.send(Arrived::End);
            }
            Some(Err(error)) => {
                let _ = sender.send(Arrived::Failed(error));
                lease.give_up();
            }
            None => {}
        }
    }

    async fn read(&mut self, sender: &UnboundedSender<Arrived>) -> Result<(), EgressError> {
        while let Some(frame) = self.next().await? {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            let takes = u32::try_from(bytes).unwrap_or(AHEAD_BYTES);
            let takes = takes.clamp(PIECE_BYTES_MIN, AHEAD_BYTES);
            // However long that takes, it is not the server's time.
            let room = Arc::clone(&self.room).acquire_many_owned(takes).await;
            let room = room.map_err(|_| EgressError::Incomplete)?;
            let _ = sender.send(Arrived::Piece(frame, room));
        }
        Ok(())
    }

    /// Waits for the next piece.
    async fn next(&mut self) -> Result<Option<Frame<Bytes>>, EgressError> {
        let patience = self.bounds.until(None, self.between_bytes);
        loop {
            let began = Instant::now();
            let slow = began.checked_add(self.rate.left()).unwrap_or(patience);
            let arrived = timeout_at(patience.min(slow), self.incoming.frame()).await;
            let bytes = match &arrived {
                Ok(Some(Ok(frame))) => frame.data_ref().map_or(0, Bytes::len),
                _ => 0,
            };
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let fast_enough = self.rate.waited(began.elapsed(), bytes);
            match arrived {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => return self.receive(frame, bytes).map(Some),
                Ok(Some(Err(error))) => return Err(explain(&error, &self.exchange)),
                Err(_) if Instant::now() >= patience => {
                    return Err(EgressError::Timeout(Phase::BetweenBytes));
                }
                Err(_) if !fast_enough => return Err(EgressError::Timeout(Phase::Rate)),
                Err(_) => {}
            }
        }
    }

    fn receive(&mut self, frame: Frame<Bytes>, bytes: u64) -> Result<Frame<Bytes>, EgressError> {
        if let Some(trailers) = frame.trailers_ref()
            && (trailers.len() > HEADERS_MAX || header_bytes(trailers) > self.bounds.header_bytes)
        {
            return Err(EgressError::HeadTooLarge);
        }
        self.exchange.handed_on(bytes);
        let limit = LimitKind::Response(self.bounds.response_bytes);
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or(EgressError::Limit(limit))?;
        Ok(frame)
    }
}

/// So many bytes at least in each while in which a server is waited for.
struct Rate {
    window: Duration,
    bytes_min: u64,
    waited: Duration,
    bytes: u64,
}

impl Rate {
    fn new(window: Duration, bytes_min: u64) -> Self {
        Self {
            window,
            bytes_min,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// How much of the while is left.
    fn left(&self) -> Duration {
        self.window.saturating_sub(self.waited)
    }

    /// So long it was waited, and so much came. Whether that is enough, as far as the while is over.
    fn waited(&mut self, time: Duration, bytes: u64) -> bool {
        self.waited = self.waited.saturating_add(time);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited < self.window {
            return true;
        }
        let enough = self.bytes >= self.bytes_min;
        self.waited = Duration::ZERO;
        self.bytes = 0;
        enough
    }
}

#[cfg(test)]
mod tests;
