use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message as FrameMessage};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{StreamExt, stream as streams};

use super::*;
use crate::{
    RunContext, RunOutcome,
    model::{ApiKey, AwsKeys, ModelEvent},
    testing::{
        Tools,
        server::{Answer, Server, plain, turn},
    },
    wire::{Block, Message},
};

const TOKEN: &str = "bedrock-very-secret";

/// The events of a turn as frames.
pub(super) fn frames(events: &str) -> Vec<u8> {
    let data = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.flat_map(chunk).collect()
}

fn chunk(event: &str) -> Vec<u8> {
    let payload = json!({ "bytes": BASE64_STANDARD.encode(event), "p": "abcdef" });
    framed("event", ":event-type", "chunk", &payload.to_string())
}

fn framed(kind: &'static str, key: &'static str, word: &'static str, payload: &str) -> Vec<u8> {
    let headers = [
        (":message-type", kind),
        (":content-type", "application/json"),
        (key, word),
    ];
    let headers = headers.map(|(name, value)| Header::new(name, HeaderValue::String(value.into())));
    let message = FrameMessage::new_from_parts(headers.to_vec(), payload.to_owned());
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

/// An answer that ends with the connection, so that only the frames say whether it is whole.
fn answer(body: &[u8]) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\
        content-type: application/vnd.amazon.eventstream\r\nx-amzn-requestid: aws-1\r\n\r\n";
    [head.as_bytes(), body].concat()
}

fn config(url: &str) -> BedrockConfig {
    BedrockConfig {
        base_url: Some(url.into()),
        ..BedrockConfig::new(
            "eu.anthropic.claude-sonnet-5-5",
            "eu-west-1",
            AwsAuth::Bearer(ApiKey::new(TOKEN)),
        )
    }
}

fn request() -> ModelRequest {
    crate::testing::request(vec![Message::user(vec![Block::text("hi")])])
}

struct Asked {
    reply: Result<Reply, ModelError>,
    told: Vec<ModelEvent>,
}

async fn ask(config: BedrockConfig) -> Asked {
    let model = Bedrock::new(config).unwrap();
    let told = Mutex::new(Vec::new());
    let sink = |event| told.lock().unwrap().push(event);
    let reply = model.stream(&request(), &sink).await;
    let told = told.into_inner().unwrap();
    Asked { reply, told }
}

#[tokio::test]
async fn a_turn_is_asked_for_and_streamed() {
    let metrics = json!({ "inputTokenCount": 9, "outputTokenCount": 4, "invocationLatency": 700 });
    let last = json!({ "type": "message_stop", METRICS: metrics });
    let events = turn("hello", None).replace(r#"{"type":"message_stop"}"#, &last.to_string());
    let server = Server::with(vec![answer(&frames(&events))]).await;
    let asked = ask(BedrockConfig {
        betas: vec!["a-2026-01-01".into()],
        headers: Headers::new([
            ("anthropic-beta", "b-2026-02-02, c"),
            ("anthropic-user-profile-id", "p1"),
            ("x-team", "t"),
        ])
        .unwrap(),
        ..config(&server.url)
    })
    .await;
    let reply = asked.reply.unwrap();
    assert_eq!(reply.text(), "hello");
    assert_eq!(reply.request_id.as_deref(), Some("aws-1"));
    assert_eq!(reply.extra[METRICS], metrics);
    assert_eq!(asked.told, [ModelEvent::Text("hello".into())]);

    let seen = server.requests.lock().unwrap()[0].clone();
    let path =
        "POST /model/eu.anthropic.claude-sonnet-5-5/invoke-with-response-stream HTTP/1.1\r\n";
    assert!(seen.head.starts_with(path), "{}", seen.head);
    assert_eq!(
        seen.header("authorization"),
        Some("Bearer bedrock-very-secret")
    );
    assert_eq!(seen.header("accept"), Some(EVENT_STREAM));
    assert_eq!(seen.header("x-team"), Some("t"));
    assert_eq!(seen.header("anthropic-beta"), None);
    assert_eq!(seen.header("anthropic-user-profile-id"), None);
    assert_eq!(seen.header("anthropic-version"), None);
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    let expected = json!({
        "anthropic_version": "2026-10-21",
        "anthropic_beta": ["a-2026-01-01", "b-2026-02-02", "c"],
        "user_profile_id": "p1",
        "max_tokens": 100,
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hi" }] }],
    });
    assert_eq!(body, expected);
}

#[test]
fn a_model_gets_the_version_of_its_generation() {
    for (model, generation, version) in [
        (
            "anthropic.claude-3-5-haiku-20241022-v1:0",
            Some((3, 5)),
            OLD_VERSION,
        ),
        (
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            Some((4, 5)),
            OLD_VERSION,
        ),
        (
            "anthropic.claude-opus-4-20250514-v1:0",
            Some((4, 0)),
            OLD_VERSION,
        ),
        ("anthropic.claude-opus-4-6-v1", Some((4, 6)), OLD_VERSION),
        ("anthropic.claude-opus-4-7", Some((4, 7)), VERSION),
        ("global.anthropic.claude-opus-5", Some((5, 0)), VERSION),
        ("anthropic.claude-sonnet-5-5", Some((5, 5)), VERSION),
        ("anthropic.claude-v2:1", Some((1, 0)), OLD_VERSION),
        ("anthropic.claude-mythos-preview", None, VERSION),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc",
            None,
            VERSION,
        ),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
            Some((4, 5)),
            OLD_VERSION,
        ),
    ] {
        assert_eq!(super::generation(model), generation, "{model}");
        assert_eq!(version_of(model), version, "{model}");
    }
}

