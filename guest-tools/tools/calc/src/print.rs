//! Numbers as text that says whether it is exact.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

use crate::limits::{CLOSE_DIGITS, EXACT_DIGITS, ROUNDED_DIGITS};
use crate::number::Number;

/// `42`, `0.25`, `1/3 ≈ 0.3333…` or `≈ 1.414…`.
pub(crate) fn text(number: &Number) -> String {
    match number {
        Number::Close(number) => format!("≈ {}", float(*number)),
        Number::Exact(number) => exact(number),
    }
}

fn exact(number: &BigRational) -> String {
    if let Some(digits) = decimal_digits(number.denom()) {
        return decimal(number, digits);
    }
    // The magnitude only decides how many digits to show: an estimate is enough.
    let bits = number.numer().bits() as i64 - number.denom().bits() as i64;
    let places = (ROUNDED_DIGITS - bits * 30_103 / 100_000).max(0);
    let rounded = match places > ROUNDED_DIGITS * 2 {
        true => scientific(number, places as usize),
        false => decimal(number, places as usize),
    };
    let fraction = number.to_string();
    match fraction.len() <= EXACT_DIGITS {
        true => format!("{fraction} ≈ {rounded}"),
        false => format!("≈ {rounded}"),
    }
}

/// How many digits behind the point write a fraction over `denominator` in full, if they do.
fn decimal_digits(denominator: &BigInt) -> Option<usize> {
    let mut power = BigInt::one();
    for digits in 0..=EXACT_DIGITS {
        if (&power % denominator).is_zero() {
            return Some(digits);
        }
        power *= 10;
    }
    None
}

/// `number` rounded to `places` behind the point.
fn decimal(number: &BigRational, places: usize) -> String {
    let scale = BigInt::from(10).pow(u32::try_from(places).unwrap_or(u32::MAX));
    let scaled = (number * BigRational::from(scale)).round().to_integer();
    let sign = if scaled.is_negative() { "-" } else { "" };
    let digits = format!("{:0>width$}", scaled.abs().to_string(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    match fraction.is_empty() {
        true => format!("{sign}{whole}"),
        false => format!("{sign}{whole}.{fraction}"),
    }
}

/// A small number rounded to `places` behind the point, as `1.23e-45`.
fn scientific(number: &BigRational, places: usize) -> String {
    let text = decimal(number, places);
    let digits = text.trim_start_matches(['-', '0', '.']);
    let sign = if text.starts_with('-') { "-" } else { "" };
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    format!("{sign}{first}.{rest}e-{}", places + 1 - digits.len())
}

fn float(number: f64) -> String {
    // Rounded to the digits that can be trusted, then in the shortest form.
    let rounded: f64 = format!("{number:.*e}", CLOSE_DIGITS - 1)
        .parse()
        .unwrap_or(number);
    let magnitude = rounded.abs();
    match magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        true => format!("{rounded}"),
        false => format!("{rounded:e}"),
    }
}
