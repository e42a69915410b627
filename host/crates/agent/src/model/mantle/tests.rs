use super::*;
use crate::{
    model::ApiKey,
    testing::server::{Server, stream, turn},
    wire::{Block, Message},
};

#[tokio::test]
async fn a_turn_is_asked_for_and_streamed() {
    let server = Server::with(vec![stream(&turn("hello", None))]).await;
    let auth = AwsAuth::Bearer(ApiKey::new("bedrock-very-secret"));
    let headers = [("anthropic-beta", "a"), ("anthropic-user-profile-id", "p1")];
    let model = Mantle::new(MantleConfig {
        base_url: Some(format!("{}/anthropic", server.url)),
        headers: Headers::new(headers).unwrap(),
        ..MantleConfig::new("anthropic.claude-sonnet-5-5", "eu-west-1", auth)
    })
    .unwrap();
    let request = ModelRequest {
        model: "anthropic.claude-sonnet-5-5".into(),
        ..crate::testing::request(vec![Message::user(vec![Block::text("hi")])])
    };
    let reply = model.stream(&request, &|_| ()).await.unwrap();
    assert_eq!(reply.text(), "hello");
    let seen = server.requests.lock().unwrap()[0].clone();
    assert!(
        seen.head
            .starts_with("POST /anthropic/v1/messages HTTP/1.1\r\n")
    );
    assert_eq!(
        seen.header("authorization"),
        Some("Bearer bedrock-very-secret")
    );
    assert_eq!(seen.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(seen.header("anthropic-beta"), Some("a"));
    assert_eq!(seen.header("anthropic-user-profile-id"), None);
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    let expected = json!({
        "model": "anthropic.claude-sonnet-5-5",
        "stream": true,
        "user_profile_id": "p1",
        "max_tokens": 100,
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hi" }] }],
    });
    assert_eq!(body, expected);
    assert_eq!(model.count_tokens(&request).await, Ok(None));
}

#[test]
fn it_has_a_place_in_every_region() {
    let auth = || AwsAuth::Bearer(ApiKey::new("k"));
    let model = Mantle::new(MantleConfig::new("m", "us-east-1", auth())).unwrap();
    assert_eq!(
        model.url.as_str(),
        "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages"
    );
    assert!(Mantle::new(MantleConfig::new("m", "x/y", auth())).is_err());
}
