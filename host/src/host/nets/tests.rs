use std::io;

use serde_json::json;

use super::*;
use crate::{
    CallId, Denial, Usage,
    audit::{CallRecord, DecisionRecord, Effect, HostReached, Isolation, Outcome, PathTouched},
    secrets::Secret,
};

const VALUE: &str = "q7Rk2mXw9TbZ";

fn knowing(name: &str, value: &str) -> Redaction {
    let redaction = Redaction::new();
    redaction.register(name, Secret::new(value).unwrap());
    redaction
}

fn call_record(text: &str) -> AuditRecord {
    AuditRecord::Call(CallRecord {
        session: "s".into(),
        call_id: CallId::new(text),
        tool: text.into(),
        package: Some(text.into()),
        digest: None,
        isolation: Some(Isolation::Thread),
        outcome: Outcome::Failed(ErrorKind::Denied),
        rule: Some(text.into()),
        usage: Usage::default(),
        denials: vec![Denial {
            capability: "net".into(),
            access: format!("GET https://h.test/{text}"),
            rule: text.into(),
            reason: text.into(),
        }],
        denials_total: 1,
        paths: vec![PathTouched {
            path: text.into(),
            used: "read".into(),
        }],
        paths_dropped: 0,
        hosts: vec![HostReached {
            host: format!("{text}.test:443"),
            requests: 1,
            sent_bytes: 1,
        }],
        hosts_dropped: 0,
        redactions: Vec::new(),
        likely_secrets: Vec::new(),
    })
}

#[test]
fn no_text_of_a_record_keeps_a_secret() {
    let redaction = knowing("TOKEN", VALUE);
    let before = call_record(VALUE);
    let after = record(&redaction, before.clone()).unwrap();
    let text = serde_json::to_string(&after).unwrap();
    assert!(!text.contains(VALUE), "{text}");
    assert!(text.contains("GET https://h.test/[secret TOKEN]"), "{text}");
    // Without the net it would have been there, in every one of them.
    let text = serde_json::to_string(&before).unwrap();
    assert_eq!(text.matches(VALUE).count(), 9, "{text}");
}

#[test]
fn a_record_of_nothing_secret_is_not_touched() {
    let before = call_record("harmless");
    let after = record(&knowing("TOKEN", VALUE), before.clone()).unwrap();
    assert_eq!(after, before);
    assert_eq!(record(&Redaction::new(), before.clone()).unwrap(), before);
}

#[test]
fn a_secret_that_is_a_word_of_the_log_breaks_no_record() {
    for word in [
        "decision",
        "denials_total",
        "partial_confinement",
        "effect00",
    ] {
        let redaction = Redaction::new();
        // Most words are too weak to be a secret.
        if let Ok(secret) = Secret::new(word) {
            redaction.register("TOKEN", secret);
        }
        let before = AuditRecord::Decision(DecisionRecord {
            session: "s".into(),
            call_id: CallId::new("c"),
            tool: "t".into(),
            package: "p".into(),
            digest: String::new(),
            access: word.into(),
            effect: Effect::Allow,
            rule: "r".into(),
        });
        let AuditRecord::Decision(after) = record(&redaction, before).unwrap() else {
            panic!("another record");
        };
        assert!(redaction.current().is_empty() || after.access == "[secret TOKEN]");
        let same = record(&redaction, call_record("harmless")).unwrap();
        assert_eq!(same, call_record("harmless"));
    }
}

#[test]
fn an_error_shows_no_secret_and_nothing_underneath_it_does() {
    let redaction = knowing("TOKEN", VALUE);
    let dirty = || {
        Error::new(ErrorKind::Internal, format!("cannot open {VALUE}"))
            .with_help(format!("use something else than {VALUE}"))
            .with_source(io::Error::other(format!("{VALUE} is not there")))
    };
    let clean = error(&redaction, dirty());
    assert_eq!(clean.message(), "cannot open [secret TOKEN]");
    assert_eq!(clean.help(), Some("use something else than [secret TOKEN]"));
    assert!(!format!("{clean:?}").contains(VALUE));
    assert!(std::error::Error::source(&clean).is_none());
    assert!(
        format!("{:?}", dirty()).contains(VALUE),
        "there was something to find"
    );
    // What shows none stays, for whoever looks for its type.
    let harmless = Error::new(ErrorKind::Internal, VALUE).with_source(io::Error::other("disk"));
    let clean = error(&redaction, harmless);
    assert!(std::error::Error::source(&clean).is_some_and(|it| it.is::<io::Error>()));
}

#[test]
fn an_input_is_searched_to_its_depths_and_not_changed() {
    let redaction = knowing("TOKEN", VALUE);
    for input in [
        json!(VALUE),
        json!({ "a": [{ "b": format!("Bearer {VALUE}") }] }),
        json!({ VALUE: 1 }),
    ] {
        let found = found_in(&redaction.current(), &input);
        assert_eq!(found.iter().collect::<Vec<_>>(), [("TOKEN", 1)], "{input}");
    }
    assert!(found_in(&redaction.current(), &json!({ "a": 1 })).is_empty());
}

#[test]
fn a_failure_is_cut_after_it_was_searched() {
    let redaction = knowing("TOKEN", VALUE);
    for left in 0..=VALUE.len() {
        let mut failure = ToolFailure::new(
            ErrorKind::ToolError,
            format!("{}{VALUE}", "x".repeat(MAX_MESSAGE_CHARS - left)),
        );
        failure.tool_code = Some(format!("{}{VALUE}\n", "x".repeat(MAX_CODE_CHARS - left)));
        Net::new(&redaction).failure(&mut failure);
        let code = failure.tool_code.unwrap();
        assert!(!failure.message.contains(&VALUE[..1]) && !code.contains(&VALUE[..1]));
        assert_eq!(failure.message.chars().count(), MAX_MESSAGE_CHARS);
        assert!(code.len() <= MAX_CODE_CHARS + 1 && !code.contains('\n'));
    }
}
