//! The forms of a value that are searched for byte by byte.
//!
//! Everything is compared without ASCII case, so a form in lower case stands for all cases. What can be undone one
//! character at a time is no form here: it is read in [`reading`](super::reading), in any mixture.
//!
//! | form | here | while reading |
//! | --- | --- | --- |
//! | as it is, in any case | x | |
//! | reversed, by bytes and by characters | x | |
//! | base64, standard and URL-safe, at any place of a longer text, with or without padding | x | |
//! | base64 of the reversed value, and base64 reversed | x | |
//! | base32 at any place of a longer text | x | |
//! | hex, and hex of the reversed value, and hex reversed | x | |
//! | hex with `0x` before each byte | x | |
//! | hex with anything between the bytes that is neither letter nor digit | | x |
//! | `\x41`, `%41`, `=41` | | x |
//! | a list of decimal numbers, as of a byte array | x | |
//! | UTF-16, either byte order, and UTF-32 | beyond ASCII | ASCII |
//! | Latin-1 | x | |
//! | base64 of base64, base64 of hex, hex of base64, base64 of UTF-16 | x | |
//! | percent escapes of some or all characters, `%u0041`, `+` for a space | | x |
//! | escapes of JSON, JavaScript, C and Python: `\u0041`, `\u{41}`, `\U00000041`, `\101`, `\n`, `\/` | | x |
//! | HTML entities by name, in decimals and in hex | | x |
//! | escapes of escapes, up to three deep, and escapes of any form above | | x |
//! | spelled out, grouped or wrapped: up to 16 characters between two that are neither letters nor digits | | x |
//! | invisible characters between | | x |
//!
//! Out of reach are encryption, compression, checksums, other alphabets (a cipher of letters, look-alikes, Morse), words
//! for letters, other encodings stacked on each other, a value in two places with something else between, and a part of a
//! value. Whoever can choose how a value is sent back can choose one of these: redaction is for what happens by accident
//! and for those who did not think of more. What holds without it is that a tool never has the value.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

/// The bytes of one form, in lower case.
pub(super) type Form = Zeroizing<Vec<u8>>;

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// All forms of a value, the value itself first, and none twice.
pub(super) fn of(value: &[u8]) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut add = |mut form: Form| {
        form.make_ascii_lowercase();
        if !forms.contains(&form) {
            forms.push(form);
        }
    };
    let reversed = match std::str::from_utf8(value) {
        Ok(text) => Zeroizing::new(text.chars().rev().collect::<String>().into_bytes()),
        Err(_) => reversed(value),
    };
    let hex = hex(value, "");
    let upper = Zeroizing::new(hex.to_ascii_uppercase());

    add(value.to_vec().into());
    add(reversed.clone());
    add(self::reversed(value));
    add(hex.clone());
    add(self::hex(value, "0x"));
    add(self::hex(&reversed, ""));
    add(self::reversed(&hex));
    add(decimals(value));
    texts(value).into_iter().for_each(&mut add);
    base32(value).into_iter().for_each(&mut add);
    for inner in base64(value) {
        add(self::hex(&inner, ""));
        add(self::reversed(&inner));
        base64(&inner).into_iter().for_each(&mut add);
        add(inner);
    }
    for inner in [&reversed, &hex, &upper] {
        base64(inner).into_iter().for_each(&mut add);
    }
    if let Ok(text) = std::str::from_utf8(value) {
        let wide: Form = Zeroizing::new(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        base64(&wide).into_iter().for_each(&mut add);
    }
    forms
}

/// What a text beyond ASCII is in other encodings.
fn texts(value: &[u8]) -> Vec<Form> {
    let Ok(text) = std::str::from_utf8(value) else {
        return Vec::new();
    };
    if text.is_ascii() {
        return Vec::new();
    }
    let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    let codes = || text.chars().map(u32::from);
    let mut forms = vec![
        Zeroizing::new(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        Zeroizing::new(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        Zeroizing::new(codes().flat_map(u32::to_le_bytes).collect()),
        Zeroizing::new(codes().flat_map(u32::to_be_bytes).collect()),
    ];
    forms.extend(latin.map(Zeroizing::new));
    forms
}

fn reversed(value: &[u8]) -> Form {
    Zeroizing::new(value.iter().rev().copied().collect())
}

fn hex(value: &[u8], before: &str) -> Form {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0') as u8;
    let mut hex = Zeroizing::new(Vec::with_capacity(value.len() * (2 + before.len())));
    for byte in value {
        hex.extend_from_slice(before.as_bytes());
        hex.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    hex
}

fn decimals(value: &[u8]) -> Form {
    let mut digits = Zeroizing::new(Vec::with_capacity(value.len() * 3));
    for byte in value {
        let places = [byte / 100, byte / 10 % 10, byte % 10];
        let zeros = places
            .iter()
            .take(2)
            .take_while(|digit| **digit == 0)
            .count();
        digits.extend(places.iter().skip(zeros).map(|digit| b'0' + digit));
    }
    digits
}

/// The characters of base64 that depend on the value alone, with zero, one and two bytes before it.
fn base64(value: &[u8]) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    for before in 0..3 {
        let padded = padded(value, before);
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let mut text = Zeroizing::new(engine.encode(&*padded).into_bytes());
            inner(&mut text, value.len(), before, 6);
            if !forms.contains(&text) {
                forms.push(text);
            }
        }
    }
    forms
}

/// As [`base64`], for base32, with zero to four bytes before it.
fn base32(value: &[u8]) -> Vec<Form> {
    let encoded = |before| {
        let mut text = Zeroizing::new(Vec::with_capacity(value.len() * 8 / 5 + 9));
        let (mut bits, mut count) = (0_u32, 0);
        for byte in &*padded(value, before) {
            bits = (bits << 8 | u32::from(*byte)) & 0xfff;
            count += 8;
            while count >= 5 {
                count -= 5;
                let index = (bits >> count & 31) as usize;
                text.extend(BASE32.get(index));
            }
        }
        inner(&mut text, value.len(), before, 5);
        text
    };
    (0..5).map(encoded).collect()
}

/// The value with zeros before it.
fn padded(value: &[u8], before: usize) -> Form {
    let mut padded = Zeroizing::new(Vec::with_capacity(before + value.len()));
    padded.resize(before, 0);
    padded.extend_from_slice(value);
    padded
}

/// Leaves the characters of `bits` bits each that lie wholly within the value.
fn inner(text: &mut Form, len: usize, before: usize, bits: usize) {
    text.truncate((before + len) * 8 / bits);
    text.drain(..(before * 8).div_ceil(bits));
}
