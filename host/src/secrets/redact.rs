//! Finds the values of secrets in what passes, whatever form they have, and puts `[secret NAME]` in their place.
//!
//! [`forms`] lists what is found, and says what is not. A text is read in every way that escapes and gaps allow
//! ([`scan`]), in one pass and in time proportional to its length, and comes out the same however it is cut into pieces.
//! What lies outside of a hit stays as it is, byte for byte.
//!
//! The forms are overwritten when the search is dropped. The automaton's own tables are not, since they belong to a
//! library: they have the first eight bytes of each form, and so up to eight bytes from either end of a value.

mod forms;
#[cfg(any(test, feature = "test-support"))]
pub(crate) mod fuzzing;
mod json;
mod reading;
mod scan;
mod search;
mod stream;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use scan::{Hit, Scan};
use search::Search;
pub(crate) use stream::RedactStream;

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
    /// The name of each secret, and what stands in its place.
    names: Vec<(String, String)>,
    search: Option<Search>,
}

impl Redactor {
    /// Prepares the search for these secrets, each with the name that stands in its place.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a Secret)>) -> Self {
        let secrets = secrets.into_iter();
        Self::of_values(secrets.map(|(name, secret)| (name, secret.expose())))
    }

    fn of_values<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self::with_table(secrets, search::TABLE_BYTES_MAX)
    }

    fn with_table<'a>(
        secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        table_bytes_max: usize,
    ) -> Self {
        let (names, values): (Vec<&str>, Vec<&[u8]>) = secrets.into_iter().unzip();
        let mut redactor = Self {
            names: Vec::new(),
            search: Search::new(&values, table_bytes_max),
        };
        let places = names.iter().enumerate();
        let places = places.map(|(index, name)| redactor.place(index, name));
        redactor.names = names
            .iter()
            .map(|name| (*name).to_owned())
            .zip(places.collect::<Vec<_>>())
            .collect();
        redactor
    }

    /// What stands in the place of a secret: nothing that has the value of one.
    fn place(&self, index: usize, name: &str) -> String {
        let mut places = [
            format!("[secret {name}]"),
            format!("[secret {}]", index + 1),
            "[secret]".to_owned(),
        ]
        .into_iter();
        places
            .find(|place| self.found(place.as_bytes()).is_empty())
            .unwrap_or_default()
    }

    /// Whether there is nothing to search for.
    pub(crate) fn is_empty(&self) -> bool {
        self.search.is_none()
    }

    fn found(&self, bytes: &[u8]) -> Vec<Hit> {
        let Some(search) = &self.search else {
            return Vec::new();
        };
        let mut scan = Scan::new(search);
        scan.run(search, bytes, 0, true);
        std::mem::take(scan.hits())
    }

    /// Bytes without any secret.
    pub(crate) fn bytes<'a>(&self, bytes: &'a [u8], hits: &mut Hits) -> Cow<'a, [u8]> {
        let mut found = self.found(bytes);
        if found.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let end = bytes.len();
        self.replace(bytes, 0, &mut found, end, &mut clean, hits);
        Cow::Owned(clean)
    }

    /// A text without any secret.
    pub(crate) fn text<'a>(&self, text: &'a str, hits: &mut Hits) -> Cow<'a, str> {
        match self.bytes(text.as_bytes(), hits) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(
                String::from_utf8(bytes)
                    .unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned()),
            ),
        }
    }

    /// A search of bytes that come in pieces.
    pub(crate) fn stream(self: &Arc<Self>) -> RedactStream {
        RedactStream::new(self)
    }

    /// Appends the bytes, the first of which stands at `base`, up to the place `safe`, or to the beginning of what was found
    /// but may go on after it. Everything that was found is replaced. Gives the place up to which that is done.
    fn replace(
        &self,
        bytes: &[u8],
        base: usize,
        found: &mut Vec<Hit>,
        safe: usize,
        clean: &mut Vec<u8>,
        hits: &mut Hits,
    ) -> usize {
        // Of two that begin at one place the longer comes first.
        found.sort_unstable_by_key(|hit| (hit.start, usize::MAX - hit.end, hit.secret));
        let part = |from: usize, to: usize| bytes.get(from - base..to - base).unwrap_or(&[]);
        let (mut done, mut used) = (base, 0);
        while let Some(first) = found.get(used).filter(|hit| hit.start < safe) {
            // What overlaps is one place.
            let (start, mut end, mut count) = (first.start, first.end, 1);
            while let Some(hit) = found.get(used + count).filter(|hit| hit.start < end) {
                end = end.max(hit.end);
                count += 1;
            }
            clean.extend_from_slice(part(done, start));
            if end > safe {
                found.drain(..used);
                return start;
            }
            self.name(found.get(used..used + count).unwrap_or(&[]), clean, hits);
            (done, used) = (end, used + count);
        }
        clean.extend_from_slice(part(done, safe));
        found.drain(..used);
        safe
    }

    /// Writes what stands in the place of hits that overlap, and counts their secrets.
    fn name(&self, overlapping: &[Hit], clean: &mut Vec<u8>, hits: &mut Hits) {
        let mut counted: Vec<usize> = Vec::new();
        let mut named_up_to = 0;
        for hit in overlapping {
            let Some((name, place)) = self.names.get(hit.secret) else {
                continue;
            };
            // One that lies within another is not told of.
            let inside = hit.end <= named_up_to;
            named_up_to = named_up_to.max(hit.end);
            if counted.contains(&hit.secret) {
                continue;
            }
            counted.push(hit.secret);
            hits.add(name, 1);
            if !inside {
                clean.extend_from_slice(place.as_bytes());
            }
        }
    }
}
