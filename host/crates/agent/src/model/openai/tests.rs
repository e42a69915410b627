mod breaks;
mod pieces;
mod quirks;

use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::{
    model::{ModelEvent, Resilient, Retry},
    testing::server::{Server, chat_turn, plain, stream},
    wire::{Block, Message, StopReason, TurnOptions},
};

const KEY: &str = "sk-very-secret";

fn config(url: &str) -> OpenAiConfig {
    OpenAiConfig {
        base_url: format!("{url}/v1"),
        ..OpenAiConfig::new("gpt-6", Some(ApiKey::new(&format!(" {KEY}\n"))))
    }
}

fn request() -> ModelRequest {
    ModelRequest {
        turn: 0,
        conversation: "r1".into(),
        tenant: None,
        model: "gpt-6".into(),
        max_tokens: 100,
        system: Some("be brief".into()),
        tools: Vec::new(),
        messages: vec![Message::user(vec![Block::text("hi")])],
        cache: None,
        options: TurnOptions::default(),
        extra: Map::new(),
    }
}

struct Asked {
    reply: Result<Reply, ModelError>,
    told: Vec<ModelEvent>,
}

async fn ask(config: OpenAiConfig) -> Asked {
    let model = OpenAi::new(config).unwrap();
    let told = Mutex::new(Vec::new());
    let sink = |event| told.lock().unwrap().push(event);
    let reply = model.stream(&request(), &sink).await;
    Asked {
        reply,
        told: told.into_inner().unwrap(),
    }
}

/// The only request that a server got.
fn sent(server: &Server) -> Value {
    serde_json::from_str(&server.requests.lock().unwrap()[0].body).unwrap()
}

#[tokio::test]
async fn a_turn_is_asked_for_and_streamed() {
    let server = Server::with(vec![stream(&chat_turn("hello", Some(("call_7", "read"))))]).await;
    let asked = ask(OpenAiConfig {
        headers: vec![("OpenAI-Organization".into(), "org-1".into())],
        lacks: Some(Lacks::default()),
        ..config(&server.url)
    })
    .await;
    let reply = asked.reply.unwrap();
    assert_eq!(reply.text(), "hello");
    assert_eq!(reply.stop_reason, Some(StopReason::ToolUse));
    assert_eq!(reply.request_id.as_deref(), Some("req_1"));
    assert_eq!(
        (reply.usage.input_tokens, reply.usage.output_tokens),
        (9, 4)
    );
    assert_eq!(reply.extra["id"], "chatcmpl-1");
    let call = reply.tool_uses().next().unwrap();
    assert_eq!(
        (call.id.as_str(), call.name.as_str(), &call.input),
        ("call_7", "read", &json!({ "a": 1 }))
    );
    let call = ModelEvent::ToolUse {
        id: "call_7".into(),
        name: "read".into(),
    };
    assert_eq!(asked.told, [ModelEvent::Text("hello".into()), call]);

    let seen = server.requests.lock().unwrap()[0].clone();
    assert!(
        seen.head
            .starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{}",
        seen.head
    );
    assert_eq!(seen.header("authorization"), Some("Bearer sk-very-secret"));
    assert_eq!(seen.header("openai-organization"), Some("org-1"));
    assert_eq!(seen.header("accept"), Some("text/event-stream"));
    assert_eq!(
        sent(&server),
        json!({
            "model": "gpt-6", "stream": true, "stream_options": { "include_usage": true }, "max_completion_tokens": 100,
            "prompt_cache_key": "r1",
            "messages": [{ "role": "developer", "content": "be brief" }, { "role": "user", "content": "hi" }],
        })
    );
}

