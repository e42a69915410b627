use proptest::prelude::*;

use super::*;

#[test]
fn known_moments() {
    for (text, nanos) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("2000-02-29T12:00:00Z", 951_825_600 * NANOS),
        ("2000-03-01T00:00:00Z", 951_868_800 * NANOS),
        ("2026-01-01T00:00:00Z", 1_767_225_600 * NANOS),
        ("2100-03-01T00:00:00Z", 4_107_542_400 * NANOS),
        (
            "2026-01-01T02:00:00.5+02:00",
            1_767_225_600 * NANOS + NANOS / 2,
        ),
        ("2025-12-31T23:30:00-00:30", 1_767_225_600 * NANOS),
    ] {
        assert_eq!(parse(text), Some(nanos), "{text}");
    }
}

#[test]
fn what_is_no_moment_is_refused() {
    for text in [
        "",
        "2026-01-01",
        "00:00:00",
        "2026-01-01T00:00:00",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "2600-01-01T00:00:00Z",
        "tomorrow",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn moments_survive_printing(nanos: u64) {
        prop_assert_eq!(parse(&format(nanos)), Some(nanos));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9TZ:.+ -]{0,40}") {
        let _ = parse(&text);
    }
}
