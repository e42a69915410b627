//! `run` against servers that speak the two APIs: a run is written down in the same way.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::cell::{Cell, Shown};

/// A request as it came.
#[derive(Clone, Debug, Default)]
struct Asked {
    /// The first line and the headers, in small letters.
    head: String,
    body: Value,
}

/// A server that answers each request with the next of these, and then always with the last.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = Arc::clone(&asked);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let request = read(&stream);
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request);
                    seen.len() - 1
                };
                let answer = &answers[number.min(answers.len() - 1)];
                // A client that has gone away is no failure of the server.
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    Asked {
        head,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

fn answer(status: u16, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A turn of chat completions: a text, and perhaps a call.
fn chat(text: &str, call: Option<(&str, &Value)>) -> String {
    let chunk = |delta: Value, finish: Option<&str>| {
        json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-6",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
    };
    let mut chunks = vec![
        chunk(json!({ "role": "assistant", "content": "" }), None),
        chunk(json!({ "content": text }), None),
    ];
    if let Some((name, input)) = call {
        let function = json!({ "name": name, "arguments": input.to_string() });
        let call = json!({ "index": 0, "id": "call_a", "type": "function", "function": function });
        chunks.push(chunk(json!({ "tool_calls": [call] }), None));
    }
    chunks.push(chunk(
        json!({}),
        Some(call.map_or("stop", |_| "tool_calls")),
    ));
    let usage = json!({ "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13 });
    chunks.push(json!({ "id": "chatcmpl-1", "choices": [], "usage": usage }));
    let events = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    let body: String = events.chain(["data: [DONE]\n\n".to_owned()]).collect();
    answer(200, "text/event-stream", &body)
}

/// The same turn of the Messages API.
fn message(text: &str, call: Option<(&str, &Value)>) -> String {
    let mut events = vec![
        json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant",
            "model": "m", "content": [], "stop_reason": null, "usage": { "input_tokens": 9, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
        json!({ "type": "content_block_stop", "index": 0 }),
    ];
    if let Some((name, input)) = call {
        let block = json!({ "type": "tool_use", "id": "call_a", "name": name, "input": {} });
        let delta = json!({ "type": "input_json_delta", "partial_json": input.to_string() });
        events.extend([
            json!({ "type": "content_block_start", "index": 1, "content_block": block }),
            json!({ "type": "content_block_delta", "index": 1, "delta": delta }),
            json!({ "type": "content_block_stop", "index": 1 }),
        ]);
    }
    let stop = call.map_or("end_turn", |_| "tool_use");
    events.push(json!({ "type": "message_delta", "delta": { "stop_reason": stop }, "usage": { "output_tokens": 4 } }));
    events.push(json!({ "type": "message_stop" }));
    let events = events.iter().map(|event| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        )
    });
    answer(200, "text/event-stream", &events.collect::<String>())
}

const RUN: &[&str] = &[
    "run",
    "look around",
    "--policy",
    "policy.toml",
    "--transcript",
    "run.jsonl",
];

/// The records of the transcript.
fn records(cell: &Cell) -> Vec<Value> {
    let text = fs::read_to_string(cell.path("run.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A run of two turns and one call, and what was written of it.
fn ran(
    turn: fn(&str, Option<(&str, &Value)>) -> String,
    variables: [&str; 2],
    model: &str,
    path: &str,
) -> (Vec<Asked>, Vec<Value>) {
    let input = json!({ "path": "/work/a.txt" });
    let server = Server::start(vec![
        turn("I look.", Some(("files_read", &input))),
        turn("Done.", None),
    ]);
    let cell = Cell::new()
        .env(variables[0], "sk-test-not-shown")
        .env(variables[1], &format!("{}{path}", server.url))
        .env("OPENAI_ORG_ID", "org-1");
    let shown = cell.run(&[RUN, &["--model", model]].concat()).exits(0);
    assert!(
        shown.stdout.contains("Done.") || shown.stderr.contains("Done."),
        "{shown}"
    );
    assert!(!shown.to_string().contains("sk-test"), "{shown}");
    (server.asked(), records(&cell))
}

const OPENAI: [&str; 2] = ["OPENAI_API_KEY", "OPENAI_BASE_URL"];
const ANTHROPIC: [&str; 2] = ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"];

/// The kind of each value, by its path.
type Kinds = BTreeMap<String, &'static str>;

/// The fields of a value and the kinds of their values, of objects in it too.
fn shape(value: &Value, path: &str, into: &mut Kinds) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(list) => {
            list.iter()
                .for_each(|item| shape(item, &format!("{path}[]"), into));
            "list"
        }
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(key, value)| shape(value, &format!("{path}.{key}"), into));
            "object"
        }
    };
    into.insert(path.to_owned(), kind);
}

/// What an API says besides, and the other does not.
const EXTRAS: [&str; 7] = [
    ".id",
    ".model",
    ".object",
    ".type",
    ".role",
    ".created",
    ".total_tokens",
];

#[test]
fn a_run_is_written_in_the_same_way_whoever_answers() {
    let (_, openai) = ran(chat, OPENAI, "openai:test", "/v1");
    let (_, anthropic) = ran(message, ANTHROPIC, "anthropic:test", "");
    let types = |records: &[Value]| {
        records
            .iter()
            .map(|it| it["type"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(types(&openai), types(&anthropic));
    for (openai, anthropic) in openai.iter().zip(&anthropic) {
        let kinds = |record: &Value| {
            let mut kinds = BTreeMap::new();
            shape(record, "", &mut kinds);
            // A record's own type is one of its fields; a reply's is an extra. Only one API has prompts marked for a cache.
            kinds.remove(".run.settings.context.cache");
            kinds.retain(|path, _| {
                path == ".type"
                    || !EXTRAS.iter().any(|extra| {
                        path.starts_with(&format!(".reply{extra}"))
                            || path == &format!(".reply.usage{extra}")
                    })
            });
            kinds
        };
        let (openai, anthropic) = (kinds(openai), kinds(anthropic));
        let lacks = |all: &Kinds, other: &Kinds| {
            let mut lacks = other.clone();
            lacks.retain(|path, kind| all.get(path) != Some(kind));
            lacks
        };
        assert_eq!(lacks(&openai, &anthropic), BTreeMap::new());
        assert_eq!(lacks(&anthropic, &openai), BTreeMap::new());
    }
}

#[test]
fn a_server_is_asked_as_its_api_wants_it() {
    let (asked, records) = ran(chat, OPENAI, "openai:test", "/v1");
    assert!(
        asked[0]
            .head
            .starts_with("post /v1/chat/completions http/1.1"),
        "{}",
        asked[0].head
    );
    assert!(
        asked[0]
            .head
            .contains("authorization: bearer sk-test-not-shown"),
        "{}",
        asked[0].head
    );
    assert!(
        asked[0].head.contains("openai-organization: org-1"),
        "{}",
        asked[0].head
    );
    let messages = asked[1].body["messages"].as_array().unwrap();
    let roles: Vec<_> = messages
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "tool"]);
    assert_eq!(
        messages[1]["tool_calls"][0]["function"]["name"],
        "files_read"
    );
    assert_eq!(messages[2]["tool_call_id"], "call_a");
    assert!(
        messages[2]["content"].as_str().unwrap().contains("first"),
        "{}",
        messages[2]
    );
    assert!(!serde_json::to_string(&records).unwrap().contains("sk-test"));
}

/// The answer of one turn, as JSON.
fn answered(text: &str, flags: &[&str]) -> (Shown, Vec<Asked>) {
    let server = Server::start(vec![chat(text, None)]);
    let cell = Cell::new()
        .env(OPENAI[0], "sk-test-not-shown")
        .env(OPENAI[1], &format!("{}/v1", server.url));
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"], "additionalProperties": false });
    cell.file("answer shape.json", schema.to_string());
    cell.file("broken.json", "{\"type\": 5}");
    let shown = cell.run(&[RUN, &["--model", "openai:gpt-6", "--json"], flags].concat());
    (shown, server.asked())
}

#[test]
fn flags_say_how_a_turn_is_wanted() {
    let flags = [
        "--effort",
        "low",
        "--thinking",
        "adaptive",
        "--tool-choice",
        "tool:files_read",
        "--no-parallel-tools",
        "--max-output",
        "77",
        "--temperature",
        "0.5",
        "--top-p",
        "0.9",
        "--top-k",
        "3",
        "--seed",
        "-1",
        "--stop",
        "END",
    ];
    let (shown, asked) = answered("x", &flags);
    shown.exits(0);
    let body = &asked[0].body;
    for (key, value) in [
        ("reasoning_effort", json!("low")),
        (
            "tool_choice",
            json!({ "type": "function", "function": { "name": "files_read" } }),
        ),
        ("parallel_tool_calls", json!(false)),
        ("max_tokens", json!(77)),
        ("temperature", json!(0.5)),
        ("top_p", json!(0.9)),
        ("top_k", json!(3)),
        ("seed", json!(-1)),
        ("stop", json!(["END"])),
    ] {
        assert_eq!(body[key], value, "{key}: {body}");
    }
}

#[test]
fn an_answer_fits_its_schema_or_is_an_error() {
    let flags = ["--schema", "answer shape.json"];
    let (shown, asked) = answered(r#" {"n": 5} "#, &flags);
    let json = shown.exits(0).json();
    assert_eq!(json["data"]["structured"], json!({ "n": 5 }));
    let format = &asked[0].body["response_format"];
    assert_eq!(format["json_schema"]["name"], "answer_shape");
    assert_eq!(format["json_schema"]["strict"], true);
    for (text, why) in [(r#"{"n": "five"}"#, "/n"), ("five", "it is no JSON")] {
        let (shown, _) = answered(text, &flags);
        let json = shown.json();
        assert_eq!(json["error"]["code"], "invalid_output", "{json}");
        assert!(
            json["error"]["message"].as_str().unwrap().contains(why),
            "{json}"
        );
        assert_eq!(json["data"]["report"]["text"], text);
    }
}

#[test]
fn flags_that_cannot_be_are_told_before_anything_is_sent() {
    for (flags, why) in [
        (&["--effort", "much"][..], "much"),
        (&["--thinking", "deep"], "or a number of tokens"),
        (&["--thinking", "16000"], "leave none for the answer"),
        (&["--tool-choice", "tool:"], "for example `tool:files_read`"),
        (&["--temperature", "-1"], "0.7"),
        (&["--max-output", "0"], "0"),
        (
            &["--schema", "broken.json"],
            "broken.json is no JSON Schema",
        ),
        (&["--schema", "none.json"], "none.json"),
    ] {
        let (shown, asked) = answered("x", flags);
        assert!(shown.to_string().contains(why), "{flags:?}: {shown}");
        assert!(asked.is_empty(), "{flags:?}");
    }
}

/// What its server does not know is written into the policy, in the words that the error gives.
#[test]
fn an_error_says_what_to_write_into_the_policy() {
    let refusal = json!({ "error": { "message": "Unrecognized request argument supplied: stream_options",
        "type": "invalid_request_error", "param": null, "code": null } });
    let server = Server::start(vec![
        answer(400, "application/json", &refusal.to_string()),
        chat("Done.", None),
    ]);
    let cell = Cell::new();
    let table = |lacks: &str| {
        format!(
            "\n[provider.local]\napi = \"openai\"\nurl = \"{}/v1\"\n{lacks}\n",
            server.url
        )
    };
    let policy = fs::read_to_string(cell.path("policy.toml")).unwrap();
    cell.file("policy.toml", format!("{policy}{}", table("")));
    let run = [
        "run",
        "hi",
        "--policy",
        "policy.toml",
        "--model",
        "local:qwen3",
    ];
    let shown = cell.run(&run);
    let (_, rest) = shown
        .stderr
        .split_once("[provider] table needs ")
        .expect("the help names a line");
    let (line, _) = rest.split_once(')').unwrap();
    cell.file("policy.toml", format!("{policy}{}", table(line)));
    cell.run(&run).exits(0);
    let asked = server.asked();
    assert!(asked[0].body.get("stream_options").is_some());
    assert_eq!(asked[1].body.get("stream_options"), None);
    assert!(
        !asked[1].head.contains("authorization"),
        "{}",
        asked[1].head
    );
}
