use std::{sync::Mutex, time::Duration};

use futures_util::FutureExt;
use serde_json::{Map, json};

use super::*;
use crate::{
    model::TimeoutKind,
    testing::{
        model::{Double, http},
        reply,
    },
    wire::{StopReason, TurnOptions},
};

fn request(messages: Vec<Message>) -> ModelRequest {
    ModelRequest {
        turn: 0,
        conversation: "c".into(),
        tenant: None,
        model: "a".into(),
        max_tokens: 100,
        system: None,
        tools: Vec::new(),
        messages,
        cache: None,
        options: TurnOptions::default(),
        extra: Map::new(),
    }
}

fn question() -> ModelRequest {
    request(vec![Message::user(vec![Block::text("hi")])])
}

fn good(id: &str) -> Arc<Double> {
    Double::new(id, |_, _| {
        Ok(reply(StopReason::EndTurn, vec![Block::text("done")]))
    })
}

fn failing(id: &str, error: ModelError) -> Arc<Double> {
    Double::new(id, move |_, _| Err(error.clone()))
}

fn ask(model: &Fallback, request: &ModelRequest) -> (Result<Reply, ModelError>, Vec<ModelEvent>) {
    let told = Mutex::new(Vec::new());
    let sink = |event| told.lock().unwrap().push(event);
    let answer = model.stream(request, &sink).now_or_never().unwrap();
    (answer, told.into_inner().unwrap())
}

