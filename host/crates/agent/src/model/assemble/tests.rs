use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;
use sse_stream::SseByteStream;

use super::*;
use crate::wire::{Block, StopReason};

const RECORDED: &str = include_str!("recorded.txt");

/// Puts a turn together from pieces, as the client does from a connection.
fn assemble<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Reply, ModelError> {
    let pieces: Vec<Result<bytes::Bytes, std::io::Error>> = pieces
        .into_iter()
        .map(|piece| Ok(bytes::Bytes::copy_from_slice(piece)))
        .collect();
    let mut events = SseByteStream::new(stream::iter(pieces));
    let mut assembler = Assembler::default();
    while !assembler.is_done()
        && let Some(event) = events.next().now_or_never().unwrap()
    {
        let event = event.map_err(|error| ModelError::Protocol(error.to_string()))?;
        assembler.on_event(event.event.as_deref(), event.data.as_deref().unwrap_or(""))?;
    }
    assembler.finish()
}

/// The recording in each of the forms that the event stream format allows.
fn forms() -> Vec<Vec<u8>> {
    vec![
        RECORDED.into(),
        RECORDED.replace('\n', "\r\n").into(),
        RECORDED.replace('\n', "\r").into(),
        format!("\u{feff}{RECORDED}").into(),
        RECORDED.replace(": ", ":").into(),
        RECORDED
            .replace("event: ", "id: 7\nretry: 5\nfuture-field: x\nevent: ")
            .into(),
        RECORDED.replace("\n\n", "\n\n\n: still here\n\n").into(),
    ]
}

#[test]
fn a_recorded_turn_comes_out_whole() {
    let reply = assemble([RECORDED.as_bytes()]).unwrap();
    assert_eq!(
        serde_json::to_value(&reply.content).unwrap(),
        json!([
            { "type": "thinking", "thinking": "Hm, größer?", "signature": "EqQB" },
            { "type": "text", "text": "Let me look 🦀." },
            { "type": "block_from_the_future", "data": [1, 2] },
            { "type": "tool_use", "id": "toolu_1", "name": "read", "input": { "path": "/work/a.txt" },
              "caller": { "type": "direct" } },
            { "type": "tool_use", "id": "toolu_2", "name": "write", "input": {} },
        ])
    );
    assert_eq!(reply.stop_reason, Some(StopReason::ToolUse));
    assert_eq!(
        (reply.usage.prompt_tokens(), reply.usage.output_tokens),
        (32, 89)
    );
    assert_eq!(reply.unparsed, []);
    assert_eq!(reply.extra["id"], "msg_1");
}

#[test]
fn every_form_cut_in_two_at_every_byte_is_the_same_turn() {
    let whole = assemble([RECORDED.as_bytes()]).unwrap();
    for form in forms() {
        for cut in 0..=form.len() {
            let (first, second) = form.split_at(cut);
            assert_eq!(
                assemble([first, second]).as_ref(),
                Ok(&whole),
                "cut at {cut}"
            );
        }
        let single: Vec<&[u8]> = form.chunks(1).collect();
        assert_eq!(assemble(single).as_ref(), Ok(&whole));
    }
}

#[test]
fn a_stream_that_ends_early_is_never_a_turn() {
    let whole = assemble([RECORDED.as_bytes()]).unwrap();
    for form in forms() {
        let mut ended_whole = 0;
        for end in 0..=form.len() {
            match assemble([&form[..end]]) {
                Ok(reply) => {
                    // Only the blank line after message_stop may be what was still to come.
                    assert!(form.len() - end <= 20, "cut at {end} of {}", form.len());
                    assert_eq!(reply, whole);
                    ended_whole += 1;
                }
                Err(error) => assert_eq!(error, ModelError::Truncated, "cut at {end}"),
            }
        }
        assert!(ended_whole >= 1);
    }
}

#[test]
fn deltas_are_told_as_they_come() {
    let mut assembler = Assembler::default();
    let mut told = Vec::new();
    for event in RECORDED.split("\n\n") {
        let data: Vec<&str> = event
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        let name = event.lines().find_map(|line| line.strip_prefix("event: "));
        told.extend(assembler.on_event(name, &data.join("\n")).unwrap());
    }
    assert!(assembler.is_done());
    let tool = |id: &str, name: &str| ModelEvent::ToolUse {
        id: id.into(),
        name: name.into(),
    };
    assert_eq!(
        told,
        [
            ModelEvent::Thinking("Hm, größer?".into()),
            ModelEvent::Text("Let me ".into()),
            ModelEvent::Text("look 🦀.".into()),
            tool("toolu_1", "read"),
            tool("toolu_2", "write"),
        ]
    );
}