#[tokio::test]
async fn a_server_of_ones_own_needs_no_key_and_gets_the_older_words() {
    let server = Server::with(vec![stream(&chat_turn("x", None))]).await;
    let asked = ask(OpenAiConfig {
        api_key: None,
        ..config(&server.url)
    })
    .await;
    assert_eq!(asked.reply.unwrap().stop_reason, Some(StopReason::EndTurn));
    assert_eq!(
        server.requests.lock().unwrap()[0].header("authorization"),
        None
    );
    let sent = sent(&server);
    assert_eq!(sent["max_tokens"], 100);
    assert_eq!(sent["messages"][0]["role"], "system");
    assert_eq!(sent.get("prompt_cache_key"), None);
}

#[tokio::test]
async fn a_server_without_streams_is_asked_for_the_whole_answer() {
    let whole = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "m",
        "choices": [{ "index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "so", "tool_calls": [
                { "id": "call_1", "type": "function", "function": { "name": "read", "arguments": "{\"a\":1}" } } ] } }],
        "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 },
    });
    let json = "content-type: application/json\r\nx-request-id: req_5\r\n";
    let server = Server::with(vec![plain(200, json, &whole.to_string())]).await;
    let lacks = Some([Lack::Stream].into_iter().collect());
    let asked = ask(OpenAiConfig {
        lacks,
        ..config(&server.url)
    })
    .await;
    let reply = asked.reply.unwrap();
    assert_eq!(
        (reply.text().as_str(), reply.tool_uses().count()),
        ("so", 1)
    );
    assert_eq!(reply.request_id.as_deref(), Some("req_5"));
    assert_eq!(reply.usage.total_tokens(), 7);
    assert_eq!(sent(&server)["stream"], false);
    assert_eq!(sent(&server).get("stream_options"), None);
}

#[tokio::test]
async fn the_models_of_a_server_are_listed() {
    let json = "content-type: application/json\r\n";
    let list = json!({ "object": "list", "data": [{ "id": "gpt-6", "object": "model", "owned_by": "openai" }] });
    let server = Server::with(vec![plain(200, json, &list.to_string())]).await;
    let models = OpenAi::new(config(&server.url))
        .unwrap()
        .models()
        .await
        .unwrap();
    assert_eq!(models[0].id, "gpt-6");
    let seen = server.requests.lock().unwrap()[0].clone();
    assert!(
        seen.head.starts_with("GET /v1/models HTTP/1.1\r\n"),
        "{}",
        seen.head
    );
    assert_eq!(seen.header("authorization"), Some("Bearer sk-very-secret"));

    let server = Server::with(vec![plain(200, json, "{}")]).await;
    let error = OpenAi::new(config(&server.url))
        .unwrap()
        .models()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no list of models"), "{error}");
}

