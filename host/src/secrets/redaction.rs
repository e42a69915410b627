//! A search that grows: what is registered once is searched for everywhere from then on.

use std::{
    borrow::Cow,
    io::{self, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value;

use super::{Hits, PersonalData, RedactStream, Redactor, Secret};

/// Searches for all secrets that were registered with it. Clones are one. A host has one for its sinks; whoever writes
/// logs or transcripts of its own sends them through it.
#[derive(Clone, Default)]
pub struct Redaction {
    shared: Arc<Shared>,
    /// What looks like personal data, where what passes is stored or sent to observers.
    personal: Option<PersonalData>,
}

/// The most values that a host looks up for its tools and searches for at a time, in number and in bytes.
pub(crate) const SECRETS_MAX: usize = 1_000;
/// See [`SECRETS_MAX`]. A search takes about a hundred times as much memory as the values.
pub(crate) const SECRETS_BYTES_MAX: usize = 256 * 1024;

#[derive(Default)]
struct Shared {
    known: Mutex<Vec<Known>>,
    current: RwLock<Current>,
    /// How often a value came or went.
    changed: AtomicU64,
    /// How often something was registered for everybody.
    registered: AtomicU64,
    /// Whose registered values are searched for as well.
    whole: Option<Redaction>,
}

/// The search, and how often what it searches for had changed when it was made.
#[derive(Default)]
struct Current {
    redactor: Arc<Redactor>,
    changes: Changes,
}

/// How often a value came or went here, and how often one was registered for everybody.
type Changes = (u64, u64);

/// A value that is searched for, as long as somebody knows it.
struct Known {
    name: String,
    value: Arc<Secret>,
    knowers: usize,
    registered: bool,
}

impl Known {
    fn is(&self, name: &str, value: &Secret) -> bool {
        self.name == name && self.value.expose() == value.expose()
    }
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

    /// A search that also finds what is registered with this one, and whose own values this one does not find. What one
    /// tenant has must not be told to another by being replaced.
    pub(crate) fn part(&self) -> Self {
        Self {
            shared: Arc::new(Shared {
                whole: Some(self.clone()),
                ..Shared::default()
            }),
            personal: None,
        }
    }

    /// The same search, which takes out personal data besides. For what is stored, or sent to whoever watches: what a run
    /// shows and answers stays as it is.
    #[must_use]
    pub fn without(&self, personal: PersonalData) -> Self {
        Self {
            personal: Some(personal),
            ..self.clone()
        }
    }

    /// Searches for this value from now on, and puts `[secret NAME]` in its place. On the redaction of a host it holds for
    /// the calls of every tenant.
    pub fn register(&self, name: &str, secret: Secret) {
        self.add(name, &Arc::new(secret), true);
    }

    /// Searches for this value until it was forgotten as often as it was known.
    pub(crate) fn know(&self, name: &str, secret: &Arc<Secret>) {
        self.add(name, secret, false);
    }

    fn add(&self, name: &str, secret: &Arc<Secret>, registered: bool) {
        let mut known = self.known();
        let at = known.iter().position(|it| it.is(name, secret));
        match at.and_then(|at| known.get_mut(at)) {
            Some(same) => {
                same.knowers = same.knowers.saturating_add(1);
                same.registered |= registered;
            }
            None => known.push(Known {
                name: name.to_owned(),
                value: Arc::clone(secret),
                knowers: 1,
                registered,
            }),
        }
        if registered {
            self.shared.registered.fetch_add(1, Ordering::SeqCst);
        }
        if at.is_none() {
            self.shared.changed.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether one more value can be searched for. One that is known already always can.
    pub(crate) fn has_room_for(&self, secret: &Secret) -> bool {
        let known = self.known();
        let bytes: usize = known.iter().map(|it| it.value.expose().len()).sum();
        let is_known = |it: &Known| it.value.expose() == secret.expose();
        known.len() < SECRETS_MAX && bytes + secret.expose().len() <= SECRETS_BYTES_MAX
            || known.iter().any(is_known)
    }

    /// Searches no longer for a value that nobody else knows.
    pub(crate) fn forget(&self, name: &str, secret: &Secret) {
        let mut known = self.known();
        let Some(at) = known.iter().position(|it| it.is(name, secret)) else {
            return;
        };
        if let Some(same) = known.get_mut(at).filter(|same| same.knowers > 1) {
            same.knowers = same.knowers.saturating_sub(1);
            return;
        }
        known.remove(at);
        self.shared.changed.fetch_add(1, Ordering::SeqCst);
    }

    /// Prepares the search. That takes a while with many values, so it is done once for all that changed until one is needed.
    fn compile(&self) {
        // The lock of a part is always taken before that of its whole, and never the other way round.
        let known = self.known();
        let whole = self.shared.whole.as_ref().map(Self::known);
        let changes = self.changes();
        let of_all = whole
            .iter()
            .flat_map(|known| known.iter().filter(|it| it.registered));
        let all = known.iter().chain(of_all);
        let redactor = Arc::new(Redactor::new(all.map(|it| (it.name.as_str(), &*it.value))));
        let mut current = self
            .shared
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Current { redactor, changes };
    }

    fn changes(&self) -> Changes {
        let whole = self.shared.whole.as_ref();
        let registered = whole.map_or(0, |whole| whole.shared.registered.load(Ordering::SeqCst));
        (self.shared.changed.load(Ordering::SeqCst), registered)
    }

    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        self.shared
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The search for what is registered now.
    pub(crate) fn current(&self) -> Arc<Redactor> {
        let newest = self.changes();
        let current = || {
            self.shared
                .current
                .read()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if current().changes != newest {
            self.compile();
        }
        Arc::clone(&current().redactor)
    }

    /// Whether there is nothing to search for yet.
    pub fn is_empty(&self) -> bool {
        self.personal.is_none() && self.current().is_empty()
    }

    /// The text without any secret.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let clean = self.current().text(text, &mut Hits::default());
        let Some(personal) = &self.personal else {
            return clean;
        };
        match clean {
            Cow::Borrowed(text) => personal.text(text),
            Cow::Owned(text) => Cow::Owned(personal.text(&text).into_owned()),
        }
    }

    /// Takes every secret out of a value, its members' names included. Whether it is another value now.
    pub fn json(&self, value: &mut Value) -> bool {
        let mut hits = Hits::default();
        self.current().json(value, &mut hits);
        let personal = self
            .personal
            .as_ref()
            .is_some_and(|personal| personal.json(value));
        !hits.is_empty() || personal
    }

    /// A search of a text that comes in pieces, such as what a model writes. It is for what is shown as it comes, and knows
    /// no personal data.
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
        let clean = redactor.bytes(&held, &mut Hits::default());
        match (&self.redaction.personal, std::str::from_utf8(&clean)) {
            (Some(personal), Ok(text)) => self.inner.write_all(personal.text(text).as_bytes())?,
            _ => self.inner.write_all(&clean)?,
        }
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
    fn there_is_room_for_so_many_bytes() {
        let value = |seed: u64| {
            let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
            let digits = (0..65_000).map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(seed);
                char::from(b'0' + (state >> 33) as u8 % 75)
            });
            Secret::new(digits.collect::<String>().replace('\\', "x")).unwrap()
        };
        let redaction = Redaction::new();
        for seed in 1..=4 {
            assert!(redaction.has_room_for(&value(seed)));
            redaction.register("LONG", value(seed));
        }
        assert!(!redaction.has_room_for(&value(5)));
        assert!(redaction.has_room_for(&value(4)), "it is known");
        assert!(redaction.has_room_for(&Secret::new(VALUE).unwrap()));
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
