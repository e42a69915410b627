//! A search that grows: what is registered once is searched for everywhere from then on.

use std::{
    borrow::Cow,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use serde_json::Value;

use super::{Hits, Redactor, Secret};

/// Searches for all secrets that were registered with it. Clones are one. A host has one for its sinks; whoever writes
/// logs or transcripts of its own sends them through it.
#[derive(Clone, Default)]
pub struct Redaction(Arc<Shared>);

#[derive(Default)]
struct Shared {
    known: Mutex<Vec<(String, Arc<Secret>)>>,
    current: RwLock<Arc<Redactor>>,
}

impl Redaction {
    /// Searches for nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Searches for this value from now on, and puts `[secret NAME]` in its place.
    pub fn register(&self, name: &str, secret: Secret) {
        self.know(name, &Arc::new(secret));
    }

    pub(crate) fn know(&self, name: &str, secret: &Arc<Secret>) {
        let mut known = self.known();
        let same = |(other, value): &(String, Arc<Secret>)| {
            other == name && value.expose() == secret.expose()
        };
        if known.iter().any(same) {
            return;
        }
        known.push((name.to_owned(), Arc::clone(secret)));
        let all = known
            .iter()
            .map(|(name, secret)| (name.as_str(), &**secret));
        let redactor = Arc::new(Redactor::new(all));
        *self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = redactor;
    }

    fn known(&self) -> MutexGuard<'_, Vec<(String, Arc<Secret>)>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The search for what is registered now.
    pub(crate) fn current(&self) -> Arc<Redactor> {
        Arc::clone(
            &self
                .0
                .current
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// The text without any secret.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.current().text(text, &mut Hits::default())
    }

    /// Takes every secret out of a value, its members' names included, and says what was found.
    pub fn json(&self, value: &mut Value) -> Hits {
        let mut hits = Hits::default();
        self.current().json(value, &mut hits);
        hits
    }

    /// A writer that lets no secret through. It holds back what could be the beginning of one until it is flushed.
    pub fn writer<W: Write>(&self, inner: W) -> RedactingWriter<W> {
        RedactingWriter {
            redaction: self.clone(),
            held: Vec::new(),
            inner,
        }
    }
}

/// See [`Redaction::writer`].
pub struct RedactingWriter<W: Write> {
    redaction: Redaction,
    held: Vec<u8>,
    inner: W,
}

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        let redactor = self.redaction.current();
        self.inner
            .write_all(&redactor.bytes(&held, &mut Hits::default()))?;
        self.inner.flush()
    }
}

impl<W: Write> Drop for RedactingWriter<W> {
    fn drop(&mut self) {
        // Whoever wants to know of an error flushes.
        let _ = self.flush();
    }
}
