//! Patterns for the path of a URL. They match segment by segment, in time linear in pattern times path.

use std::fmt;

use serde::{Serialize, Serializer};

/// A pattern such as `/repos/*/issues` or `/v1/**`.
///
/// It starts with `/`. In a segment, `*` stands for any run of characters; a segment that is only `*` stands for one
/// segment that is not empty. `**` may stand only as the last segment and stands for the rest, an empty rest included:
/// `/v1/**` matches `/v1/` and all below, and not `/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    written: String,
    segments: Vec<Vec<u8>>,
    rest: bool,
}

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1024;

impl PathPattern {
    /// The pattern that matches every path: `/**`.
    pub fn everything() -> Self {
        Self {
            written: "/**".to_owned(),
            segments: Vec::new(),
            rest: true,
        }
    }

    /// Whether it matches every path.
    pub fn is_everything(&self) -> bool {
        self.rest && self.segments.is_empty()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err("a path pattern has at most 1024 bytes");
        }
        let Some(path) = text.strip_prefix('/') else {
            return Err("a path pattern starts with `/`");
        };
        if text
            .chars()
            .any(|c| c.is_control() || matches!(c, '?' | '#' | '\\'))
        {
            return Err("a path pattern has no `?`, `#`, backslash or control character");
        }
        if text.contains('%') {
            return Err("a path pattern is written plainly, without `%` escapes");
        }
        let (path, rest) = match path.strip_suffix("**") {
            Some("") => return Ok(Self::everything()),
            Some(before) => match before.strip_suffix('/') {
                Some(before) => (before, true),
                None => return Err("`**` stands alone as the last segment, as in `/v1/**`"),
            },
            None => (path, false),
        };
        let count = path.split('/').count();
        for (index, segment) in path.split('/').enumerate() {
            if segment.contains("**") {
                return Err("`**` can only be the last segment, as in `/v1/**`");
            }
            if matches!(segment, "." | "..") {
                return Err("`.` and `..` never reach the server, so the pattern can never match");
            }
            if segment.is_empty() && (rest || index + 1 < count) {
                return Err("an empty segment (`//`) cannot be part of a pattern");
            }
        }
        Ok(Self {
            written: text.to_owned(),
            segments: path
                .split('/')
                .map(|segment| segment.as_bytes().to_vec())
                .collect(),
            rest,
        })
    }

    /// Whether the decoded path, split at its slashes, matches.
    pub(crate) fn matches(&self, path: &[Vec<u8>]) -> bool {
        let enough = if self.rest {
            path.len() > self.segments.len()
        } else {
            path.len() == self.segments.len()
        };
        enough
            && self
                .segments
                .iter()
                .zip(path)
                .all(|(mine, theirs)| segment_matches(mine, theirs))
    }

    /// Whether every path that `other` matches certainly is matched by this pattern too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let long_enough = match (self.rest, other.rest) {
            (true, true) => other.segments.len() >= self.segments.len(),
            (true, false) => other.segments.len() > self.segments.len(),
            (false, true) => false,
            (false, false) => other.segments.len() == self.segments.len(),
        };
        long_enough
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|(mine, theirs)| segment_covers(mine, theirs))
    }

    /// The pattern of what both match. Where that is no pattern, as for `a*` and `*b`, it is `None`: nothing is left.
    pub(crate) fn meet(&self, other: &Self) -> Option<Self> {
        if self.covers(other) {
            return Some(other.clone());
        }
        if other.covers(self) {
            return Some(self.clone());
        }
        if !self.overlaps(other) {
            return None;
        }
        let (long, short) = if self.segments.len() < other.segments.len() {
            (other, self)
        } else {
            (self, other)
        };
        let narrower = |mine: &Vec<u8>, theirs: &Vec<u8>| {
            if segment_covers(mine, theirs) {
                Some(theirs.clone())
            } else {
                segment_covers(theirs, mine).then(|| mine.clone())
            }
        };
        let both = long.segments.iter().zip(&short.segments);
        let mut segments = both
            .map(|(mine, theirs)| narrower(mine, theirs))
            .collect::<Option<Vec<_>>>()?;
        segments.extend(long.segments.iter().skip(short.segments.len()).cloned());
        let rest = self.rest && other.rest;
        let words: Vec<String> = segments
            .iter()
            .map(|segment| String::from_utf8_lossy(segment).into_owned())
            .collect();
        Some(Self {
            written: format!("/{}{}", words.join("/"), if rest { "/**" } else { "" }),
            segments,
            rest,
        })
    }

    /// Whether some path may match both. It errs on the side of yes.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let lengths = match (self.rest, other.rest) {
            (true, true) => true,
            (true, false) => other.segments.len() > self.segments.len(),
            (false, true) => self.segments.len() > other.segments.len(),
            (false, false) => self.segments.len() == other.segments.len(),
        };
        lengths
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(
                    |(mine, theirs)| match (mine.contains(&b'*'), theirs.contains(&b'*')) {
                        (false, false) => mine == theirs,
                        (true, false) => segment_matches(mine, theirs),
                        (false, true) => segment_matches(theirs, mine),
                        (true, true) => true,
                    },
                )
    }
}

/// Whether every segment that one pattern matches is certainly matched by the other too.
fn segment_covers(mine: &[u8], theirs: &[u8]) -> bool {
    mine == theirs
        || (!theirs.contains(&b'*') && segment_matches(mine, theirs))
        // A lone star also covers any pattern that cannot be empty.
        || (mine == b"*" && theirs.iter().any(|byte| *byte != b'*'))
}

/// One segment against one pattern. On a mismatch only the last `*` is extended, which is enough for patterns that know
/// nothing but `*`, and keeps the worst case at pattern times text.
fn segment_matches(pattern: &[u8], text: &[u8]) -> bool {
    if pattern == b"*" {
        return !text.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                last_star = Some((p, t));
                p += 1;
            }
            Some(expected) if expected == byte => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, from)) = last_star else {
                    return false;
                };
                last_star = Some((star, from + 1));
                p = star + 1;
                t = from + 1;
            }
        }
    }
    pattern
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|byte| *byte == b'*')
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Serialize for PathPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}
