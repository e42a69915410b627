//! Who is told what runs and tools do: a collector, readers of `/metrics`, and a file.

#![allow(clippy::panic, reason = "a test stops where something is wrong")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    metrics::v1::{metric::Data, number_data_point},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use serde_json::json;

use crate::{
    cell::Cell,
    exposition::{self, sum},
    runs::script,
    searcher,
};

const RUN: &[&str] = &[
    "run",
    "look around",
    "--policy",
    "policy.toml",
    "--model",
    "scripted:turns.jsonl",
];

/// A place with a script that reads a file, is refused another, asks for a tool that is not there, and ends.
fn place() -> Cell {
    let cell = Cell::new();
    let calls = [
        ("files_read", json!({ "path": "/work/a.txt" })),
        ("files_read", json!({ "path": "/etc/passwd" })),
        ("no_such_tool", json!({})),
    ];
    cell.file(
        "turns.jsonl",
        script(&[("I look.", &calls), ("Done.", &[])]),
    );
    cell
}

/// One request that a collector heard.
#[derive(Clone, Debug)]
struct Heard {
    path: String,
    head: String,
    body: Vec<u8>,
}

/// A collector on this machine.
struct Collector {
    url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Collector {
    /// It answers with this status.
    fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let into = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let into = Arc::clone(&into);
                std::thread::spawn(move || serve(stream.unwrap(), status, &into));
            }
        });
        Self { url, heard }
    }

    /// It takes connections and never says anything.
    fn silent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut held = Vec::new();
            held.extend(listener.incoming());
        });
        Self {
            url,
            heard: Arc::default(),
        }
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    fn bodies(&self, path: &str) -> Vec<Vec<u8>> {
        let heard = self.heard();
        let of_path = heard.into_iter().filter(|it| it.path == path);
        of_path.map(|it| it.body).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let decode = |body: &Vec<u8>| ExportTraceServiceRequest::decode(&body[..]).unwrap();
        let bodies = self.bodies("/v1/traces");
        let resources = bodies.iter().flat_map(|body| decode(body).resource_spans);
        let scopes = resources.flat_map(|it| it.scope_spans);
        scopes.flat_map(|it| it.spans).collect()
    }
}

fn serve(stream: TcpStream, status: u16, into: &Mutex<Vec<Heard>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        into.lock().unwrap().push(Heard { path, head, body });
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    fn shown(value: &AnyValue) -> String {
        match value.value.as_ref().unwrap() {
            Any::StringValue(text) => text.clone(),
            Any::BoolValue(it) => it.to_string(),
            Any::IntValue(it) => it.to_string(),
            Any::DoubleValue(it) => it.to_string(),
            Any::ArrayValue(list) => {
                format!("{:?}", list.values.iter().map(shown).collect::<Vec<_>>())
            }
            other => format!("{other:?}"),
        }
    }
    let pair = |it: &KeyValue| (it.key.clone(), shown(it.value.as_ref().unwrap()));
    list.iter().map(pair).collect()
}

