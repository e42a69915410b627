//! What is searched for.

use regex_lite::{Regex, RegexBuilder};
use toolcell_guest::{Error, Result};

use crate::limits::PATTERN_BYTES;

/// A pattern, ready to match. Most patterns are plain words: those need no regular expression,
/// and are found many times faster without one.
pub(super) enum Pattern {
    Word(String),
    Regex(Regex),
}

impl Pattern {
    pub(super) fn new(pattern: &str, ignore_case: bool) -> Result<Self> {
        if pattern.is_empty() {
            return Err(Error::invalid_input(
                "the pattern is empty: it would match every line",
            ));
        }
        if !ignore_case && regex_lite::escape(pattern) == pattern {
            return Ok(Pattern::Word(pattern.to_owned()));
        }
        RegexBuilder::new(pattern)
            .case_insensitive(ignore_case)
            .size_limit(PATTERN_BYTES)
            .build()
            .map(Pattern::Regex)
            .map_err(|error| {
                let what = format!("`{pattern}` is no regular expression: {error}");
                Error::invalid_input(what)
            })
    }

    pub(super) fn matches(&self, line: &str) -> bool {
        match self {
            Pattern::Word(word) => line.contains(word.as_str()),
            Pattern::Regex(regex) => regex.is_match(line),
        }
    }

    /// Whether it is worth looking at the lines of `text` at all.
    pub(super) fn may_match(&self, text: &str) -> bool {
        match self {
            Pattern::Word(word) => text.contains(word.as_str()),
            Pattern::Regex(_) => true,
        }
    }
}
