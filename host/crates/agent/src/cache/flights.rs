//! Identical requests at the same time: the first one is sent, and the others wait for its answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{Entry, Key};

/// What became of the request that is under way.
#[derive(Clone)]
enum Landing {
    /// Nothing yet.
    Waiting,
    /// An answer that all may have.
    Answer(Arc<Entry>),
    /// No answer for others: whoever wants one asks.
    None,
}

/// The requests that are under way.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Key, watch::Receiver<Landing>>>);

/// Whether a request is the first of its kind.
pub(crate) enum Boarding<'a> {
    /// It is: it must be sent.
    First(Flight<'a>),
    /// It is not: wait.
    Behind(Behind),
}

/// The first of identical requests. When it is dropped, whatever became of it, nobody waits for it any more.
pub(crate) struct Flight<'a> {
    key: Key,
    flights: &'a Flights,
    tell: watch::Sender<Landing>,
}

/// One that waits for the first.
pub(crate) struct Behind(watch::Receiver<Landing>);

/// What one that waited may do.
pub(crate) enum Waited {
    /// Take this answer.
    Answer(Arc<Entry>),
    /// Ask by itself, without waiting again: one failure must not become a queue of failures.
    Ask,
    /// Begin anew: the first one was given up before it had an answer.
    Again,
}

impl Flights {
    /// Takes part in the request of this key.
    pub(crate) fn board(&self, key: Key) -> Boarding<'_> {
        let mut flying = self.flying();
        if let Some(landing) = flying.get(&key) {
            return Boarding::Behind(Behind(landing.clone()));
        }
        let (tell, landing) = watch::channel(Landing::Waiting);
        flying.insert(key, landing);
        Boarding::First(Flight {
            key,
            flights: self,
            tell,
        })
    }

    fn flying(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<Landing>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight<'_> {
    /// Hands the answer to all who wait, and to whoever comes before this is dropped.
    pub(crate) fn answer(&self, entry: &Arc<Entry>) {
        self.tell.send_replace(Landing::Answer(Arc::clone(entry)));
    }

    /// There is no answer for others.
    pub(crate) fn none(&self) {
        self.tell.send_replace(Landing::None);
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.flights.flying().remove(&self.key);
    }
}

impl Behind {
    /// Waits until the first one has an answer, has none, or was given up.
    pub(crate) async fn wait(mut self) -> Waited {
        let landed = self.0.wait_for(|it| !matches!(it, Landing::Waiting)).await;
        match landed.as_deref() {
            Ok(Landing::Answer(entry)) => Waited::Answer(Arc::clone(entry)),
            Ok(_) => Waited::Ask,
            Err(_) => Waited::Again,
        }
    }
}
