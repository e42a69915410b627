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
    whole: Arc<AtomicBool>,
}

impl Outgoing {
    /// The body of a request of this exchange.
    pub(super) fn new<B>(inner: B, exchange: &Arc<Exchange>) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let whole = Arc::new(AtomicBool::new(inner.is_end_stream()));
        Self {
            inner: inner.map_err(Into::into).boxed_unsync(),
            exchange: Arc::clone(exchange),
            whole,
        }
    }

    /// No body.
    pub(super) fn none(exchange: &Arc<Exchange>) -> Self {
        Self::new(Empty::new(), exchange)
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
        match &frame {
            None => this.whole.store(true, Ordering::Relaxed),
            // Trailers come last.
            Some(Ok(frame)) if frame.is_trailers() || this.inner.is_end_stream() => {
                this.whole.store(true, Ordering::Relaxed);
            }
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                this.exchange.stop(EgressError::RequestAborted);
            }
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
