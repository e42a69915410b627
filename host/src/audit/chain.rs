//! The chain: how a line is sealed with a hash of itself and of the line before, and what the head file says.
//!
//! A line is one JSON object whose first members are `seq`, `time` and `prev` and whose last member is `hash`, the
//! SHA-256 of all bytes of the line before the comma in front of `"hash"`. It covers the bytes as they are written, so
//! there is no second way to write the same record.

use std::{fmt, time::SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::{AuditRecord, json, timestamp::rfc3339};

/// A SHA-256, shown and read as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut hash = Self::default();
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return None;
        };
        if pairs.len() != hash.0.len() {
            return None;
        }
        for (byte, [high, low]) in hash.0.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(hash)
    }
}

/// The value of a lower-case hexadecimal digit. Upper case is refused: a changed letter is a changed line.
fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not 64 lower-case hexadecimal digits"))
    }
}

/// The end of a log, kept in `<log>.head`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// How many lines the log has.
    pub count: u64,
    /// How many bytes they are, newlines included.
    pub bytes: u64,
    /// The hash of the last line; zeros for an empty log.
    pub hash: Hash,
}

impl Head {
    /// The size of a head file in bytes. It never changes, so that writing a head needs no room on a full disk.
    pub(crate) const FILE_BYTES: usize = 192;

    pub(crate) fn to_file(self) -> Vec<u8> {
        let mut text = format!(
            r#"{{"count":{},"bytes":{},"hash":"{}"}}"#,
            self.count, self.bytes, self.hash
        );
        text = format!("{text:<width$}\n", width = Self::FILE_BYTES - 1);
        text.into_bytes()
    }

    /// Reads a head file, whose bytes must be exactly what `to_file` writes.
    pub(crate) fn from_file(file: &[u8]) -> Option<Self> {
        let head: Self = serde_json::from_slice(file).ok()?;
        (head.to_file() == file).then_some(head)
    }

    /// The line that comes next, with its newline, and the head after it.
    pub(crate) fn seal(
        &self,
        time: SystemTime,
        record: &AuditRecord,
    ) -> serde_json::Result<(Vec<u8>, Self)> {
        // A forged head may claim any number.
        let seq = self.count.saturating_add(1);
        let (time, prev) = (rfc3339(time), self.hash);
        let mut line = format!(r#"{{"seq":{seq},"time":"{time}","prev":"{prev}","#).into_bytes();
        // A record is an object with at least its type, so only the outer braces have to go.
        let record = json::to_json(record)?;
        line.extend(record.iter().skip(1).take(record.len().saturating_sub(2)));
        let hash = Hash::of(&line);
        line.extend(format!("{HASH_KEY}{hash}{LINE_END}\n").as_bytes());
        let next = Self {
            count: seq,
            bytes: self.bytes.saturating_add(line.len() as u64),
            hash,
        };
        Ok((line, next))
    }
}

const HASH_KEY: &str = r#","hash":""#;
const LINE_END: &str = r#""}"#;

/// What ties a line to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) seq: u64,
    pub(crate) prev: Hash,
    pub(crate) hash: Hash,
}

impl Link {
    /// Checks that a line, without its newline, is what was once written, and reads its place.
    pub(crate) fn read(line: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Place {
            seq: u64,
            prev: Hash,
        }
        const CHANGED: &str = "the line was changed: its content does not match its hash";
        let end = line
            .len()
            .checked_sub(HASH_KEY.len() + 64 + LINE_END.len())
            .ok_or("the line is no audit record")?;
        let (content, tail) = line.split_at(end);
        let hash = std::str::from_utf8(tail)
            .ok()
            .and_then(|tail| tail.strip_prefix(HASH_KEY)?.strip_suffix(LINE_END))
            .and_then(Hash::parse)
            .ok_or(CHANGED)?;
        if Hash::of(content) != hash {
            return Err(CHANGED);
        }
        let Place { seq, prev } =
            serde_json::from_slice(line).map_err(|_| "the line is no audit record")?;
        Ok(Self { seq, prev, hash })
    }

    /// Whether the line follows the end of a log.
    pub(crate) fn follows(&self, head: &Head) -> bool {
        head.count.checked_add(1) == Some(self.seq) && self.prev == head.hash
    }
}
