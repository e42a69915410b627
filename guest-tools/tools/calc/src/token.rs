//! From text to tokens.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Num;
use toolcell_guest::{Error, Result};

use crate::limits::WRITTEN_EXPONENT;

/// One word of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Number(BigRational),
    Name(String),
    /// An operator, a bracket or a comma: `+`, `//`, `(`. Operators that mean the same (`**` and
    /// `^`) are one here.
    Sign(&'static str),
}

const SIGNS: [(&str, &str); 17] = [
    ("**", "^"),
    ("//", "//"),
    ("+", "+"),
    ("-", "-"),
    ("−", "-"),
    ("*", "*"),
    ("×", "*"),
    ("·", "*"),
    ("/", "/"),
    ("÷", "/"),
    ("%", "%"),
    ("^", "^"),
    ("!", "!"),
    ("(", "("),
    (")", ")"),
    (",", ","),
    ("π", "pi"),
];

/// The tokens of `text`, each with the number of its first character, counted from 1.
pub(crate) fn tokens(text: &str) -> Result<Vec<(usize, Token)>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut place = 1;
    while let Some(first) = rest.chars().next() {
        let before = rest;
        if first.is_whitespace() {
            rest = rest.trim_start();
        } else if first.is_ascii_digit() || first == '.' {
            let (number, after) = number(rest, place)?;
            tokens.push((place, Token::Number(number)));
            rest = after;
        } else if first.is_ascii_alphabetic() {
            let (name, after) = split(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            tokens.push((place, Token::Name(name.to_ascii_lowercase())));
            rest = after;
        } else {
            let (token, after) =
                sign(rest).ok_or_else(|| at(place, &format!("`{first}` has no meaning here")))?;
            tokens.push((place, token));
            rest = after;
        }
        place += before.chars().count() - rest.chars().count();
    }
    Ok(tokens)
}

/// An error at a character of the expression.
pub(crate) fn at(place: usize, what: &str) -> Error {
    Error::invalid_input(format!("at character {place}: {what}"))
}

fn sign(text: &str) -> Option<(Token, &str)> {
    SIGNS.iter().find_map(|(written, meant)| {
        let rest = text.strip_prefix(written)?;
        let token = if *meant == "pi" {
            Token::Name("pi".to_owned())
        } else {
            Token::Sign(meant)
        };
        Some((token, rest))
    })
}

/// Splits behind the characters for which `holds`.
fn split(text: &str, holds: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !holds(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn number(text: &str, place: usize) -> Result<(BigRational, &str)> {
    for (prefix, base) in [("0x", 16), ("0b", 2), ("0o", 8)] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let (digits, rest) = split(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            let number = BigInt::from_str_radix(&digits.replace('_', ""), base)
                .map_err(|_| at(place, &format!("`{prefix}{digits}` is no number")))?;
            return Ok((number.into(), rest));
        }
    }
    let digit = |c: char| c.is_ascii_digit() || c == '_';
    let (whole, mut rest) = split(text, digit);
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = split(after, digit);
    }
    let digits = format!("{whole}{fraction}").replace('_', "");
    let behind = fraction.replace('_', "").len();
    let (exponent, rest) = exponent(rest, place)?;
    let number: BigInt = digits
        .parse()
        .map_err(|_| at(place, "a point without digits is no number"))?;
    let shift = exponent - i32::try_from(behind).unwrap_or(i32::MAX);
    let power = BigInt::from(10).pow(shift.unsigned_abs());
    let number = match shift < 0 {
        true => BigRational::new(number, power),
        false => BigRational::from(number * power),
    };
    Ok((number, rest))
}

/// The exponent of `1e9` or `1E-9`, if `text` starts with one.
fn exponent(text: &str, place: usize) -> Result<(i32, &str)> {
    let Some(after) = text.strip_prefix(['e', 'E']) else {
        return Ok((0, text));
    };
    let (sign, after) = match after.strip_prefix('-') {
        Some(after) => (-1, after),
        None => (1, after.strip_prefix('+').unwrap_or(after)),
    };
    let (digits, rest) = split(after, |c| c.is_ascii_digit());
    if digits.is_empty() {
        return Ok((0, text)); // not an exponent but the number e, or a mistake for the parser
    }
    match digits.parse::<u32>() {
        Ok(exponent) if exponent <= WRITTEN_EXPONENT => Ok((sign * exponent.cast_signed(), rest)),
        _ => {
            let what = format!("at character {place}: the exponent is over {WRITTEN_EXPONENT}");
            Err(Error::too_large(what))
        }
    }
}