#[test]
fn sampling_is_for_older_models_and_for_those_who_pin_a_version() {
    let mut request = request();
    request.options.sampling.temperature = Some(0.5);
    let body = |model: &str, version: Option<&str>| {
        let config = BedrockConfig {
            model: model.into(),
            version: version.map(str::to_owned),
            ..config("https://example.com")
        };
        Bedrock::new(config).unwrap().body(&request)
    };
    let old = body("anthropic.claude-opus-4-6-v1", None).unwrap();
    assert_eq!(old["temperature"], json!(0.5));
    assert_eq!(old["anthropic_version"], json!("bedrock-2023-05-31"));
    let error = body("anthropic.claude-opus-5", None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("bedrock-2023-05-31"), "{error}");
    assert!(body("anthropic.claude-opus-5", Some(OLD_VERSION)).is_ok());
}

#[tokio::test]
async fn an_exception_ends_the_turn_with_what_it_means() {
    let turn = turn("hello", Some(("toolu_1", "read")));
    let (begun, _) = turn.split_once("event: message_delta").unwrap();
    let thrown = framed(
        "exception",
        ":exception-type",
        "throttlingException",
        &format!(r#"{{"message":"Too many tokens for {TOKEN}"}}"#),
    );
    let body = [frames(begun), thrown].concat();
    let server = Server::with(vec![answer(&body)]).await;
    let asked = ask(config(&server.url)).await;
    let error = asked.reply.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model's server broke off with rate_limit_error: throttlingException: Too many tokens for [redacted]"
    );
}

#[tokio::test]
async fn errors_before_the_stream_are_told_in_words_of_aws() {
    let errors = [
        (
            429,
            "ThrottlingException:http://x/",
            r#"{"message":"slow down"}"#,
            "429 ThrottlingException: slow down",
        ),
        (
            403,
            "AccessDeniedException",
            r#"{"Message":"no access"}"#,
            "403 AccessDeniedException: no access",
        ),
        (
            400,
            "ValidationException",
            r#"{"message":"Input is too long for requested model."}"#,
            "400 ValidationException: Input is too long",
        ),
    ];
    for (status, kind, body, words) in errors {
        let headers = format!("x-amzn-errortype: {kind}\r\nx-amzn-requestid: aws-9\r\n");
        let server = Server::with(vec![plain(status, &headers, body)]).await;
        let error = ask(config(&server.url)).await.reply.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("(request aws-9)"), "{error}");
        assert_eq!(error.context_overflow().is_some(), status == 400, "{error}");
    }
    let server = Server::with(vec![plain(200, "content-type: text/html\r\n", "<p>")]).await;
    let error = ask(config(&server.url))
        .await
        .reply
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected content type application/vnd.amazon.eventstream"),
        "{error}"
    );
}

/// Wherever the connection breaks, either the whole turn arrived or no tool runs. The body has neither a length nor
/// chunks: only the frames say whether it is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_cut_at_every_byte_runs_no_tool() {
    let whole = answer(&frames(&turn("I see.", Some(("toolu_1", "read")))));
    let length = whole.len();
    let server = Server::start(move |_, request| {
        if request.body.contains("tool_result") {
            return Answer::Bytes(answer(&frames(&turn("done", None))));
        }
        let (_, rest) = request.body.split_once("cut at ").unwrap();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Answer::Bytes(whole[..digits.parse().unwrap()].to_vec())
    })
    .await;
    let model: Arc<dyn ModelProvider> = Arc::new(Bedrock::new(config(&server.url)).unwrap());
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
    for (cut, outcome, calls) in results {
        let finished = outcome == RunOutcome::Finished;
        assert_eq!(
            finished,
            cut == length,
            "cut at {cut} of {length}: {outcome:?}"
        );
        assert_eq!(calls, usize::from(finished), "cut at {cut}");
    }
}

#[tokio::test]
async fn requests_are_signed_with_the_keys_of_the_moment() {
    let server = Server::with(vec![answer(&frames(&turn("x", None)))]).await;
    let keys = AwsKeys {
        id: "AKIDEXAMPLE".into(),
        secret: ApiKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session: Some(ApiKey::new("SESSIONTOKEN")),
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400);
    let auth = AwsAuth::Signed {
        keys: Arc::new(keys),
        clock: Arc::new(move || now),
    };
    ask(BedrockConfig {
        auth,
        ..config(&server.url)
    })
    .await
    .reply
    .unwrap();
    let seen = server.requests.lock().unwrap()[0].clone();
    assert_eq!(seen.header("x-amz-date"), Some("20261121T120000Z"));
    assert_eq!(seen.header("x-amz-security-token"), Some("SESSIONTOKEN"));
    let authorization = seen.header("authorization").unwrap();
    let begin = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-west-1/bedrock/aws4_request, \
        SignedHeaders=accept;content-type;host;x-amz-date;x-amz-security-token, Signature=";
    assert!(authorization.starts_with(begin), "{authorization}");
}

#[test]
fn what_would_lead_elsewhere_is_refused() {
    for (model, region) in [
        ("..", "eu-west-1"),
        ("", "eu-west-1"),
        ("m", "evil.com/"),
        ("m", ""),
    ] {
        let auth = AwsAuth::Bearer(ApiKey::new(TOKEN));
        assert!(Bedrock::new(BedrockConfig::new(model, region, auth)).is_err());
    }
    let model = Bedrock::new(config("https://example.com")).unwrap();
    assert!(!format!("{model:?}").contains(TOKEN));
}
