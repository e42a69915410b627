//! Finds the values of secrets in what passes, whatever form they have, and puts `[secret NAME]` in their place.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::Secret;

/// How often each secret was found, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Hits(pub(crate) BTreeMap<String, u64>);

impl Hits {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each secret that was found, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// Counts one more place.
    pub(crate) fn add(&mut self, name: &str, count: u64) {
        let counted = self.0.entry(name.to_owned()).or_default();
        *counted = counted.saturating_add(count);
    }

    /// Counts what another search found.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (name, count) in other.iter() {
            self.add(name, count);
        }
    }
}

/// Searches for a fixed set of secrets.
#[derive(Default)]
pub(crate) struct Redactor {
    patterns: Vec<(String, zeroize::Zeroizing<Vec<u8>>)>,
}

impl Redactor {
    /// Prepares the search for these secrets, each with the name that stands in its place.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a Secret)>) -> Self {
        let pattern =
            |(name, secret): (&str, &Secret)| (name.to_owned(), secret.expose().to_vec().into());
        Self {
            patterns: secrets.into_iter().map(pattern).collect(),
        }
    }

    /// Whether there is nothing to search for.
    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Bytes without any secret.
    pub(crate) fn bytes<'a>(&self, bytes: &'a [u8], hits: &mut Hits) -> Cow<'a, [u8]> {
        let mut bytes = Cow::Borrowed(bytes);
        for (name, pattern) in &self.patterns {
            while let Some(at) = bytes
                .windows(pattern.len())
                .position(|window| window == pattern.as_slice())
            {
                let place = format!("[secret {name}]");
                bytes
                    .to_mut()
                    .splice(at..at + pattern.len(), place.into_bytes());
                hits.add(name, 1);
            }
        }
        bytes
    }

    /// A text without any secret.
    pub(crate) fn text<'a>(&self, text: &'a str, hits: &mut Hits) -> Cow<'a, str> {
        match self.bytes(text.as_bytes(), hits) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// Takes every secret out of a value: its texts, and the names of its members.
    pub(crate) fn json(&self, value: &mut Value, hits: &mut Hits) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.text(text, hits) {
                    *text = clean;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item, hits)),
            Value::Object(members) => {
                let old = std::mem::take(members);
                for (name, mut value) in old {
                    self.json(&mut value, hits);
                    members.insert(self.text(&name, hits).into_owned(), value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A search of bytes that come in pieces.
    pub(crate) fn stream(self: &Arc<Self>) -> RedactStream {
        RedactStream {
            redactor: Arc::clone(self),
            held: Vec::new(),
            hits: Hits::default(),
        }
    }
}

/// A search of bytes that come in pieces: what could be the beginning of a secret is held back until more is known.
pub(crate) struct RedactStream {
    redactor: Arc<Redactor>,
    held: Vec<u8>,
    hits: Hits,
}

impl RedactStream {
    /// Takes the next piece, and gives what can be passed on.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        let clean = self.redactor.bytes(&self.held, &mut self.hits).into_owned();
        let longest = self.redactor.patterns.iter().map(|(_, it)| it.len()).max();
        let keep = longest.unwrap_or(1).saturating_sub(1).min(clean.len());
        let (pass, hold) = clean.split_at(clean.len() - keep);
        self.held = hold.to_vec();
        pass.to_vec()
    }

    /// Gives what was held back, once nothing comes any more.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// What was found so far.
    pub(crate) fn hits(&self) -> &Hits {
        &self.hits
    }
}