#[test]
fn a_collector_hears_of_a_run_its_turns_and_its_calls() {
    let (cell, collector) = (place(), Collector::answering(200));
    let shown = cell
        .run(&[RUN, &["--otlp", &collector.url]].concat())
        .exits(0);
    assert!(!shown.stderr.contains("telemetry"), "{shown}");
    let spans = collector.spans();
    check_documented(&spans);
    let named = |name: &str| {
        spans
            .iter()
            .filter(|it| it.name == name)
            .collect::<Vec<_>>()
    };
    let [run] = named("invoke_agent")[..] else {
        panic!("{spans:#?}");
    };
    assert!(run.parent_span_id.is_empty());
    assert_eq!(run.kind, SpanKind::Internal as i32);
    let (turns, calls) = (named("chat scripted"), named("execute_tool files_read"));
    assert_eq!((turns.len(), calls.len()), (2, 2), "{spans:#?}");
    for child in turns.iter().chain(&calls) {
        assert_eq!(child.parent_span_id, run.span_id, "{child:#?}");
        assert_eq!(child.trace_id, run.trace_id, "{child:#?}");
        assert!(child.start_time_unix_nano >= run.start_time_unix_nano);
        assert!(child.end_time_unix_nano <= run.end_time_unix_nano);
    }

    let of_run = attributes(&run.attributes);
    for (name, value) in [
        ("gen_ai.operation.name", "invoke_agent"),
        ("gen_ai.provider.name", "scripted"),
        ("gen_ai.request.model", "scripted"),
        ("toolcell.outcome", "finished"),
        ("toolcell.turns", "2"),
        ("toolcell.calls", "3"),
    ] {
        assert_eq!(
            of_run.get(name).map(String::as_str),
            Some(value),
            "{name}: {of_run:#?}"
        );
    }
    let of_turn = attributes(&turns[0].attributes);
    assert_eq!(turns[0].kind, SpanKind::Client as i32);
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.stream", "true"),
        ("gen_ai.response.finish_reasons", "[\"tool_use\"]"),
        ("toolcell.turn", "1"),
    ] {
        assert_eq!(
            of_turn.get(name).map(String::as_str),
            Some(value),
            "{name}: {of_turn:#?}"
        );
    }
    assert_eq!(
        of_turn["gen_ai.conversation.id"],
        of_run["gen_ai.conversation.id"]
    );
    assert!(of_turn.contains_key("gen_ai.response.time_to_first_chunk"));
    let refused = calls
        .iter()
        .find(|it| attributes(&it.attributes).contains_key("error.type"));
    let refused = refused.unwrap();
    assert_eq!(attributes(&refused.attributes)["error.type"], "denied");
    assert_eq!(
        refused.status.as_ref().unwrap().code,
        StatusCode::Error as i32
    );
}

/// Every attribute of a span is in the documentation of its kind.
fn check_documented(spans: &[Span]) {
    let known = || {
        toolcell_agent::metrics::SPANS
            .iter()
            .chain(toolcell::telemetry::SPANS)
    };
    for span in spans {
        let first = |name: &str| name.split(' ').next().unwrap().to_owned();
        let info = known().find(|it| first(it.name) == first(&span.name));
        let info = info.unwrap_or_else(|| panic!("{}", span.name));
        for name in attributes(&span.attributes).keys() {
            let documented = info.attributes.iter().any(|(known, _)| known == name);
            assert!(documented, "{} has `{name}`", span.name);
        }
    }
}

