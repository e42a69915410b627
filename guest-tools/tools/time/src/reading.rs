//! Reading times and zones the way people and models write them.

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned, civil};
use toolcell_guest::{Error, Result};

/// The longest text that is taken for a time or a zone, in bytes.
const TEXT_BYTES: usize = 100;

/// A time zone by its IANA name, or by its offset: `Europe/Berlin`, `UTC`, `+05:30`.
pub(crate) fn zone(text: &str) -> Result<TimeZone> {
    let text = bounded(text)?;
    if matches!(text, "Z" | "z" | "GMT") {
        return Ok(TimeZone::UTC);
    }
    if text.starts_with(['+', '-']) {
        return offset(text).map(TimeZone::fixed);
    }
    TimeZone::get(text).map_err(|_| {
        let what =
            format!("`{text}` is no IANA time zone; examples: Europe/Berlin, America/New_York");
        Error::invalid_input(what)
    })
}

/// An offset such as `+05:30`, `-0800` or `+1`.
fn offset(text: &str) -> Result<Offset> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.trim_start_matches('+')),
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(pair) => pair,
        None => digits
            .split_at_checked(digits.len().saturating_sub(2).min(2))
            .unwrap_or((digits, "")),
    };
    let (hours, minutes) = if hours.is_empty() {
        (minutes, "0")
    } else {
        (hours, minutes)
    };
    let number = |text: &str| {
        text.parse::<i32>()
            .ok()
            .filter(|number| (0..60).contains(number))
    };
    number(hours)
        .zip(number(minutes))
        .and_then(|(hours, minutes)| {
            Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
        })
        .ok_or_else(|| Error::invalid_input(format!("`{text}` is no offset such as +05:30")))
}

/// The moment that `text` names; `zone` is asked where it has no offset of its own.
pub(crate) fn instant(text: &str, zone: &TimeZone) -> Result<Timestamp> {
    let text = bounded(text)?;
    if let Some(seconds) = text.strip_prefix('@') {
        let seconds = seconds
            .parse()
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok());
        return seconds.ok_or_else(|| unreadable(text));
    }
    if text.ends_with(']') {
        let zoned = text.parse::<Zoned>().map_err(|_| unreadable(text))?;
        return Ok(zoned.timestamp());
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let local: civil::DateTime = text.parse().map_err(|_| unreadable(text))?;
    let zoned = local.to_zoned(zone.clone()).map_err(|_| unreadable(text))?;
    Ok(zoned.timestamp())
}

fn unreadable(text: &str) -> Error {
    Error::invalid_input(format!(
        "`{text}` is no time; write 2026-03-01T12:00:00Z, 2026-03-01 12:00, 2026-03-01 or @1772366400"
    ))
}

fn bounded(text: &str) -> Result<&str> {
    if text.len() > TEXT_BYTES {
        let what = format!(
            "a time or zone has at most {TEXT_BYTES} bytes, this has {}",
            text.len()
        );
        return Err(Error::too_large(what));
    }
    Ok(text.trim())
}
