//! What leaves a sandbox and what is written down of it, searched for secrets. Every way is tried with a value that nobody
//! could guess, and every net is left out once, to see that the value would come through.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

mod common;

use std::sync::{Arc, Mutex};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use common::{builder, guest, isolation};
use serde_json::{Value, json};
use toolcell::{
    Approval, ApprovalRequest, Approver, CallContext, CallId, Content, ErrorKind, Policy, Secret,
    ToolCall, ToolHost, ToolHostBuilder, ToolResult,
    audit::{AuditRecord, CallRecord},
    testing::{MemoryAudit, Weakness},
};

/// A value that is different in every test.
fn random() -> String {
    format!("tk{:032x}Z", rand::random::<u128>())
}

/// A host whose guest `leak` knows `value`, and everything that can be seen of it from outside.
struct Stage {
    host: ToolHost,
    audit: MemoryAudit,
    events: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    async fn new(value: &str, change: impl FnOnce(ToolHostBuilder) -> ToolHostBuilder) -> Self {
        Self::under("", value, change).await
    }

    async fn under(
        more: &str,
        value: &str,
        change: impl FnOnce(ToolHostBuilder) -> ToolHostBuilder,
    ) -> Self {
        let policy = format!(
            "{more}\n[tool.leak]\nenv = {{ VALUE = {} }}\ncalls = [\"leak_leak\"]\n",
            Value::from(value)
        );
        let audit = MemoryAudit::default();
        let builder = builder(isolation())
            .policy(Policy::from_toml(&policy).unwrap())
            .audit(audit.clone());
        let host = change(builder).build().unwrap();
        host.load_file(guest("leak")).await.unwrap();
        Self {
            host,
            audit,
            events: Arc::default(),
        }
    }

    /// As new, and the value is known to be the one of the secret `TOKEN`.
    async fn knowing(value: &str) -> Self {
        let stage = Self::new(value, |builder| builder).await;
        stage.know(value);
        stage
    }

    async fn lacking(value: &str, weakness: &[Weakness]) -> Self {
        let stage = Self::new(value, |builder| {
            weakness
                .iter()
                .fold(builder, |builder, it| builder.weakness(*it))
        });
        let stage = stage.await;
        stage.know(value);
        stage
    }

    fn know(&self, value: &str) {
        let secret = Secret::new(value).unwrap();
        self.host.redaction().register("TOKEN", secret);
    }

    async fn call(&self, tool: &str, input: Value) -> ToolResult {
        let events = Arc::clone(&self.events);
        let context = CallContext {
            events: Some(Arc::new(move |_, event| {
                let text = serde_json::to_string(&event).unwrap();
                events.lock().unwrap().push(text);
            })),
            ..CallContext::default()
        };
        let call = ToolCall::new(tool, input).with_id(CallId::new("c1"));
        self.host.call_with(call, &context).await.unwrap()
    }

    async fn leak(&self, by: &str) -> ToolResult {
        self.call("leak_leak", json!({ "by": by })).await
    }

    /// All of it that can be seen: results, events, audit records, and the bytes in any of them.
    fn seen(&self, result: &ToolResult) -> String {
        let mut seen = serde_json::to_string(result).unwrap();
        seen += &String::from_utf8_lossy(&bytes(result));
        seen += &self.events.lock().unwrap().concat();
        for record in self.audit.records() {
            seen += &serde_json::to_string(&record).unwrap();
        }
        seen
    }

    fn recorded(&self) -> CallRecord {
        let records = self.audit.records();
        let last = records.into_iter().rev().find_map(|record| match record {
            AuditRecord::Call(call) => Some(call),
            _ => None,
        });
        last.expect("a call is on record")
    }
}

/// The bytes in an answer.
fn bytes(result: &ToolResult) -> Vec<u8> {
    let data = result.content.iter().filter_map(|piece| match piece {
        Content::Image { data, .. } | Content::Audio { data, .. } => Some(data),
        Content::Resource { blob, .. } => blob.as_ref(),
        _ => None,
    });
    data.flat_map(|data| BASE64_STANDARD.decode(data).unwrap())
        .collect()
}

