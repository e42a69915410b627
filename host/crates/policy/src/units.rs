//! Sizes, durations and rates as people write them.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Units of size, largest first. `KB` and `MB` are powers of ten, as disks are sold.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

const DURATIONS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const PERIODS: [(&str, u64); 3] = [("h", 3_600), ("min", 60), ("s", 1)];

/// Bytes from `"256KiB"`, `"8MiB"`, `"1GiB"`, `"64B"`, `"10MB"` or a plain number of bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let factor = if unit.is_empty() {
        1
    } else {
        factor_of(&SIZES, unit)?
    };
    number.checked_mul(factor)
}

/// A duration from `"30s"`, `"500ms"`, `"2m"` or `"1h"`. The unit is required: a bare number says nothing.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let millis = number.checked_mul(factor_of(&DURATIONS, unit)?)?;
    Some(Duration::from_millis(millis))
}

/// The shortest exact way to write a number of bytes; the inverse of [`parse_size`].
pub fn format_size(bytes: u64) -> String {
    shortest(
        bytes,
        SIZES
            .iter()
            .filter(|(unit, _)| !matches!(*unit, "GB" | "MB" | "KB")),
        "B",
    )
}

/// The shortest exact way to write a duration of whole milliseconds; the inverse of [`parse_duration`].
pub fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    shortest(millis, DURATIONS.iter(), "ms")
}

/// So many per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u32,
    /// In how many seconds: 1, 60 or 3600.
    pub seconds: u32,
}

impl Rate {
    /// A rate from `"60/min"`, `"5/s"` or `"1000/h"`.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, period) = text.split_once('/')?;
        let (count, rest) = split_unit(count)?;
        if !rest.is_empty() {
            return None;
        }
        Some(Self {
            count: u32::try_from(count).ok()?,
            seconds: u32::try_from(factor_of(&PERIODS, period)?).ok()?,
        })
    }

    /// The stricter of two: the one that allows fewer in the long run; of two equal ones that with the shorter period,
    /// since it allows the smaller burst.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        let mine = (
            u64::from(self.count) * u64::from(other.seconds),
            self.seconds,
        );
        let theirs = (
            u64::from(other.count) * u64::from(self.seconds),
            other.seconds,
        );
        if theirs < mine { other } else { self }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = PERIODS
            .iter()
            .find(|(_, seconds)| *seconds == u64::from(self.seconds))
            .map_or("s", |(name, _)| name);
        write!(f, "{}/{period}", self.count)
    }
}

/// Digits and what follows them. No signs, blanks, points or underscores: there is one way to write a number.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit))
}

fn factor_of(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor)
}

fn shortest<'a>(
    value: u64,
    mut units: impl Iterator<Item = &'a (&'a str, u64)>,
    smallest: &str,
) -> String {
    match units.find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", value / factor),
        None => format!("{value}{smallest}"),
    }
}

#[cfg(test)]
mod tests;
