//! The body of a response, as it arrives.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Timeouts,
    connection::header_bytes,
    error::{EgressError, LimitKind, Phase},
    lease::Lease,
    request::{Bounds, HEADERS_MAX, explain},
    wire::Exchange,
};

/// The body of a response: it fails when it grows beyond its limit, when it stalls and when it is too slow. To drop it
/// before its end is to close the connection.
pub(crate) struct Inbound {
    incoming: Incoming,
    exchange: Arc<Exchange>,
    lease: Arc<Lease>,
    bounds: Bounds,
    left: u64,
    between_bytes: Duration,
    patience: Pin<Box<Sleep>>,
    rate: Rate,
    ended: bool,
}

/// So many bytes at least in each while in which somebody waits for them.
struct Rate {
    window: Duration,
    bytes_min: u64,
    /// What arrived in the while that has begun.
    bytes: Option<u64>,
    end: Pin<Box<Sleep>>,
}

impl Rate {
    /// Bytes arrived. Enough of them end the while, and so does whoever comes for them after its end: the time was not
    /// the server's.
    fn receive(&mut self, bytes: u64) {
        let late = self.end.is_elapsed() || self.end.deadline() <= Instant::now();
        self.bytes = self
            .bytes
            .map(|before| before.saturating_add(bytes))
            .filter(|all| *all < self.bytes_min && !late);
    }

    /// Nothing is there. Whether that has been so for too long.
    fn wait(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes.is_none() {
            self.bytes = Some(0);
            let end = Instant::now().checked_add(self.window);
            let end = end.map_or(deadline, |end| end.min(deadline));
            self.end.as_mut().reset(end);
        }
        self.end.as_mut().poll(cx)
    }
}

impl Inbound {
    pub(super) fn new(
        incoming: Incoming,
        exchange: Arc<Exchange>,
        lease: Arc<Lease>,
        bounds: Bounds,
        timeouts: Timeouts,
    ) -> Self {
        let between_bytes = bounds.between_bytes.unwrap_or(timeouts.between_bytes);
        let mut inbound = Self {
            left: bounds.response_bytes,
            patience: Box::pin(sleep_until(bounds.until(None, between_bytes))),
            rate: Rate {
                window: timeouts.rate_window,
                bytes_min: timeouts.rate_bytes,
                bytes: None,
                end: Box::pin(sleep_until(bounds.deadline)),
            },
            incoming,
            exchange,
            lease,
            bounds,
            between_bytes,
            ended: false,
        };
        inbound.finish_at_end();
        inbound
    }

    fn receive(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, EgressError> {
        let until = self.bounds.until(None, self.between_bytes);
        self.patience.as_mut().reset(until);
        if let Some(trailers) = frame.trailers_ref()
            && (trailers.len() > HEADERS_MAX || header_bytes(trailers) > self.bounds.header_bytes)
        {
            return Err(EgressError::HeadTooLarge);
        }
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.exchange.handed_on(bytes);
        self.rate.receive(bytes);
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or(EgressError::Limit(LimitKind::Response(
                self.bounds.response_bytes,
            )))?;
        Ok(frame)
    }

    /// Nothing is there now. Waits for the first time that runs out.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<EgressError> {
        if self.patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(EgressError::Timeout(Phase::BetweenBytes));
        }
        let slow = self.rate.wait(self.bounds.deadline, cx);
        slow.map(|()| EgressError::Timeout(Phase::Rate))
    }

    fn finish_at_end(&mut self) {
        if !self.ended && self.incoming.is_end_stream() {
            self.ended = true;
            self.lease.finish();
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
        let outcome = match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(None) => {
                this.ended = true;
                this.lease.finish();
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Ok(frame))) => this.receive(frame),
            Poll::Ready(Some(Err(error))) => Err(explain(&error, &this.exchange)),
            Poll::Pending => match this.wait(cx) {
                Poll::Ready(error) => Err(error),
                Poll::Pending => return Poll::Pending,
            },
        };
        if outcome.is_err() {
            this.ended = true;
            this.lease.give_up();
        } else {
            this.finish_at_end();
        }
        Poll::Ready(Some(outcome))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        if !self.ended {
            self.lease.give_up();
        }
    }
}
