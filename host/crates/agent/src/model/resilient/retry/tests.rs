use super::*;

fn http(status: u16, kind: &str, after: Option<f64>, should_retry: Option<bool>) -> ModelError {
    ModelError::Http {
        status,
        kind: kind.into(),
        message: "y".into(),
        request_id: None,
        retry_after: after.map(Duration::from_secs_f64),
        should_retry,
    }
}

fn broke_off(kind: &str) -> ModelError {
    ModelError::Stream {
        kind: kind.into(),
        message: "y".into(),
        request_id: None,
    }
}

fn timeout(kind: TimeoutKind) -> ModelError {
    let after = Duration::from_secs(1);
    ModelError::Timeout { kind, after }
}

fn tries(retries: u32, pauses: u32) -> Tries {
    Tries { retries, pauses }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn waits_grow_and_end() {
    let retry = Retry::default();
    let error = ModelError::Connect("x".into());
    let verdict = |retry: &Retry, done, dice| retry.verdict(&error, tries(done, 0), dice);
    assert_eq!(verdict(&retry, 0, 0.0), Verdict::Again(ms(500)));
    assert_eq!(verdict(&retry, 1, 1.0), Verdict::Again(ms(750)));
    assert_eq!(verdict(&retry, 2, 0.0), Verdict::Final);
    let many = Retry {
        retries: 100,
        ..retry
    };
    assert_eq!(verdict(&many, 99, 0.0), Verdict::Again(ms(8000)));
}

#[test]
fn which_errors_are_worth_another_try() {
    let first = |error: &ModelError| Retry::default().verdict(error, Tries::default(), 0.0);
    let again = [
        http(408, "x", None, None),
        http(409, "x", None, None),
        http(429, "rate_limit_error", None, None),
        http(500, "api_error", None, None),
        http(503, "x", None, None),
        http(504, "timeout_error", None, None),
        http(529, "overloaded_error", None, None),
        http(400, "invalid_request_error", None, Some(true)),
        ModelError::Connect("x".into()),
        ModelError::Transport("x".into()),
        ModelError::Truncated,
        timeout(TimeoutKind::Response),
        timeout(TimeoutKind::Idle),
        broke_off("overloaded_error"),
        broke_off("api_error"),
        broke_off("timeout_error"),
        broke_off("rate_limit_error"),
        broke_off("throttlingException"),
    ];
    for error in again {
        assert_eq!(first(&error), Verdict::Again(ms(500)), "{error}");
    }
    let last = [
        http(200, "x", None, None),
        http(400, "x", None, None),
        http(401, "x", None, None),
        http(403, "x", None, None),
        http(404, "x", None, None),
        http(413, "x", None, None),
        http(422, "x", None, None),
        http(529, "overloaded_error", None, Some(false)),
        // No money, whatever else the answer says.
        http(402, "billing_error", Some(1.0), Some(true)),
        http(429, "insufficient_quota", Some(1.0), Some(true)),
        http(429, "enforced_spend_limit_reached", None, None),
        ModelError::Key("is missing"),
        ModelError::Config("x".into()),
        ModelError::Protocol("x".into()),
        ModelError::TooLarge { limit: 1 },
        ModelError::Busy("x".into()),
        timeout(TimeoutKind::Total),
        broke_off("invalid_request_error"),
        broke_off("unknown_error"),
    ];
    for error in last {
        assert_eq!(first(&error), Verdict::Final, "{error}");
    }
    let none = Retry {
        retries: 0,
        ..Retry::default()
    };
    let limited = http(429, "x", Some(1.0), None);
    let verdict = none.verdict(&limited, Tries::default(), 0.0);
    assert_eq!(verdict, Verdict::Final);
}

#[test]
fn the_server_has_its_say_within_reason() {
    let retry = Retry::default();
    let verdict = |error: &ModelError, tries| retry.verdict(error, tries, 0.0);
    // 503 with a wait is a retry that waits as asked.
    let asked = http(503, "x", Some(7.0), None);
    assert_eq!(verdict(&asked, tries(0, 0)), Verdict::Again(ms(7000)));
    assert_eq!(verdict(&asked, tries(2, 0)), Verdict::Final);
    // Nothing is no wait.
    let nothing = http(503, "x", Some(0.0), None);
    assert_eq!(verdict(&nothing, tries(0, 0)), Verdict::Again(ms(500)));
    for status in [429, 503] {
        let longest = http(status, "x", Some(60.0), None);
        assert_ne!(verdict(&longest, tries(0, 0)), Verdict::Final);
        let longer = http(status, "x", Some(60.001), None);
        assert_eq!(verdict(&longer, tries(0, 0)), Verdict::Final);
    }
}

#[test]
fn a_rate_limit_is_waited_for_and_counts_for_nothing() {
    let retry = Retry::default();
    let soon = http(429, "rate_limit_error", Some(0.1), None);
    let pause = |tries| retry.verdict(&soon, tries, 0.0);
    assert_eq!(pause(tries(0, 0)), Verdict::Paused(ms(100)));
    assert_eq!(pause(tries(2, 1)), Verdict::Paused(ms(100)));
    // A server that says "soon" again and again is asked more and more seldom.
    assert_eq!(pause(tries(2, 2)), Verdict::Paused(ms(2000)));
    assert_eq!(pause(tries(2, 50)), Verdict::Paused(ms(8000)));
    let later = http(429, "rate_limit_error", Some(30.0), None);
    let verdict = retry.verdict(&later, tries(0, 50), 0.0);
    assert_eq!(verdict, Verdict::Paused(ms(30_000)));
}

#[test]
fn what_says_that_a_server_fails() {
    let failed = [
        http(500, "x", None, None),
        http(529, "overloaded_error", None, Some(false)),
        ModelError::Connect("x".into()),
        ModelError::Truncated,
        ModelError::Transport("x".into()),
        timeout(TimeoutKind::Response),
        timeout(TimeoutKind::Total),
        broke_off("overloaded_error"),
    ];
    for error in failed {
        assert_eq!(health(&error), Health::Failed(None), "{error}");
    }
    let asked = http(503, "x", Some(9.0), None);
    assert_eq!(health(&asked), Health::Failed(Some(ms(9000))));
    let alive = [
        http(400, "x", None, None),
        http(401, "x", None, None),
        http(429, "rate_limit_error", None, None),
        http(429, "insufficient_quota", None, None),
        broke_off("rate_limit_error"),
        broke_off("invalid_request_error"),
    ];
    for error in alive {
        assert_eq!(health(&error), Health::Alive, "{error}");
    }
    let nothing = [
        ModelError::Config("x".into()),
        ModelError::Busy("x".into()),
        ModelError::Protocol("x".into()),
    ];
    for error in nothing {
        assert_eq!(health(&error), Health::Unknown, "{error}");
    }
}

#[test]
fn what_says_that_there_is_no_room() {
    for error in [
        http(429, "rate_limit_error", None, None),
        http(529, "overloaded_error", None, None),
        broke_off("overloaded_error"),
        broke_off("throttlingException"),
    ] {
        assert!(crowded(&error), "{error}");
    }
    for error in [
        http(429, "insufficient_quota", None, None),
        http(500, "api_error", None, None),
        broke_off("api_error"),
        ModelError::Truncated,
    ] {
        assert!(!crowded(&error), "{error}");
    }
}