#[test]
fn what_was_said_is_told_where_that_is_wanted_and_without_credentials() {
    let key = "sk-q7Rk2mXw9TbZv4Lp8Yh3";
    let collector = Collector::answering(200);
    let cell = place().env("ANTHROPIC_API_KEY", key);
    cell.file(
        "workspace/a.txt",
        format!("the key is {key}, and ada@example.com has it\n"),
    );
    let table = format!(
        "{}\n[telemetry]\notlp = \"{}\"\ncontent = true\n\n[privacy]\ntelemetry = \"mask\"\n",
        crate::cell::POLICY,
        collector.url
    );
    cell.file("policy.toml", table);
    let shown = cell
        .run(&[RUN, &["-v", "--system", "Be brief."]].concat())
        .exits(0);
    assert!(!shown.stderr.contains("gen_ai.input.messages"), "{shown}");
    assert!(!shown.stderr.contains("otel.name"), "{shown}");
    let spans = collector.spans();
    check_documented(&spans);
    let all: Vec<_> = spans.iter().map(|it| attributes(&it.attributes)).collect();
    let of = |name: &str| {
        all.iter()
            .filter_map(|it| it.get(name))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(of("gen_ai.system_instructions")[0].contains("Be brief."));
    let asked = of("gen_ai.input.messages").pop().unwrap();
    for said in [
        "look around",
        "I look.",
        "tool_call_response",
        "[secret ANTHROPIC_API_KEY]",
    ] {
        assert!(asked.contains(said), "{said}: {asked}");
    }
    assert!(
        of("gen_ai.output.messages")
            .iter()
            .any(|it| it.contains("Done."))
    );
    assert!(
        of("gen_ai.tool.call.arguments")
            .iter()
            .any(|it| it.contains("/work/a.txt"))
    );
    assert!(
        of("gen_ai.tool.call.result")
            .iter()
            .any(|it| it.contains("the key is"))
    );
    for body in collector.bodies("/v1/traces") {
        assert_eq!(searcher::find(&body, key), None);
        assert_eq!(searcher::find(&body, "ada@example.com"), None);
    }
}

#[test]
fn nothing_that_was_said_is_told_unless_that_is_wanted() {
    let (cell, collector) = (place(), Collector::answering(200));
    cell.run(&[RUN, &["--otlp", &collector.url]].concat())
        .exits(0);
    for heard in collector.heard() {
        let text = searcher::text(&heard.body);
        for said in [
            "look around",
            "I look.",
            "/etc/passwd",
            "first\nsecond",
            "a.txt",
        ] {
            assert!(!text.contains(said), "{said:?} in {text}");
        }
    }
}

#[test]
fn a_collector_hears_the_figures_under_the_name_of_the_service() {
    let (cell, collector) = (place(), Collector::answering(200));
    let cell = cell
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .env("OTEL_RESOURCE_ATTRIBUTES", "service.name=agents,team=blue")
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-scope=team%20a,authorization=Bearer%20q7Rk2mXw9TbZqq",
        );
    let shown = cell.run(RUN).exits(0);
    assert!(!shown.stderr.contains("q7Rk2mXw9TbZqq"), "{shown}");
    let heard = collector.heard();
    assert!(
        heard
            .iter()
            .all(|it| it.head.contains("authorization: Bearer q7Rk2mXw9TbZqq")),
        "{heard:?}"
    );
    assert!(
        heard.iter().all(|it| it.head.contains("x-scope: team a")),
        "{heard:?}"
    );
    let body = collector.bodies("/v1/metrics").pop().unwrap();
    let request = ExportMetricsServiceRequest::decode(&body[..]).unwrap();
    let resource = request.resource_metrics[0].resource.as_ref().unwrap();
    let resource = attributes(&resource.attributes);
    assert_eq!(
        (resource["service.name"].as_str(), resource["team"].as_str()),
        ("agents", "blue")
    );
    let metrics: Vec<_> = request.resource_metrics[0]
        .scope_metrics
        .iter()
        .flat_map(|it| &it.metrics)
        .collect();
    let of = |name: &str| {
        metrics
            .iter()
            .find(|it| it.name == name)
            .unwrap()
            .data
            .clone()
    };
    let Some(Data::Sum(calls)) = of("toolcell.tool.calls") else {
        panic!("a sum");
    };
    let by_outcome: BTreeMap<_, _> = calls
        .data_points
        .iter()
        .map(|it| {
            let Some(number_data_point::Value::AsInt(value)) = it.value else {
                panic!("{it:?}");
            };
            let labels = attributes(&it.attributes);
            (
                (
                    labels["gen_ai.tool.name"].clone(),
                    labels["toolcell.outcome"].clone(),
                ),
                value,
            )
        })
        .collect();
    let key = |tool: &str, outcome: &str| (tool.to_owned(), outcome.to_owned());
    assert_eq!(by_outcome[&key("files_read", "ok")], 1);
    assert_eq!(by_outcome[&key("files_read", "denied")], 1);
    // What is not there was refused before the host heard of it.
    assert_eq!(by_outcome.len(), 2, "{by_outcome:?}");
    let Some(Data::Histogram(turns)) = of("gen_ai.client.operation.duration") else {
        panic!("a histogram");
    };
    assert_eq!(turns.data_points[0].count, 2);
}

