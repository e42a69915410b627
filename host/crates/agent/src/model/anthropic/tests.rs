use std::sync::Mutex;

use futures_util::{StreamExt, stream as streams};
use serde_json::{Map, Value, json};

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    Agent, RunContext, RunOutcome,
    model::{ModelEvent, Resilient, Retry, TimeoutKind},
    testing::{
        Tools,
        server::{Answer, Server, error, plain, stream, turn},
        time::FakeTimer,
    },
    wire::{Block, Message, TurnOptions},
};

const KEY: &str = "sk-very-secret";

fn config(url: &str) -> AnthropicConfig {
    AnthropicConfig {
        base_url: url.into(),
        ..AnthropicConfig::new("claude-sonnet-5-5", ApiKey::new(&format!(" {KEY}\n")))
    }
}

fn request() -> ModelRequest {
    ModelRequest {
        turn: 0,
        model: "claude-sonnet-5-5".into(),
        max_tokens: 100,
        system: Some("be brief".into()),
        tools: Vec::new(),
        messages: vec![Message::user(vec![Block::text("hi")])],
        conversation: "c".into(),
        tenant: None,
        options: TurnOptions::default(),
        cache: None,
        extra: Map::new(),
    }
}

struct Asked {
    reply: Result<Reply, ModelError>,
    told: Vec<ModelEvent>,
    waits: Vec<Duration>,
}

async fn ask(config: AnthropicConfig) -> Asked {
    let timer = FakeTimer::new();
    let model = Anthropic::new(config).unwrap();
    let model = Resilient::with_timer(model, Retry::default(), timer.clone());
    let told = Mutex::new(Vec::new());
    let sink = |event| told.lock().unwrap().push(event);
    let reply = model.stream(&request(), &sink).await;
    Asked {
        reply,
        told: told.into_inner().unwrap(),
        waits: timer.waits(),
    }
}

