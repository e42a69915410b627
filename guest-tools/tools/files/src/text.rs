//! Text: what counts as such, and how a line of it is shown.

use std::borrow::Cow;
use std::path::Path;

use toolcell_guest::{Error, Result};

use crate::path::{shown, size};

/// The text in `bytes`, or an error that says what the file at `path` holds instead.
pub(crate) fn decode(path: &Path, bytes: Vec<u8>) -> Result<String> {
    let binary = |length: usize| {
        let (place, size) = (shown(path), size(length as u64));
        Error::invalid_input(format!(
            "{place} is a binary file of {size}, not UTF-8 text"
        ))
    };
    if bytes.contains(&0) {
        return Err(binary(bytes.len()));
    }
    String::from_utf8(bytes).map_err(|error| binary(error.as_bytes().len()))
}

/// A line as it is shown: without the `\r` of Windows, and cut behind `most` characters.
pub(crate) fn cut(line: &str, most: usize) -> Cow<'_, str> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line.char_indices().nth(most) {
        None => Cow::Borrowed(line),
        Some((end, _)) => {
            let (start, rest) = line.split_at(end);
            let more = rest.chars().count();
            Cow::Owned(format!("{start}[… {more} more characters in this line]"))
        }
    }
}