/// Every way for a tool to tell something.
const WAYS: [&str; 18] = [
    "text",
    "json",
    "member",
    "image",
    "audio",
    "mime",
    "uri",
    "resource",
    "blob",
    "resource-mime",
    "log",
    "stdout",
    "stderr",
    "progress",
    "path",
    "error",
    "code",
    "nested",
];

#[tokio::test]
async fn a_secret_leaves_a_sandbox_in_no_way_and_every_place_is_counted() {
    for way in WAYS {
        let value = random();
        let stage = Stage::knowing(&value).await;
        let result = stage.leak(way).await;
        let seen = stage.seen(&result);
        assert!(!seen.contains(&value), "{way}: {seen}");
        let backwards: String = value.chars().rev().collect();
        assert!(!seen.contains(&backwards), "{way}: {seen}");
        // Wide characters without their zeros look like narrow ones.
        let narrow = String::from_utf8_lossy(&bytes(&result)).replace('\0', "");
        assert!(!narrow.contains(&value), "{way}: {narrow}");
        let count = match way {
            // The callee's own, whose caller gets it without.
            "nested" => 0,
            _ => result.redactions["TOKEN"],
        };
        let recorded = stage.recorded();
        let counted = recorded.redactions.iter().map(|it| it.count).sum::<u64>();
        assert_eq!((way, counted), (way, count));
        if way != "nested" {
            assert!(seen.contains("[secret TOKEN]"), "{way}: {seen}");
            assert_eq!(recorded.redactions[0].secret, "TOKEN");
        }
    }
}

/// What a value looks like after somebody wrote it in another way.
fn forms(value: &str) -> Vec<String> {
    let each = |write: &dyn Fn(u8) -> String| value.bytes().map(write).collect::<String>();
    let mut forms = vec![
        value.to_owned(),
        value.to_ascii_uppercase(),
        value.chars().rev().collect(),
        each(&|byte| format!("{byte:02x}")),
        each(&|byte| format!("{byte:02X}")),
        each(&|byte| format!("{byte:02x}:")),
        each(&|byte| format!("\\x{byte:02x}")),
        each(&|byte| format!("%{byte:02X}")),
        each(&|byte| format!("%25{byte:02x}")),
        each(&|byte| format!("\\u{byte:04x}")),
        each(&|byte| format!("&#{byte};")),
        each(&|byte| format!("&#x{byte:x};")),
        each(&|byte| format!("{} ", char::from(byte))),
        each(&|byte| format!("{}\u{200b}", char::from(byte))),
        format!("%{:02x}{}", value.as_bytes()[0], &value[1..]),
    ];
    for before in ["", "a", "ab"] {
        for engine in [&BASE64_STANDARD, &BASE64_URL_SAFE_NO_PAD] {
            forms.push(engine.encode(format!("{before}{value}")));
        }
    }
    forms
}

#[tokio::test]
async fn it_leaves_in_no_form() {
    for way in WAYS {
        // A media type is too short for all of them, and a code is cut.
        let short = way.contains("mime");
        let value = random();
        let forms = forms(&value);
        let text = match short {
            true => value.clone(),
            false => forms.join("|"),
        };
        let stage = Stage::new(&text, |builder| builder).await;
        stage.know(&value);
        let result = stage.leak(way).await;
        let seen = stage.seen(&result);
        // What comes before a value in base64 may be a part of the form.
        for form in &forms {
            let inner = &form[4..form.len() - 4];
            assert!(!seen.contains(inner), "{way}: {inner} in {seen}");
        }
        let count = stage.recorded().redactions.first().map_or(0, |it| it.count);
        let callee = way == "nested";
        assert!(
            short || callee || count >= forms.len() as u64,
            "{way}: {count}"
        );
    }
}

