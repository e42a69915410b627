//! From bytes to text.

use toolcell_guest::{Error, Result};

use crate::load::Loaded;

/// What the bytes 0x80 to 0x9f mean in Windows-1252, which pages of this kind mean by Latin-1.
const WINDOWS_1252: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";

/// The text of a body, or an error that says what it is instead.
pub(crate) fn text(loaded: &Loaded) -> Result<String> {
    let media_type = loaded
        .media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let binary = ["image/", "audio/", "video/", "font/"]
        .iter()
        .any(|kind| media_type.starts_with(kind))
        && media_type != "image/svg+xml";
    if binary || loaded.body.contains(&0) {
        let kind = if media_type.is_empty() {
            "binary data"
        } else {
            media_type
        };
        let what = format!(
            "{} is {kind}, which is not text that could be shown",
            loaded.url
        );
        return Err(Error::failed(what));
    }
    Ok(lossy(&loaded.body, &loaded.media_type))
}

/// The text in `bytes`. What the encoding does not know becomes `\u{fffd}`.
pub(crate) fn lossy(bytes: &[u8], media_type: &str) -> String {
    let charset = charset(media_type).or_else(|| charset_of_page(bytes));
    match charset.as_deref() {
        Some("iso-8859-1" | "latin1" | "windows-1252" | "cp1252") => windows_1252(bytes),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            String::from_utf8_lossy(bytes).into_owned()
        }
    }
}

/// The charset in a `content-type`, in lower case.
fn charset(media_type: &str) -> Option<String> {
    let (_, rest) = media_type.split_once("charset=")?;
    let name = rest.trim_start_matches(['"', '\'']);
    let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
    Some(name.get(..end.unwrap_or(name.len()))?.to_ascii_lowercase())
}

/// The charset that a page names in its own head.
fn charset_of_page(bytes: &[u8]) -> Option<String> {
    let head = bytes.get(..1024).unwrap_or(bytes);
    charset(&String::from_utf8_lossy(head).to_ascii_lowercase())
}

fn windows_1252(bytes: &[u8]) -> String {
    let special: Vec<char> = WINDOWS_1252.chars().collect();
    let character = |byte: &u8| match byte {
        0x80..=0x9f => special
            .get(usize::from(byte - 0x80))
            .copied()
            .unwrap_or('\u{fffd}'),
        byte => char::from(*byte),
    };
    bytes.iter().map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::lossy;

    #[test]
    fn the_charset_is_taken_from_the_header_or_the_page() {
        assert_eq!(lossy(b"\x80 \xe4", "text/html; charset=ISO-8859-1"), "€ ä");
        assert_eq!(
            lossy(b"<meta charset=\"windows-1252\">\xfc", ""),
            "<meta charset=\"windows-1252\">ü"
        );
        assert_eq!(lossy("\u{feff}ü".as_bytes(), "text/html"), "ü");
        assert_eq!(lossy(b"\xff", "text/plain; charset=utf-8"), "\u{fffd}");
        assert_eq!(super::WINDOWS_1252.chars().count(), 32);
    }
}
