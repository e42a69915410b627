//! A search that grows: what is registered once is searched for everywhere from then on.

use std::{
    borrow::Cow,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use serde_json::Value;

use super::{Hits, RedactStream, Redactor, Secret};

/// Searches for all secrets that were registered with it. Clones are one. A host has one for its sinks; whoever writes
/// logs or transcripts of its own sends them through it.
#[derive(Clone, Default)]
pub struct Redaction(Arc<Shared>);

#[derive(Default)]
struct Shared {
    known: Mutex<Vec<(String, Arc<Secret>)>>,
    current: RwLock<Arc<Redactor>>,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redaction").finish_non_exhaustive()
    }
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

    /// Whether there is nothing to search for yet.
    pub fn is_empty(&self) -> bool {
        self.current().is_empty()
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

    /// A search of a text that comes in pieces, such as what a model writes.
    pub fn pieces(&self) -> RedactedText {
        RedactedText {
            redaction: self.clone(),
            stream: None,
            rest: Vec::new(),
        }
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

/// See [`Redaction::pieces`]. What could be the beginning of a secret is held back, and nothing else is.
pub struct RedactedText {
    redaction: Redaction,
    stream: Option<RedactStream>,
    /// The beginning of a character.
    rest: Vec<u8>,
}

impl RedactedText {
    /// Takes the next piece, and gives what can be shown.
    pub fn push(&mut self, piece: &str) -> String {
        let redaction = &self.redaction;
        let stream = self
            .stream
            .get_or_insert_with(|| redaction.current().stream());
        let bytes = stream.push(piece.as_bytes());
        self.whole(&bytes)
    }

    /// Gives what was held back, once the text is whole. The next one is searched for what is registered by then.
    pub fn finish(&mut self) -> String {
        let bytes = self.stream.take().map(|mut stream| stream.finish());
        let mut text = self.whole(&bytes.unwrap_or_default());
        text += &String::from_utf8_lossy(&std::mem::take(&mut self.rest));
        text
    }

    /// As much of it as is whole characters.
    fn whole(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.rest) {
            Ok(_) => self.rest.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            // A value that is no text took a part of a character with it.
            Err(_) => self.rest.len(),
        };
        let text = self.rest.drain(..whole).collect::<Vec<u8>>();
        String::from_utf8_lossy(&text).into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "q7Rk2mXw9TbZ";

    fn knowing() -> Redaction {
        let redaction = Redaction::new();
        redaction.register("TOKEN", Secret::new(VALUE).unwrap());
        redaction
    }

    #[test]
    fn a_text_is_clean_however_it_is_cut() {
        let text = format!("ä{VALUE}ö and {VALUE}");
        let clean = "ä[secret TOKEN]ö and [secret TOKEN]";
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        for (at, one) in ends.iter().enumerate() {
            for two in &ends[at..] {
                let mut pieces = knowing().pieces();
                let mut told = pieces.push(&text[..*one]);
                told += &pieces.push(&text[*one..*two]);
                told += &pieces.push(&text[*two..]);
                told += &pieces.finish();
                assert_eq!(told, clean, "{one} {two}");
                assert_eq!(pieces.finish(), "");
            }
        }
    }

    #[test]
    fn what_is_registered_later_is_searched_for_in_the_next_text() {
        let redaction = Redaction::new();
        let mut pieces = redaction.pieces();
        assert_eq!(pieces.push("a") + &pieces.finish(), "a");
        redaction.register("TOKEN", Secret::new(VALUE).unwrap());
        assert_eq!(pieces.push(VALUE) + &pieces.finish(), "[secret TOKEN]");
    }

    #[test]
    fn a_writer_lets_no_secret_through_however_it_is_written() {
        for at in 0..VALUE.len() {
            let mut out = Vec::new();
            let mut writer = knowing().writer(&mut out);
            writer.write_all(b"before ").unwrap();
            writer.write_all(&VALUE.as_bytes()[..at]).unwrap();
            writer.write_all(&VALUE.as_bytes()[at..]).unwrap();
            writer.write_all(b" after\n").unwrap();
            drop(writer);
            assert_eq!(out, b"before [secret TOKEN] after\n");
        }
    }
}
