//! Counts what one call sends and receives, and stops what goes beyond its limit.
//!
//! It counts under HTTP and above TLS: request lines, headers and framing are part of what a tool sends, since data
//! can leave in a header as well as in a body.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What one call sent and received, over all its requests. Counts HTTP bytes, not those of TLS.
#[derive(Debug)]
pub(crate) struct Meter {
    sent: AtomicU64,
    sent_max: u64,
    received: AtomicU64,
    /// The meter of the whole call, and what is sent to one host of it.
    above: Option<(Arc<Meter>, Tally)>,
}

/// Bytes sent, of which somebody else keeps the count.
pub(crate) type Tally = Arc<AtomicU64>;

impl Meter {
    /// A meter at zero that lets through `sent_max` bytes on the way out.
    pub(crate) fn new(sent_max: u64) -> Self {
        Self {
            sent: AtomicU64::new(0),
            sent_max,
            received: AtomicU64::new(0),
            above: None,
        }
    }

    /// The part of a call's meter that counts for one host: its limit is that of the call.
    pub(crate) fn part(above: &Arc<Self>, tally: Tally) -> Self {
        Self {
            above: Some((Arc::clone(above), tally)),
            ..Self::new(above.sent_max)
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

    /// The most that may be sent.
    pub(super) fn sent_max(&self) -> u64 {
        self.sent_max
    }

    /// Counts bytes that came in.
    pub(super) fn receive(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        if let Some((above, _)) = &self.above {
            above.receive(bytes);
        }
    }

    /// Takes up to `wanted` bytes out of what may still be sent. Requests of a call run at the same time, so the
    /// bytes are taken before they are written and given back when they were not.
    pub(super) fn take(&self, wanted: usize) -> usize {
        if let Some((above, tally)) = &self.above {
            let taken = above.take(wanted);
            tally.fetch_add(u64::try_from(taken).unwrap_or_default(), Ordering::Relaxed);
            return taken;
        }
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

    pub(super) fn give_back(&self, bytes: usize) {
        let sent = match &self.above {
            Some((above, tally)) => {
                above.give_back(bytes);
                tally
            }
            None => &self.sent,
        };
        sent.fetch_sub(u64::try_from(bytes).unwrap_or_default(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
