//! Moments as RFC 3339 text and as nanoseconds since 1970. Pure arithmetic, so that a frozen clock needs no clock.

const NANOS: u64 = 1_000_000_000;
const DAY_SECONDS: u64 = 86_400;

/// Nanoseconds since 1970-01-01T00:00:00Z of a text such as `2026-01-01T00:00:00Z` or `2026-01-01T02:00:00.5+02:00`.
/// `None` for what is no such text, lies before 1970, or beyond what 64 bits hold (the year 2554).
pub fn parse(text: &str) -> Option<u64> {
    let moment: toml::value::Datetime = text.parse().ok()?;
    let (date, time, offset) = (moment.date?, moment.time?, moment.offset?);
    let days = days_from_civil(i64::from(date.year), date.month.into(), date.day.into());
    let minutes = match offset {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let second = i64::from(time.hour) * 3_600
        + i64::from(time.minute) * 60
        + i64::from(time.second.unwrap_or(0));
    // A leap second is the first moment of the next minute: the clock we imitate has none.
    let seconds = u64::try_from(days * DAY_SECONDS.cast_signed() + second - minutes * 60).ok()?;
    seconds
        .checked_mul(NANOS)?
        .checked_add(time.nanosecond.unwrap_or(0).into())
}

/// The text of a moment; the inverse of [`parse`].
pub(crate) fn format(nanos: u64) -> String {
    let (seconds, fraction) = (nanos / NANOS, nanos % NANOS);
    let (year, month, day) = civil_from_days(seconds / DAY_SECONDS);
    let second = seconds % DAY_SECONDS;
    let time = format!(
        "{:02}:{:02}:{:02}",
        second / 3_600,
        second / 60 % 60,
        second % 60
    );
    let fraction = match fraction {
        0 => String::new(),
        fraction => format!(".{}", format!("{fraction:09}").trim_end_matches('0')),
    };
    format!("{year:04}-{month:02}-{day:02}T{time}{fraction}Z")
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in years that begin in March so that the leap day is last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a day counted from 1970-01-01.
pub fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests;
