//! What servers do otherwise than OpenAI, one by one.

use super::*;
use crate::testing::server::{chunk, chunks, delta};

async fn answered(events: &str) -> Result<Reply, ModelError> {
    let server = Server::with(vec![stream(events)]).await;
    ask(config(&server.url)).await.reply
}

/// The calls of a turn that is made of these elements of `tool_calls`, one chunk each.
async fn calls(entries: &[Value]) -> Vec<(String, String, Value)> {
    let mut list: Vec<Value> = entries
        .iter()
        .map(|entry| delta(&json!({ "tool_calls": [entry] })))
        .collect();
    list.push(chunk(&json!({}), Some("tool_calls")));
    called(&answered(&chunks(&list)).await.unwrap())
}

fn called(reply: &Reply) -> Vec<(String, String, Value)> {
    let call =
        |call: &crate::wire::ToolUse| (call.id.clone(), call.name.clone(), call.input.clone());
    reply.tool_uses().map(call).collect()
}

fn entry(
    index: Option<u64>,
    id: Option<&str>,
    name: Option<&str>,
    arguments: impl Into<Value>,
) -> Value {
    let mut function = json!({ "arguments": arguments.into() });
    if let Some(name) = name {
        function["name"] = name.into();
    }
    let mut entry = json!({ "function": function });
    if let Some(index) = index {
        entry["index"] = index.into();
    }
    if let Some(id) = id {
        entry["id"] = id.into();
    }
    entry
}

fn read(id: &str, a: u64) -> (String, String, Value) {
    (id.into(), "read".into(), json!({ "a": a }))
}

