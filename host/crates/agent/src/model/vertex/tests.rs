use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    testing::server::{Server, plain, stream, turn},
    wire::{Block, Message},
};

/// Gives another token each time.
#[derive(Default)]
struct Tokens(AtomicUsize);

impl TokenSource for Tokens {
    fn token(&self) -> BoxFuture<'_, Result<ApiKey, ModelError>> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let token = ApiKey::new(&format!("ya29.token-{number}"));
        Box::pin(std::future::ready(Ok(token)))
    }
}

fn config(url: &str) -> VertexConfig {
    VertexConfig {
        base_url: Some(format!("{url}/v1")),
        ..VertexConfig::new(
            "claude-sonnet-4-5@20250929",
            "my-project",
            "europe-west1",
            Arc::new(Tokens::default()),
        )
    }
}

fn request() -> ModelRequest {
    crate::testing::request(vec![Message::user(vec![Block::text("hi")])])
}

#[tokio::test]
async fn a_turn_is_asked_for_and_streamed() {
    let server = Server::with(vec![stream(&turn("hello", None))]).await;
    let model = Vertex::new(VertexConfig {
        headers: Headers::new([("anthropic-beta", "a")]).unwrap(),
        ..config(&server.url)
    })
    .unwrap();
    for number in 0..2 {
        let reply = model.stream(&request(), &|_| ()).await.unwrap();
        assert_eq!(reply.text(), "hello");
        let seen = server.requests.lock().unwrap()[number].clone();
        let path = "POST /v1/projects/my-project/locations/europe-west1/publishers/anthropic/models/\
            claude-sonnet-4-5@20250929:streamRawPredict HTTP/1.1\r\n";
        assert!(seen.head.starts_with(path), "{}", seen.head);
        let token = format!("Bearer ya29.token-{number}");
        assert_eq!(seen.header("authorization"), Some(token.as_str()));
        assert_eq!(seen.header("anthropic-beta"), Some("a"));
        assert_eq!(seen.header("anthropic-version"), None);
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        let expected = json!({
            "stream": true,
            "anthropic_version": "2026-10-21",
            "max_tokens": 100,
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hi" }] }],
        });
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn tokens_are_counted_by_the_server() {
    let json = "content-type: application/json\r\n";
    let server = Server::with(vec![plain(200, json, r#"{"input_tokens":7}"#)]).await;
    let model = Vertex::new(config(&server.url)).unwrap();
    assert_eq!(model.count_tokens(&request()).await, Ok(Some(7)));
    let seen = server.requests.lock().unwrap()[0].clone();
    assert!(
        seen.head
            .contains("/models/count-tokens:rawPredict HTTP/1.1"),
        "{}",
        seen.head
    );
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    let expected = json!({
        "model": request().model,
        "anthropic_version": "2026-10-21",
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hi" }] }],
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn an_error_is_told_without_the_token() {
    let said =
        r#"[{"error":{"code":403,"message":"ya29.token-0 may not","status":"PERMISSION_DENIED"}}]"#;
    let server = Server::with(vec![plain(403, "", said)]).await;
    let model = Vertex::new(config(&server.url)).unwrap();
    let error = model.stream(&request(), &|_| ()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model's server answered 403 PERMISSION_DENIED: [redacted] may not"
    );
}

#[test]
fn every_region_has_its_place() {
    for (region, place) in [
        ("global", "https://aiplatform.googleapis.com/v1/projects/p/"),
        (
            "us",
            "https://aiplatform.us.rep.googleapis.com/v1/projects/p/",
        ),
        (
            "eu",
            "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/",
        ),
        (
            "europe-west1",
            "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/",
        ),
    ] {
        let token = Arc::new(ApiKey::new("t"));
        let model = Vertex::new(VertexConfig::new("m", "p", region, token)).unwrap();
        assert!(model.turns.as_str().starts_with(place), "{}", model.turns);
    }
}

#[test]
fn what_would_lead_elsewhere_is_refused_or_quoted() {
    let url = |model: &str, project: &str| {
        let token = Arc::new(ApiKey::new("t"));
        let config = VertexConfig::new(model, project, "global", token);
        Ok::<_, ModelError>(Vertex::new(config)?.turns.path().to_owned())
    };
    for (model, project) in [("", "p"), ("..", "p"), ("m", "."), ("m", "..;x"), ("m", "")] {
        assert!(url(model, project).is_err(), "{model} {project}");
    }
    let path = url("a/../b;c", "p").unwrap();
    assert!(
        path.ends_with("/models/a%2F..%2Fb%3Bc:streamRawPredict"),
        "{path}"
    );
}
