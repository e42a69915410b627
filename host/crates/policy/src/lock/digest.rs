//! Digests, and the one form of a manifest that they are taken of.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    Manifest, manifest,
    print::{Table, canonical_json},
};

const PREFIX: &str = "sha256:";

/// A SHA-256, written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The SHA-256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest that a text writes; `None` for every other text, digits in upper case included.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?.as_bytes();
        let (pairs, []) = digits.as_chunks::<2>() else {
            return None;
        };
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(bytes))
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The digest of a manifest in its shortest form, as canonical JSON. What is left to its default is left out, so that
/// a later version of the language does not change the digests of manifests that do not use what is new.
pub(super) fn of_manifest(manifest: &Manifest) -> Digest {
    of_table(&manifest::recorded(manifest))
}

/// The digest of the tool list alone.
pub(super) fn of_tools(manifest: &Manifest) -> Digest {
    of_table(&manifest::recorded_tools(manifest))
}

fn of_table(table: &Table) -> Digest {
    // A table of strings, numbers, flags, lists and tables always is a JSON value.
    let value = serde_json::to_value(table).unwrap_or_default();
    Digest::of(canonical_json(&value).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_written_in_one_way() {
        let digest = Digest::of(b"");
        let text = digest.to_string();
        assert!(text.starts_with("sha256:e3b0c44298fc1c14"), "{text}");
        assert_eq!(Digest::parse(&text), Some(digest));
        for wrong in [
            text.to_uppercase(),
            text.replace("sha256:", ""),
            format!("{text}0"),
            text.replace("e3", "E3"),
            text[..text.len() - 2].to_owned(),
            format!("{}ü", &text[..text.len() - 2]),
        ] {
            assert_eq!(Digest::parse(&wrong), None, "{wrong}");
        }
    }
}
