//! How many requests of a call are under way, and whose turn it is: first come, first served, in the order in which the
//! guest began them. A guest that reads the answers in that order never waits for itself, however many it begins.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, MaybeDone, maybe_done},
};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// A place among the requests under way, held until nobody holds it any more.
pub(super) type Place = Arc<Option<OwnedSemaphorePermit>>;

/// When a request may go.
pub(super) enum Turn {
    /// When it gets a place.
    Waits(MaybeDone<BoxFuture<'static, Result<OwnedSemaphorePermit, AcquireError>>>),
    /// Now: it goes on with the place of the request before it.
    Now(Place),
}

impl Turn {
    /// Takes a turn behind everybody who has one.
    pub(super) fn behind(places: &Arc<Semaphore>) -> Self {
        let mut place = maybe_done(Arc::clone(places).acquire_owned().boxed());
        // The order is that of the first polls. Whoever waits polls again.
        let _ = place.poll_unpin(&mut Context::from_waker(Waker::noop()));
        Self::Waits(place)
    }

    /// Waits for it.
    pub(super) async fn come(self) -> Place {
        match self {
            Self::Now(place) => place,
            Self::Waits(mut place) => {
                (&mut place).await;
                // Nobody ever closes the semaphore.
                let place = Pin::new(&mut place).take_output();
                Arc::new(place.and_then(Result::ok))
            }
        }
    }
}
