//! `time`: the current time, times in other zones, and the span between two times.

mod reading;
#[cfg(test)]
mod tests;

use jiff::{Timestamp, Zoned};
use toolcell_guest::{Json, Result, data, package, tool};

use reading::{instant, zone};

package! {
    name = "time",
    tools = [now, convert, difference],
}

/// One moment, as a clock in one zone shows it.
#[data]
pub struct Moment {
    /// The moment in RFC 3339, for example `2026-03-01T13:00:00+01:00`.
    pub time: String,
    /// The time zone, for example `Europe/Berlin`.
    pub zone: String,
    /// The day of the week, for example `Sunday`.
    pub weekday: String,
    /// Whole seconds since 1970-01-01 in UTC.
    pub unix: i64,
}

/// How long it is from one moment to another.
#[data]
pub struct Span {
    /// The whole span in seconds; negative when the second moment comes first.
    pub seconds: i64,
    /// The same in days, hours, minutes and seconds, for example `3d 4h 5m`. A day has 24 hours.
    pub text: String,
}

/// Tells the current date and time, with the day of the week.
///
/// Use it whenever an answer depends on today's date: a model cannot know it otherwise.
#[tool(read_only)]
pub fn now(
    /// An IANA time zone, for example `Europe/Berlin`, or an offset such as `+05:30`.
    #[arg(default = "UTC")]
    zone: String,
) -> Result<Json<Moment>> {
    Ok(Json(moment(&Timestamp::now().to_zoned(self::zone(&zone)?))))
}

/// Tells what the clock in another time zone shows at a given moment, summer time included.
#[tool(read_only, idempotent)]
pub fn convert(
    /// The moment: with an offset, `2026-03-01T12:00:00Z`; as a clock shows it,
    /// `2026-03-01 12:00`; a date; or seconds since 1970, `@1772366400`.
    time: String,
    /// The zone wanted, for example `Asia/Tokyo`.
    zone: String,
    /// The zone of `time`, where it has no offset of its own.
    #[arg(default = "UTC")]
    from_zone: String,
) -> Result<Json<Moment>> {
    let from = self::zone(&from_zone)?;
    Ok(Json(moment(
        &instant(&time, &from)?.to_zoned(self::zone(&zone)?),
    )))
}

/// Tells how much time lies between two moments.
#[tool(read_only, idempotent)]
pub fn difference(
    /// The first moment, for example `2026-03-01` or `2026-03-01T12:00:00+01:00`.
    from: String,
    /// The second moment.
    to: String,
    /// The zone of both, where they have no offset of their own.
    #[arg(default = "UTC")]
    zone: String,
) -> Result<Json<Span>> {
    let zone = self::zone(&zone)?;
    let (from, to) = (instant(&from, &zone)?, instant(&to, &zone)?);
    let seconds = to.as_second() - from.as_second();
    Ok(Json(Span {
        seconds,
        text: in_words(seconds),
    }))
}

fn moment(zoned: &Zoned) -> Moment {
    let name = zoned
        .time_zone()
        .iana_name()
        .map_or_else(|| zoned.offset().to_string(), str::to_owned);
    Moment {
        time: zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        zone: name,
        weekday: zoned.strftime("%A").to_string(),
        unix: zoned.timestamp().as_second(),
    }
}

/// `-1d 2h 3m 4s`, without the parts that are zero.
fn in_words(seconds: i64) -> String {
    let (sign, mut rest) = (if seconds < 0 { "-" } else { "" }, seconds.unsigned_abs());
    let mut parts = Vec::new();
    for (length, unit) in [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")] {
        if rest >= length {
            parts.push(format!("{}{unit}", rest / length));
        }
        rest %= length;
    }
    match parts.is_empty() {
        true => "0s".to_owned(),
        false => format!("{sign}{}", parts.join(" ")),
    }
}