#[test]
fn the_first_that_can_answers() {
    let models = [
        failing("a", http(529, "overloaded_error")),
        failing("b", ModelError::Truncated),
        good("c"),
        good("d"),
    ];
    let [a, b, c, d] = models.clone();
    let model = Fallback::new(a, vec![b, c, d]);
    assert_eq!(
        (model.id(), model.others()),
        (
            "a",
            ["double:b", "double:c", "double:d"]
                .map(str::to_owned)
                .to_vec()
        )
    );
    let (answer, told) = ask(&model, &question());
    assert_eq!(answer.unwrap().answered_by.as_deref(), Some("double:c"));
    let so_far = || ModelEvent::Text("so far".into());
    let moved = |from: &str, to: &str, error: &ModelError, discarded| ModelEvent::Fallback {
        from: from.into(),
        to: to.into(),
        error: error.to_string(),
        discarded,
        left_out: 0,
    };
    let overloaded = http(529, "overloaded_error");
    let expected = [
        moved("double:a", "double:b", &overloaded, false),
        so_far(),
        moved("double:b", "double:c", &ModelError::Truncated, true),
        so_far(),
    ];
    assert_eq!(told, expected);
    // Each was asked under its own name.
    let asked: Vec<_> = models
        .iter()
        .map(|model| {
            model
                .seen()
                .into_iter()
                .map(|it| it.model)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(asked, [vec!["a"], vec!["b"], vec!["c"], vec![]]);

    let (answer, told) = ask(&Fallback::new(good("a"), vec![good("b")]), &question());
    assert_eq!((answer.unwrap().answered_by, told), (None, vec![so_far()]));
}

#[test]
fn what_is_wrong_with_the_request_is_not_hidden() {
    let timeout = |kind| ModelError::Timeout {
        kind,
        after: Duration::from_secs(1),
    };
    let stream = |kind: &str| ModelError::Stream {
        kind: kind.into(),
        message: "no".into(),
        request_id: None,
    };
    let open = ModelError::Open {
        failures: 5,
        left: Duration::from_secs(9),
    };
    for error in [
        open,
        ModelError::Busy("x".into()),
        ModelError::Connect("x".into()),
        ModelError::Protocol("x".into()),
        timeout(TimeoutKind::Response),
        timeout(TimeoutKind::Total),
        stream("overloaded_error"),
        http(429, "rate_limit_error"),
        http(429, "insufficient_quota"),
        http(402, "billing_error"),
        http(500, "api_error"),
        http(529, "overloaded_error"),
    ] {
        let (answer, _) = ask(
            &Fallback::new(failing("a", error.clone()), vec![good("b")]),
            &question(),
        );
        assert!(answer.is_ok(), "{error}");
    }
    for error in [
        http(400, "invalid_request_error"),
        http(401, "authentication_error"),
        http(403, "permission_error"),
        http(404, "not_found_error"),
        http(413, "request_too_large"),
        stream("invalid_request_error"),
        ModelError::Key("is missing"),
        ModelError::Config("x".into()),
        ModelError::TooLarge { limit: 1 },
    ] {
        let other = good("b");
        let model = Fallback::new(failing("a", error.clone()), vec![other.clone()]);
        let (answer, told) = ask(&model, &question());
        assert_eq!((answer, told.len(), other.seen().len()), (Err(error), 0, 0));
    }
    // With all of them gone, the last one's error is the answer.
    let model = Fallback::new(
        failing("a", http(529, "overloaded_error")),
        vec![failing("b", ModelError::Truncated)],
    );
    assert_eq!(ask(&model, &question()).0, Err(ModelError::Truncated));
}

fn thought(by: Option<&str>, text: &str) -> Message {
    let thinking = json!({ "type": "thinking", "thinking": text, "signature": "s" });
    let hidden = json!({ "type": "redacted_thinking", "data": "x" });
    Message {
        by: by.map(str::to_owned),
        ..Message::assistant(vec![
            Block::Other(thinking),
            Block::Other(hidden),
            Block::text(text),
        ])
    }
}

/// The kinds of blocks of each message.
fn kinds(request: &ModelRequest) -> Vec<Vec<&str>> {
    request
        .messages
        .iter()
        .map(|message| message.content.iter().map(Block::kind).collect())
        .collect()
}

#[test]
fn thinking_goes_back_only_to_who_thought_it() {
    let whole = ["thinking", "redacted_thinking", "text"];
    let question = || Message::user(vec![Block::text("hi")]);
    let mut request = request(vec![
        question(),
        thought(Some("a"), "mine"),
        question(),
        thought(Some("b"), "the other's"),
        question(),
        thought(None, "from before that was kept"),
        question(),
    ]);
    request.options.thinking = Some(Thinking::Tokens(2048));
    let (a, b) = (failing("a", ModelError::Truncated), good("b"));
    let model = Fallback::new(a.clone(), vec![b.clone()]);
    let (_, told) = ask(&model, &request);
    let to_a = &a.seen()[0];
    let of = |at: usize, request: &ModelRequest| kinds(request)[at].join(" ");
    assert_eq!((of(1, to_a), of(3, to_a)), (whole.join(" "), "text".into()));
    let to_b = &b.seen()[0];
    assert_eq!((of(1, to_b), of(3, to_b)), ("text".into(), whole.join(" ")));
    assert_eq!(of(5, to_b), whole.join(" "));
    assert!(
        told.iter()
            .any(|event| matches!(event, ModelEvent::Fallback { left_out: 2, .. }))
    );
    // The turn that waits for an answer kept its thinking, so thinking goes on.
    assert_eq!(to_b.options.thinking, request.options.thinking);
    // And the conversation itself is as it was.
    assert_eq!(of(1, &request), whole.join(" "));
}

#[test]
fn a_turn_without_its_thinking_is_continued_without() {
    let mut request = request(vec![
        Message::user(vec![Block::text("hi")]),
        thought(Some("a"), "x"),
        Message::user(vec![Block::text("result")]),
    ]);
    for (thinking, left) in [
        (Thinking::Tokens(2048), None),
        (Thinking::Adaptive, Some(Thinking::Adaptive)),
    ] {
        request.options.thinking = Some(thinking);
        let (a, b) = (failing("a", ModelError::Truncated), good("b"));
        ask(&Fallback::new(a.clone(), vec![b.clone()]), &request)
            .0
            .unwrap();
        assert_eq!(a.seen()[0].options.thinking, Some(thinking));
        assert_eq!(b.seen()[0].options.thinking, left);
    }
}
