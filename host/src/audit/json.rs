//! Records as JSON on one line: nothing in it moves a cursor, hides or reorders text, or grows without bound.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

use crate::text::is_deceptive;

/// The longest string in a record, in bytes. The rest is cut off and replaced by `…`.
pub(crate) const MAX_STRING_BYTES: usize = 4096;

/// The value as JSON. Control and other deceptive characters become `\uXXXX`, so that reading the JSON gives the very
/// same text back.
pub(crate) fn to_json(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::with_capacity(1024);
    let formatter = Plain { left: 0 };
    value.serialize(&mut Serializer::with_formatter(&mut json, formatter))?;
    Ok(json)
}

/// Writes strings with escapes and an end.
struct Plain {
    /// How many more bytes the current string may have.
    left: usize,
}

impl Formatter for Plain {
    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.left = MAX_STRING_BYTES;
        writer.write_all(b"\"")
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let Some(kept) = self.take(fragment) else {
            return Ok(());
        };
        let mut plain_from = 0;
        for (at, c) in kept.char_indices().filter(|(_, c)| is_deceptive(*c)) {
            writer.write_all(kept.get(plain_from..at).unwrap_or_default().as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain_from = at + c.len_utf8();
        }
        writer.write_all(kept.get(plain_from..).unwrap_or_default().as_bytes())?;
        if kept.len() < fragment.len() {
            self.cut(writer)?;
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match self.left {
            0 => Ok(()),
            1 => self.cut(writer),
            _ => {
                self.left -= 1;
                CompactFormatter.write_char_escape(writer, escape)
            }
        }
    }
}

impl Plain {
    /// The part of a fragment that still fits, with one byte kept in reserve as the sign that the string was not cut
    /// yet; nothing after the cut.
    fn take<'a>(&mut self, fragment: &'a str) -> Option<&'a str> {
        if self.left == 0 {
            return None;
        }
        let kept = fragment
            .get(..fragment.floor_char_boundary(self.left - 1))
            .unwrap_or_default();
        self.left -= kept.len();
        Some(kept)
    }

    fn cut<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.left = 0;
        writer.write_all("…".as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn deceptive_characters_are_escaped_and_come_back() {
        let text = "a\u{1b}[31m\n\"\\\u{7f}\u{9b}\u{202e}\u{e0041}ü世👋";
        let json = String::from_utf8(to_json(&text).unwrap()).unwrap();
        assert_eq!(
            json,
            r#""a\u001b[31m\n\"\\\u007f\u009b\u202e\udb40\udc41ü世👋""#
        );
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn long_strings_are_cut_at_a_character() {
        for unit in ["x", "ä", "\n", "👋", "\u{202e}"] {
            let text = unit.repeat(MAX_STRING_BYTES);
            let json = to_json(&[&text, "next"]).unwrap();
            let [cut, next]: [String; 2] = serde_json::from_slice(&json).unwrap();
            assert!(cut.len() <= MAX_STRING_BYTES + 3, "{}", cut.len());
            assert!(text.starts_with(cut.strip_suffix('…').unwrap()));
            assert_eq!(next, "next");
        }
        let fits = "x".repeat(MAX_STRING_BYTES - 1);
        let json = to_json(&fits).unwrap();
        assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), fits);
    }

    proptest! {
        #[test]
        fn any_text_stays_on_one_line_and_comes_back(text in any::<String>()) {
            let json = String::from_utf8(to_json(&text).unwrap()).unwrap();
            prop_assert!(!json.chars().any(is_deceptive));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