/// A turn from the data of its events.
fn turn(events: &[Value]) -> Result<Reply, ModelError> {
    let mut assembler = Assembler::default();
    for event in events {
        assembler.on_event(None, &event.to_string())?;
    }
    assembler.finish()
}

fn start() -> Value {
    json!({ "type": "message_start", "message": { "content": [], "stop_reason": null, "usage": {} } })
}

fn block(index: u64, block: Value) -> Value {
    json!({ "type": "content_block_start", "index": index, "content_block": block })
}

fn delta(index: u64, delta: Value) -> Value {
    json!({ "type": "content_block_delta", "index": index, "delta": delta })
}

fn end(index: u64) -> Value {
    json!({ "type": "content_block_stop", "index": index })
}

fn stop(reason: &str) -> [Value; 2] {
    [
        json!({ "type": "message_delta", "delta": { "stop_reason": reason } }),
        json!({ "type": "message_stop" }),
    ]
}

/// A turn with one tool use whose input comes as this text.
fn with_input(text: &str) -> Reply {
    let [a, b] = stop("tool_use");
    turn(&[
        start(),
        block(
            0,
            json!({ "type": "tool_use", "id": "t", "name": "n", "input": {} }),
        ),
        delta(
            0,
            json!({ "type": "input_json_delta", "partial_json": text }),
        ),
        end(0),
        a,
        b,
    ])
    .unwrap()
}

#[test]
fn an_input_that_is_no_object_is_kept_and_marked() {
    for text in [
        "{\"a\": ",
        "[1]",
        "nul",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1e999}",
    ] {
        let reply = with_input(text);
        let call = reply.tool_uses().next().unwrap();
        assert_eq!(call.input, json!({ "INVALID_JSON": text }));
        assert_eq!(reply.unparsed.len(), 1, "{text}");
        assert_eq!(reply.unparsed[0].id, "t");
    }
    for text in ["", " ", "{}", " {\"a\": [1]} "] {
        let reply = with_input(text);
        assert!(reply.unparsed.is_empty(), "{text}");
        assert!(reply.tool_uses().next().unwrap().input.is_object());
    }
}

#[test]
fn an_input_that_comes_with_the_start_is_taken() {
    let [a, b] = stop("tool_use");
    let call = json!({ "type": "tool_use", "id": "t", "name": "n", "input": { "x": 1 } });
    let reply = turn(&[start(), block(0, call), end(0), a, b]).unwrap();
    assert_eq!(reply.tool_uses().next().unwrap().input, json!({ "x": 1 }));
}

#[test]
fn a_server_cannot_forge_our_own_fields() {
    let mut first = start();
    first["message"]["unparsed"] = json!([{ "id": "t", "error": "x" }]);
    first["message"]["request_id"] = json!("forged");
    let [a, b] = stop("end_turn");
    let reply = turn(&[first, a, b]).unwrap();
    assert_eq!((reply.unparsed, reply.request_id), (vec![], None));
}

#[test]
fn citations_and_details_are_kept() {
    let reply = turn(&[
        start(),
        block(0, json!({ "type": "text", "text": "a" })),
        delta(0, json!({ "type": "citations_delta", "citation": { "c": 1 } })),
        delta(0, json!({ "type": "citations_delta", "citation": { "c": 2 } })),
        delta(0, json!({ "type": "text_delta", "text": "b" })),
        end(0),
        json!({
            "type": "message_delta",
            "delta": { "stop_reason": "refusal", "stop_details": { "category": "bio" }, "container": null },
            "usage": { "output_tokens": 2 },
        }),
        json!({ "type": "message_stop" }),
    ])
    .unwrap();
    let Block::Text(text) = &reply.content[0] else {
        panic!("{reply:?}");
    };
    assert_eq!(
        (text.text.as_str(), &text.extra["citations"]),
        ("ab", &json!([{ "c": 1 }, { "c": 2 }]))
    );
    assert_eq!(reply.stop_details, Some(json!({ "category": "bio" })));
    assert_eq!(reply.usage.output_tokens, 2);
}

#[test]
fn an_error_in_the_middle_is_an_error() {
    let error = turn(&[
        start(),
        json!({ "type": "error", "error": { "type": "overloaded_error", "message": "busy" }, "request_id": "req_1" }),
    ]);
    assert_eq!(
        error,
        Err(ModelError::Stream {
            kind: "overloaded_error".into(),
            message: "busy".into(),
            request_id: Some("req_1".into()),
        })
    );
}

