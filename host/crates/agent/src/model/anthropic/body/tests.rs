use super::*;
use crate::wire::{Block, Effort, Message, Sampling};

const FIRST_PARTY: Dialect<'static> = Dialect {
    model: true,
    stream: Some(true),
    version: None,
    sampling: false,
};

fn body(request: &ModelRequest) -> Value {
    messages_body(request, FIRST_PARTY).unwrap().into()
}

fn request(messages: Vec<Message>) -> ModelRequest {
    ModelRequest {
        turn: 3,
        conversation: "c".into(),
        tenant: None,
        model: "m".into(),
        max_tokens: 9,
        system: None,
        tools: Vec::new(),
        messages,
        options: TurnOptions::default(),
        cache: None,
        extra: serde_json::Map::from_iter([("thinking".into(), json!({"type":"adaptive"}))]),
    }
}

#[test]
fn the_body_streams_and_holds_no_sampling_parameters() {
    let request = request(vec![Message::user(vec![Block::text("hi")])]);
    assert_eq!(
        body(&request),
        json!({
            "model": "m", "max_tokens": 9, "stream": true, "thinking": { "type": "adaptive" },
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hi" }] }],
        })
    );
}

#[test]
fn blank_text_is_not_sent_back() {
    let blank = Message::assistant(vec![Block::text(" \n"), Block::Other(json!({"type":"x"}))]);
    let empty = Message::assistant(vec![Block::text("")]);
    let body = body(&request(vec![blank, empty]));
    assert_eq!(
        body["messages"],
        json!([{ "role": "assistant", "content": [{ "type": "x" }] }])
    );
}

#[test]
fn options_are_said_in_the_words_of_the_api() {
    let mut request = request(vec![Message::user(vec![Block::text("hi")])]);
    request.extra.clear();
    request.tools.push(crate::wire::ToolDefinition {
        name: "read".into(),
        description: "d".into(),
        input_schema: json!({ "type": "object" }),
    });
    request.options = TurnOptions {
        tool_choice: ToolChoice::Tool("read".into()),
        one_tool_at_a_time: true,
        thinking: Some(Thinking::Tokens(2048)),
        effort: Some(Effort::Xhigh),
        format: Some(OutputFormat {
            name: "answer".into(),
            schema: json!({ "type": "object" }),
        }),
        stop_sequences: vec!["END".into()],
        sampling: Sampling::default(),
    };
    let body = body(&request);
    assert_eq!(
        body["tool_choice"],
        json!({ "type": "tool", "name": "read", "disable_parallel_tool_use": true })
    );
    assert_eq!(
        body["thinking"],
        json!({ "type": "enabled", "budget_tokens": 2048 })
    );
    let closed = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    assert_eq!(
        body["output_config"],
        json!({ "effort": "xhigh", "format": { "type": "json_schema", "schema": closed } })
    );
    assert_eq!(body["stop_sequences"], json!(["END"]));
}

#[test]
fn sampling_is_refused_where_the_api_would_refuse_it() {
    let mut request = request(Vec::new());
    request.options.sampling.temperature = Some(1.0);
    let error = messages_body(&request, FIRST_PARTY).unwrap_err();
    assert!(error.to_string().contains("2023-06-01"), "{error}");
    let old = Dialect {
        sampling: true,
        ..FIRST_PARTY
    };
    let body = messages_body(&request, old).unwrap();
    assert_eq!(body["temperature"], json!(1.0));
    request.options.sampling.seed = Some(1);
    assert!(messages_body(&request, old).is_err());
}

/// A conversation may have begun with a server of another API.
#[test]
fn what_only_another_api_understands_is_not_sent() {
    let mut call = crate::wire::ToolUse {
        id: "a".into(),
        name: "read".into(),
        input: json!({}),
        extra: serde_json::Map::new(),
    };
    call.extra.insert("openai".into(), json!({ "extra": 1 }));
    let thought = json!({ "type": "thinking", "thinking": "hm", "openai": "reasoning_content" });
    let own = json!({ "type": "thinking", "thinking": "hm", "signature": "s" });
    let content = vec![
        Block::Other(thought),
        Block::Other(own.clone()),
        Block::ToolUse(call),
    ];
    let call = json!({ "type": "tool_use", "id": "a", "name": "read", "input": {} });
    assert_eq!(
        body(&request(vec![Message::assistant(content)]))["messages"][0]["content"],
        json!([own, call])
    );
}

#[test]
fn breakpoints_stand_where_the_plan_says() {
    use crate::wire::{CachePlan, CacheTtl};
    let said = |text: &str| Message::user(vec![Block::text(" "), Block::text(text)]);
    let mut request = request(vec![said("a"), said("b")]);
    request.extra.clear();
    request.system = Some("s".into());
    request.tools = ["x", "y"].map(tool).into();
    let plain = body(&request);
    assert!(!plain.to_string().contains("cache_control"), "{plain}");
    request.cache = Some(CachePlan {
        ttl: CacheTtl::Hour,
        tools: true,
        system: true,
        // The blank block before it is left out.
        blocks: vec![(1, 1)],
        previous_message: Some("msg_1".into()),
    });
    let marked = body(&request);
    let mark = json!({ "type": "ephemeral", "ttl": "1h" });
    assert_eq!(
        marked["system"],
        json!([{ "type": "text", "text": "s", "cache_control": mark }])
    );
    assert_eq!(marked["tools"][0].get("cache_control"), None);
    assert_eq!(marked["tools"][1]["cache_control"], mark);
    assert_eq!(marked["messages"][0], plain["messages"][0]);
    assert_eq!(marked["messages"][1]["content"][0]["cache_control"], mark);
    // Which server is told of the answer before is for its client to say.
    assert_eq!(marked.get("diagnostics"), None);
}

fn tool(name: &str) -> crate::wire::ToolDefinition {
    crate::wire::ToolDefinition {
        name: name.into(),
        description: "d".into(),
        input_schema: json!({ "type": "object" }),
    }
}
