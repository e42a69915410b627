use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::{CallId, Usage, capability::fixtures::granted};

/// Answers every call with the same content or failure, and remembers the calls.
#[derive(Default)]
struct Fixed {
    content: Vec<Content>,
    failure: Option<ToolFailure>,
    calls: Mutex<Vec<(String, Value, u32)>>,
}

impl Callee for Fixed {
    fn call(
        &self,
        name: String,
        input: Value,
        nesting: Nesting,
    ) -> Pin<Box<dyn Future<Output = ToolResult> + Send + '_>> {
        let call = (name.clone(), input, nesting.depth);
        self.calls.lock().unwrap().push(call);
        let result = ToolResult {
            call_id: CallId::new("call_2"),
            tool: name,
            content: self.content.clone(),
            structured: None,
            failure: self.failure.clone(),
            usage: Usage::default(),
            denials: Vec::new(),
            redactions: std::collections::BTreeMap::new(),
            pending: None,
        };
        Box::pin(async move { result })
    }
}

fn state(callee: &Arc<Fixed>, nesting: Nesting) -> (ToolsState, Recorder) {
    let grants = granted(
        "calls = [\"time_now\"]\nlimits = { call_depth = 2 }",
        "calls = [\"time_now\", \"calc\"]",
    );
    let recorder = Recorder::new(CallId::new("call_1"), None);
    let state = ToolsState(Arc::new(Admission {
        grants,
        nesting,
        callee: callee.clone(),
        asker: None,
        recorder: recorder.clone(),
    }));
    (state, recorder)
}

async fn call(
    state: &mut ToolsState,
    name: &str,
    input: &str,
) -> Result<Vec<wit::Content>, wit::ToolError> {
    Host::call(state, name.into(), input.into()).await.unwrap()
}

