//! Functions and constants by name.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive};
use toolcell_guest::{Error, Result};

use crate::limits::{EXACT_DIGITS, FACTORIAL};
use crate::number::Number::{self, Close, Exact};
use crate::number::{close, exact, square_root};

/// The constant called `name`.
pub(crate) fn constant(name: &str) -> Option<Number> {
    match name {
        "pi" => Some(Close(std::f64::consts::PI)),
        "e" => Some(Close(std::f64::consts::E)),
        _ => None,
    }
}

/// The function called `name` on `arguments`.
pub(crate) fn call(name: &str, arguments: Vec<Number>) -> Result<Number> {
    match (name, arguments.as_slice()) {
        ("abs", [x]) => Ok(if is_negative(x) {
            x.clone().negate()
        } else {
            x.clone()
        }),
        ("ceil", [x]) => rounded(x, BigRational::ceil, f64::ceil),
        ("floor", [x]) => rounded(x, BigRational::floor, f64::floor),
        ("round", [x]) => rounded(x, BigRational::round, f64::round),
        ("round", [x, digits]) => round(x, digits),
        ("sqrt", [x]) => square_root(x).map_or_else(|| close(x.close().sqrt()), Ok),
        ("log", [x, base]) => logarithm(x, base),
        ("log" | "log10", [x]) => logarithm(x, &BigInt::from(10).into()),
        ("log2", [x]) => logarithm(x, &BigInt::from(2).into()),
        ("choose", [n, k]) => choose(n, k),
        ("min", [_, ..]) => best(arguments, |new, old| is_negative(&difference(new, old))),
        ("max", [_, ..]) => best(arguments, |new, old| is_negative(&difference(old, new))),
        ("sum", [_, ..]) => sum(arguments),
        ("mean", [_, ..]) => {
            let count = BigInt::from(arguments.len());
            sum(arguments)?.apply("/", count.into())
        }
        ("gcd", [_, ..]) => whole(name, &arguments, |a, b| a.gcd(b)),
        ("lcm", [_, ..]) => whole(name, &arguments, |a, b| a.lcm(b)),
        (_, [x]) if let Some(function) = float(name) => close(function(x.close())),
        _ if is_known(name) => {
            let what = format!("`{name}` does not take {} arguments", arguments.len());
            Err(Error::invalid_input(what))
        }
        _ => Err(Error::invalid_input(format!(
            "there is no function `{name}`"
        ))),
    }
}

/// Functions of one argument that are hardly ever exact.
fn float(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "exp" => f64::exp,
        "ln" => f64::ln,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "radians" => f64::to_radians,
        "degrees" => f64::to_degrees,
        _ => return None,
    })
}

/// Whether there is a function called `name`.
pub(crate) fn is_known(name: &str) -> bool {
    let others = [
        "abs", "ceil", "choose", "floor", "gcd", "lcm", "log", "log10", "log2", "max", "mean",
        "min", "round", "sqrt", "sum",
    ];
    others.contains(&name) || float(name).is_some()
}

/// `n!`
pub(crate) fn factorial(number: &Number) -> Result<Number> {
    let n = count("!", number)?;
    Ok((2..=n)
        .fold(BigInt::one(), |product, factor| product * factor)
        .into())
}

fn choose(n: &Number, k: &Number) -> Result<Number> {
    let (n, k) = (count("choose", n)?, count("choose", k)?);
    if k > n {
        return Ok(BigInt::from(0).into());
    }
    let step = |product: BigInt, i: u32| product * (n - i) / (i + 1);
    Ok((0..k.min(n - k)).fold(BigInt::one(), step).into())
}

/// A whole number from 0 to [`FACTORIAL`].
fn count(name: &str, number: &Number) -> Result<u32> {
    match number.whole() {
        Some(whole) if !whole.is_negative() => whole
            .to_u32()
            .filter(|n| *n <= FACTORIAL)
            .ok_or_else(|| Error::too_large(format!("`{name}` takes numbers up to {FACTORIAL}"))),
        _ => Err(Error::invalid_input(format!(
            "`{name}` takes whole numbers from 0"
        ))),
    }
}

fn is_negative(number: &Number) -> bool {
    match number {
        Exact(number) => number.is_negative(),
        Close(number) => *number < 0.0,
    }
}

fn difference(a: &Number, b: &Number) -> Number {
    match (a, b) {
        (Exact(a), Exact(b)) => Exact(a - b),
        (a, b) => Close(a.close() - b.close()),
    }
}

fn best(numbers: Vec<Number>, better: impl Fn(&Number, &Number) -> bool) -> Result<Number> {
    let pick = |old, new| if better(&new, &old) { new } else { old };
    numbers
        .into_iter()
        .reduce(pick)
        .ok_or_else(|| Error::invalid_input("nothing to compare"))
}

fn sum(numbers: Vec<Number>) -> Result<Number> {
    numbers
        .into_iter()
        .try_fold(BigInt::from(0).into(), |sum: Number, x| sum.apply("+", x))
}

fn rounded(
    number: &Number,
    exactly: fn(&BigRational) -> BigRational,
    closely: fn(f64) -> f64,
) -> Result<Number> {
    match number {
        Exact(number) => exact(exactly(number)),
        Close(number) => close(closely(*number)),
    }
}

/// Rounds to `digits` behind the point; a half goes away from zero.
fn round(number: &Number, digits: &Number) -> Result<Number> {
    let most = EXACT_DIGITS as i32;
    let digits = digits
        .whole()
        .and_then(ToPrimitive::to_i32)
        .filter(|d| d.abs() <= most);
    let Some(digits) = digits else {
        let what = format!("`round` takes a whole number of digits from -{most} to {most}");
        return Err(Error::invalid_input(what));
    };
    let scale = BigRational::from(BigInt::from(10)).pow(digits);
    match number {
        Exact(number) => exact((number * &scale).round() / scale),
        Close(number) => {
            let scale = 10_f64.powi(digits);
            close((number * scale).round() / scale)
        }
    }
}

/// Exact for whole powers of a whole base: `log2(8)` is 3.
fn logarithm(number: &Number, base: &Number) -> Result<Number> {
    let estimate = number.close().ln() / base.close().ln();
    let exponent = estimate.round();
    if let (Exact(number), Exact(base)) = (number, base)
        && exponent.abs() <= 10_000.0
        && estimate.is_finite()
        && Exact(base.clone()).apply("^", BigInt::from(exponent as i64).into())?
            == Exact(number.clone())
    {
        return Ok(BigInt::from(exponent as i64).into());
    }
    close(estimate)
}

fn whole(
    name: &str,
    numbers: &[Number],
    combine: impl Fn(&BigInt, &BigInt) -> BigInt,
) -> Result<Number> {
    let mut result: Option<BigInt> = None;
    for number in numbers {
        let Some(whole) = number.whole() else {
            return Err(Error::invalid_input(format!(
                "`{name}` takes whole numbers"
            )));
        };
        result = Some(result.map_or_else(|| whole.abs(), |old| combine(&old, whole)));
    }
    exact(result.unwrap_or_default().into())
}