#[test]
fn events_that_contradict_each_other_are_refused() {
    let text = || block(0, json!({ "type": "text", "text": "" }));
    let bit = || delta(0, json!({ "type": "text_delta", "text": "x" }));
    let [message_delta, message_stop] = stop("end_turn");
    let cases: Vec<(Vec<Value>, &str)> = vec![
        (vec![start(), start()], "second message_start"),
        (
            vec![json!({ "type": "message_start" })],
            "without a message",
        ),
        (vec![text()], "before message_start"),
        (vec![message_delta], "before message_start"),
        (vec![message_stop.clone()], "before message_start"),
        (vec![start(), text(), text()], "starts twice"),
        (vec![start(), text(), end(0), text()], "starts twice"),
        (vec![start(), bit()], "is not open"),
        (vec![start(), text(), end(0), bit()], "is not open"),
        (vec![start(), text(), end(0), end(0)], "is not open"),
        (
            vec![start(), text(), message_stop],
            "while content block 0 is open",
        ),
        (
            vec![start(), json!({ "type": "content_block_start" })],
            "without an index",
        ),
        (
            vec![
                start(),
                json!({ "type": "content_block_start", "index": 0 }),
            ],
            "without a block",
        ),
        (
            vec![start(), text(), delta(0, json!({ "type": "text_delta" }))],
            "without text",
        ),
    ];
    for (events, expected) in cases {
        match turn(&events) {
            Err(ModelError::Protocol(message)) => assert!(message.contains(expected), "{message}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn data_that_is_no_json_counts_only_in_events_that_matter() {
    let mut assembler = Assembler::default();
    assert_eq!(assembler.on_event(Some("ping"), "pong"), Ok(None));
    assert_eq!(assembler.on_event(Some("new"), "{"), Ok(None));
    assert_eq!(assembler.on_event(Some("message_stop"), ""), Ok(None));
    for name in [Some("content_block_delta"), None] {
        assert!(matches!(
            assembler.on_event(name, "{"),
            Err(ModelError::Protocol(_))
        ));
    }
}

/// Events as they could come from a broken or hostile server.
fn any_event() -> impl Strategy<Value = Value> {
    let index = 0_u64..3;
    prop_oneof![
        Just(start()),
        (index.clone(), "text|tool_use|thinking|zzz").prop_map(|(at, kind)| block(
            at,
            json!({ "type": kind, "id": "t", "name": "n", "text": "" })
        )),
        (
            index.clone(),
            "text|thinking|signature|partial_json",
            "[a-z{}\"]{0,3}"
        )
            .prop_map(|(at, key, piece)| {
                let kind = if key == "partial_json" {
                    "input_json".to_owned()
                } else {
                    key.clone()
                };
                delta(at, json!({ "type": format!("{kind}_delta"), key: piece }))
            }),
        index.prop_map(end),
        "tool_use|end_turn".prop_map(|reason| stop(&reason)[0].clone()),
        Just(stop("")[1].clone()),
        Just(json!({ "type": "zzz" })),
        Just(json!([])),
        Just(json!({ "type": "message_delta", "delta": [], "usage": 5 })),
    ]
}

proptest! {
    /// Whatever comes, there is no panic, and no turn without its end.
    #[test]
    fn no_events_break_it(events in prop::collection::vec(any_event(), 0..20)) {
        let whole = events.iter().any(|event| event["type"] == "message_stop");
        if let Ok(reply) = turn(&events) {
            prop_assert!(whole);
            for call in reply.tool_uses() {
                prop_assert!(call.input.is_object());
            }
        }
    }

    /// Whatever bytes come, there is no panic.
    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = assemble([bytes.as_slice()]);
    }

    /// A recording with one byte changed still gives a turn or an error, and an input that is marked unreadable is
    /// the only one that stands for other text.
    #[test]
    fn one_wrong_byte_does_not_break_it(at in 0..RECORDED.len(), byte in any::<u8>()) {
        let mut bytes = RECORDED.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(reply) = assemble([bytes.as_slice()]) {
            for call in reply.tool_uses() {
                let marked = reply.unparsed.iter().any(|unparsed| unparsed.id == call.id);
                prop_assert_eq!(marked, call.input.get("INVALID_JSON").is_some());
            }
        }
    }
}
