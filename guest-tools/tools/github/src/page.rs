//! Long texts in pages, cut texts, and times.

use toolcell_guest::{Error, Result};

/// A text of at most `most` characters, with a note where more is left out.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => {
            let shown = text.get(..at).unwrap_or_default();
            let left = text.get(at..).unwrap_or_default().chars().count();
            format!("{shown}\n[{left} more characters are left out]")
        }
        None => text.to_owned(),
    }
}

/// The characters of `text` from `offset` (counted from 1) on, with a note where any are left out.
pub(crate) fn page(text: &str, offset: u32, limit: u32) -> Result<String> {
    let (offset, limit) = (offset.max(1) as usize, limit as usize);
    let total = text.chars().count();
    if total == 0 {
        return Ok("[it is empty]".to_owned());
    }
    if offset > total {
        let what = format!("it has {total} characters, so there is none at offset={offset}");
        return Err(Error::invalid_input(what));
    }
    let mut shown: String = text.chars().skip(offset - 1).take(limit).collect();
    let last = offset - 1 + shown.chars().count();
    if last < total {
        let next = last + 1;
        shown.push_str(&format!(
            "\n[characters {offset}-{last} of {total}; go on with offset={next}]"
        ));
    } else if offset > 1 {
        shown.push_str(&format!("\n[characters {offset}-{last} of {total}]"));
    }
    Ok(shown)
}

/// Seconds since 1970 as a date and a time.
pub(crate) fn utc(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        // Nobody names a time that far away.
        if left < length || year > 9998 {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    let day = left + 1;
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

#[cfg(test)]
mod tests {
    use super::{cut, page, utc};

    #[test]
    fn long_texts_come_in_pages() {
        assert_eq!(page("äöü", 1, 3).unwrap(), "äöü");
        assert_eq!(
            page("äöü", 1, 2).unwrap(),
            "äö\n[characters 1-2 of 3; go on with offset=3]"
        );
        assert_eq!(page("äöü", 3, 2).unwrap(), "ü\n[characters 3-3 of 3]");
        assert_eq!(page("", 1, 2).unwrap(), "[it is empty]");
        assert!(page("äöü", 4, 2).is_err());
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöü", 1), "ä\n[2 more characters are left out]");
    }

    #[test]
    fn times_are_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_799, "2000-02-29 23:59:59"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_767_225_599, "2025-12-31 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(seconds), expected);
        }
        assert!(utc(u64::MAX).starts_with("9999-"));
    }
}
