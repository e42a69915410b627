use super::*;
use crate::{
    testing::tool_use,
    wire::{Block, Effort, Message, Role, Sampling, ToolResultBlock},
};

fn request(messages: Vec<Message>) -> ModelRequest {
    ModelRequest {
        turn: 0,
        conversation: "r1".into(),
        tenant: None,
        model: "m".into(),
        max_tokens: 9,
        system: None,
        tools: Vec::new(),
        messages,
        cache: None,
        options: TurnOptions::default(),
        extra: Map::new(),
    }
}

fn said(messages: Vec<Message>, lacks: &[Lack]) -> Value {
    built(&request(messages), lacks)["messages"].clone()
}

fn built(request: &ModelRequest, lacks: &[Lack]) -> Value {
    let lacks = lacks.iter().copied().collect();
    chat_body(request, &lacks, &Names::of(request))
        .unwrap()
        .into()
}

fn refused(request: &ModelRequest, lacks: &[Lack]) -> String {
    let lacks = lacks.iter().copied().collect();
    chat_body(request, &lacks, &Names::of(request))
        .unwrap_err()
        .to_string()
}

fn result(id: &str, is_error: bool, content: Vec<Block>) -> Block {
    Block::ToolResult(ToolResultBlock {
        tool_use_id: id.into(),
        is_error,
        content,
        extra: Map::new(),
    })
}

fn with_tool() -> ModelRequest {
    let mut request = request(vec![Message::user(vec![Block::text("hi")])]);
    request.tools.push(ToolDefinition {
        name: "read".into(),
        description: "reads".into(),
        input_schema: json!({ "type": "object" }),
    });
    request
}

