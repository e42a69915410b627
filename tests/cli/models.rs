//! `models list` and `models check`: what is known, which key is where, and what exactly is wrong.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

use crate::cell::{Cell, Shown, golden};

/// A key that no output may show.
const KEY: &str = "sk-ant-Zx81-not-to-be-shown-Q7";

/// A server of one machine that answers every request with the same bytes.
struct Server {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn with(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Some(head) = request(&stream) {
                    seen.lock().unwrap().push(head);
                    // A client that has gone away is no failure of the server.
                    let _ = (&stream).write_all(&answer);
                }
            }
        });
        Self { url, heads }
    }

    fn head(&self) -> String {
        self.heads.lock().unwrap().first().cloned().unwrap()
    }
}

/// Reads a request to the end of its body, and gives its head.
fn request(mut stream: &TcpStream) -> Option<String> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return Some(head.to_owned());
            }
        }
        match stream.read(&mut piece).ok()? {
            0 => return None,
            count => bytes.extend(piece.iter().take(count)),
        }
    }
}

fn answer(status: u16, kind: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

/// One turn that says yes.
fn yes() -> Vec<u8> {
    let events = [
        json!({ "type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "content": [], "stop_reason": null,
            "usage": { "input_tokens": 9, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "yes" } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 2 } }),
        json!({ "type": "message_stop" }),
    ];
    let events = events.iter().map(|event| {
        let name = event["type"].as_str().unwrap();
        format!("event: {name}\ndata: {event}\n\n")
    });
    answer(200, "text/event-stream", &events.collect::<String>())
}

fn error(status: u16, kind: &str, message: &str) -> Vec<u8> {
    let body = json!({ "type": "error", "error": { "type": kind, "message": message } });
    answer(status, "application/json", &body.to_string())
}

/// A place with a key and a provider `here` at this URL.
fn cell(url: &str) -> Cell {
    let cell = Cell::empty().env("HERE_KEY", KEY);
    cell.file(
        "policy.toml",
        format!("[provider.here]\napi = \"anthropic\"\nurl = \"{url}\"\nkey = \"env:HERE_KEY\"\n"),
    );
    cell
}

fn check(cell: &Cell) -> Shown {
    let shown = cell.run(&[
        "models",
        "check",
        "here:m",
        "--policy",
        "policy.toml",
        "--json",
    ]);
    assert!(!shown.to_string().contains(KEY), "{shown}");
    shown
}

fn status(shown: &Shown) -> Value {
    shown.json()["data"]["models"][0].clone()
}

#[test]
fn the_catalog_and_the_providers_are_listed() {
    let cell = cell("http://127.0.0.1:9/v1").env("ANTHROPIC_API_KEY", KEY);
    let shown = cell
        .run(&["models", "list", "--policy", "policy.toml"])
        .exits(0);
    assert!(!shown.to_string().contains(KEY), "{shown}");
    golden!("models_list", shown);
    let json = cell.run(&["models", "list", "--json"]).exits(0).json();
    let models = json["data"]["models"].as_array().unwrap();
    let haiku = models
        .iter()
        .find(|model| model["names"][0] == "claude-haiku-5-5")
        .unwrap();
    assert_eq!(haiku["prices"][0]["up_to_prompt_tokens"], 100_000);
    assert_eq!(haiku["info"]["context_tokens"], 1_000_000);
    let providers = json["data"]["providers"].as_array().unwrap();
    assert_eq!(providers[0]["name"], "anthropic");
    assert_eq!(providers[0]["from"], "env:ANTHROPIC_API_KEY");
}

#[test]
fn a_catalog_of_ones_own_goes_over_the_embedded_one() {
    let cell = Cell::empty();
    cell.file(
        "own.json",
        r#"{"unit":"USD per million tokens","as_of":"2027-01-01","models":[
            {"names":["qwen3"],"info":{"context_tokens":32768},"prices":[{"bands":[{"input":0,"output":0}]}]}]}"#,
    );
    cell.file(
        "policy/toolcell.toml",
        "[model]\ncatalog = \"../own.json\"\n",
    );
    cell.file(
        "broken.json",
        "{\"unit\":\"EUR\",\"as_of\":\"x\",\"models\":[]}",
    );
    let named = |json: &Value| json["data"]["models"][0]["names"][0].clone();
    let by_flag = cell.run(&["models", "list", "--catalog", "own.json", "--json"]);
    assert_eq!(named(&by_flag.exits(0).json()), "qwen3");
    let by_policy = cell.run(&[
        "models",
        "list",
        "--policy",
        "policy/toolcell.toml",
        "--json",
    ]);
    assert_eq!(named(&by_policy.exits(0).json()), "qwen3");
    let by_variable = Cell::empty().env("TOOLCELL_CATALOG", "none.json");
    golden!(
        "models_catalog_wrong",
        cell.run(&["models", "list", "--catalog", "broken.json"])
            .exits(2),
        by_variable.run(&["models", "list"]).exits(1),
    );
}

