use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[test]
fn sizes_are_read_with_their_units() {
    for (text, bytes) in [
        ("64B", 64),
        ("256KiB", 262_144),
        ("8MiB", 8_388_608),
        ("1GiB", 1_073_741_824),
        ("10KB", 10_000),
        ("10MB", 10_000_000),
        ("2GB", 2_000_000_000),
        ("17", 17),
        ("0", 0),
    ] {
        assert_eq!(parse_size(text), Some(bytes), "{text}");
    }
}

#[test]
fn what_is_no_size_is_refused() {
    for text in [
        "",
        "B",
        "KiB",
        "1 KiB",
        "1.5MiB",
        "-1B",
        "+1B",
        "1kib",
        "1K",
        "1_000",
        "0x10",
        "1KiBs",
        "99999999999999999999B",
        "18446744073709551615GiB",
        "１B",
    ] {
        assert_eq!(parse_size(text), None, "{text}");
    }
}

#[test]
fn durations_need_a_unit() {
    for (text, millis) in [
        ("30s", 30_000),
        ("500ms", 500),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("0s", 0),
    ] {
        assert_eq!(
            parse_duration(text),
            Some(Duration::from_millis(millis)),
            "{text}"
        );
    }
    for text in [
        "",
        "30",
        "s",
        "1.5s",
        "-1s",
        "1 s",
        "1S",
        "1min",
        "1d",
        "18446744073709551615h",
    ] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

#[test]
fn rates_are_a_count_and_a_period() {
    for (text, count, seconds) in [("60/min", 60, 60), ("5/s", 5, 1), ("1000/h", 1000, 3600)] {
        let rate = Rate::parse(text).unwrap();
        assert_eq!((rate.count, rate.seconds), (count, seconds));
        assert_eq!(rate.to_string(), text);
    }
    for text in [
        "",
        "60",
        "/min",
        "60/",
        "60/m",
        "6 0/s",
        "-1/s",
        "60/min/h",
        "4294967296/s",
    ] {
        assert_eq!(Rate::parse(text), None, "{text}");
    }
}

#[test]
fn the_stricter_rate_is_the_slower_and_of_equals_the_smoother() {
    let rate = |text| Rate::parse(text).unwrap();
    assert_eq!(rate("60/min").stricter(rate("2/s")), rate("60/min"));
    assert_eq!(rate("60/min").stricter(rate("1/s")), rate("1/s"));
    assert_eq!(rate("1/s").stricter(rate("60/min")), rate("1/s"));
    assert_eq!(rate("5/h").stricter(rate("5/s")), rate("5/h"));
}

proptest! {
    #[test]
    fn sizes_survive_printing(bytes: u64) {
        prop_assert_eq!(parse_size(&format_size(bytes)), Some(bytes));
    }

    #[test]
    fn durations_survive_printing(millis in 0..u64::MAX / 2) {
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,40}") {
        let _ = (parse_size(&text), parse_duration(&text), Rate::parse(&text));
    }
}