/// An answer of a server, and what its user is told.
#[tokio::test]
async fn errors_are_told_as_the_server_tells_them() {
    let json = "content-type: application/json\r\nx-request-id: req_9\r\n";
    let error = |message: &str, kind: &str, code: &str| {
        json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
            .to_string()
    };
    let key = error(
        "Incorrect API key provided: sk-very-secret.",
        "invalid_request_error",
        "invalid_api_key",
    );
    for (answer, told) in [
        (
            plain(401, json, &key),
            "the model's server answered 401 invalid_api_key: Incorrect API key provided: [redacted]. (request req_9)",
        ),
        (
            plain(404, json, r#"{"error":"model 'x' not found"}"#),
            "the model's server answered 404 http_error: model 'x' not found (request req_9)",
        ),
        (
            plain(200, json, &error("oh", "server_error", "")),
            "the model's server answered 200 server_error: oh (request req_9)",
        ),
        (
            plain(200, "content-type: text/html\r\n", "<html>"),
            "the model's server broke the protocol: expected content type text/event-stream, got `text/html`",
        ),
        (
            plain(302, "location: /x\r\n", ""),
            "the model's server answered 302 http_error: redirects are not followed",
        ),
        (
            plain(
                400,
                json,
                &error(
                    "Unsupported parameter: 'stream_options'.",
                    "invalid_request_error",
                    "unsupported_parameter",
                ),
            ),
            "the model's server answered 400 unsupported_parameter: Unsupported parameter: 'stream_options'. (if this server \
             does not know that, its [provider] table needs lacks = [\"stream_options\", \"developer_role\", \
             \"max_completion_tokens\", \"prompt_cache_key\"]) (request req_9)",
        ),
    ] {
        let server = Server::with(vec![answer]).await;
        let said = ask(config(&server.url))
            .await
            .reply
            .unwrap_err()
            .to_string();
        assert_eq!(said, told);
    }
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_told_apart() {
    let json = "content-type: application/json\r\n";
    let openai = json!({ "error": { "message": "This model's maximum context length is 128000 tokens.",
        "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded" } });
    let llama = json!({ "error": { "code": 400, "message": "the request exceeds", "type": "exceed_context_size_error" } });
    let vllm = json!({ "object": "error", "message": "This model's maximum context length is 4096 tokens", "code": 400 });
    for body in [openai, llama, vllm] {
        let server = Server::with(vec![plain(400, json, &body.to_string())]).await;
        let error = ask(config(&server.url)).await.reply.unwrap_err();
        assert!(error.context_overflow().is_some(), "{error}");
    }
}

/// As Resilient sees it: the wait that the server names would lead nowhere.
#[tokio::test]
async fn an_empty_purse_is_not_waited_for() {
    let headers = "content-type: application/json\r\nretry-after: 1\r\n";
    let body = json!({ "error": { "message": "m", "type": "insufficient_quota", "code": "insufficient_quota" } });
    let server = Server::with(vec![plain(429, headers, &body.to_string())]).await;
    let model = OpenAi::new(config(&server.url)).unwrap();
    let model = Resilient::new(model, Retry::default());
    let error = model.stream(&request(), &|_| {}).await.unwrap_err();
    assert!(
        error.to_string().contains("429 insufficient_quota"),
        "{error}"
    );
    assert_eq!(server.count(), 1);
}

#[test]
fn what_cannot_be_sent_is_refused_before_anything_is_sent() {
    let wrong = |config: OpenAiConfig| OpenAi::new(config).unwrap_err().to_string();
    let usual = || config("https://example.com");
    assert_eq!(
        wrong(OpenAiConfig {
            api_key: Some(ApiKey::new("")),
            ..usual()
        }),
        "the API key is missing"
    );
    assert!(
        wrong(OpenAiConfig {
            base_url: "http://example.com/v1".into(),
            ..usual()
        })
        .contains("has no TLS")
    );
    assert!(
        wrong(OpenAiConfig {
            headers: vec![("a b".into(), "x".into())],
            ..usual()
        })
        .contains("the header `a b` has a name")
    );
    assert!(
        wrong(OpenAiConfig {
            headers: vec![("a".into(), "\n".into())],
            ..usual()
        })
        .contains("has a value")
    );
}

#[test]
fn nothing_secret_is_shown() {
    let headers = vec![("X-Gateway-Key".to_owned(), "gateway-secret".to_owned())];
    let model = OpenAi::new(OpenAiConfig {
        headers,
        ..config("https://example.com")
    })
    .unwrap();
    let shown = format!("{model:?}");
    assert!(shown.contains("X-Gateway-Key"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn a_header_that_a_server_repeats_is_taken_out() {
    let json = "content-type: application/json\r\n";
    let server = Server::with(vec![plain(
        403,
        json,
        r#"{"error":{"message":"bad gateway-secret and a"}}"#,
    )])
    .await;
    let headers = vec![
        ("x-gateway-key".to_owned(), "gateway-secret".to_owned()),
        ("x-team".to_owned(), "a".to_owned()),
    ];
    let error = ask(OpenAiConfig {
        headers,
        ..config(&server.url)
    })
    .await
    .reply
    .unwrap_err();
    assert!(
        error.to_string().ends_with("bad [redacted] and a"),
        "{error}"
    );
}
