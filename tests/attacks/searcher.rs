//! Looks for a value in bytes, whatever they were made of it. It shares nothing with the product's own search: it undoes
//! what can be undone, and then looks for the value as it is.

#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeSet;

/// Beyond this size only one step is undone at a time, so that logs are searched in reasonable time.
const SMALL: usize = 64 << 10;

/// The shortest piece of a value that counts as having seen it.
const PIECE: usize = 10;

/// The first way in which a value stands in some bytes, as it is or as something was made of it.
pub(crate) fn find(bytes: &[u8], value: &str) -> Option<String> {
    find_each(bytes, &[value]).into_iter().next().flatten()
}

/// The same for many values, each in its place.
pub(crate) fn find_each(bytes: &[u8], values: &[&str]) -> Vec<Option<String>> {
    let steps = if bytes.len() <= SMALL { 2 } else { 1 };
    let mut search = Search {
        values: values.iter().map(|value| value.to_lowercase()).collect(),
        found: vec![None; values.len()],
        seen: BTreeSet::new(),
    };
    search.look(&text(bytes), "", steps);
    search.found
}

/// As [`find`], and any longer piece of the value counts too.
pub(crate) fn find_any_piece(bytes: &[u8], value: &str) -> Option<String> {
    let text = text(bytes).to_lowercase();
    let lower: Vec<char> = value.to_lowercase().chars().collect();
    let piece = lower
        .windows(PIECE.min(lower.len()))
        .map(|window| window.iter().collect::<String>())
        .find(|piece| text.contains(piece));
    match piece {
        Some(_) => Some("a piece of it".to_owned()),
        None => find(bytes, value),
    }
}

/// Bytes as characters of the same numbers.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

type Undo = fn(&str) -> Vec<String>;

const UNDOING: &[(&str, Undo)] = &[
    ("reversed", |text| vec![text.chars().rev().collect()]),
    ("in wide characters", wide),
    ("percent-encoded", |text| vec![percent(text)]),
    ("escaped", |text| vec![escapes(text)]),
    ("in entities", |text| vec![entities(text)]),
    ("in base64", base64),
    ("in hexadecimal digits", hexadecimal),
    ("with something invisible in between", |text| {
        vec![visible(text)]
    }),
];

struct Search {
    values: Vec<String>,
    found: Vec<Option<String>>,
    seen: BTreeSet<String>,
}

impl Search {
    fn look(&mut self, text: &str, path: &str, steps: u32) {
        let lower = text.to_lowercase();
        for (value, found) in self.values.iter().zip(&mut self.found) {
            if found.is_none() && lower.contains(value) {
                *found = Some(format!("it is there{path}"));
            }
        }
        if steps == 0 || self.found.iter().all(Option::is_some) {
            return;
        }
        for (name, undo) in UNDOING {
            for undone in undo(text) {
                let known = undone == text || undone.is_empty();
                if known || (undone.len() <= SMALL && !self.seen.insert(undone.clone())) {
                    continue;
                }
                self.look(&undone, &format!("{path}, {name}"), steps - 1);
            }
        }
    }
}

/// Without the zeros of wide characters.
fn wide(text: &str) -> Vec<String> {
    vec![text.replace('\0', "")]
}

fn percent(text: &str) -> String {
    let mut undone = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        undone += &rest[..at];
        let digits = rest.get(at + 1..at + 3);
        match digits.and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(byte) => {
                undone.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            None => {
                undone.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    undone + rest
}

/// Without the escapes of JSON and of programs.
fn escapes(text: &str) -> String {
    let mut undone = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        undone += &rest[..at];
        let after = &rest[at + 1..];
        let code = |start: usize, end: usize| {
            let digits = after.get(start..end)?;
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        };
        let (shown, used) = match after.chars().next() {
            Some('u') if code(1, 5).is_some() => (code(1, 5), 5),
            Some('x') if code(1, 3).is_some() => (code(1, 3), 3),
            Some('n') => (Some('\n'), 1),
            Some('t') => (Some('\t'), 1),
            Some(other) => (Some(other), other.len_utf8()),
            None => (None, 0),
        };
        undone.extend(shown);
        rest = &after[used..];
    }
    undone + rest
}

fn entities(text: &str) -> String {
    let mut undone = text.to_owned();
    for (name, shown) in [
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
    ] {
        undone = undone.replace(name, shown);
    }
    let mut out = String::new();
    let mut rest = undone.as_str();
    while let Some(at) = rest.find("&#") {
        out += &rest[..at];
        let after = &rest[at + 2..];
        let end = after.find(';').filter(|end| *end <= 8);
        let code = end.and_then(|end| {
            let digits = &after[..end];
            match digits.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok(),
                None => digits.parse().ok(),
            }
        });
        match (end, code.and_then(char::from_u32)) {
            (Some(end), Some(c)) => {
                out.push(c);
                rest = &after[end + 1..];
            }
            _ => {
                out += "&#";
                rest = after;
            }
        }
    }
    out + rest
}

/// Every run of characters of base64, read from its first to its fourth.
fn base64(text: &str) -> Vec<String> {
    let digit = |c: char| match c {
        'A'..='Z' => Some(u32::from(c) - 65),
        'a'..='z' => Some(u32::from(c) - 71),
        '0'..='9' => Some(u32::from(c) + 4),
        '+' | '-' => Some(62),
        '/' | '_' => Some(63),
        _ => None,
    };
    let mut read = vec![String::new(); 4];
    for run in text.split(|c: char| digit(c).is_none()) {
        if run.len() < 8 {
            continue;
        }
        for (start, read) in read.iter_mut().enumerate() {
            let digits: Vec<u32> = run.chars().skip(start).filter_map(digit).collect();
            for four in digits.chunks(4) {
                let bits =
                    four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
                let bytes = [bits >> 16, bits >> 8, bits].map(|it| (it & 0xff) as u8);
                let whole = four.len() * 6 / 8;
                read.extend(bytes.iter().take(whole).map(|byte| char::from(*byte)));
            }
            read.push('\n');
        }
    }
    read
}

/// Every run of hexadecimal digits, read from its first and its second.
fn hexadecimal(text: &str) -> Vec<String> {
    let mut read = vec![String::new(); 2];
    for run in text.split(|c: char| !c.is_ascii_hexdigit()) {
        if run.len() < 16 {
            continue;
        }
        for (start, read) in read.iter_mut().enumerate() {
            for at in (start..run.len().saturating_sub(1)).step_by(2) {
                let byte = u8::from_str_radix(&run[at..at + 2], 16).unwrap_or_default();
                read.push(char::from(byte));
            }
            read.push('\n');
        }
    }
    read
}

/// Without what is not seen: zero-width characters in UTF-8, soft hyphens, and white space.
fn visible(text: &str) -> String {
    let mut undone = text.to_owned();
    for hidden in [
        "\u{e2}\u{80}\u{8b}",
        "\u{e2}\u{80}\u{8c}",
        "\u{e2}\u{80}\u{8d}",
        "\u{e2}\u{81}\u{a0}",
        "\u{ef}\u{bb}\u{bf}",
        "\u{c2}\u{ad}",
    ] {
        undone = undone.replace(hidden, "");
    }
    undone.retain(|c| !c.is_whitespace());
    undone
}
