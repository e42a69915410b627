use proptest::prelude::*;
use serde_json::json;
use toolcell::{Secret, TenantId};

use super::*;
use crate::{
    testing::tool_use,
    wire::{Message, TextBlock, ToolDefinition, ToolResultBlock, TurnOptions},
};

fn request() -> ModelRequest {
    ModelRequest {
        turn: 0,
        conversation: "one".into(),
        tenant: None,
        model: "m".into(),
        max_tokens: 100,
        system: Some("be brief".into()),
        tools: vec![ToolDefinition {
            name: "read".into(),
            description: "reads".into(),
            input_schema: json!({ "type": "object", "properties": { "a": {}, "b": {} } }),
        }],
        messages: vec![
            Message::user(vec![Block::text("hi")]),
            Message::assistant(vec![tool_use(
                "t1",
                "read",
                json!({ "n": 1, "path": "/a" }),
            )]),
            Message::user(vec![Block::ToolResult(ToolResultBlock {
                tool_use_id: "t1".into(),
                is_error: false,
                content: vec![Block::text("found")],
                extra: Map::new(),
            })]),
        ],
        cache: None,
        options: TurnOptions::default(),
        extra: Map::new(),
    }
}

fn key(request: &ModelRequest) -> Key {
    Key::of("p server m", request, None).unwrap()
}

#[test]
fn everything_that_makes_another_answer_makes_another_key() {
    let other = |change: &dyn Fn(&mut ModelRequest)| {
        let mut request = request();
        change(&mut request);
        key(&request)
    };
    let tenant = |name| other(&|it| it.tenant = Some(TenantId::new(name)));
    let keys = [
        key(&request()),
        tenant("a"),
        tenant("b"),
        other(&|it| it.model = "n".into()),
        other(&|it| it.max_tokens = 101),
        other(&|it| it.system = None),
        other(&|it| it.system = Some("be briefer".into())),
        other(&|it| it.tools.clear()),
        other(&|it| it.tools[0].description = "writes".into()),
        other(&|it| {
            it.messages.pop();
        }),
        other(&|it| it.messages[0].content = vec![Block::text("hi!")]),
        other(&|it| it.messages.swap(0, 1)),
        other(&|it| it.options.one_tool_at_a_time = true),
        other(&|it| it.options.sampling.seed = Some(1)),
        other(&|it| it.options.sampling.temperature = Some(0.0)),
        other(&|it| {
            it.extra.insert("service_tier".into(), json!("auto"));
        }),
        Key::of("p other m", &request(), None).unwrap(),
    ];
    for (at, one) in keys.iter().enumerate() {
        assert!(
            !keys[at + 1..].contains(one),
            "number {at} has no key of its own"
        );
    }
}

#[test]
fn what_makes_no_other_answer_makes_no_other_key() {
    let plain = key(&request());
    let mut later = request();
    (later.turn, later.conversation) = (7, "two".into());
    assert_eq!(key(&later), plain);

    // Where a provider's own prompt cache begins.
    let mut marked = request();
    let mark = || Map::from_iter([("cache_control".to_owned(), json!({ "type": "ephemeral" }))]);
    marked.messages[0].content = vec![Block::Text(TextBlock {
        text: "hi".into(),
        extra: mark(),
    })];
    if let Block::ToolResult(result) = &mut marked.messages[2].content[0] {
        result.extra = mark();
    }
    assert_eq!(key(&marked), plain);

    // A tool's own field of that name is something else.
    let mut named = request();
    named.messages[1].content = vec![tool_use(
        "t1",
        "read",
        json!({ "n": 1, "path": "/a", "cache_control": 1 }),
    )];
    assert_ne!(key(&named), plain);

    // One number in two forms.
    let mut float = request();
    float.messages[1].content = vec![tool_use("t1", "read", json!({ "path": "/a", "n": 1.0 }))];
    assert_eq!(key(&float), plain);
}

#[test]
fn a_shared_key_makes_other_keys() {
    let with = |secret: &str| {
        let shared = SharedKey::new(&Secret::new(secret).unwrap());
        Key::of("p server m", &request(), Some(&shared)).unwrap()
    };
    let one = with("k3y-b4tt3ry-0x");
    assert_eq!(one, with("k3y-b4tt3ry-0x"));
    assert_ne!(one, with("k3y-b4tt3ry-0y"));
    assert_ne!(one, key(&request()));
}

#[test]
fn a_key_is_shown_in_hexadecimal() {
    let text = key(&request()).to_string();
    assert!(
        text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit()),
        "{text}"
    );
}

#[test]
fn requests_whose_answers_are_wanted_anew_are_left_out() {
    let why = |change: &dyn Fn(&mut ModelRequest)| {
        let mut request = request();
        change(&mut request);
        left_out(&request)
    };
    assert_eq!(why(&|_| ()), None);
    assert_eq!(why(&|it| it.options.sampling.temperature = Some(0.0)), None);
    let field = |name: &'static str, value: Value| {
        why(&move |it| {
            it.extra.insert(name.into(), value.clone());
        })
    };
    assert_eq!(field("temperature", json!(0)), None);
    assert_eq!(field("thinking", json!({ "type": "adaptive" })), None);
    let block = |value: Value| {
        why(&move |it| {
            it.messages
                .push(Message::user(vec![Block::Other(value.clone())]))
        })
    };
    let base64 = json!({ "type": "image", "source": { "type": "base64", "data": "" } });
    assert_eq!(block(base64), None);
    for (why, says) in [
        (
            why(&|it| it.options.sampling.temperature = Some(0.1)),
            "temperature",
        ),
        (field("temperature", json!(1)), "temperature"),
        (field("container", json!("c")), "the server keeps"),
        (field("thread", json!({})), "the server keeps"),
        (field("mcp_servers", json!([])), "asks others"),
        (field("fallbacks", json!("default")), "another model"),
        (field("n", json!(2)), "several"),
        (
            block(json!({ "type": "image", "source": { "type": "url", "url": "https://x" } })),
            "only named",
        ),
        (
            block(json!({ "type": "document", "source": { "type": "file", "file_id": "f" } })),
            "only named",
        ),
        (
            block(json!({ "type": "container_upload" })),
            "the server keeps",
        ),
    ] {
        assert!(why.is_some_and(|why| why.contains(says)), "{says}: {why:?}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn written(value: &Value) -> String {
    let mut bytes = Vec::new();
    write(value, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

proptest! {
    /// The canonical form is the same value, and one value has one form only.
    #[test]
    fn the_form_says_what_the_value_says(value in any_json()) {
        let form = written(&value);
        let again: Value = serde_json::from_str(&form).unwrap();
        prop_assert_eq!(written(&again), form);
    }

    #[test]
    fn the_order_of_members_is_of_no_matter(value in prop::collection::btree_map(".{0,4}", any_json(), 0..6)) {
        let there = Value::Object(value.clone().into_iter().collect());
        let back = Value::Object(value.into_iter().rev().collect());
        prop_assert_eq!(written(&there), written(&back));
    }
}
