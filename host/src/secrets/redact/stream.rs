//! The search of bytes that come in pieces.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Hits, Redactor, scan::Scan};

/// A search of bytes that come in pieces: what could be the beginning of a secret is held back until more is known.
pub(crate) struct RedactStream {
    redactor: Arc<Redactor>,
    scan: Option<Scan>,
    /// What came and was not given yet.
    held: Zeroizing<Vec<u8>>,
    /// Where that begins.
    base: usize,
    hits: Hits,
}

impl RedactStream {
    pub(super) fn new(redactor: &Arc<Redactor>) -> Self {
        Self {
            redactor: Arc::clone(redactor),
            scan: redactor.search.as_ref().map(Scan::new),
            held: Zeroizing::default(),
            base: 0,
            hits: Hits::default(),
        }
    }

    /// Takes the next piece, and gives what can be passed on.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        self.go_on(false)
    }

    /// Gives what was held back, once nothing comes any more.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let rest = self.go_on(true);
        let redactor = Arc::clone(&self.redactor);
        self.scan = redactor.search.as_ref().map(Scan::new);
        self.base = 0;
        rest
    }

    /// How many bytes are held back.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// What was found so far.
    pub(crate) fn hits(&self) -> &Hits {
        &self.hits
    }

    fn go_on(&mut self, whole: bool) -> Vec<u8> {
        let (Some(scan), Some(search)) = (&mut self.scan, &self.redactor.search) else {
            return std::mem::take(&mut *self.held);
        };
        scan.run(search, &self.held, self.base, whole);
        let safe = if whole {
            self.base + self.held.len()
        } else {
            scan.safe(search)
        };
        let mut clean = Vec::with_capacity(safe - self.base);
        let done = self.redactor.replace(
            &self.held,
            self.base,
            scan.hits(),
            safe,
            &mut clean,
            &mut self.hits,
        );
        self.held.drain(..done - self.base);
        self.base = done;
        clean
    }
}
