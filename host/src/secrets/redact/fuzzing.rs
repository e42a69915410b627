//! What must hold for any bytes that are searched.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a property that does not hold panics"
)]

use std::sync::Arc;

use super::{Hits, Redactor, forms};

/// The letters and digits of made-up values. None of them is in what stands in their place, so that this is never a part of
/// one.
const ALPHABET: &[u8] = b"0123456789abdfghijklmopquvwxyzABDFGHIJKLMOPQUVWXYZ-_+/=%&\\";
/// The longest value that is made up.
const VALUE_BYTES_MAX: usize = 48;

/// The bytes that decide, one after the other.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn next(&mut self) -> usize {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        usize::from(*first)
    }

    fn of<'b, T>(&mut self, all: &'b [T]) -> &'b T {
        let at = self.next() % all.len().max(1);
        all.get(at).expect("there is at least one")
    }
}

/// Makes a value of some of the bytes, hides a form of it among the rest, and searches that in pieces and as a whole.
pub(crate) fn check(bytes: &[u8]) {
    let (choices, rest) = bytes.split_at(bytes.len() / 2);
    let mut choices = Choices(choices);
    let len = 8 + choices.next() % (VALUE_BYTES_MAX - 7);
    let mut value: Vec<u8> = (0..len).map(|_| *choices.of(ALPHABET)).collect();
    // Other values are refused: they would be found everywhere.
    value.extend(b"qZ7");
    let redactor = Arc::new(Redactor::of_values([("n", value.as_slice())]));

    let (clean, hits) = whole(&redactor, rest);
    assert_eq!(
        hits.is_empty(),
        clean == rest,
        "only what was found is changed"
    );
    in_pieces(&redactor, rest, &mut choices);

    let forms = forms::of(&value);
    let form = choices.of(&forms).to_vec();
    let hidden = hidden(&form, &mut choices);
    let (before, after) = rest.split_at(choices.next() % (rest.len() + 1));
    let text = [before, &hidden, after].concat();
    let (clean, hits) = whole(&redactor, &text);
    assert!(
        !hits.is_empty(),
        "{:?} is not found",
        String::from_utf8_lossy(&text)
    );
    for gone in [&value, &form, &hidden] {
        assert!(
            !has(&clean, gone),
            "{:?} is left",
            String::from_utf8_lossy(gone)
        );
    }
    in_pieces(&redactor, &text, &mut choices);
}

fn whole(redactor: &Redactor, text: &[u8]) -> (Vec<u8>, Hits) {
    let mut hits = Hits::default();
    let clean = redactor.bytes(text, &mut hits).into_owned();
    (clean, hits)
}

fn in_pieces(redactor: &Arc<Redactor>, text: &[u8], choices: &mut Choices<'_>) {
    let mut stream = redactor.stream();
    let (mut clean, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at((choices.next() + 1).min(rest.len()));
        clean.extend(stream.push(piece));
        rest = more;
    }
    clean.extend(stream.finish());
    assert_eq!((clean, stream.hits().clone()), whole(redactor, text));
}

/// A form with some of its characters written as escapes, and with gaps between some.
fn hidden(form: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut hidden = Vec::new();
    for byte in form {
        let gap: &[u8] = match choices.next() % 32 {
            1 => b" ",
            2 => b"\r\n",
            3 => "\u{200b}".as_bytes(),
            4 => b"&shy;",
            5 => b"\", \"",
            _ => b"",
        };
        if !hidden.is_empty() {
            hidden.extend_from_slice(gap);
        }
        match choices.next() % 16 {
            1 => hidden.extend(format!("%{byte:02x}").into_bytes()),
            2 => hidden.extend(format!("%25{byte:02X}").into_bytes()),
            3 => hidden.extend(format!("\\x{byte:02x}").into_bytes()),
            4 if byte.is_ascii() => hidden.extend(format!("\\u{byte:04x}").into_bytes()),
            5 if byte.is_ascii() => hidden.extend(format!("&#{byte};").into_bytes()),
            6 if byte.is_ascii() => hidden.extend(format!("&amp;#x{byte:x};").into_bytes()),
            7 => hidden.push(byte.to_ascii_uppercase()),
            _ => hidden.push(*byte),
        }
    }
    hidden
}

fn has(text: &[u8], part: &[u8]) -> bool {
    let mut windows = text.windows(part.len());
    windows.any(|window| window.eq_ignore_ascii_case(part))
}
