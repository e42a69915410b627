//! What a server or a tool makes of a value before it shows it.

use std::fmt::Write as _;

/// A form: its name, and what it makes of a value.
pub(crate) type Form = (&'static str, fn(&str) -> Vec<u8>);

/// The eighteen forms of the echo test.
pub(crate) const FORMS: &[Form] = &[
    ("as it is", |value| value.into()),
    ("reversed", |value| value.bytes().rev().collect()),
    ("base64", |value| base64(value, 0, STANDARD)),
    ("base64 behind one byte", |value| base64(value, 1, STANDARD)),
    ("base64 behind two bytes", |value| {
        base64(value, 2, STANDARD)
    }),
    ("base64 for URLs", |value| base64(value, 0, URL_SAFE)),
    ("base64 for URLs behind one byte", |value| {
        base64(value, 1, URL_SAFE)
    }),
    ("base64 for URLs behind two bytes", |value| {
        base64(value, 2, URL_SAFE)
    }),
    ("hexadecimal", |value| {
        each(value, |byte| format!("{byte:02x}"))
    }),
    ("hexadecimal in capitals", |value| {
        each(value, |byte| format!("{byte:02X}"))
    }),
    ("percent where needed", |value| {
        each(value, |byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02x}"),
        })
    }),
    ("percent everywhere", |value| {
        each(value, |byte| format!("%{byte:02X}"))
    }),
    ("escapes of JSON", |value| {
        each(value, |byte| format!("\\u{byte:04x}"))
    }),
    ("a JSON text", |value| {
        serde_json::Value::from(value)
            .to_string()
            .replace('/', "\\/")
            .into()
    }),
    ("entities in decimals", |value| {
        each(value, |byte| format!("&#{byte};"))
    }),
    ("entities in hexadecimal", |value| {
        each(value, |byte| format!("&#x{byte:x};"))
    }),
    ("UTF-16, low byte first", |value| {
        value.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }),
    ("UTF-16, high byte first", |value| {
        value.encode_utf16().flat_map(u16::to_be_bytes).collect()
    }),
];

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn each(value: &str, form: impl Fn(u8) -> String) -> Vec<u8> {
    value.bytes().map(form).collect::<String>().into()
}

/// Base64 of a longer text with the value in it, so that the value begins at each of the places it can begin at.
fn base64(value: &str, before: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let long = format!("{}{value}, as you see", "x".repeat(before));
    let mut encoded = Vec::new();
    for three in long.as_bytes().chunks(3) {
        let bits = three
            .iter()
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            let there = place <= three.len();
            encoded.push(if there {
                alphabet[digit as usize]
            } else {
                b'='
            });
        }
    }
    encoded
}

/// The same where no field of a header could hold it: what is no visible character is percent-encoded.
pub(crate) fn for_a_field(form: &[u8]) -> String {
    let mut text = String::new();
    for byte in form {
        match byte {
            0x20..=0x7e => text.push(char::from(*byte)),
            _ => write!(text, "%{byte:02x}").unwrap(),
        }
    }
    text
}

#[test]
fn every_form_is_found_by_a_search_that_does_not_know_it() {
    let value = "tK/9+x&Qw<7\"e'Rr2=mZpL0";
    for (name, form) in FORMS {
        let shown = [b"before ".as_slice(), &form(value), b" after"].concat();
        assert!(crate::searcher::find(&shown, value).is_some(), "{name}");
        let field = for_a_field(&form(value));
        assert!(
            crate::searcher::find(field.as_bytes(), value).is_some(),
            "{name}"
        );
        let removed = shown.iter().map(|_| b'.').collect::<Vec<_>>();
        assert_eq!(crate::searcher::find(&removed, value), None, "{name}");
    }
    assert_eq!(FORMS.len(), 18);
}
