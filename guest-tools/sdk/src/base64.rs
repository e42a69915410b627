//! Bytes in JSON: standard base64 with padding (RFC 4648, section 4).
//!
//! ```
//! use toolcell_guest::base64;
//!
//! assert_eq!(base64::encode(b"sand"), "c2FuZA==");
//! assert_eq!(base64::decode("c2FuZA==").as_deref(), Some(b"sand".as_slice()));
//! ```

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes as text, in one line.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS.get((bits >> (18 - 6 * at) & 63) as usize);
            let known = at <= chunk.len();
            text.push(letter.filter(|_| known).map_or('=', |it| char::from(*it)));
        }
    }
    text
}

/// The bytes that a text stands for; `None` where it is not exactly that. Blanks at both ends do not
/// matter, blanks and line breaks inside do.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let plain = text.strip_suffix(b"=").unwrap_or(text);
    let plain = plain.strip_suffix(b"=").unwrap_or(plain);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in plain.chunks(4) {
        let mut bits = 0;
        for at in 0..4 {
            let value = match chunk.get(at) {
                Some(letter) => LETTERS.iter().position(|it| it == letter)?,
                None => 0,
            };
            bits = bits << 6 | value;
        }
        let [_, first, second, third] = u32::try_from(bits).ok()?.to_be_bytes();
        // What does not fill a byte has to be nothing.
        let (kept, rest): (&[u8], u8) = match chunk.len() {
            4 => (&[first, second, third], 0),
            3 => (&[first, second], third),
            2 => (&[first], second),
            _ => return None,
        };
        if rest != 0 {
            return None;
        }
        bytes.extend(kept);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn what_goes_in_comes_out() {
        for (bytes, text) in [
            (b"".as_slice(), ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (b"\0\xff\xfe", "AP/+"),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).as_deref(), Some(bytes));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in [
            "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9_", "Zm 9v",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