/// T1: what must not leave stands in every text that a span has.
#[test]
fn no_credential_reaches_a_collector() {
    let key = format!("sk-{}", "q7Rk2mXw9TbZv4Lp8Yh3");
    let place = |known: bool| {
        let cell = Cell::new();
        let call = |name: String| json!({ "type": "tool_use", "id": format!("id-{key}"), "name": name, "input": {} });
        let turns = [
            json!({ "content": [call(format!("tool-{key}"))], "stop_reason": "tool_use",
                    "id": format!("msg-{key}"), "model": format!("model-{key}") }),
            json!({ "content": "Done.", "stop_reason": "end_turn" }),
        ];
        let lines: Vec<String> = turns.iter().map(ToString::to_string).collect();
        cell.file("turns.jsonl", lines.join("\n"));
        match known {
            true => cell.env("ANTHROPIC_API_KEY", &key),
            false => cell,
        }
    };
    let leaked = |known: bool| {
        let collector = Collector::answering(200);
        let cell = place(known).env("OTEL_RESOURCE_ATTRIBUTES", &format!("team=t-{key}"));
        let shown =
            cell.run(&[RUN, &["--otlp", &collector.url, "--metrics-file", "m.prom"]].concat());
        let heard = collector.heard();
        assert!(heard.iter().any(|it| it.path == "/v1/traces"), "{shown}");
        assert!(heard.iter().any(|it| it.path == "/v1/metrics"), "{shown}");
        let mut all: Vec<u8> = heard.into_iter().flat_map(|it| it.body).collect();
        all.extend(fs::read(cell.path("m.prom")).unwrap());
        searcher::find(&all, &key)
    };
    assert_eq!(leaked(true), None);
    // What nobody named is no secret to anybody, and shows that the places are the right ones.
    assert!(leaked(false).is_some());
}

#[test]
fn a_header_with_a_credential_comes_from_where_the_policy_says() {
    let (cell, collector) = (place(), Collector::answering(200));
    let token = "v4Lp8Yh3q7Rk2mXw";
    cell.file("token", format!("{token}\n"));
    fs::set_permissions(cell.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
    let table = format!(
        "{}\n[telemetry]\notlp = \"{}\"\nheaders = {{ authorization = \"Bearer file:token\" }}\n",
        crate::cell::POLICY,
        collector.url
    );
    cell.file("policy.toml", table);
    // What the environment holds for another collector is nothing to this one.
    let cell = cell.env("OTEL_EXPORTER_OTLP_HEADERS", "x-other=k3J9x2Qq");
    cell.run(RUN).exits(0);
    let heard = collector.heard();
    assert!(
        heard
            .iter()
            .all(|it| it.head.contains(&format!("Bearer {token}"))),
        "{heard:?}"
    );
    assert!(
        heard.iter().all(|it| !it.head.contains("x-other")),
        "{heard:?}"
    );
    fs::remove_file(cell.path("token")).unwrap();
    let shown = cell.run(RUN);
    assert_eq!(shown.status, Some(1), "{shown}");
    assert!(shown.stderr.contains("authorization"), "{shown}");

    let table = format!(
        "{}\n[telemetry]\notlp = \"http://192.0.2.1\"\nheaders = {{ authorization = \"env:HOME\" }}\n",
        crate::cell::POLICY
    );
    cell.file("policy.toml", table);
    let shown = cell.run(RUN);
    assert!(shown.stderr.contains("in the clear"), "{shown}");
}

#[test]
fn a_collector_that_is_dead_neither_fails_a_run_nor_holds_it_up() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let silent = Collector::silent();
    let refusing = Collector::answering(403);
    for (url, says) in [
        (nobody.as_str(), "cannot be connected to"),
        (
            silent.url.as_str(),
            "did not take the last export within 3 s",
        ),
        (refusing.url.as_str(), "answers with status 403"),
    ] {
        let began = Instant::now();
        let shown = place().run(&[RUN, &["--otlp", url]].concat()).exits(0);
        assert_eq!(
            shown.stderr.matches("note: telemetry").count(),
            1,
            "{shown}"
        );
        assert!(shown.stderr.contains(says), "{says}: {shown}");
        // A generous bound: the flush is three seconds, and everything else is the machine's.
        assert!(began.elapsed() < Duration::from_secs(60), "{shown}");
    }
}

