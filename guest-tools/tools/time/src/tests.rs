use toolcell_guest::serde_json::{self, Value, json};
use toolcell_guest::{Content, ErrorKind, Tool};

use super::{convert, difference, in_words, now};

/// Calls a tool the way a host does.
fn call<T: Tool>(input: Value) -> Result<Value, toolcell_guest::Error> {
    let contents = T::call(&input.to_string())?;
    let [Content::Json(text)] = contents.as_slice() else {
        panic!("{contents:?}")
    };
    Ok(serde_json::from_str(text).unwrap())
}

fn converted(time: &str, zone: &str, from: &str) -> String {
    let input = json!({ "time": time, "zone": zone, "from_zone": from });
    let answer = call::<convert>(input).unwrap();
    answer["time"].as_str().unwrap().to_owned()
}

#[test]
fn now_is_a_moment_in_the_zone_asked_for() {
    let answer = call::<now>(json!({ "zone": "Asia/Tokyo" })).unwrap();
    assert!(
        answer["time"].as_str().unwrap().ends_with("+09:00"),
        "{answer}"
    );
    assert_eq!(answer["zone"], "Asia/Tokyo");
    assert_eq!(call::<now>(json!({})).unwrap()["zone"], "UTC");
}

#[test]
fn summer_time_is_known() {
    assert_eq!(
        converted("2026-07-01T12:00:00Z", "Europe/Berlin", "UTC"),
        "2026-07-01T14:00:00+02:00"
    );
    assert_eq!(
        converted("2026-01-01T12:00:00Z", "Europe/Berlin", "UTC"),
        "2026-01-01T13:00:00+01:00"
    );
}

#[test]
fn times_without_an_offset_are_those_of_a_clock() {
    let noon = "2026-03-01T12:00:00+00:00";
    assert_eq!(
        converted("2026-03-01 07:00", "UTC", "America/New_York"),
        noon
    );
    assert_eq!(
        converted("2026-03-01T12:00:00Z", "UTC", "America/New_York"),
        noon
    );
    assert_eq!(
        converted("2026-03-01T13:00[Europe/Berlin]", "UTC", "UTC"),
        noon
    );
    assert_eq!(converted("@1772366400", "UTC", "UTC"), noon);
    assert_eq!(
        converted("2026-03-01", "+05:30", "+05:30"),
        "2026-03-01T00:00:00+05:30"
    );
}

#[test]
fn offsets_are_read_in_all_their_forms() {
    for (zone, end) in [
        ("+05:30", "+05:30"),
        ("-0800", "-08:00"),
        ("+1", "+01:00"),
        ("Z", "+00:00"),
    ] {
        assert!(
            converted("2026-03-01", zone, "UTC").ends_with(end),
            "{zone}"
        );
    }
}

#[test]
fn differences_count_seconds_and_days() {
    let input = json!({ "from": "2026-02-27", "to": "2026-03-01T01:00:05Z" });
    let answer = call::<difference>(input).unwrap();
    assert_eq!(answer, json!({ "seconds": 176_405, "text": "2d 1h 5s" }));
    assert_eq!(
        (in_words(0).as_str(), in_words(-61).as_str()),
        ("0s", "-1m 1s")
    );
}

#[test]
fn what_cannot_be_read_is_quoted() {
    for (time, zone) in [
        ("tomorrow", "UTC"),
        ("2026-02-30", "UTC"),
        ("2026-01-01", "Mars/Base"),
        ("2026-01-01", "+99"),
        ("@9999999999999999", "UTC"),
    ] {
        let input = json!({ "time": time, "zone": zone });
        let error = call::<convert>(input).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert!(error.message.contains('`'), "{}", error.message);
    }
    let error = call::<now>(json!({ "zone": "x".repeat(101) })).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
}
