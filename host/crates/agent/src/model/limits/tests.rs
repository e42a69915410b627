use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            )
        })
        .collect()
}

fn time(text: &str) -> SystemTime {
    httpdate::parse_http_date(text).unwrap()
}

const NOW: &str = "Sat, 21 Nov 2026 10:00:00 GMT";

#[test]
fn anthropic_says_moments() {
    let headers = headers(&[
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-11-21T10:00:01Z"),
        ("anthropic-ratelimit-input-tokens-limit", "40000"),
        ("anthropic-ratelimit-input-tokens-remaining", "0"),
        (
            "anthropic-ratelimit-input-tokens-reset",
            "2026-11-21T11:00:30.5+01:00",
        ),
        ("anthropic-ratelimit-output-tokens-remaining", "8000"),
        // Passed by now.
        ("anthropic-ratelimit-tokens-reset", "2026-11-21T09:59:59Z"),
    ]);
    let limits = RateLimits::of(&headers, Some(time(NOW)));
    let of = |limit, remaining, reset: Option<u64>| RateLimit {
        limit,
        remaining,
        reset: reset.map(Duration::from_millis),
    };
    assert_eq!(
        limits.get(Counted::Requests),
        of(Some(50), Some(49), Some(1000))
    );
    assert_eq!(
        limits.get(Counted::InputTokens),
        of(Some(40_000), Some(0), Some(30_500))
    );
    assert_eq!(
        limits.get(Counted::OutputTokens),
        of(None, Some(8000), None)
    );
    assert_eq!(limits.get(Counted::Tokens), of(None, None, Some(0)));
    // Without any clock a moment says nothing.
    let limits = RateLimits::of(&headers, None);
    assert_eq!(limits.get(Counted::Requests), of(Some(50), Some(49), None));
}

#[test]
fn openai_says_spans() {
    let headers = headers(&[
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ]);
    let limits = RateLimits::of(&headers, None);
    assert_eq!(
        limits.get(Counted::Requests).reset,
        Some(Duration::from_secs(1))
    );
    assert_eq!(
        limits.get(Counted::Tokens),
        RateLimit {
            limit: Some(150_000),
            remaining: Some(149_984),
            reset: Some(Duration::from_secs(360)),
        }
    );
}

#[test]
fn what_makes_no_sense_is_left_out() {
    for (name, value) in [
        ("x-ratelimit-limit-requests", "0"),
        ("x-ratelimit-limit-requests", "-5"),
        ("x-ratelimit-limit-requests", "many"),
        ("x-ratelimit-reset-requests", "soon"),
        ("x-ratelimit-reset-requests", "1e400"),
        ("x-ratelimit-reset-requests", "5s3h"),
        ("anthropic-ratelimit-requests-reset", "2026-13-41T10:00:01Z"),
        ("anthropic-ratelimit-requests-reset", "1969-11-21T10:00:01Z"),
    ] {
        let limits = RateLimits::of(&headers(&[(name, value)]), Some(time(NOW)));
        assert!(limits.is_empty(), "{name}: {value}");
    }
}

#[test]
fn a_wait_is_read_in_all_its_forms() {
    for (pairs, expected) in [
        (
            &[("retry-after-ms", "1500"), ("retry-after", "9")][..],
            Some(1500),
        ),
        (&[("retry-after", "7")], Some(7000)),
        (&[("retry-after", " 0.25 ")], Some(250)),
        (
            &[("retry-after", "Sat, 21 Nov 2026 10:00:12 GMT")],
            Some(12_000),
        ),
        (&[("retry-after", "Sat, 21 Nov 2026 09:00:00 GMT")], Some(0)),
        (&[("retry-after", "-3")], None),
        (&[("retry-after", "NaN")], None),
        (&[("retry-after", "1e300")], None),
        (&[("retry-after", "tomorrow")], None),
        (&[("retry-after-ms", "x"), ("retry-after", "2")], Some(2000)),
        (&[], None),
    ] {
        assert_eq!(
            retry_after(&headers(pairs), Some(time(NOW))),
            expected.map(Duration::from_millis),
            "{pairs:?}"
        );
    }
    let dated = headers(&[
        ("retry-after", "Sat, 21 Nov 2026 10:00:12 GMT"),
        ("date", NOW),
    ]);
    assert_eq!(server_time(&dated), Some(time(NOW)));
    assert_eq!(retry_after(&dated, None), None);
}

proptest! {
    #[test]
    fn any_header_is_read_or_left_out(text in "[ -~]{0,40}") {
        let now = Some(time(NOW));
        let headers = headers(&[
            ("retry-after", &text),
            ("retry-after-ms", &text),
            ("date", &text),
            ("x-ratelimit-reset-tokens", &text),
            ("anthropic-ratelimit-tokens-limit", &text),
        ]);
        let _ = (retry_after(&headers, now), server_time(&headers), RateLimits::of(&headers, now));
    }

    #[test]
    fn a_span_adds_its_parts(h in 0_u64..100, m in 0_u64..100, s in 0_u64..100, ms in 0_u64..1000) {
        let text = format!("{h}h{m}m{s}s{ms}ms");
        let expected = Duration::from_millis(((h * 60 + m) * 60 + s) * 1000 + ms);
        prop_assert_eq!(span(&text), Some(expected));
    }
}