#[tokio::test]
async fn without_the_net_it_leaves_in_every_way() {
    for way in WAYS {
        let value = random();
        let weak = [Weakness::LeavesAsItIs, Weakness::KeptAsItIs];
        let stage = Stage::lacking(&value, &weak).await;
        let result = stage.leak(way).await;
        let mut seen = stage.seen(&result);
        seen += &seen.chars().rev().collect::<String>();
        // A media type is no free text, and a tool that gives another one is refused.
        let told = seen.contains(&value) || seen.contains(&value.to_ascii_lowercase());
        assert!(told, "{way}: {seen}");
        assert!(result.redactions.is_empty());
    }
}

#[tokio::test]
async fn bytes_around_a_secret_stay_as_they_are() {
    let value = random();
    let stage = Stage::knowing(&value).await;
    let result = stage.leak("blob").await;
    let Content::Resource {
        blob: Some(blob), ..
    } = &result.content[0]
    else {
        panic!("{result:?}");
    };
    let bytes = BASE64_STANDARD.decode(blob).unwrap();
    assert!(bytes.starts_with(b"[secret TOKEN]\xff\0"), "{bytes:?}");
}

#[tokio::test]
async fn an_answer_with_a_shape_is_clean_in_both_of_its_forms() {
    let value = random();
    let stage = Stage::knowing(&value).await;
    let result = stage.call("leak_shape", json!({})).await;
    assert_eq!(result.structured.unwrap()["value"], "[secret TOKEN]");
    assert_eq!(
        result.content,
        [Content::Json {
            json: json!({ "value": "[secret TOKEN]" })
        }]
    );
    let stage = Stage::lacking(&value, &[Weakness::LeavesAsItIs]).await;
    let result = stage.call("leak_shape", json!({})).await;
    assert_eq!(result.structured.unwrap()["value"], value.as_str());
}

#[tokio::test]
async fn a_secret_of_digits_is_found_in_a_number() {
    let value = "7392018465127384";
    let stage = Stage::knowing(value).await;
    let result = stage.leak("number").await;
    let json = json!(["[secret TOKEN]"]);
    assert_eq!(result.content, [Content::Json { json }]);
    let stage = Stage::lacking(value, &[Weakness::LeavesAsItIs]).await;
    assert!(stage.leak("number").await.text().contains(value));
}

#[tokio::test]
async fn a_name_that_no_tool_has_is_searched_too() {
    let value = random();
    let stage = Stage::knowing(&value).await;
    let result = stage.call(&value, json!({})).await;
    assert_eq!(
        result.failure.as_ref().unwrap().kind,
        ErrorKind::UnknownTool
    );
    let seen = stage.seen(&result);
    assert!(!seen.contains(&value), "{seen}");
    let weak = [Weakness::LeavesAsItIs, Weakness::KeptAsItIs];
    let stage = Stage::lacking(&value, &weak).await;
    let result = stage.call(&value, json!({})).await;
    assert!(stage.seen(&result).contains(&value));
}

#[tokio::test]
async fn an_input_that_holds_a_secret_is_refused_and_shown_nowhere() {
    let value = random();
    for input in [
        json!({ "by": value }),
        json!({ "by": "text", value.as_str(): 1 }),
        json!({ "by": ["not a text", { "deep": format!("Bearer {value}") }] }),
    ] {
        let stage = Stage::knowing(&value).await;
        let result = stage.call("leak_leak", input).await;
        let failure = result.failure.as_ref().unwrap();
        assert_eq!(failure.kind, ErrorKind::Denied);
        assert!(failure.message.contains("the secret TOKEN"), "{failure:?}");
        assert!(failure.rule.is_some() && failure.help.is_some());
        let seen = stage.seen(&result);
        assert!(!seen.contains(&value), "{seen}");
        let refused = stage.recorded().denials;
        assert_eq!(refused[0].capability, "secrets");
        assert!(refused[0].access.contains("TOKEN"));
    }
    let stage = Stage::lacking(&value, &[Weakness::ArgumentsPass]).await;
    let result = stage.call("leak_leak", json!({ "by": value })).await;
    let failure = result.failure.as_ref().unwrap();
    assert_eq!(failure.kind, ErrorKind::InvalidInput, "it reached the tool");
}