#[tokio::test]
async fn all_calls_have_the_number_0() {
    let got = calls(&[
        entry(Some(0), Some("x"), Some("read"), r#"{"a":1}"#),
        entry(Some(0), Some("y"), Some("read"), r#"{"a""#),
        entry(Some(0), None, None, ":2}"),
    ])
    .await;
    assert_eq!(got, [read("x", 1), read("y", 2)]);
}

#[tokio::test]
async fn calls_have_no_number() {
    let got = calls(&[
        entry(None, Some("x"), Some("read"), r#"{"a"#),
        entry(None, None, None, r#"":1}"#),
        entry(None, Some("y"), Some("read"), r#"{"a":2}"#),
    ])
    .await;
    assert_eq!(got, [read("x", 1), read("y", 2)]);
}

#[tokio::test]
async fn pieces_of_several_calls_are_mixed() {
    let got = calls(&[
        entry(Some(0), Some("x"), Some("read"), ""),
        entry(Some(1), Some("y"), Some("read"), r#"{"a":"#),
        entry(Some(0), None, None, r#"{"a":1"#),
        entry(Some(1), None, None, "2}"),
        entry(Some(0), None, None, "}"),
    ])
    .await;
    assert_eq!(got, [read("x", 1), read("y", 2)]);
}

#[tokio::test]
async fn the_name_comes_with_every_piece() {
    let named = |part: &str| entry(Some(0), None, Some("read"), part);
    assert_eq!(
        calls(&[named(r#"{"a""#), named(":"), named("1}")]).await,
        [read("call_0", 1)]
    );
    let both = |part: &str| entry(Some(0), Some("x"), Some("read"), part);
    assert_eq!(
        calls(&[both(r#"{"a""#), both(":1}"), both("")]).await,
        [read("x", 1)]
    );
}

#[tokio::test]
async fn a_name_without_an_id_begins_a_call() {
    let whole = |a: u64| entry(Some(0), None, Some("read"), format!("{{\"a\":{a}}}"));
    assert_eq!(
        calls(&[whole(1), whole(2)]).await,
        [read("call_0", 1), read("call_1", 2)]
    );
    let other = entry(Some(0), None, Some("write"), "{}");
    let got = calls(&[entry(Some(0), None, Some("read"), r#"{"a":1}"#), other]).await;
    assert_eq!(got[1], ("call_1".into(), "write".into(), json!({})));
}

#[tokio::test]
async fn several_whole_calls_are_in_one_chunk() {
    for index in [Some(0), None] {
        let both = json!({ "tool_calls": [
            entry(index, None, Some("now"), ""), entry(index, None, Some("now"), ""), entry(index, None, Some("read"), r#"{"a":1}"#)
        ] });
        let reply = answered(&chunks(&[chunk(&both, Some("tool_calls"))]))
            .await
            .unwrap();
        let names: Vec<_> = called(&reply)
            .into_iter()
            .map(|(id, name, _)| (id, name))
            .collect();
        let name = |id: &str, name: &str| (id.to_owned(), name.to_owned());
        assert_eq!(
            names,
            [
                name("call_0", "now"),
                name("call_1", "now"),
                name("call_2", "read")
            ]
        );
    }
}

#[tokio::test]
async fn ids_are_missing_empty_or_the_same() {
    let got = calls(&[
        entry(Some(0), None, Some("read"), r#"{"a":1}"#),
        entry(Some(1), Some(""), Some("read"), r#"{"a":2}"#),
        entry(Some(2), Some("same"), Some("read"), r#"{"a":3}"#),
        entry(Some(3), Some("same"), Some("read"), r#"{"a":4}"#),
        entry(Some(4), Some("call_1"), Some("read"), r#"{"a":5}"#),
    ])
    .await;
    let ids: Vec<&str> = got.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["call_0", "call_1", "same", "call_2", "call_3"]);
}

/// Some servers count from 0 in every turn.
#[tokio::test]
async fn an_id_of_an_earlier_turn_is_given_again() {
    let list = [chunk(
        &json!({ "tool_calls": [entry(Some(0), Some("call_0"), Some("read"), "{}")] }),
        Some("tool_calls"),
    )];
    let server = Server::with(vec![stream(&chunks(&list))]).await;
    let mut request = request();
    request
        .messages
        .push(Message::assistant(vec![crate::testing::tool_use(
            "call_0",
            "read",
            json!({}),
        )]));
    let reply = OpenAi::new(config(&server.url))
        .unwrap()
        .stream(&request, &|_| {})
        .await
        .unwrap();
    assert_eq!(called(&reply)[0].0, "call_1");
}

#[tokio::test]
async fn arguments_are_an_object() {
    let object = entry(Some(0), Some("x"), Some("read"), json!({ "a": 1 }));
    let second = entry(Some(0), None, Some("read"), json!({ "a": 2 }));
    assert_eq!(
        calls(&[object, second]).await,
        [read("x", 1), read("call_0", 2)]
    );
}

/// Of two members with one name a check could read one and the tool the other.
#[tokio::test]
async fn arguments_with_two_members_of_one_name_are_not_run() {
    let text = entry(Some(0), Some("x"), Some("read"), r#"{"a":1,"a":2}"#);
    let list = [chunk(&json!({ "tool_calls": [text] }), Some("tool_calls"))];
    let reply = answered(&chunks(&list)).await.unwrap();
    assert_eq!(reply.unparsed.len(), 1);
    let object = r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"read","arguments":{"a":1,"a":2}}}]},"finish_reason":"tool_calls"}]}"#;
    let reply = answered(&format!("{object}\n\ndata: [DONE]\n\n"))
        .await
        .unwrap();
    assert!(
        reply.unparsed[0].error.contains("occurs twice"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn no_arguments_are_an_empty_object() {
    let mut without = entry(Some(0), Some("x"), Some("now"), Value::Null);
    assert_eq!(calls(&[without.clone()]).await[0].2, json!({}));
    without["function"]["arguments"] = "".into();
    assert_eq!(calls(&[without]).await[0].2, json!({}));
}

#[tokio::test]
async fn arguments_that_are_no_json_are_told_to_the_model() {
    for text in [r#"{"a":"#, "[1]", r#"{"a":1}{"a":2}"#, "5"] {
        let list = [chunk(
            &json!({ "tool_calls": [entry(Some(0), Some("x"), Some("read"), text)] }),
            Some("tool_calls"),
        )];
        let reply = answered(&chunks(&list)).await.unwrap();
        assert_eq!(reply.unparsed[0].id, "x", "{text}");
        assert_eq!(called(&reply)[0].2, json!({ "INVALID_JSON": text }));
    }
}

#[tokio::test]
async fn a_piece_of_no_call_is_an_error() {
    let list = [delta(
        &json!({ "tool_calls": [entry(Some(1), None, None, "1}")] }),
    )];
    let error = answered(&chunks(&list)).await.unwrap_err();
    assert!(
        error.to_string().contains("a call that never began")
            || error.to_string().contains("never began"),
        "{error}"
    );
    let list = [
        delta(&json!({ "tool_calls": [entry(Some(0), Some("x"), Some("read"), "{")] })),
        delta(&json!({ "tool_calls": [entry(Some(1), None, None, "}")] })),
    ];
    answered(&chunks(&list)).await.unwrap_err();
}

#[tokio::test]
async fn too_many_calls_are_an_error() {
    let many: Vec<Value> = (0..1025)
        .map(|n| entry(Some(n), None, Some("read"), "{}"))
        .collect();
    let turn = |count: usize| {
        chunks(&[chunk(
            &json!({ "tool_calls": many[..count] }),
            Some("tool_calls"),
        )])
    };
    assert_eq!(
        answered(&turn(1024)).await.unwrap().tool_uses().count(),
        1024
    );
    let error = answered(&turn(1025)).await.unwrap_err();
    assert!(
        error.to_string().contains("more than 1024 tool calls"),
        "{error}"
    );
}

#[tokio::test]
async fn calls_count_whatever_the_reason_is_called() {
    let call = json!({ "tool_calls": [entry(Some(0), Some("x"), Some("read"), "{}")] });
    for (finish, stop) in [
        ("tool_calls", StopReason::ToolUse),
        ("stop", StopReason::ToolUse),
        ("function_call", StopReason::ToolUse),
        ("length", StopReason::MaxTokens),
        ("content_filter", StopReason::Refusal),
        (
            "insufficient_system_resource",
            StopReason::Other("insufficient_system_resource".into()),
        ),
    ] {
        let reply = answered(&chunks(&[chunk(&call, Some(finish))]))
            .await
            .unwrap();
        assert_eq!(reply.stop_reason, Some(stop), "{finish}");
    }
    let reply = answered(&chunks(&[chunk(&json!({ "content": "x" }), Some("stop"))]))
        .await
        .unwrap();
    assert_eq!(reply.stop_reason, Some(StopReason::EndTurn));
}

#[tokio::test]
async fn the_older_form_of_a_call_is_read() {
    let list = [
        delta(&json!({ "function_call": { "name": "read", "arguments": "{\"a\"" } })),
        chunk(
            &json!({ "function_call": { "arguments": ":1}" } }),
            Some("function_call"),
        ),
    ];
    let reply = answered(&chunks(&list)).await.unwrap();
    assert_eq!(called(&reply), [read("call_0", 1)]);
    assert_eq!(reply.stop_reason, Some(StopReason::ToolUse));
}

#[tokio::test]
async fn the_reason_is_empty_until_the_end() {
    let list = [
        chunk(&json!({ "content": "a" }), Some("")),
        chunk(&json!({ "content": "b" }), Some("stop")),
    ];
    let reply = answered(&chunks(&list)).await.unwrap();
    assert_eq!(
        (reply.text().as_str(), reply.stop_reason),
        ("ab", Some(StopReason::EndTurn))
    );
}

#[tokio::test]
async fn there_is_no_done() {
    let whole = chat_turn("x", Some(("call_1", "read")));
    let without = whole.strip_suffix("data: [DONE]\n\n").unwrap();
    assert_eq!(called(&answered(without).await.unwrap()).len(), 1);
    // Without the reason as well, nothing says that the turn is over.
    let (before, _) = whole.split_once(r#""finish_reason":"tool_calls""#).unwrap();
    let before = &before[..before.rfind("data: ").unwrap()];
    assert_eq!(answered(before).await.unwrap_err(), ModelError::Truncated);
}

#[tokio::test]
async fn there_is_no_reason_before_done() {
    let reply = answered(&chunks(&[delta(
        &json!({ "tool_calls": [entry(Some(0), Some("x"), Some("read"), "{}")] }),
    )]))
    .await
    .unwrap();
    assert_eq!(reply.stop_reason, None);
    assert_eq!(
        answered("data: [DONE]\n\n").await.unwrap_err(),
        ModelError::Truncated
    );
}

#[tokio::test]
async fn what_comes_after_done_does_not_belong_to_it() {
    let more = format!("{}data: nonsense\n\n", chat_turn("x", None));
    assert_eq!(answered(&more).await.unwrap().text(), "x");
}

#[tokio::test]
async fn comments_and_pings_keep_the_connection() {
    let events = chat_turn("x", None).replace(
        "data: {",
        ": OPENROUTER PROCESSING\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\ndata: {",
    );
    assert_eq!(answered(&events).await.unwrap().text(), "x");
}

#[tokio::test]
async fn the_role_comes_once_always_or_never() {
    for role in [json!("assistant"), Value::Null] {
        let list = [
            delta(&json!({ "role": role, "content": "a" })),
            chunk(&json!({ "role": role, "content": "b" }), Some("stop")),
        ];
        assert_eq!(answered(&chunks(&list)).await.unwrap().text(), "ab");
    }
}

#[tokio::test]
async fn counts_come_with_every_chunk_in_the_choice_or_never() {
    let mut first = delta(&json!({ "content": "hello" }));
    first["usage"] = json!({ "prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10 });
    let mut last = chunk(&json!({}), Some("stop"));
    last["usage"] = json!({ "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11 });
    assert_eq!(
        answered(&chunks(&[first.clone(), last.clone()]))
            .await
            .unwrap()
            .usage
            .total_tokens(),
        11
    );
    last["choices"][0]["usage"] = last["usage"].take();
    assert_eq!(
        answered(&chunks(&[first.clone(), last]))
            .await
            .unwrap()
            .usage
            .total_tokens(),
        11
    );

    first["usage"] = Value::Null;
    let events = chunks(&[first, chunk(&json!({}), Some("stop"))]);
    let usage = answered(&events).await.unwrap().usage;
    assert!(
        usage.input_tokens > 0 && usage.output_tokens == 2,
        "{usage:?}"
    );
    assert_eq!(usage.extra["estimated"], true);
}

#[tokio::test]
async fn counts_that_are_wrong_are_not_believed() {
    let server = Server::with(vec![stream(&chat_turn("hello", None))]).await;
    let lacks = Some([Lack::Usage].into_iter().collect());
    let usage = ask(OpenAiConfig {
        lacks,
        ..config(&server.url)
    })
    .await
    .reply
    .unwrap()
    .usage;
    assert_eq!(
        (usage.output_tokens, &usage.extra["estimated"]),
        (2, &json!(true))
    );
}

#[tokio::test]
async fn reasoning_comes_in_either_field_or_both() {
    for fields in [
        json!({ "reasoning_content": "hm" }),
        json!({ "reasoning": "hm" }),
        json!({ "reasoning": "hm", "reasoning_content": "hm" }),
    ] {
        let list = [
            delta(&fields),
            delta(&fields),
            chunk(&json!({ "content": "so" }), Some("stop")),
        ];
        let server = Server::with(vec![stream(&chunks(&list))]).await;
        let asked = ask(config(&server.url)).await;
        let thought = ModelEvent::Thinking("hm".into());
        assert_eq!(
            asked.told,
            [thought.clone(), thought, ModelEvent::Text("so".into())]
        );
        let reply = asked.reply.unwrap();
        let field = if fields.get("reasoning_content").is_some() {
            "reasoning_content"
        } else {
            "reasoning"
        };
        let Block::Other(block) = &reply.content[0] else {
            panic!("{reply:?}")
        };
        assert_eq!(
            *block,
            json!({ "type": "thinking", "thinking": "hmhm", "openai": field })
        );
    }
}

#[tokio::test]
async fn content_comes_as_a_list_of_parts() {
    let thinking = json!([{ "type": "thinking", "thinking": [{ "type": "text", "text": "hm" }] }]);
    let list = [
        delta(&json!({ "content": thinking })),
        chunk(
            &json!({ "content": [{ "type": "text", "text": "so" }, { "type": "reference" }] }),
            Some("stop"),
        ),
    ];
    let reply = answered(&chunks(&list)).await.unwrap();
    assert_eq!(
        (reply.text().as_str(), reply.content[0].kind()),
        ("so", "thinking")
    );
}

#[tokio::test]
async fn a_refusal_ends_the_run_as_one() {
    let list = [
        delta(&json!({ "refusal": "I can't " })),
        delta(&json!({ "refusal": "do that." })),
        chunk(&json!({}), Some("stop")),
    ];
    let reply = answered(&chunks(&list)).await.unwrap();
    assert_eq!(
        (reply.text().as_str(), &reply.stop_reason),
        ("I can't do that.", &Some(StopReason::Refusal))
    );
    assert_eq!(
        reply.stop_details.unwrap()["explanation"],
        "I can't do that."
    );
    let reply = answered(&chunks(&[chunk(&json!({}), Some("content_filter"))]))
        .await
        .unwrap();
    assert_eq!(reply.stop_details.unwrap()["category"], "content_filter");
}

/// A model whose template the server does not know writes its calls as text. They stay text: a program that guessed
/// could be made to run what a web page says.
#[tokio::test]
async fn a_call_that_leaked_into_the_text_stays_text() {
    let text = "<tool_call>{\"name\":\"read\",\"arguments\":{}}</tool_call>";
    let reply = answered(&chunks(&[chunk(&json!({ "content": text }), Some("stop"))]))
        .await
        .unwrap();
    assert_eq!(
        (reply.text().as_str(), reply.tool_uses().count()),
        (text, 0)
    );
    assert_eq!(reply.stop_reason, Some(StopReason::EndTurn));
}

#[tokio::test]
async fn an_error_comes_in_the_middle() {
    let start = chunks(&[delta(&json!({ "content": "a" }))]).replace("data: [DONE]\n\n", "");
    for (event, told) in [
        (
            r#"data: {"error":{"message":"sk-very-secret","type":"server_error","code":null}}"#,
            "the model's server broke off with server_error: [redacted]",
        ),
        (
            r#"data: {"error":{"code":502,"message":"Provider disconnected"},"choices":[{"finish_reason":"error"}]}"#,
            "the model's server broke off with api_error: Provider disconnected",
        ),
        (
            r#"data: {"choices":[{"index":0,"delta":{},"error":{"code":429,"message":"slow"}}]}"#,
            "the model's server broke off with rate_limit_error: slow",
        ),
        (
            r#"data: {"object":"error","message":"no room","type":"internal"}"#,
            "the model's server broke off with internal: no room",
        ),
        (
            "event: error\ndata: out of memory",
            "the model's server broke off with unknown_error: out of memory",
        ),
    ] {
        let error = answered(&format!("{start}{event}\n\n")).await.unwrap_err();
        assert_eq!(error.to_string(), told);
    }
}

#[tokio::test]
async fn a_malformed_chunk_is_an_error() {
    let start = chunks(&[delta(&json!({ "content": "a" }))]).replace("data: [DONE]\n\n", "");
    for (event, told) in [
        ("data: {\"choices\":", "a chunk is no JSON"),
        ("data: 5", "a chunk is no JSON object"),
        (
            r#"data: {"choices":{}}"#,
            "the choices of a chunk are no list",
        ),
        (
            r#"data: {"choices":[{"delta":{"content":5}}]}"#,
            "the content of a chunk is no text",
        ),
        (
            r#"data: {"choices":[{"delta":{"tool_calls":{}}}]}"#,
            "the tool calls of a chunk are no list",
        ),
    ] {
        let error = answered(&format!("{start}{event}\n\n"))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(told), "{event}: {error}");
    }
}

#[tokio::test]
async fn other_choices_are_not_mixed_in() {
    let mut other = delta(&json!({ "content": "b" }));
    other["choices"][0]["index"] = 1.into();
    let list = [
        delta(&json!({ "content": "a" })),
        other,
        chunk(&json!({}), Some("stop")),
    ];
    assert_eq!(answered(&chunks(&list)).await.unwrap().text(), "a");
}

#[tokio::test]
async fn what_is_unknown_is_kept() {
    let mut first =
        delta(&json!({ "content": "a", "annotations": [{ "n": 1 }], "audio_text": "x" }));
    first["service_tier"] = "flex".into();
    first["obfuscation"] = "zzz".into();
    first["content"] = "a field of ours".into();
    let last = chunk(
        &json!({ "annotations": [{ "n": 2 }], "audio_text": "y", "n": 1 }),
        Some("stop"),
    );
    let reply = answered(&chunks(&[first, last])).await.unwrap();
    assert_eq!(reply.extra["service_tier"], "flex");
    assert_eq!(
        reply.extra["message"],
        json!({ "annotations": [{ "n": 1 }, { "n": 2 }], "audio_text": "xy", "n": 1 })
    );
    assert_eq!(reply.extra.get("obfuscation"), None);
    let written = serde_json::to_string(&reply).unwrap();
    assert_eq!(serde_json::from_str::<Reply>(&written).unwrap(), reply);
}

/// It could be written to a transcript, and never be read again.
#[tokio::test]
async fn what_is_nested_too_deep_is_not_kept() {
    let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    for (levels, kept) in [(32, true), (33, false), (100, false)] {
        let mut call = entry(Some(0), Some("x"), Some("read"), "{}");
        call["beside"] = nested(levels);
        let delta = json!({ "tool_calls": [call], "unknown": nested(levels) });
        let mut last = chunk(&delta, Some("tool_calls"));
        last["usage"] = json!({ "prompt_tokens": 5, "more": nested(levels - 1) });
        last["top"] = nested(levels);
        let reply = answered(&chunks(&[last])).await.unwrap();
        let call = reply.tool_uses().next().unwrap();
        let any = [
            reply.extra.contains_key("top"),
            reply.extra.contains_key("message"),
            call.extra.contains_key(OWN),
            reply.usage.extra.contains_key("more"),
        ];
        assert_eq!(any, [kept; 4], "{levels}");
    }
}

/// Gemini's signatures of thoughts travel beside a call, and must come back with it.
#[tokio::test]
async fn what_stands_beside_a_call_goes_back_with_it() {
    let mut call = entry(Some(0), Some("x"), Some("read"), "{}");
    call["extra_content"] = json!({ "google": { "thought_signature": "s" } });
    let reply = answered(&chunks(&[chunk(
        &json!({ "tool_calls": [call] }),
        Some("tool_calls"),
    )]))
    .await
    .unwrap();
    let server = Server::with(vec![stream(&chat_turn("x", None))]).await;
    let mut request = request();
    request.messages.push(Message::assistant(reply.content));
    OpenAi::new(config(&server.url))
        .unwrap()
        .stream(&request, &|_| {})
        .await
        .unwrap();
    let back = &sent(&server)["messages"][2]["tool_calls"][0];
    assert_eq!(back["extra_content"]["google"]["thought_signature"], "s");
    assert_eq!(back["id"], "x");
}

#[tokio::test]
async fn a_name_that_the_server_cannot_take_is_given_back() {
    let mut request = request();
    request.tools.push(crate::wire::ToolDefinition {
        name: "a.b".into(),
        description: String::new(),
        input_schema: json!({ "type": "object" }),
    });
    let sent_name = Names::of(&request).sent("a.b").to_owned();
    let list = [chunk(
        &json!({ "tool_calls": [entry(Some(0), Some("x"), Some(&sent_name), "{}")] }),
        Some("tool_calls"),
    )];
    let server = Server::with(vec![stream(&chunks(&list))]).await;
    let told = Mutex::new(Vec::new());
    let model = OpenAi::new(config(&server.url)).unwrap();
    let reply = model
        .stream(&request, &|event| told.lock().unwrap().push(event))
        .await
        .unwrap();
    assert_eq!(called(&reply)[0].1, "a.b");
    assert_eq!(
        told.into_inner().unwrap(),
        [ModelEvent::ToolUse {
            id: "x".into(),
            name: "a.b".into()
        }]
    );
    assert_eq!(
        sent(&server)["tools"][0]["function"]["name"],
        sent_name.as_str()
    );
}
