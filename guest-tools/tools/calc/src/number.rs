//! Numbers that stay exact as long as they can.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};
use toolcell_guest::{Error, Result};

use crate::limits::NUMBER_BITS;

/// A number, and whether it is exact.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Number {
    Exact(BigRational),
    Close(f64),
}

use Number::{Close, Exact};

impl From<BigInt> for Number {
    fn from(number: BigInt) -> Self {
        Exact(number.into())
    }
}

impl Number {
    /// An operator between two numbers.
    pub(crate) fn apply(self, sign: &str, other: Number) -> Result<Number> {
        match (sign, self, other) {
            ("^", base, exponent) => power(base, exponent),
            ("/" | "//" | "%", _, other) if other.is_zero() => {
                Err(Error::invalid_input("division by zero"))
            }
            ("+", Exact(a), Exact(b)) => exact(a + b),
            ("-", Exact(a), Exact(b)) => exact(a - b),
            ("*", Exact(a), Exact(b)) => exact(a * b),
            ("/", Exact(a), Exact(b)) => exact(a / b),
            ("//", Exact(a), Exact(b)) => exact((a / b).floor()),
            ("%", Exact(a), Exact(b)) => {
                let times = (&a / &b).floor();
                exact(a - b * times)
            }
            (sign, a, b) => {
                let (a, b) = (a.close(), b.close());
                close(match sign {
                    "+" => a + b,
                    "-" => a - b,
                    "*" => a * b,
                    "/" => a / b,
                    "//" => (a / b).floor(),
                    _ => a - b * (a / b).floor(),
                })
            }
        }
    }

    pub(crate) fn negate(self) -> Number {
        match self {
            Exact(number) => Exact(-number),
            Close(number) => Close(-number),
        }
    }

    /// The nearest float.
    pub(crate) fn close(&self) -> f64 {
        match self {
            Exact(number) => number.to_f64().unwrap_or(f64::NAN),
            Close(number) => *number,
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Exact(number) => number.is_zero(),
            Close(number) => *number == 0.0,
        }
    }

    /// The whole number that this is, if it is one.
    pub(crate) fn whole(&self) -> Option<&BigInt> {
        match self {
            Exact(number) if number.is_integer() => Some(number.numer()),
            _ => None,
        }
    }
}

/// An exact result, unless it grew too large.
pub(crate) fn exact(number: BigRational) -> Result<Number> {
    if number.numer().bits().max(number.denom().bits()) > NUMBER_BITS {
        return Err(too_large());
    }
    Ok(Exact(number))
}

/// A float as a result, unless it is none.
pub(crate) fn close(number: f64) -> Result<Number> {
    if number.is_nan() {
        return Err(Error::invalid_input("the result is no real number"));
    }
    if number.is_infinite() {
        return Err(Error::too_large(
            "the result is too large for a number that is not exact",
        ));
    }
    Ok(Close(number))
}

fn too_large() -> Error {
    let digits = NUMBER_BITS * 3 / 10;
    Error::too_large(format!("a number would have more than {digits} digits"))
}

fn power(base: Number, exponent: Number) -> Result<Number> {
    let (Exact(number), Some(times)) = (&base, exponent.whole()) else {
        return close_power(&base, &exponent);
    };
    if number.is_zero() && times.is_negative() {
        return Err(Error::invalid_input("division by zero"));
    }
    if number.is_zero() || number.abs().is_one() {
        let odd = times.is_odd();
        return Ok(match (times.is_zero(), odd) {
            (true, _) => Exact(BigRational::one()),
            (_, true) => base,
            (_, false) => Exact(number.abs()),
        });
    }
    // Checked before the work is done: a power of two numbers can be larger than any memory.
    let bits = number.numer().bits().max(number.denom().bits());
    let times = times
        .to_i64()
        .filter(|times| times.unsigned_abs() <= NUMBER_BITS * 2 / bits.max(1));
    match times.map(i32::try_from) {
        Some(Ok(times)) => exact(Pow::pow(number, times)),
        _ => Err(too_large()),
    }
}

fn close_power(base: &Number, exponent: &Number) -> Result<Number> {
    if let Exact(half) = exponent
        && *half == BigRational::new(BigInt::one(), BigInt::from(2))
        && let Some(root) = square_root(base)
    {
        return Ok(root);
    }
    close(base.close().powf(exponent.close()))
}

/// The square root, where it is exact.
pub(crate) fn square_root(number: &Number) -> Option<Number> {
    let Exact(number) = number else { return None };
    if number.is_negative() {
        return None;
    }
    let (above, below) = (number.numer().sqrt(), number.denom().sqrt());
    let root = BigRational::new(above, below);
    (&root * &root == *number).then_some(Exact(root))
}
