use serde_json::json;
use toolcell::{CallId, ErrorKind, ToolFailure, Usage};

use super::*;

fn answered(content: Vec<Content>, structured: Option<Value>) -> ToolResult {
    ToolResult {
        call_id: CallId::new("call_1"),
        tool: "t".into(),
        content,
        structured,
        failure: None,
        usage: Usage::default(),
        denials: Vec::new(),
        redactions: std::collections::BTreeMap::new(),
        pending: None,
    }
}

fn sent(tool_result: ToolResult, modern: bool) -> Value {
    let mut value = serde_json::to_value(result(tool_result, modern)).unwrap();
    // rmcp adds it and takes it away again for older clients.
    value.as_object_mut().unwrap().remove("resultType");
    value
}

#[test]
fn every_kind_of_content_has_its_block() {
    let resource = |text: Option<&str>, blob: Option<&str>| Content::Resource {
        uri: "file:///a".into(),
        mime_type: Some("text/plain".into()),
        text: text.map(Into::into),
        blob: blob.map(Into::into),
    };
    let content = vec![
        Content::text("hi"),
        Content::Json {
            json: json!({ "a": 1 }),
        },
        Content::Image {
            mime_type: "image/png".into(),
            data: "aGk=".into(),
        },
        Content::Audio {
            mime_type: "audio/wav".into(),
            data: "aGk=".into(),
        },
        resource(Some("words"), None),
        resource(None, Some("aGk=")),
    ];
    assert_eq!(
        sent(answered(content, None), true),
        json!({
            "isError": false,
            "content": [
                { "type": "text", "text": "hi" },
                { "type": "text", "text": "{\"a\":1}" },
                { "type": "image", "mimeType": "image/png", "data": "aGk=" },
                { "type": "audio", "mimeType": "audio/wav", "data": "aGk=" },
                { "type": "resource",
                  "resource": { "uri": "file:///a", "mimeType": "text/plain", "text": "words" } },
                { "type": "resource",
                  "resource": { "uri": "file:///a", "mimeType": "text/plain", "blob": "aGk=" } },
            ],
        })
    );
}

#[test]
fn a_structured_answer_is_sent_as_text_too() {
    let value = json!({ "sum": 3 });
    let expected = json!({
        "isError": false,
        "content": [{ "type": "text", "text": "{\"sum\":3}" }],
        "structuredContent": { "sum": 3 },
    });
    let as_json = vec![Content::Json {
        json: value.clone(),
    }];
    for content in [as_json, Vec::new()] {
        assert_eq!(
            sent(answered(content, Some(value.clone())), false),
            expected
        );
    }
}

#[test]
fn older_clients_get_no_structured_content_that_is_no_object() {
    let content = vec![Content::Json { json: json!([1]) }];
    let old = sent(answered(content.clone(), Some(json!([1]))), false);
    assert!(old.get("structuredContent").is_none());
    let new = sent(answered(content, Some(json!([1]))), true);
    assert_eq!(new["structuredContent"], json!([1]));
}

#[test]
fn a_failure_is_an_error_result_without_rule_and_help() {
    let mut failure = ToolFailure::new(ErrorKind::Denied, "not allowed");
    failure.rule = Some("secret-policy.toml:7".into());
    failure.help = Some("add a grant".into());
    let mut denied = answered(vec![Content::text("not allowed")], Some(json!({})));
    denied.failure = Some(failure);
    assert_eq!(
        sent(denied, true),
        json!({ "isError": true, "content": [{ "type": "text", "text": "not allowed" }] })
    );
}
