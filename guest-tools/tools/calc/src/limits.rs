//! Every bound of this package. Together they keep the worst expression within a few seconds, and
//! any sensible one within a millisecond.

/// The longest expression, in characters.
pub(crate) const EXPRESSION_CHARACTERS: usize = 1_000;
/// How deep brackets, signs and powers may be nested.
pub(crate) const DEPTH: usize = 64;
/// The largest exact number, in bits of its numerator and of its denominator: 9,800 digits.
pub(crate) const NUMBER_BITS: u64 = 32_768;
/// The largest `n` of `n!` and `choose(n, k)`.
pub(crate) const FACTORIAL: u32 = 2_500;
/// The largest exponent of ten in a written number, such as `1e9`.
pub(crate) const WRITTEN_EXPONENT: u32 = 9_000;
/// The most digits of a decimal that is exact, behind the point.
pub(crate) const EXACT_DIGITS: usize = 60;
/// The digits of an exact fraction's rounded decimal.
pub(crate) const ROUNDED_DIGITS: i64 = 30;
/// The digits of a number that is only close; a float has two more that are not to be trusted.
pub(crate) const CLOSE_DIGITS: usize = 14;
