//! Every bound of this package. They keep any expression within milliseconds.

/// The longest expression, in characters.
pub(crate) const EXPRESSION_CHARACTERS: usize = 1_000;
/// How deep brackets, signs and powers may be nested.
pub(crate) const DEPTH: usize = 64;
/// The largest exact number, in bits of its numerator and of its denominator: 30,000 digits.
pub(crate) const NUMBER_BITS: u64 = 100_000;
/// The largest `n` of `n!` and `choose(n, k)`.
pub(crate) const FACTORIAL: u32 = 5_000;
/// The largest exponent of ten in a written number, such as `1e9`.
pub(crate) const WRITTEN_EXPONENT: u32 = 10_000;
/// The most digits of a decimal that is exact, behind the point.
pub(crate) const EXACT_DIGITS: usize = 60;
/// The digits of an exact fraction's rounded decimal.
pub(crate) const ROUNDED_DIGITS: i64 = 30;
/// The digits of a number that is only close; a float has two more that are not to be trusted.
pub(crate) const CLOSE_DIGITS: usize = 14;