#[test]
fn a_conversation_is_said_in_chat_messages() {
    let messages = vec![
        Message::user(vec![Block::text("read both")]),
        Message::assistant(vec![
            Block::Other(json!({ "type": "thinking", "thinking": "hm", "signature": "s" })),
            Block::text("I read."),
            tool_use("a", "read", json!({ "n": 1 })),
            tool_use("b", "read", json!({ "INVALID_JSON": "{" })),
        ]),
        Message::user(vec![
            result("a", false, vec![Block::text("one"), Block::text("two")]),
            result("b", true, vec![Block::text("no such file")]),
            Block::text("go on"),
        ]),
        Message::assistant(vec![tool_use("c", "read", json!({}))]),
        Message::user(vec![result("c", false, Vec::new())]),
        Message::assistant(vec![Block::text(" ")]),
        Message {
            role: Role::System,
            ..Message::user(vec![Block::text("be brief")])
        },
    ];
    let call = |id: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": "read", "arguments": arguments } });
    assert_eq!(
        said(messages, &[]),
        json!([
            { "role": "user", "content": "read both" },
            { "role": "assistant", "content": "I read.",
              "tool_calls": [call("a", r#"{"n":1}"#), call("b", r#"{"INVALID_JSON":"{"}"#)] },
            { "role": "tool", "tool_call_id": "a", "content": "one\ntwo" },
            { "role": "tool", "tool_call_id": "b", "content": "Error: no such file" },
            { "role": "user", "content": "go on" },
            { "role": "assistant", "content": null, "tool_calls": [call("c", "{}")] },
            { "role": "tool", "tool_call_id": "c", "content": "" },
            { "role": "developer", "content": "be brief" },
        ])
    );
}

#[test]
fn pictures_and_files_of_results_come_after_all_results() {
    let pdf = json!({ "type": "document", "title": "a.pdf",
        "source": { "type": "base64", "media_type": "application/pdf", "data": "UEQ=" } });
    let text = json!({ "type": "document", "title": "a.txt",
        "source": { "type": "text", "media_type": "text/plain", "data": "words" } });
    let messages = vec![Message::user(vec![
        result(
            "a",
            false,
            vec![Block::text("see"), Block::image("image/png", "AAAA")],
        ),
        result("b", false, vec![Block::Other(pdf), Block::Other(text)]),
    ])];
    let url = json!({ "url": "data:image/png;base64,AAAA" });
    let file = json!({ "filename": "a.pdf", "file_data": "data:application/pdf;base64,UEQ=" });
    assert_eq!(
        said(messages.clone(), &[]),
        json!([
            { "role": "tool", "tool_call_id": "a", "content": "see\n[shown in the next message of the user]" },
            { "role": "tool", "tool_call_id": "b", "content": "a.txt:\nwords\n[shown in the next message of the user]" },
            { "role": "user", "content": [
                { "type": "text", "text": "[from the result of a]" }, { "type": "image_url", "image_url": url },
                { "type": "text", "text": "[from the result of b]" }, { "type": "file", "file": file },
            ] },
        ])
    );
    let without = said(messages, &[Lack::Images, Lack::Files]);
    assert_eq!(
        without[0]["content"],
        "see\n[an image is left out: the model's server takes none]"
    );
    assert_eq!(
        without[1]["content"],
        "[a document is left out: the model's server takes none]\na.txt:\nwords"
    );
    assert_eq!(without.as_array().unwrap().len(), 2);
}

#[test]
fn what_lies_elsewhere_is_told_of() {
    let block = |kind: &str, source: Value| Block::Other(json!({ "type": kind, "source": source }));
    let url = json!({ "type": "url", "url": "https://example.com/a" });
    let id = json!({ "type": "file", "file_id": "f1" });
    let content = vec![
        block("image", id.clone()),
        block("document", url.clone()),
        block("document", id),
        Block::Other(json!({ "type": "search_result", "title": "t" })),
    ];
    let text = said(vec![Message::user(content)], &[])[0]["content"].clone();
    for words in [
        "an image that is stored elsewhere",
        "[a document at https://example.com/a]",
        "a document that is stored elsewhere",
        r#""type":"search_result""#,
    ] {
        assert!(text.as_str().unwrap().contains(words), "{text}");
    }
    let shown = said(vec![Message::user(vec![block("image", url)])], &[]);
    assert_eq!(
        shown[0]["content"][0]["image_url"]["url"],
        "https://example.com/a"
    );
}

#[test]
fn instructions_go_where_the_server_takes_them() {
    let mut request = request(vec![
        Message::assistant(vec![Block::text("hello")]),
        Message::user(vec![Block::text("hi")]),
    ]);
    request.system = Some("be brief".into());
    let first = |lacks: &[Lack]| built(&request, lacks)["messages"][0].clone();
    assert_eq!(first(&[])["role"], "developer");
    assert_eq!(first(&[Lack::DeveloperRole])["role"], "system");
    let without = built(&request, &[Lack::SystemRole])["messages"].clone();
    assert_eq!(
        without[1],
        json!({ "role": "user", "content": "be brief\nhi" })
    );
    request.messages.clear();
    let alone = built(&request, &[Lack::SystemRole])["messages"].clone();
    assert_eq!(alone, json!([{ "role": "user", "content": "be brief" }]));
}

#[test]
fn reasoning_goes_back_to_the_server_that_shows_it() {
    let thought = |field: &str| {
        Block::Other(json!({ "type": "thinking", "thinking": "hm", "openai": field }))
    };
    let turn = |field| vec![Message::assistant(vec![thought(field), Block::text("so")])];
    assert_eq!(
        said(turn("reasoning_content"), &[])[0]["reasoning_content"],
        "hm"
    );
    // Where one message has it, a server may insist on it in all of them.
    let mut both = turn("reasoning_content");
    both.push(Message::assistant(vec![Block::text("of another model")]));
    assert_eq!(said(both, &[])[1]["reasoning_content"], "");
    for (field, lacks) in [
        ("reasoning", &[][..]),
        ("reasoning_content", &[Lack::ReasoningContent]),
    ] {
        assert_eq!(
            said(turn(field), lacks),
            json!([{ "role": "assistant", "content": "so" }])
        );
    }
}

#[test]
fn ids_are_told_in_the_form_of_the_server() {
    let long = "x".repeat(50);
    let messages = vec![
        Message::assistant(vec![tool_use(&long, "read", json!({}))]),
        Message::user(vec![result(&long, false, Vec::new())]),
    ];
    for lacks in [&[][..], &[Lack::CallIds]] {
        let said = said(messages.clone(), lacks);
        let id = said[0]["tool_calls"][0]["id"].as_str().unwrap();
        assert!(
            id.len() <= 40 && (lacks.is_empty() || id.len() == 9),
            "{id}"
        );
        assert_eq!(said[1]["tool_call_id"], id);
    }
}

#[test]
fn options_are_said_in_the_words_of_the_api() {
    let mut request = with_tool();
    request.options = TurnOptions {
        tool_choice: ToolChoice::Tool("read".into()),
        one_tool_at_a_time: true,
        thinking: Some(Thinking::Adaptive),
        effort: Some(Effort::Xhigh),
        stop_sequences: vec!["END".into()],
        sampling: Sampling {
            temperature: Some(0.0),
            top_p: Some(0.5),
            top_k: Some(3),
            seed: Some(-7),
        },
        format: None,
    };
    request.extra.insert("verbosity".into(), "low".into());
    let body = built(&request, &[]);
    let function = json!({ "type": "function", "function": { "name": "read" } });
    for (key, value) in [
        ("tool_choice", function),
        ("parallel_tool_calls", json!(false)),
        ("reasoning_effort", json!("xhigh")),
        ("stop", json!(["END"])),
        ("temperature", json!(0.0)),
        ("top_p", json!(0.5)),
        ("top_k", json!(3)),
        ("seed", json!(-7)),
        ("verbosity", json!("low")),
    ] {
        assert_eq!(body[key], value, "{key}");
    }
    let tool =
        json!({ "name": "read", "description": "reads", "parameters": { "type": "object" } });
    assert_eq!(
        body["tools"],
        json!([{ "type": "function", "function": tool }])
    );

    request.options.sampling = Sampling::default();
    request.options.tool_choice = ToolChoice::Auto;
    let less = built(&request, &[Lack::ParallelToolCalls, Lack::ReasoningEffort]);
    for key in [
        "tool_choice",
        "parallel_tool_calls",
        "reasoning_effort",
        "seed",
    ] {
        assert_eq!(less.get(key), None, "{key}");
    }
    request.tools.clear();
    assert_eq!(built(&request, &[]).get("parallel_tool_calls"), None);
}

#[test]
fn every_choice_of_tools_has_its_word() {
    for (choice, said) in [(ToolChoice::Any, "required"), (ToolChoice::None, "none")] {
        let mut request = with_tool();
        request.options.tool_choice = choice;
        assert_eq!(built(&request, &[])["tool_choice"], said);
        assert!(refused(&request, &[Lack::ToolChoice]).contains("does not take `tool_choice`"));
    }
}

#[test]
fn what_is_no_mere_wish_is_refused_where_the_server_lacks_it() {
    let mut request = with_tool();
    request.options.sampling.seed = Some(1);
    assert!(refused(&request, &[Lack::Seed]).contains("`seed`"));
    request.options.sampling.top_k = Some(1);
    assert!(refused(&request, &[Lack::TopK]).contains("`top_k`"));
}

#[test]
fn thinking_is_an_effort() {
    let mut request = with_tool();
    for (thinking, effort) in [
        (Thinking::Off, json!("none")),
        (Thinking::Adaptive, Value::Null),
    ] {
        request.options.thinking = Some(thinking);
        assert_eq!(built(&request, &[])["reasoning_effort"], effort);
    }
    for thinking in [Thinking::Tokens(1024), Thinking::BetweenTools] {
        request.options.thinking = Some(thinking);
        assert!(refused(&request, &[]).contains("choose an effort"));
    }
}

#[test]
fn the_shape_of_an_answer_is_asked_for() {
    let strict = json!({ "type": "object", "properties": { "a": { "type": "array", "items": { "type": "string" } } },
        "required": ["a"], "additionalProperties": false });
    let mut loose = strict.clone();
    loose["required"] = json!([]);
    let ask = |schema: &Value, lacks: &[Lack]| {
        let mut request = with_tool();
        request.system = Some("be brief".into());
        request.options.format = Some(OutputFormat {
            name: "out".into(),
            schema: schema.clone(),
        });
        built(&request, lacks)
    };
    let wanted = json!({ "type": "json_schema", "json_schema": { "name": "out", "schema": strict, "strict": true } });
    assert_eq!(ask(&strict, &[])["response_format"], wanted);
    for (schema, lacks) in [
        (&strict, &[Lack::Strict][..]),
        (&loose, &[]),
        (&json!({ "type": "object" }), &[]),
    ] {
        let format = ask(schema, lacks)["response_format"]["json_schema"].clone();
        assert_eq!(format, json!({ "name": "out", "schema": schema }));
    }
    let told = ask(&strict, &[Lack::ResponseFormat]);
    assert_eq!(told.get("response_format"), None);
    let system = told["messages"][0]["content"].as_str().unwrap();
    assert!(
        system.starts_with("be brief\n\nAnswer with one JSON value"),
        "{system}"
    );
    assert!(system.contains(r#""required":["a"]"#), "{system}");
}
