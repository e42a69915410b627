//! The body of a request, on its way out.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};

use super::{error::EgressError, wire::Exchange};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body. It has one type for all requests, since they follow each other on one connection.
pub(super) struct Outgoing {
    inner: UnsyncBoxBody<Bytes, BoxError>,
    exchange: Arc<Exchange>,
    /// How much of it is left, where its length is known: then nobody asks whether there is more.
    left: Option<u64>,
    whole: Arc<AtomicBool>,
}

impl Outgoing {
    /// The body of a request of this exchange, and its length where the request says it.
    pub(super) fn new<B>(inner: B, length: Option<u64>, exchange: &Arc<Exchange>) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let whole = length == Some(0) || inner.is_end_stream();
        Self {
            inner: inner.map_err(Into::into).boxed_unsync(),
            exchange: Arc::clone(exchange),
            left: length,
            whole: Arc::new(AtomicBool::new(whole)),
        }
    }

    /// No body.
    pub(super) fn none(exchange: &Arc<Exchange>) -> Self {
        Self::new(Empty::new(), None, exchange)
    }

    /// Becomes true once the body has been sent to its end.
    pub(super) fn whole(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.whole)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        let ended = match &frame {
            None => true,
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                this.left = this.left.map(|left| left.saturating_sub(bytes));
                // Trailers come last.
                this.left == Some(0) || frame.is_trailers() || this.inner.is_end_stream()
            }
            Some(Err(_)) => {
                this.exchange.stop(EgressError::RequestAborted);
                false
            }
        };
        if ended {
            this.whole.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