#[tokio::test]
async fn a_granted_tool_is_called_one_level_deeper() {
    let callee = Arc::new(Fixed {
        content: vec![
            Content::text("t"),
            Content::Json {
                json: json!({"a": 1}),
            },
            Content::Image {
                mime_type: "image/png".into(),
                data: "AAEC".into(),
            },
            Content::Audio {
                mime_type: "audio/wav".into(),
                data: "".into(),
            },
            Content::Resource {
                uri: "u:t".into(),
                mime_type: None,
                text: Some("text".into()),
                blob: None,
            },
            Content::Resource {
                uri: "u:b".into(),
                mime_type: Some("x/y".into()),
                text: None,
                blob: Some("/w==".into()),
            },
        ],
        ..Fixed::default()
    });
    let (mut state, recorder) = state(&callee, Nesting::top());
    let content = call(&mut state, "time_now", r#"{"zone": "UTC"}"#)
        .await
        .unwrap();
    let shown = format!("{content:?}");
    for piece in [
        "text(\"t\")",
        r#"json("{\"a\":1}")"#,
        "[0, 1, 2]",
        "audio/wav",
        "text(\"text\")",
        "[255]",
    ] {
        assert!(shown.to_lowercase().contains(piece), "{piece} in {shown}");
    }
    let calls = callee.calls.lock().unwrap();
    assert_eq!(*calls, [("time_now".into(), json!({"zone": "UTC"}), 1)]);
    assert!(recorder.snapshot().denials.is_empty());
}

#[tokio::test]
async fn what_is_not_granted_is_not_called() {
    let callee = Arc::new(Fixed::default());
    let (mut state, recorder) = state(&callee, Nesting::top());
    for name in [
        "calc",
        "files_read",
        "",
        "time_now ",
        "TIME_NOW",
        "t\nime_now",
    ] {
        let error = call(&mut state, name, "{}").await.err().unwrap();
        assert_eq!(error.kind, wit::ErrorKind::Denied, "{name}");
    }
    assert!(callee.calls.lock().unwrap().is_empty());
    let denials = recorder.snapshot().denials;
    assert_eq!(denials.len(), 6);
    assert_eq!(denials[0].capability, "tools");
    assert_eq!(denials[0].access, "call calc");
    assert_eq!(denials[0].rule, "default: denied until written");
    assert_eq!(denials[5].access, "call t\\nime_now");
}

#[tokio::test]
async fn the_depth_is_limited() {
    let callee = Arc::new(Fixed::default());
    let nesting = Nesting::top().below().unwrap();
    let (mut second, _) = state(&callee, nesting.clone());
    assert!(call(&mut second, "time_now", "{}").await.is_ok());
    assert_eq!(callee.calls.lock().unwrap()[0].2, 2);

    let (mut third, recorder) = state(&callee, nesting.below().unwrap());
    let error = call(&mut third, "time_now", "{}").await.err().unwrap();
    assert_eq!(error.kind, wit::ErrorKind::Denied);
    assert_eq!(recorder.snapshot().denials[0].rule, "limit: call_depth = 2");
    assert_eq!(callee.calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn all_calls_of_a_tree_share_one_budget() {
    let callee = Arc::new(Fixed::default());
    let top = Nesting::top().within(256);
    let (mut first, _) = state(&callee, top.clone().within(1_000));
    let (mut second, recorder) = state(&callee, top);
    for _ in 0..256 {
        assert!(call(&mut first, "time_now", "{}").await.is_ok());
    }
    let error = Host::call(&mut second, "time_now".into(), "{}".into())
        .await
        .err()
        .unwrap();
    let limit = error
        .downcast_ref::<crate::capability::LimitExceeded>()
        .unwrap();
    assert_eq!(limit.0, ErrorKind::BudgetExceeded);
    let hit = recorder.snapshot().limit.unwrap();
    let wanted = "the limit `nested_calls` is 256";
    assert!(hit.message.ends_with(wanted), "{}", hit.message);
}

#[tokio::test]
async fn input_that_is_no_json_costs_nothing() {
    let callee = Arc::new(Fixed::default());
    let (mut state, _) = state(&callee, Nesting::top());
    for input in ["", "{", "{}{}", "nope", &"[".repeat(100_000)] {
        let error = call(&mut state, "time_now", input).await.err().unwrap();
        assert_eq!(error.kind, wit::ErrorKind::InvalidInput);
    }
    assert!(callee.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_failure_keeps_its_kind_and_loses_rule_and_help() {
    use wit::ErrorKind as Kind;
    for (kind, seen) in [
        (ErrorKind::InvalidInput, Kind::InvalidInput),
        (ErrorKind::UnknownTool, Kind::NotFound),
        (ErrorKind::Denied, Kind::Denied),
        (ErrorKind::AuthRequired, Kind::AuthRequired),
        (ErrorKind::Unavailable, Kind::Unavailable),
        (ErrorKind::Busy, Kind::Unavailable),
        (ErrorKind::LimitOutput, Kind::TooLarge),
        (ErrorKind::LimitTime, Kind::Failed),
        (ErrorKind::Trap, Kind::Failed),
    ] {
        let mut failure = ToolFailure::new(kind, "it failed");
        failure.rule = Some("secret rule".into());
        failure.help = Some("secret help".into());
        failure.request_sent = true;
        let callee = Arc::new(Fixed {
            failure: Some(failure),
            ..Fixed::default()
        });
        let (mut state, _) = state(&callee, Nesting::top());
        let error = call(&mut state, "time_now", "{}").await.err().unwrap();
        assert_eq!((error.kind, error.request_sent), (seen, true), "{kind}");
        assert_eq!(error.code.as_deref(), Some(kind.code()));
        assert_eq!(error.message, "it failed");
    }
}

#[test]
fn bytes_that_are_not_base64_are_an_error() {
    let image = Content::Image {
        mime_type: "image/png".into(),
        data: "?".into(),
    };
    assert_eq!(content(image).err().unwrap().kind, OwnErrorKind::Failed);
}

#[tokio::test]
async fn an_input_that_is_too_large_is_not_even_read() {
    let callee = Arc::new(Fixed::default());
    let (mut state, _) = state(&callee, Nesting::top());
    let input = format!("[{}0]", "0,".repeat(limits::INPUT_BYTES / 2));
    let error = call(&mut state, "time_now", &input).await.unwrap_err();
    assert_eq!(error.kind, wit::ErrorKind::InvalidInput);
    assert!(
        error.message.contains("at most 1048576 bytes"),
        "{}",
        error.message
    );
    assert!(callee.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_was_denied_to_a_callee_is_told_of_its_caller_too() {
    let mut failure = ToolFailure::new(ErrorKind::Denied, "nothing grants it");
    failure.rule = Some("policy.toml:3 tool.time.net[0]".to_owned());
    let callee = Arc::new(Fixed {
        failure: Some(failure),
        ..Fixed::default()
    });
    let (mut state, recorder) = state(&callee, Nesting::top());
    let error = call(&mut state, "time_now", "{}").await.err().unwrap();
    assert_eq!(error.kind, wit::ErrorKind::Denied);
    let denials = recorder.snapshot().denials;
    assert_eq!(denials.len(), 1);
    assert_eq!(denials[0].access, "call time_now");
    assert_eq!(denials[0].rule, "policy.toml:3 tool.time.net[0]");
    assert_eq!(denials[0].reason, "nothing grants it");
}

#[test]
fn every_call_above_has_its_budget() {
    let top = Nesting::top().within(3);
    let inner = top.below().unwrap().within(1);
    assert!(inner.below().is_ok());
    assert_eq!(inner.below().err(), Some(1), "its own is used up");
    // Both tries were counted for the call above: what a call that ends has taken is not given back.
    assert_eq!(top.below().err(), Some(3));
}