#[test]
fn a_model_that_answers_is_fine() {
    let server = Server::with(yes());
    let cell = cell(&server.url);
    let shown = check(&cell).exits(0);
    assert_eq!(status(&shown)["status"], "ok");
    assert_eq!(status(&shown)["tokens"], 11);
    let head = server.head();
    assert!(head.starts_with("POST /v1/messages HTTP/1.1"), "{head}");
    assert!(
        head.contains(&format!("authorization: Bearer {KEY}")),
        "{head}"
    );
    let run = cell.run(&[
        "run",
        "task",
        "--policy",
        "policy.toml",
        "--model",
        "here:m",
    ]);
    assert!(run.exits(0).stdout.contains("yes"));
}

#[test]
fn what_is_wrong_is_told_exactly() {
    for (answer, word, code) in [
        (
            error(401, "authentication_error", &format!("no {KEY}")),
            "unauthorized",
            "auth_required",
        ),
        (
            error(403, "permission_error", "no"),
            "forbidden",
            "auth_required",
        ),
        (
            error(404, "not_found_error", "model: m"),
            "not_found",
            "invalid_input",
        ),
        (
            error(429, "rate_limit_error", "slow down"),
            "rate_limited",
            "unavailable",
        ),
        (
            error(529, "overloaded_error", "busy"),
            "overloaded",
            "unavailable",
        ),
        (
            answer(200, "text/html", "<p>Welcome"),
            "wrong_content_type",
            "unavailable",
        ),
        (answer(302, "text/html", ""), "redirect", "unavailable"),
        (b"SSH-2.0-x\r\n".to_vec(), "broke_off", "unavailable"),
    ] {
        let server = Server::with(answer);
        let shown = check(&cell(&server.url)).exits(1);
        let value = status(&shown);
        assert_eq!(
            (&value["status"], &value["code"]),
            (&json!(word), &json!(code)),
            "{shown}"
        );
        assert!(
            value["why"].is_string() && value["help"].is_string(),
            "{shown}"
        );
        assert_eq!(shown.json()["data"]["failed"], 1);
    }
}

#[test]
fn a_place_that_cannot_be_reached_is_told_by_what_is_in_the_way() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let refused = check(&cell(&format!("http://{free}"))).exits(1);
    assert_eq!(status(&refused)["status"], "refused");
    let dns = check(&cell("https://no-such-host.invalid")).exits(1);
    assert_eq!(status(&dns)["status"], "dns", "{dns}");
    // A server without TLS answers the first bytes of TLS in its own way.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in plain.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let tls = check(&cell(&format!("https://{address}"))).exits(1);
    assert_eq!(status(&tls)["status"], "tls", "{tls}");
}

#[test]
fn keys_that_are_missing_or_odd_are_told() {
    let server = Server::with(error(401, "authentication_error", "no"));
    let without = Cell::empty();
    without.file(
        "policy.toml",
        format!(
            "[provider.here]\napi = \"anthropic\"\nurl = \"{}\"\nkey = \"env:NOT_SET\"\n",
            server.url
        ),
    );
    golden!(
        "models_check",
        without
            .run(&["models", "check", "here:m", "--policy", "policy.toml"])
            .exits(1),
        Cell::empty().run(&["models", "check"]).exits(1),
        Cell::empty()
            .run(&["models", "check", "antropic:x", "claude-opus-5"])
            .exits(1),
        Cell::empty()
            .env("ANTHROPIC_API_KEY", "\"quoted-Zx81-key-value\"")
            .env("ANTHROPIC_BASE_URL", &server.url)
            .run(&["models", "check", "anthropic:m"])
            .exits(1),
    );
}

#[test]
fn the_servers_own_list_is_shown() {
    let list = json!({ "data": [
        { "id": "claude-x", "max_input_tokens": 200_000, "max_tokens": 64_000, "lifecycle": "active" },
        { "id": "claude-old\u{1b}[2J", "lifecycle": "deprecated", "retires_at": "2027-02-03T00:00:00Z" },
    ], "has_more": false });
    let server = Server::with(answer(200, "application/json", &list.to_string()));
    let cell = cell(&server.url);
    let shown = cell
        .run(&["models", "list", "--online", "--policy", "policy.toml"])
        .exits(0);
    assert!(shown.stdout.contains("here offers"), "{shown}");
    assert!(
        shown
            .stdout
            .contains("claude-x                     200K      64K"),
        "{shown}"
    );
    assert!(
        shown.stdout.contains("deprecated, goes on 2027-02-03"),
        "{shown}"
    );
    assert!(!shown.stdout.contains('\u{1b}'), "{shown}");
    assert!(
        server
            .head()
            .starts_with("GET /v1/models?limit=1000 HTTP/1.1")
    );
}

#[test]
fn a_key_goes_only_where_it_belongs() {
    let server = Server::with(yes());
    // The policy names a place and no key: that of the environment is not for it.
    let cell = Cell::empty().env("ANTHROPIC_API_KEY", KEY);
    cell.file(
        "policy.toml",
        format!(
            "[provider.here]\napi = \"anthropic\"\nurl = \"{}\"\n",
            server.url
        ),
    );
    check(&cell).exits(0);
    let head = server.head().to_lowercase();
    assert!(
        !head.contains("authorization") && !head.contains("x-api-key"),
        "{head}"
    );
    assert!(!head.contains(&KEY.to_lowercase()), "{head}");
}