#[test]
fn the_metrics_of_commands_add_up_in_a_file() {
    let cell = place();
    let read = || exposition::check(&fs::read_to_string(cell.path("m.prom")).unwrap());
    let calls = |samples: &exposition::Samples| {
        sum(
            samples,
            "toolcell_tool_calls_total",
            &[("gen_ai_tool_name", "files_read")],
        )
    };
    cell.run(&[RUN, &["--metrics-file", "m.prom"]].concat())
        .exits(0);
    let once = read();
    assert_eq!(calls(&once), 2.0);
    cell.run(&[RUN, &["--metrics-file", "m.prom"]].concat())
        .exits(0);
    let arguments = [
        "call",
        "files_read",
        r#"{"path":"/work/a.txt"}"#,
        "--policy",
        "policy.toml",
    ];
    cell.run(&[&arguments[..], &["--metrics-file", "m.prom"]].concat())
        .exits(0);
    let all = read();
    assert_eq!(calls(&all), 5.0);
    assert_eq!(
        sum(
            &all,
            "toolcell_runs_total",
            &[("toolcell_outcome", "finished")]
        ),
        2.0
    );
    assert_eq!(
        sum(&all, "gen_ai_client_operation_duration_seconds_count", &[]),
        4.0
    );

    cell.file("other.prom", "no metrics\n");
    let shown = cell
        .run(&[RUN, &["--metrics-file", "other.prom"]].concat())
        .exits(0);
    assert!(shown.stderr.contains("toolcell did not write"), "{shown}");
    assert_eq!(
        fs::read_to_string(cell.path("other.prom")).unwrap(),
        "no metrics\n"
    );
}

#[test]
fn metrics_are_read_over_a_socket_while_tools_are_served() {
    let cell = place();
    let arguments = [
        "serve",
        "--stdio",
        "--policy",
        "policy.toml",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut server = cell.start_in_background(&arguments);
    let mut said = BufReader::new(server.stderr.take().unwrap()).lines();
    let line = said
        .find(|line| line.as_ref().unwrap().contains("/metrics"))
        .unwrap()
        .unwrap();
    let url = line.split("http://").nth(1).unwrap();
    let (address, _) = url.split_once('/').unwrap();
    // It answers when its tools are there.
    let asked = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let mut input = server.stdin.take().unwrap();
    writeln!(input, "{asked}").unwrap();
    let mut answered = String::new();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    output.read_line(&mut answered).unwrap();
    let get = |host: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = get(address);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let samples = exposition::check(body);
    assert_eq!(sum(&samples, "toolcell_admission_waiting", &[]), 0.0);
    assert!(
        samples
            .keys()
            .any(|(name, _)| name == "toolcell_admission_waiting"),
        "{body}"
    );
    assert!(get("rebound.example").starts_with("HTTP/1.1 421 "));
    drop(input);
    server.wait().unwrap();
}

#[test]
fn an_address_that_cannot_be_used_is_told_before_anything_runs() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (flags, says) in [
        (["--listen", taken.as_str()], "cannot listen on"),
        (["--listen", "everywhere"], "--listen is no address"),
        (
            ["--otlp", "collector:4318"],
            "--otlp does not begin with http",
        ),
    ] {
        let shown = place().run(&[RUN, &flags].concat());
        assert_ne!(shown.status, Some(0), "{shown}");
        assert!(shown.stderr.contains(says), "{says}: {shown}");
        assert!(!shown.stdout.contains("I look."), "{shown}");
    }
}

#[test]
fn no_trace_context_goes_to_a_model() {
    let (cell, collector) = (place(), Collector::answering(200));
    let model = Collector::answering(503);
    let cell = cell
        .env("ANTHROPIC_API_KEY", "sk-q7Rk2mXw9TbZv4Lp8Yh3")
        .env("ANTHROPIC_BASE_URL", &model.url);
    let arguments = [
        "run",
        "t",
        "--policy",
        "policy.toml",
        "--model",
        "anthropic:m",
        "--max-time",
        "3s",
    ];
    cell.run(&[&arguments[..], &["--otlp", &collector.url]].concat());
    let heard = model.heard();
    assert!(!heard.is_empty());
    for request in heard {
        let head = request.head.to_lowercase();
        assert!(
            !head.contains("traceparent") && !head.contains("baggage"),
            "{head}"
        );
    }
}