#[tokio::test]
async fn a_turn_is_asked_for_and_streamed() {
    let server = Server::with(vec![stream(&turn("hello", None))]).await;
    let asked = ask(config(&format!("{}/", server.url))).await;
    let reply = asked.reply.unwrap();
    assert_eq!(
        (reply.text().as_str(), reply.request_id.as_deref()),
        ("hello", Some("req_1"))
    );
    assert_eq!(asked.told, [ModelEvent::Text("hello".into())]);

    let seen = server.requests.lock().unwrap()[0].clone();
    assert!(
        seen.head.starts_with("POST /v1/messages HTTP/1.1\r\n"),
        "{}",
        seen.head
    );
    assert_eq!(seen.header("authorization"), Some("Bearer sk-very-secret"));
    assert_eq!(seen.header("x-api-key"), None);
    assert_eq!(seen.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(
        seen.header("user-agent"),
        Some(concat!("toolcell/", env!("CARGO_PKG_VERSION")))
    );
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(
        (&body["stream"], &body["system"]),
        (&json!(true), &json!("be brief"))
    );
    assert_eq!(body.get("temperature"), None);
}

#[tokio::test]
async fn older_servers_get_the_key_and_version_they_know() {
    let server = Server::with(vec![stream(&turn("x", None))]).await;
    let asked = ask(AnthropicConfig {
        auth: Auth::XApiKey,
        version: "2023-06-01".into(),
        ..config(&server.url)
    })
    .await;
    asked.reply.unwrap();
    let seen = server.requests.lock().unwrap()[0].clone();
    assert_eq!(seen.header("x-api-key"), Some(KEY));
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
}

/// The heart of it: wherever the connection breaks, either the whole turn arrived or no tool runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_cut_at_every_byte_runs_no_tool() {
    let whole = stream(&turn("Let me see.", Some(("toolu_1", "read"))));
    let length = whole.len();
    let server = Server::start(move |_, request| {
        if request.body.contains("tool_result") {
            return Answer::Bytes(stream(&turn("done", None)));
        }
        let (_, rest) = request.body.split_once("cut at ").unwrap();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Answer::Bytes(whole[..digits.parse().unwrap()].to_vec())
    })
    .await;
    let model = Anthropic::new(AnthropicConfig {
        ..config(&server.url)
    })
    .unwrap();
    let model: Arc<dyn ModelProvider> = Arc::new(model);
    let results: Vec<(usize, RunOutcome, usize)> = streams::iter(0..=length)
        .map(|cut| {
            let model = Arc::clone(&model);
            async move {
                let tools = Tools::echo();
                let agent = crate::AgentBuilder::new(Arc::new(tools.clone()), model)
                    .build()
                    .unwrap();
                let task = format!("cut at {cut}");
                let report = agent.run(&task, &RunContext::default()).await.unwrap();
                (cut, report.outcome, tools.seen().len())
            }
        })
        .buffer_unordered(16)
        .collect()
        .await;
    let mut whole = 0;
    for (cut, outcome, calls) in results {
        match outcome {
            RunOutcome::Finished => {
                assert_eq!(calls, 1, "cut at {cut}");
                // What is left is the end of the last chunk and the end of all chunks.
                assert!(length - cut <= 8, "cut at {cut} of {length}");
                whole += 1;
            }
            RunOutcome::Failed { code, .. } => {
                assert_eq!(code, toolcell::ErrorKind::Unavailable);
                assert_eq!(calls, 0, "cut at {cut}");
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
    assert!(whole >= 1);
}

#[tokio::test]
async fn overload_is_waited_out_twice() {
    let busy = || error(529, "", "overloaded_error", "busy");
    let server = Server::with(vec![busy(), busy(), stream(&turn("x", None))]).await;
    let asked = ask(config(&server.url)).await;
    asked.reply.unwrap();
    assert_eq!(
        asked.waits,
        [Duration::from_millis(500), Duration::from_secs(1)]
    );
    assert!(
        matches!(&asked.told[0], ModelEvent::Retry { attempt: 2, error, .. } if error.contains("529"))
    );

    let server = Server::with(vec![busy()]).await;
    let asked = ask(config(&server.url)).await;
    assert_eq!(server.count(), 3);
    assert_eq!(
        asked.reply.unwrap_err().to_string(),
        "the model's server answered 529 overloaded_error: busy (request req_9)"
    );
}

#[tokio::test]
async fn the_server_says_how_long_to_wait() {
    let limited = |header| error(429, header, "rate_limit_error", "slow down");
    let good = || stream(&turn("x", None));
    let cases = [
        ("retry-after: 7\r\n", vec![Duration::from_secs(7)], 2),
        (
            "retry-after-ms: 1500\r\nretry-after: 7\r\n",
            vec![Duration::from_millis(1500)],
            2,
        ),
        (
            "retry-after: Sat, 21 Nov 2026 07:28:00 GMT\r\n",
            vec![Duration::from_millis(500)],
            2,
        ),
        (
            "date: Sat, 21 Nov 2026 07:27:51 GMT\r\nretry-after: Sat, 21 Nov 2026 07:28:00 GMT\r\n",
            vec![Duration::from_secs(9)],
            2,
        ),
        ("retry-after: -5\r\n", vec![Duration::from_millis(500)], 2),
        ("retry-after: 1000000000\r\n", vec![], 1),
        ("x-should-retry: false\r\n", vec![], 1),
    ];
    for (header, waits, requests) in cases {
        let server = Server::with(vec![limited(header), good()]).await;
        let asked = ask(config(&server.url)).await;
        assert_eq!(asked.reply.is_ok(), requests == 2, "{header}");
        assert_eq!((asked.waits, server.count()), (waits, requests), "{header}");
    }
}

#[tokio::test]
async fn errors_are_told_as_the_server_tells_them() {
    let json = "content-type: application/json\r\n";
    let html = "content-type: text/html\r\n";
    let error_body =
        r#"{"type":"error","error":{"type":"api_error","message":"oh"},"request_id":"req_b"}"#;
    let cases = [
        (
            error(401, "", "authentication_error", "invalid bearer token"),
            "the model's server answered 401 authentication_error: invalid bearer token (request req_9)",
        ),
        (
            error(
                400,
                "",
                "invalid_request_error",
                "temperature: Extra inputs are not permitted",
            ),
            "the model's server answered 400 invalid_request_error: temperature: Extra inputs are not permitted (request req_9)",
        ),
        (
            plain(200, json, error_body),
            "the model's server answered 200 api_error: oh (request req_b)",
        ),
        (
            plain(200, html, "<p>log in</p>"),
            "the model's server broke the protocol: expected content type text/event-stream, got `text/html`",
        ),
        (
            plain(404, html, "<p>nothing here</p>"),
            "the model's server answered 404 http_error: <p>nothing here</p>",
        ),
        (
            plain(307, "location: http://127.0.0.1:1/\r\n", ""),
            "the model's server answered 307 http_error: redirects are not followed",
        ),
    ];
    for (answer, expected) in cases {
        let server = Server::with(vec![answer]).await;
        let asked = ask(config(&server.url)).await;
        assert_eq!(asked.reply.unwrap_err().to_string(), expected);
        // The one that fails of itself is asked again.
        let asked = if expected.contains("api_error") { 3 } else { 1 };
        assert_eq!(server.count(), asked, "{expected}");
    }
}

#[tokio::test]
async fn an_error_body_is_read_only_so_far() {
    let long = format!("{}end", "x".repeat(1 << 20));
    let server = Server::with(vec![plain(404, "", &long)]).await;
    let message = ask(config(&server.url))
        .await
        .reply
        .unwrap_err()
        .to_string();
    assert!(
        message.len() < 400 && !message.contains("end"),
        "{}",
        message.len()
    );
}

#[tokio::test]
async fn a_conversation_that_is_too_long_ends_the_run_cleanly() {
    let long = error(
        400,
        "",
        "invalid_request_error",
        "prompt is too long: 5 tokens > 4 maximum",
    );
    let server = Server::with(vec![long]).await;
    let model = Anthropic::new(config(&server.url)).unwrap();
    let agent = Agent::builder(Tools::echo(), model).build().unwrap();
    let report = agent.run("x", &RunContext::default()).await.unwrap();
    let message = "prompt is too long: 5 tokens > 4 maximum".into();
    assert_eq!(report.outcome, RunOutcome::ContextOverflow { message });
}

/// No tool of the turn has run before the whole turn is there, so it may be asked for again.
#[tokio::test]
async fn a_stream_that_broke_off_is_asked_for_again() {
    let whole = turn("so far", None);
    let (start, _) = whole.split_once("event: content_block_stop").unwrap();
    let broken = |kind: &str| {
        let error = json!({ "type": "error", "error": { "type": kind, "message": format!("{KEY} is busy") } });
        format!("{start}event: error\ndata: {error}\n\n")
    };
    let cases = [
        (
            broken("overloaded_error"),
            "broke off with overloaded_error: [redacted] is busy",
        ),
        (
            broken("api_error"),
            "broke off with api_error: [redacted] is busy",
        ),
        (start.to_owned(), "the stream ended before the turn did"),
    ];
    for (events, expected) in cases {
        let server = Server::with(vec![stream(&events), stream(&whole)]).await;
        let asked = ask(config(&server.url)).await;
        assert_eq!(asked.reply.unwrap().text(), "so far");
        let so_far = || ModelEvent::Text("so far".into());
        let [
            first,
            ModelEvent::Retry {
                attempt: 2,
                error,
                discarded: true,
                ..
            },
            second,
        ] = &asked.told[..]
        else {
            panic!("{:?}", asked.told);
        };
        assert_eq!((first, second), (&so_far(), &so_far()));
        assert!(error.contains(expected), "{error}");

        // Three times is enough.
        let server = Server::with(vec![stream(&events)]).await;
        let message = ask(config(&server.url))
            .await
            .reply
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
        assert_eq!(server.count(), 3);
    }
    // What another try would not change is final.
    for events in [
        broken("invalid_request_error"),
        format!("{start}event: content_block_delta\ndata: {{\n\n"),
    ] {
        let server = Server::with(vec![stream(&events)]).await;
        ask(config(&server.url)).await.reply.unwrap_err();
        assert_eq!(server.count(), 1, "{events}");
    }
}

#[tokio::test]
async fn the_key_is_never_shown() {
    let config = config("http://127.0.0.1:1");
    assert!(!format!("{config:?}").contains(KEY));
    let model = Anthropic::new(config.clone()).unwrap();
    assert!(!format!("{model:?}").contains(KEY));
    let echo = error(
        401,
        "",
        "authentication_error",
        "no such key: sk-very-secret",
    );
    let server = Server::with(vec![echo]).await;
    let asked = ask(AnthropicConfig {
        base_url: server.url.clone(),
        ..config
    })
    .await;
    let error = asked.reply.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
    assert!(
        error.to_string().contains("no such key: [redacted]"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_three_times() {
    // A port that was just free: whoever listens on it now does not speak HTTP to us.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let asked = ask(config(&url)).await;
    assert_eq!(asked.waits.len(), 2);
    let message = asked.reply.unwrap_err().to_string();
    assert!(
        message.starts_with("cannot reach the model's server: "),
        "{message}"
    );
    assert!(!message.contains("/v1/messages"), "{message}");
}

#[tokio::test]
async fn an_answer_that_does_not_begin_is_given_up() {
    let server = Server::start(|_, _| Answer::Stall(vec![])).await;
    let idle = Duration::from_millis(50);
    let timeouts = Timeouts {
        idle,
        ..Timeouts::default()
    };
    let asked = ask(AnthropicConfig {
        timeouts,
        ..config(&server.url)
    })
    .await;
    let kind = TimeoutKind::Response;
    assert_eq!(asked.reply, Err(ModelError::Timeout { kind, after: idle }));
    assert_eq!(asked.waits.len(), 2);
}

#[tokio::test]
async fn an_answer_that_does_not_go_on_is_given_up() {
    let whole = stream(&turn("x", None));
    let server = Server::start(move |_, _| Answer::Stall(whole[..whole.len() / 2].to_vec())).await;
    let (short, long) = (Duration::from_millis(50), Duration::from_secs(600));
    for (idle, total, kind) in [
        (short, long, TimeoutKind::Idle),
        (long, short, TimeoutKind::Total),
    ] {
        let timeouts = Timeouts {
            idle,
            total,
            ..Timeouts::default()
        };
        let model = Anthropic::new(AnthropicConfig {
            timeouts,
            ..config(&server.url)
        })
        .unwrap();
        let reply = model.stream(&request(), &|_| ()).await;
        let after = short;
        assert_eq!(reply, Err(ModelError::Timeout { kind, after }));
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let base = |url: &str| {
        Anthropic::new(config(url))
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    for url in [
        "https://api.anthropic.com",
        "https://x.example/sub/",
        "http://localhost:1",
        "http://[::1]:1",
    ] {
        assert_eq!(base(url), Ok(()), "{url}");
    }
    for (url, expected) in [
        ("x", "is no URL"),
        ("ftp://x", "has the scheme `ftp`"),
        (
            "http://192.168.0.9",
            "the API key would travel in the clear",
        ),
        (
            "http://localhost.example",
            "the API key would travel in the clear",
        ),
        ("https://u:p@x.example", "must not hold a user name"),
        ("https://x.example/?a=", "must not hold `?`"),
    ] {
        assert!(base(url).unwrap_err().contains(expected), "{url}");
    }
    let allowed = AnthropicConfig {
        allow_http: true,
        ..config("http://192.168.0.9")
    };
    assert!(Anthropic::new(allowed).is_ok());

    let key = |key: &str| {
        let config = AnthropicConfig {
            api_key: ApiKey::new(key),
            ..config("https://x.example")
        };
        Anthropic::new(config).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(key(" \n"), "the API key is missing");
    assert_eq!(
        key("secr\u{1}et"),
        "the API key holds characters that cannot be sent"
    );
}

#[tokio::test]
async fn betas_a_workspace_and_headers_of_ones_own_go_along() {
    let server = Server::with(vec![stream(&turn("x", None))]).await;
    let asked = ask(AnthropicConfig {
        betas: vec!["a-2026-01-01".into(), "b-2026-02-02".into()],
        workspace: Some("wrkspc_1".into()),
        headers: Headers::new([("X-Team", "t"), ("anthropic-version", "2027-01-01")]).unwrap(),
        ..config(&server.url)
    })
    .await;
    asked.reply.unwrap();
    let seen = server.requests.lock().unwrap()[0].clone();
    let beta = seen.header("anthropic-beta");
    assert_eq!(beta, Some("a-2026-01-01,b-2026-02-02"));
    assert_eq!(seen.header("anthropic-workspace-id"), Some("wrkspc_1"));
    assert_eq!(seen.header("x-team"), Some("t"));
    assert_eq!(seen.header("anthropic-version"), Some("2027-01-01"));
}

#[tokio::test]
async fn a_server_that_wants_no_key_gets_none() {
    let server = Server::with(vec![stream(&turn("x", None))]).await;
    let asked = ask(AnthropicConfig {
        api_key: ApiKey::new(""),
        auth: Auth::Nothing,
        ..config(&server.url)
    })
    .await;
    asked.reply.unwrap();
    let seen = server.requests.lock().unwrap()[0].clone();
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("x-api-key"), None);
}

#[tokio::test]
async fn tokens_are_counted_by_the_server() {
    let json = "content-type: application/json\r\n";
    let server = Server::with(vec![plain(200, json, r#"{"input_tokens":12}"#)]).await;
    let model = Anthropic::new(config(&server.url)).unwrap();
    let mut asked = request();
    asked.options.stop_sequences = vec!["END".into()];
    asked.options.sampling.temperature = Some(1.0);
    assert_eq!(model.count_tokens(&asked).await, Ok(Some(12)));
    let seen = server.requests.lock().unwrap()[0].clone();
    let path = "POST /v1/messages/count_tokens HTTP/1.1\r\n";
    assert!(seen.head.starts_with(path), "{}", seen.head);
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    let mut fields: Vec<&str> = body
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["messages", "model", "system"]);

    let server = Server::with(vec![plain(200, json, "{}")]).await;
    let model = Anthropic::new(config(&server.url)).unwrap();
    let error = model.count_tokens(&request()).await.unwrap_err();
    assert!(error.to_string().contains("a count without"), "{error}");
}

#[tokio::test]
async fn models_are_listed_page_by_page() {
    let server = Server::start(|number, request| {
        assert!(request.head.starts_with("GET /v1/models?limit=1000"));
        let page = match number {
            0 => r#"{"data":[{"id":"a","max_tokens":5,"new":1}],"has_more":true,"last_id":"a"}"#,
            _ => r#"{"data":[{"id":"b"}],"has_more":true,"last_id":"a"}"#,
        };
        Answer::Bytes(plain(200, "content-type: application/json\r\n", page))
    })
    .await;
    let model = Anthropic::new(config(&server.url)).unwrap();
    let models = model.models().await.unwrap();
    let ids: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(models[0].max_tokens, Some(5));
    assert_eq!(models[0].extra["new"], json!(1));
    assert_eq!(
        server.count(),
        2,
        "a server that repeats itself is asked no more"
    );
    let seen = server.requests.lock().unwrap()[1].clone();
    assert!(seen.head.contains("after_id=a"), "{}", seen.head);
    assert_eq!(seen.header("content-type"), None);
}

/// The server can say why its prompt cache found nothing, where it is the API itself and knows the field.
#[test]
fn only_the_api_itself_is_told_of_the_answer_before() {
    let mut request = request();
    request.cache = Some(crate::wire::CachePlan {
        system: true,
        previous_message: Some("msg_1".into()),
        ..crate::wire::CachePlan::default()
    });
    let body = |url: &str, version: &str, request: &ModelRequest| {
        let mut config = AnthropicConfig::new("claude-sonnet-5-5", ApiKey::new(KEY));
        config.base_url = url.into();
        config.version = version.into();
        let body = Anthropic::new(config).unwrap().body(request).unwrap();
        body.get("diagnostics").cloned()
    };
    let api = "https://api.anthropic.com";
    let told = json!({ "previous_message_id": "msg_1" });
    assert_eq!(body(api, "2026-10-21", &request), Some(told));
    assert_eq!(body(api, "2023-06-01", &request), None);
    for url in [
        "https://models.example",
        "https://api.anthropic.com.example",
        "http://127.0.0.1:9",
    ] {
        assert_eq!(body(url, "2026-10-21", &request), None, "{url}");
    }
    request.cache = None;
    assert_eq!(body(api, "2026-10-21", &request), None);
}
