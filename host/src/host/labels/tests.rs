use super::*;

const NONE: Labels = Labels {
    reads_private: false,
    reads_untrusted: false,
    sends_outside: false,
};
const PRIVATE: Labels = Labels {
    reads_private: true,
    ..NONE
};
const UNTRUSTED: Labels = Labels {
    reads_untrusted: true,
    ..NONE
};
const OUTSIDE: Labels = Labels {
    sends_outside: true,
    ..NONE
};
const ALL: Labels = Labels {
    reads_private: true,
    reads_untrusted: true,
    sends_outside: true,
};

fn key(session: &str) -> Key {
    (None, SessionId::new(session))
}

/// Lets a call in, whatever it does; and the chain, where it was questioned.
fn call(marks: &Marks, session: &str, tool: &str, labels: Labels) -> Option<String> {
    let entry = marks.enter(&key(session), tool, labels, Instant::now());
    let Entry { pass, chain } = entry.unwrap();
    pass.admitted();
    chain
}

/// Turns a call away where it is questioned.
fn refused(marks: &Marks, session: &str, tool: &str, labels: Labels) -> bool {
    let entry = marks.enter(&key(session), tool, labels, Instant::now());
    let Entry { pass, chain } = entry.unwrap();
    if chain.is_none() {
        pass.admitted();
        return false;
    }
    true
}

#[test]
fn the_call_that_completes_all_three_is_questioned_in_any_order() {
    let three = [("a", PRIVATE), ("b", UNTRUSTED), ("c", OUTSIDE)];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let marks = Marks::default();
        let [first, second, last] = order.map(|at| three[at]);
        assert_eq!(call(&marks, "s", first.0, first.1), None);
        assert_eq!(call(&marks, "s", first.0, first.1), None);
        assert_eq!(call(&marks, "s", second.0, second.1), None);
        let chain = call(&marks, "s", last.0, last.1).unwrap();
        assert!(chain.contains(&format!("{} would ", last.0)), "{chain}");
        // Another session has nothing to do with it.
        assert_eq!(call(&marks, "other", last.0, last.1), None);
    }
}

#[test]
fn the_chain_names_the_first_call_with_each_label() {
    let marks = Marks::default();
    call(&marks, "s", "files_read", PRIVATE);
    call(&marks, "s", "notes", PRIVATE);
    call(&marks, "s", "fetch", UNTRUSTED);
    assert_eq!(
        call(&marks, "s", "github_issue", OUTSIDE).unwrap(),
        "files_read read private data (call 1), fetch read untrusted text (call 3), github_issue would send data outside"
    );
    assert_eq!(
        call(&marks, "s", "mail", OUTSIDE).unwrap(),
        "files_read read private data (call 1), fetch read untrusted text (call 3), mail would send data outside"
    );
    assert_eq!(
        call(&Marks::default(), "s", "all", ALL).unwrap(),
        "all would read private data and read untrusted text and send data outside"
    );
}

#[test]
fn once_all_came_together_only_what_sends_is_questioned_each_time() {
    let marks = Marks::default();
    call(&marks, "s", "a", PRIVATE);
    call(&marks, "s", "c", OUTSIDE);
    assert!(call(&marks, "s", "b", UNTRUSTED).is_some());
    assert!(call(&marks, "s", "b", UNTRUSTED).is_none());
    assert!(call(&marks, "s", "a", PRIVATE).is_none());
    for _ in 0..3 {
        assert!(call(&marks, "s", "c", OUTSIDE).is_some());
        assert!(call(&marks, "s", "all", ALL).is_some());
    }
}

#[test]
fn what_was_turned_away_does_not_count() {
    let marks = Marks::default();
    call(&marks, "s", "a", PRIVATE);
    call(&marks, "s", "c", OUTSIDE);
    for _ in 0..2 {
        assert!(refused(&marks, "s", "b", UNTRUSTED));
        assert!(!refused(&marks, "s", "c", OUTSIDE));
    }
    let marks = Marks::default();
    let entry = marks.enter(&key("s"), "a", PRIVATE, Instant::now());
    drop(entry);
    assert!(marks.lock().is_empty());
}

#[test]
fn calls_that_are_not_let_in_yet_count_for_others() {
    let marks = Marks::default();
    let now = Instant::now();
    let waiting = marks.enter(&key("s"), "a", PRIVATE, now).unwrap();
    let also = marks.enter(&key("s"), "b", UNTRUSTED, now).unwrap();
    assert!(waiting.chain.is_none() && also.chain.is_none());
    assert!(refused(&marks, "s", "c", OUTSIDE));
    drop(waiting);
    assert!(!refused(&marks, "s", "c", OUTSIDE));
    drop(also);
}

#[test]
fn few_calls_of_a_session_are_kept() {
    let marks = Marks::default();
    for number in 0..100 {
        call(&marks, "s", &format!("a{number}"), PRIVATE);
        call(&marks, "s", &format!("b{number}"), UNTRUSTED);
        call(&marks, "s", &format!("c{number}"), OUTSIDE);
        call(&marks, "s", &format!("d{number}"), ALL);
    }
    let sessions = marks.lock();
    assert_eq!(sessions[&key("s")].calls.len(), 3);
}

#[test]
fn sessions_are_remembered_until_they_are_over() {
    let marks = Marks::default();
    let begin = Instant::now();
    let enter = |session: String, at: Instant| -> Result<(), Refusal> {
        let entry = marks.enter(&key(&session), "a", PRIVATE, at)?;
        entry.pass.admitted();
        Ok(())
    };
    for number in 0..MAX_SESSIONS {
        enter(number.to_string(), begin).unwrap();
    }
    assert_eq!(enter("more".to_owned(), begin), Err(Refusal::Sessions));
    // One that is there goes on, and stays when the others are over.
    let later = begin + IDLE;
    enter("7".to_owned(), begin + IDLE / 2).unwrap();
    enter("more".to_owned(), later).unwrap();
    assert_eq!(marks.lock().len(), 2);
    marks.forget(&key("7"));
    assert_eq!(marks.lock().len(), 1);
}

#[test]
fn a_call_without_a_session_is_one_of_its_own() {
    let marks = Marks::default();
    let context = CallContext::default();
    let of_call = marks.of_call(&context);
    let inner = CallContext {
        session: Some(of_call.session().clone()),
        ..CallContext::default()
    };
    // What it calls counts for it, and does not end it.
    drop(marks.of_call(&inner));
    marks.remember(&of_call.key, "a", PRIVATE);
    drop(marks.of_call(&inner));
    assert_eq!(marks.lock().len(), 1);
    drop(of_call);
    assert!(marks.lock().is_empty());
}

#[test]
fn sessions_of_two_tenants_are_two() {
    let marks = Marks::default();
    let of = |tenant: &str| (Some(TenantId::new(tenant)), SessionId::new("s"));
    marks.remember(&of("a"), "a", PRIVATE);
    marks.remember(&of("a"), "b", UNTRUSTED);
    let entry = |tenant: &str| marks.enter(&of(tenant), "c", OUTSIDE, Instant::now());
    assert!(entry("a").unwrap().chain.is_some());
    assert!(entry("b").unwrap().chain.is_none());
    assert!(
        marks
            .enter(&key("s"), "c", OUTSIDE, Instant::now())
            .unwrap()
            .chain
            .is_none()
    );
}