#[tokio::test]
async fn a_tool_passes_a_secret_to_another_tool_no_more_than_a_model_does() {
    let value = random();
    let stage = Stage::knowing(&value).await;
    let result = stage.leak("argument").await;
    let failure = result.failure.as_ref().unwrap();
    assert_eq!(failure.kind, ErrorKind::Denied);
    assert!(!stage.seen(&result).contains(&value));
    let stage = Stage::lacking(&value, &[Weakness::ArgumentsPass]).await;
    let failure = stage.leak("argument").await.failure.unwrap();
    assert_ne!(failure.kind, ErrorKind::Denied);
}

/// Says yes, and remembers what it was asked.
struct Yes(Arc<Mutex<Vec<ApprovalRequest>>>);

impl Approver for Yes {
    async fn approve(&self, request: &ApprovalRequest) -> Approval {
        self.0.lock().unwrap().push(request.clone());
        Approval::Allow
    }
}

#[tokio::test]
async fn the_policy_says_what_happens_to_such_an_input() {
    let value = random();
    let input = json!({ "by": value });
    let asked: Arc<Mutex<Vec<ApprovalRequest>>> = Arc::default();
    for (word, approver, kind, effects) in [
        (
            "allow",
            false,
            ErrorKind::InvalidInput,
            &["Allow", "Allow"][..],
        ),
        ("ask", false, ErrorKind::Denied, &["Ask"]),
        (
            "ask",
            true,
            ErrorKind::InvalidInput,
            &["Ask", "Allow", "Allow"],
        ),
        ("deny", true, ErrorKind::Denied, &["Deny"]),
    ] {
        let more = format!("[secrets]\narguments = \"{word}\"");
        let stage = Stage::under(&more, &value, |builder| match approver {
            true => builder.approver(Yes(Arc::clone(&asked))),
            false => builder,
        });
        let stage = stage.await;
        stage.know(&value);
        let result = stage.call("leak_leak", input.clone()).await;
        let failure = result.failure.as_ref().unwrap();
        assert_eq!(failure.kind, kind, "{word}");
        if kind == ErrorKind::Denied {
            let rule = failure.rule.as_ref().unwrap();
            assert!(rule.contains("toolcell.toml:2 secrets.arguments"), "{rule}");
        }
        let decided: Vec<String> = stage
            .audit
            .records()
            .into_iter()
            .filter_map(|record| match record {
                AuditRecord::Decision(it) => Some(format!("{:?}", it.effect)),
                _ => None,
            })
            .collect();
        assert_eq!(decided, effects, "{word}");
        let seen = stage.seen(&result);
        assert!(!seen.contains(&value), "{word}: {seen}");
    }
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].access,
        "call with the value of the secret TOKEN in its input"
    );
    assert!(!asked[0].input_preview.contains(&value));
}

#[tokio::test]
async fn who_is_asked_sees_no_secret_of_the_input() {
    let value = random();
    let asked: Arc<Mutex<Vec<ApprovalRequest>>> = Arc::default();
    let policy = "[tool.leak]\napprove = \"ask\"\n";
    let host = builder(isolation())
        .policy(Policy::from_toml(policy).unwrap())
        .approver(Yes(Arc::clone(&asked)))
        // It would not come so far otherwise.
        .weakness(Weakness::ArgumentsPass)
        .build()
        .unwrap();
    host.load_file(guest("leak")).await.unwrap();
    // The end of what is shown falls into the value.
    let input = json!({ "by": format!("{}{value}", "x".repeat(1_975)) });
    let call = ToolCall::new("leak_leak", input);
    host.call(call.clone()).await.unwrap();
    let secret = Secret::new(value.as_str()).unwrap();
    host.redaction().register("TOKEN", secret);
    host.call(call).await.unwrap();
    let asked = asked.lock().unwrap();
    let (half, _) = value.split_at(10);
    assert!(asked[0].input_preview.contains(half), "unknown as yet");
    assert!(asked[1].input_preview.contains("[secret"));
    assert!(!asked[1].input_preview.contains(half));
}
