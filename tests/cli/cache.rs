//! Kept answers of models: a second identical run asks nobody, and says what that saved.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use crate::{
    cell::{Cell, Shown},
    redis::RedisServer,
};

const POLICY: &str = "[tool.files]\nfrom = \"builtin:files\"\nfiles = [{ host = \"workspace\", guest = \"/work\", access = \"read\" }]\n";

/// A server of the Messages API on this machine's loopback, which counts how often it is asked.
struct Api {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Api {
    /// One that has a file read first, and then is done.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<AtomicUsize> = Arc::default();
        let counted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                answer(&stream);
            }
        });
        Self { url, asked }
    }

    fn times(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A place whose runs ask it, with one tool: each directory for caches is a new one, where tools are compiled anew.
    fn cell(&self) -> Cell {
        let cell = Cell::new();
        cell.file("policy.toml", POLICY);
        cell.env("ANTHROPIC_API_KEY", "sk-test-not-shown")
            .env("ANTHROPIC_BASE_URL", &self.url)
    }
}

fn answer(mut stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let request: Value = serde_json::from_slice(&body).unwrap();
    let block = if request.to_string().contains("tool_result") {
        json!({ "type": "text", "text": "It says first." })
    } else {
        json!({ "type": "tool_use", "id": "toolu_1", "name": "files_read", "input": { "path": "/work/a.txt" } })
    };
    let body = events(block);
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream";
    let _ = write!(
        stream,
        "{head}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
}

/// A turn of one block, as events.
fn events(block: Value) -> String {
    let reason = if block["type"] == "text" {
        "end_turn"
    } else {
        "tool_use"
    };
    let usage = json!({ "input_tokens": 1000, "output_tokens": 1 });
    let events = [
        json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant",
            "model": "m", "content": [], "stop_reason": null, "usage": usage } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": reason }, "usage": { "output_tokens": 100 } }),
        json!({ "type": "message_stop" }),
    ];
    let line = |event: &Value| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        )
    };
    events.iter().map(line).collect()
}

fn run(cell: &Cell, more: &[&str]) -> Shown {
    let run = ["run", "what does it say?", "--policy", "policy.toml"];
    cell.run(&[&run, more].concat())
}

/// The counts of one store.
fn stats(cell: &Cell, store: &str) -> Value {
    let shown = cell.run(&[
        "cache",
        "stats",
        "--cache",
        store,
        "--policy",
        "policy.toml",
        "--json",
    ]);
    shown.exits(0).json()["data"]["stores"][0].clone()
}

/// Two identical runs; the second asks nobody, and costs nothing.
fn twice(cell: &Cell, api: &Api, store: &str) {
    let first = run(cell, &["--cache", store, "--json"]).exits(0).json();
    assert_eq!(
        (api.times(), &first["data"]["cache"]["misses"]),
        (2, &json!(2))
    );
    // 2,000 tokens in and 200 out at 2 and 10 dollars a million.
    assert_eq!(first["data"]["report"]["spent"]["cost_micro_usd"], 6000);
    let second = run(cell, &["--cache", store, "--json"]).exits(0).json();
    assert_eq!(api.times(), 2, "nobody was asked");
    let report = &second["data"]["report"];
    assert_eq!(report["text"], "It says first.");
    assert_eq!(
        (
            &report["spent"]["turns"],
            &report["spent"]["cost_micro_usd"]
        ),
        (&json!(2), &json!(0))
    );
    assert_eq!(report["spent"]["prompt_tokens"], 0);
    assert_eq!(
        second["data"]["calls"].as_array().unwrap().len(),
        1,
        "tools run all the same"
    );
    let stats = stats(cell, store);
    assert_eq!(
        (&stats["counts"]["hits"], &stats["counts"]["misses"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        (&stats["counts"]["saved_micro_usd"], &stats["hit_rate"]),
        (&json!(6000), &json!(0.5))
    );
    assert_eq!(stats["entries"], 2);
    let told = run(cell, &["--cache", store]).exits(0);
    assert!(
        told.stderr
            .contains("2 turns from the cache, which saved 0.0060 USD"),
        "{told}"
    );
}

#[test]
fn a_second_identical_run_is_answered_from_the_disk() {
    let (api, cache) = (Api::start(), tempfile::tempdir().unwrap());
    let dir = cache.path().join("own").display().to_string();
    let cell = api.cell().env("TOOLCELL_CACHE_DIR", &dir);
    twice(&cell, &api, "disk");
    let shown = cell
        .run(&["cache", "stats", "--policy", "policy.toml"])
        .exits(0);
    for says in [
        "answers are not kept here",
        "disk",
        "2 answers in",
        "found 4 of 6 (66.7 %)",
        "0.0120 USD",
    ] {
        assert!(shown.stdout.contains(says), "{says}: {shown}");
    }
    let path = cell
        .run(&[
            "cache",
            "path",
            "--cache",
            "disk",
            "--policy",
            "policy.toml",
        ])
        .exits(0);
    assert!(path.stdout.contains("own/replies.redb"), "{path}");

    // A damaged file is told, put aside, and no obstacle.
    fs::write(cache.path().join("own/replies.redb"), "no database").unwrap();
    let told = run(&cell, &["--cache", "disk"]).exits(0);
    assert!(
        told.stderr
            .contains("note: the cache file was damaged; it is now"),
        "{told}"
    );
    assert!(cache.path().join("own/replies.redb.damaged").exists());
    assert_eq!(
        (api.times(), stats(&cell, "disk")["entries"].clone()),
        (4, json!(2))
    );
    let cleared = cell
        .run(&[
            "cache",
            "clear",
            "--cache",
            "disk",
            "--policy",
            "policy.toml",
        ])
        .exits(0);
    assert!(
        cleared.stdout.contains("2 answers removed from"),
        "{cleared}"
    );
    assert_eq!(stats(&cell, "disk")["counts"]["hits"], 0);
}

#[test]
fn a_second_identical_run_is_answered_from_redis() {
    let Some(mut server) = RedisServer::start(&[]) else {
        return;
    };
    let api = Api::start();
    let cell = api.cell();
    twice(&cell, &api, &server.url());
    // Another host with the same policy has the same answers.
    let other = api.cell();
    let told = run(&other, &["--cache", &server.url(), "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (api.times(), &told["data"]["cache"]["hits"]),
        (2, &json!(2))
    );
    server.kill();
    let told = run(&cell, &["--cache", &server.url()]).exits(0);
    let notes = told.stderr.matches("note: the Redis server").count();
    assert_eq!((api.times(), notes), (4, 1), "{told}");
}

/// The memory of a process ends with it, and says so: what it was good for is counted for all of them.
#[test]
fn memory_is_of_one_process_and_its_counts_are_of_all() {
    let api = Api::start();
    let cell = api.cell();
    for _ in 0..2 {
        run(&cell, &["--cache", "memory"]).exits(0);
    }
    assert_eq!(api.times(), 4);
    let stats = stats(&cell, "memory");
    assert_eq!(
        (&stats["counts"]["misses"], &stats["counts"]["kept"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(
        (&stats["entries"], &stats["place"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn nothing_is_kept_unless_the_operator_says_so() {
    let api = Api::start();
    let cell = api.cell();
    for _ in 0..2 {
        let told = run(&cell, &["--json"]).exits(0).json();
        assert_eq!(told["data"]["cache"], Value::Null);
    }
    assert_eq!(api.times(), 4);
    // The flag is stronger than the policy.
    let dir = cell.path("kept").display().to_string();
    let cell = cell.env("TOOLCELL_CACHE_DIR", &dir);
    let policy = fs::read_to_string(cell.path("policy.toml")).unwrap();
    cell.file(
        "policy.toml",
        policy + "[cache]\nstore = \"disk\"\nttl = \"1h\"\n",
    );
    for _ in 0..2 {
        run(&cell, &[]).exits(0);
    }
    assert_eq!(api.times(), 6);
    run(&cell, &["--cache", "off"]).exits(0);
    assert_eq!(api.times(), 8);
}

#[test]
fn personal_data_keeps_an_answer_out_of_the_cache_where_the_policy_says_so() {
    let api = Api::start();
    let dir = tempfile::tempdir().unwrap();
    let cell = api
        .cell()
        .env("TOOLCELL_CACHE_DIR", &dir.path().display().to_string());
    let policy = fs::read_to_string(cell.path("policy.toml")).unwrap();
    let rules = "[[rule]]\nkind = \"what-it-says\"\ndescription = \"d\"\nregex = 'says first'\n";
    cell.file("rules.toml", rules);
    let privacy =
        "[privacy]\ncache = \"mask\"\nkinds = [\"what-it-says\"]\nrules = \"rules.toml\"\n";
    cell.file("policy.toml", policy + privacy);
    for _ in 0..2 {
        run(&cell, &["--cache", "disk"]).exits(0);
    }
    assert_eq!(
        api.times(),
        3,
        "the first turn is kept, and the second is not"
    );
    assert_eq!(stats(&cell, "disk")["counts"]["not_kept"], 2);
}

#[test]
fn what_is_no_store_is_told_and_a_password_is_not() {
    let cell = Cell::new();
    for store in [
        "on",
        "redis://u:s3cret-b4tt3ry@h/#insecure",
        "redis://u:s3cret-b4tt3ry@",
    ] {
        let told = run(&cell, &["--cache", store, "--model", "scripted:x"]).exits(2);
        assert!(!told.stderr.contains("s3cret"), "{told}");
    }
    let cell = Cell::new().env("TOOLCELL_CACHE", "redis://u:s3cret-b4tt3ry@127.0.0.1:1");
    let doctor = cell.run(&["doctor"]);
    assert!(!doctor.to_string().contains("s3cret"), "{doctor}");
    let stats = cell
        .run(&["cache", "stats", "--policy", "policy.toml"])
        .exits(1);
    assert!(
        stats
            .stderr
            .contains("the Redis server redis://127.0.0.1:1 cannot be used"),
        "{stats}"
    );
    assert!(!stats.to_string().contains("s3cret"), "{stats}");
    let path = cell
        .run(&["cache", "path", "--policy", "policy.toml"])
        .exits(0);
    assert_eq!(path.stdout, "redis   redis://127.0.0.1:1\n");
}

fn pem(kind: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
}

/// Over TLS, with an authority of one's own, a password, and a key that all hosts share.
#[test]
fn a_server_is_reached_over_tls_with_what_the_policy_names() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(file("cert.pem"), pem("CERTIFICATE", signed.cert.der())).unwrap();
    fs::write(
        file("key.pem"),
        pem("PRIVATE KEY", &signed.signing_key.serialize_der()),
    )
    .unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    let arguments = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &cert,
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "s3cret-b4tt3ry",
    ];
    let Some(_server) = RedisServer::start(&arguments) else {
        return;
    };
    let api = Api::start();
    let cell = api
        .cell()
        .env("PW", "s3cret-b4tt3ry")
        .env("SHARED", "k3y-b4tt3ry-0x");
    let policy = fs::read_to_string(cell.path("policy.toml")).unwrap();
    let cache = format!(
        "[cache]\nstore = \"rediss://localhost:{port}\"\npassword = \"env:PW\"\nkey = \"env:SHARED\"\n"
    );
    let with = |more: &str| cell.file("policy.toml", format!("{policy}{cache}{more}"));
    with(&format!("ca = \"{cert}\"\n"));
    for _ in 0..2 {
        let told = run(&cell, &[]).exits(0);
        assert!(!told.stderr.contains("note:"), "{told}");
    }
    assert_eq!(api.times(), 2);
    // A server that nobody vouches for is not spoken to.
    with("");
    let told = run(&cell, &[]).exits(0);
    assert!(
        told.stderr
            .contains("note: the Redis server rediss://localhost"),
        "{told}"
    );
    assert!(
        !told.to_string().contains("s3cret") && api.times() == 4,
        "{told}"
    );
}
