//! The MCP server, line by line, as a client that was written by somebody else sees it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

mod common;

use std::time::Duration;

use common::{builder, guest};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf},
    task::JoinHandle,
};
use toolcell::{Isolation, Policy, ToolHost};
use toolcell_mcp::{Error, Options, serve};

/// A host with a policy and some guests.
async fn host(policy: &str, guests: &[&str]) -> ToolHost {
    let host = builder(Isolation::Thread)
        .policy(Policy::from_toml(policy).unwrap())
        .build()
        .unwrap();
    for name in guests {
        host.load_file(guest(name)).await.unwrap();
    }
    host
}

/// A client that writes and reads JSON lines.
struct Client {
    input: WriteHalf<DuplexStream>,
    output: tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>,
    server: JoinHandle<Result<(), Error>>,
    modern: bool,
    capabilities: Value,
}

impl Client {
    /// A client that has sent nothing yet.
    async fn new(modern: bool) -> Self {
        let policy =
            "[tool.spin]\nlimits = { cpu = \"50ms\" }\n[tool.env]\nenv = { GREETING = \"hi\" }\n";
        let guests = ["spin", "answers", "progress", "stdout", "env"];
        Self::of(host(policy, &guests).await, modern)
    }

    /// A connection to a host.
    fn of(host: ToolHost, modern: bool) -> Self {
        Self::waiting(host, modern, None)
    }

    /// The same, where a person has so long to answer.
    fn waiting(host: ToolHost, modern: bool, answer_wait: Option<Duration>) -> Self {
        let options = Options {
            instructions: Some("try these".into()),
            answer_wait,
        };
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (read, write) = tokio::io::split(theirs);
        let server = tokio::spawn(serve(host, options, read, write));
        let (read, write) = tokio::io::split(ours);
        Self {
            input: write,
            output: BufReader::new(read).lines(),
            server,
            modern,
            capabilities: json!({}),
        }
    }

    /// A client that has begun, in one of the protocol's two lives.
    async fn begun(modern: bool) -> Self {
        Self::new(modern).await.begin().await
    }

    async fn begin(self) -> Self {
        let mut client = self;
        if !client.modern {
            let params = json!({
                "protocolVersion": "2025-11-25", "capabilities": client.capabilities,
                "clientInfo": { "name": "test", "version": "0" },
            });
            client.ask("begin", "initialize", params).await;
            client
                .send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
                .await;
        }
        client
    }

    async fn send(&mut self, message: &Value) {
        self.input
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }

    async fn request(&mut self, id: &str, method: &str, mut params: Value) {
        if self.modern {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
                self.capabilities.clone();
            params["_meta"]["io.modelcontextprotocol/clientInfo"] =
                json!({ "name": "test", "version": "0" });
        }
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await;
    }

    async fn read(&mut self) -> Value {
        let line = self
            .output
            .next_line()
            .await
            .unwrap()
            .expect("the server is there");
        serde_json::from_str(&line).expect("every line is a message")
    }

    /// Sends a request and reads its answer.
    async fn ask(&mut self, id: &str, method: &str, params: Value) -> Value {
        self.request(id, method, params).await;
        let answer = self.read().await;
        assert_eq!(answer["id"], json!(id), "{answer}");
        answer
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask(
            "call",
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
        .await
    }
}

#[tokio::test]
async fn an_older_client_begins_with_initialize() {
    let mut client = Client::new(false).await;
    let params = json!({
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "0" },
    });
    let answer = client.ask("1", "initialize", params).await;
    let result = &answer["result"];
    assert_eq!(result["protocolVersion"], "2025-06-18");
    assert_eq!(result["serverInfo"]["name"], "toolcell");
    assert_eq!(result["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(result["capabilities"], json!({ "tools": {} }));
    assert_eq!(result["instructions"], "try these");
    client
        .send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
        .await;
    assert_eq!(
        client.ask("2", "ping", json!({})).await["result"],
        json!({})
    );
}

#[tokio::test]
async fn a_newer_client_discovers() {
    let mut client = Client::new(true).await;
    let answer = client.ask("1", "server/discover", json!({})).await;
    let result = &answer["result"];
    assert_eq!(result["resultType"], "complete", "{answer}");
    let versions = result["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!("2026-07-28")) && versions.contains(&json!("2025-11-25")));
    assert_eq!(result["capabilities"], json!({ "tools": {} }));
}

#[tokio::test]
async fn tools_are_listed_in_order_with_schemas_and_hints() {
    for modern in [false, true] {
        let mut client = Client::begun(modern).await;
        let list = client.ask("1", "tools/list", json!({})).await["result"].clone();
        let names: Vec<&str> = list["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "answers_add",
                "answers_show",
                "env",
                "progress",
                "spin",
                "stdout"
            ]
        );
        let add = &list["tools"][0];
        assert_eq!(add["description"], "Adds two numbers.");
        assert_eq!(add["inputSchema"]["required"], json!(["a", "b"]));
        assert_eq!(add["outputSchema"]["properties"]["sum"]["type"], "integer");
        assert_eq!(add["annotations"]["readOnlyHint"], true);
        assert_eq!(list.get("ttlMs"), modern.then(|| json!(60_000)).as_ref());
        assert_eq!(
            list.get("cacheScope"),
            modern.then(|| json!("private")).as_ref()
        );
        assert_eq!(
            list.get("resultType"),
            modern.then(|| json!("complete")).as_ref()
        );
        assert_eq!(
            client.ask("2", "tools/list", json!({})).await["result"],
            list
        );
        let paged = client
            .ask("3", "tools/list", json!({ "cursor": "x" }))
            .await;
        assert_eq!(paged["error"]["code"], -32602);
    }
}

#[tokio::test]
async fn answers_arrive_whole() {
    for modern in [false, true] {
        let mut client = Client::begun(modern).await;
        let sum = client.call("answers_add", json!({ "a": 1, "b": 2 })).await["result"].clone();
        assert_eq!(sum["structuredContent"], json!({ "sum": 3 }));
        assert_eq!(
            sum["content"],
            json!([{ "type": "text", "text": "{\"sum\":3}" }])
        );
        assert_eq!(sum["isError"], false);
        let shown = client.call("answers_show", json!({})).await["result"].clone();
        let kinds: Vec<&Value> = shown["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| &c["type"])
            .collect();
        assert_eq!(kinds, ["text", "text", "image", "resource"]);
        assert_eq!(shown["content"][2]["data"], "cG5n");
        assert!(shown.get("structuredContent").is_none());
    }
}

#[tokio::test]
async fn a_call_without_arguments_has_an_empty_input() {
    let mut client = Client::begun(false).await;
    let answer = client
        .ask("1", "tools/call", json!({ "name": "env" }))
        .await;
    assert_eq!(
        answer["result"]["content"][0]["text"],
        "arguments [] variables [\"GREETING=hi\"]"
    );
}

#[tokio::test]
async fn what_the_model_should_see_is_an_error_result() {
    for modern in [false, true] {
        let mut client = Client::begun(modern).await;
        for (tool, input, message) in [
            ("answers_add", json!({ "a": "x", "b": 2 }), "/a"),
            ("answers_add", json!({ "a": 1 }), "b"),
            ("spin", json!({}), "50ms"),
        ] {
            let result = client.call(tool, input).await["result"].clone();
            assert_eq!(result["isError"], true, "{result}");
            let text = result["content"][0]["text"].as_str().unwrap();
            assert!(text.contains(message), "{text:?} lacks {message:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_request_for_a_tool_is_a_protocol_error() {
    let mut client = Client::begun(false).await;
    let unknown = client.call("answer_add", json!({})).await["error"].clone();
    assert_eq!(unknown["code"], -32602);
    assert!(
        unknown["message"].as_str().unwrap().contains("answers_add"),
        "{unknown}"
    );
    let arguments = client.call("answers_add", json!([1, 2])).await["error"].clone();
    assert!(
        arguments["code"] == -32602 || arguments["code"] == -32600,
        "{arguments}"
    );
    let method = client
        .ask("1", "resources/subscribe", json!({ "uri": "a:b" }))
        .await;
    assert_eq!(method["error"]["code"], -32601);
}

#[tokio::test]
async fn what_a_tool_prints_does_not_reach_the_client() {
    let mut client = Client::begun(false).await;
    let answer = client.call("stdout", json!({ "times": 3 })).await;
    assert_eq!(answer["result"]["content"][0]["text"], "printed");
}

#[tokio::test]
async fn progress_arrives_before_the_answer() {
    for modern in [false, true] {
        let mut client = Client::begun(modern).await;
        let params = json!({
            "name": "progress", "arguments": { "steps": 3, "wait": 0 }, "_meta": { "progressToken": "p" },
        });
        client.request("1", "tools/call", params).await;
        let mut steps = Vec::new();
        let answer = loop {
            let message = client.read().await;
            if message["method"] != "notifications/progress" {
                break message;
            }
            assert_eq!(message["params"]["progressToken"], "p");
            assert_eq!(message["params"]["total"], 3.0);
            assert_eq!(message["params"]["message"], "working");
            steps.push(message["params"]["progress"].as_f64().unwrap());
        };
        // The host may leave out some in the middle.
        assert!(steps.is_sorted() && steps.first() == Some(&1.0) && steps.last() == Some(&3.0));
        assert_eq!(answer["result"]["content"][0]["text"], "done");
    }
}

#[tokio::test]
async fn a_cancelled_call_ends_and_the_server_goes_on() {
    let mut client = Client::begun(false).await;
    let params = json!({
        "name": "progress", "arguments": { "steps": 1, "wait": 3_600_000 }, "_meta": { "progressToken": 1 },
    });
    client.request("slow", "tools/call", params).await;
    // The first report says that the call runs.
    assert_eq!(client.read().await["method"], "notifications/progress");
    let cancel = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "slow", "reason": "enough" },
    });
    client.send(&cancel).await;
    assert_eq!(
        client.ask("next", "ping", json!({})).await["result"],
        json!({})
    );
}

#[tokio::test]
async fn calls_run_side_by_side() {
    let mut client = Client::begun(false).await;
    let params = json!({
        "name": "progress", "arguments": { "steps": 1, "wait": 3_600_000 }, "_meta": { "progressToken": 1 },
    });
    client.request("slow", "tools/call", params).await;
    assert_eq!(client.read().await["method"], "notifications/progress");
    let sum = client.call("answers_add", json!({ "a": 1, "b": 2 })).await;
    assert_eq!(sum["result"]["structuredContent"]["sum"], 3);
}

#[tokio::test]
async fn noise_does_not_end_the_server() {
    let mut client = Client::begun(false).await;
    for noise in [
        "not json",
        "[]",
        "{}",
        "\u{1b}[2J",
        "{\"jsonrpc\":\"1.0\",\"id\":1}",
    ] {
        client
            .input
            .write_all(format!("{noise}\n").as_bytes())
            .await
            .unwrap();
    }
    client.request("after", "ping", json!({})).await;
    loop {
        let message = client.read().await;
        if message["id"] == "after" {
            assert_eq!(message["result"], json!({}));
            return;
        }
        assert!(message.get("error").is_some(), "{message}");
    }
}

#[tokio::test]
async fn the_end_of_the_input_ends_the_server() {
    for begun in [false, true] {
        let client = match begun {
            true => Client::begun(false).await,
            false => Client::new(false).await,
        };
        let Client {
            input,
            output,
            server,
            ..
        } = client;
        drop((input, output));
        server.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn one_connection_is_one_session() {
    let marks = "[tool.env]\nreads = \"private\"\n[tool.echo]\nreads = \"untrusted\"\n[tool.weather]\nsends = \"outside\"\n";
    let denied = async |client: &mut Client, tool: &str, arguments: Value| {
        let answer = client.call(tool, arguments).await;
        answer["result"]["isError"] == json!(true)
    };
    for modern in [false, true] {
        let host = host(marks, &["env", "echo", "weather"]).await;
        let mut one = Client::of(host.clone(), modern).begin().await;
        let mut other = Client::of(host, modern).begin().await;
        assert!(!denied(&mut one, "env", json!({})).await);
        assert!(!denied(&mut one, "echo_back", json!({ "text": "go" })).await);
        let weather = json!({ "city": "Rome" });
        assert!(!denied(&mut other, "weather", weather.clone()).await);
        assert!(denied(&mut one, "weather", weather.clone()).await);
        assert!(!denied(&mut other, "env", json!({})).await);
        assert!(denied(&mut other, "echo_back", json!({ "text": "go" })).await);
    }
}

const ASKS: &str = "[tool.answers]\napprove = \"ask\"\n[tool.env]\nenv = { GREETING = \"hi\" }\n";

/// A client that shows forms, or not, in front of tools of which some need a person's consent.
async fn asked(modern: bool, forms: bool) -> Client {
    let mut client = Client::of(host(ASKS, &["answers", "env"]).await, modern);
    if forms {
        client.capabilities = json!({ "elicitation": {} });
    }
    client.begin().await
}

fn sum(a: u32) -> Value {
    json!({ "name": "answers_add", "arguments": { "a": a, "b": 2 } })
}

fn yes(word: &str) -> Value {
    json!({ "action": "accept", "content": { "answer": word } })
}

#[tokio::test]
async fn who_shows_no_forms_is_denied_with_a_clear_text() {
    for modern in [false, true] {
        let mut client = asked(modern, false).await;
        let result = client.ask("1", "tools/call", sum(1)).await["result"].clone();
        assert_eq!(result["isError"], true, "{result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("nobody is there to be asked"), "{text}");
    }
}

impl Client {
    /// Makes a call, answers the question that comes, and gives the call's result.
    async fn consents(&mut self, params: Value, answer: Value) -> Value {
        self.request("call", "tools/call", params).await;
        let question = self.read().await;
        assert_eq!(question["method"], "elicitation/create", "{question}");
        self.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer }))
            .await;
        let result = self.read().await;
        assert_eq!(result["id"], "call", "{result}");
        result["result"].clone()
    }
}

#[tokio::test]
async fn an_older_client_is_asked_while_the_call_waits() {
    let mut client = asked(false, true).await;
    client.request("call", "tools/call", sum(1)).await;
    let question = client.read().await;
    assert_eq!(question["method"], "elicitation/create");
    let params = &question["params"];
    let message = params["message"].as_str().unwrap();
    assert!(message.contains("answers_add wants: call"), "{message}");
    assert!(message.contains("rule: toolcell.toml:2 tool.answers.approve"));
    let words = &params["requestedSchema"]["properties"]["answer"]["enum"];
    assert_eq!(
        *words,
        json!(["allow once", "allow for this session", "deny"])
    );
    client
        .send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": yes("allow once") }))
        .await;
    let result = client.read().await["result"].clone();
    assert_eq!(result["structuredContent"], json!({ "sum": 3 }));

    for nonsense in [
        yes("deny"),
        yes("yes"),
        json!({ "action": "accept" }),
        json!({ "action": "decline", "content": { "answer": "allow once" } }),
        json!({ "action": "whatever" }),
        json!({ "answer": "allow once" }),
    ] {
        let result = client.consents(sum(1), nonsense.clone()).await;
        assert_eq!(result["isError"], true, "{nonsense}");
    }
    // For the session: this tool, and no other one of the package.
    client.consents(sum(1), yes("allow for this session")).await;
    let result = client.ask("1", "tools/call", sum(5)).await["result"].clone();
    assert_eq!(result["structuredContent"], json!({ "sum": 7 }));
    let show = json!({ "name": "answers_show", "arguments": {} });
    let result = client.consents(show, yes("deny")).await;
    assert_eq!(result["isError"], true);
}

/// The question that a newer client gets in the place of a result, and the name to go on under.
fn required(answer: &Value) -> (Value, String) {
    let result = &answer["result"];
    assert_eq!(result["resultType"], "input_required", "{answer}");
    let question = result["inputRequests"]["approval"].clone();
    assert_eq!(question["method"], "elicitation/create");
    (
        question,
        result["requestState"].as_str().unwrap().to_owned(),
    )
}

fn again(mut params: Value, state: &str, answer: Option<Value>) -> Value {
    params["requestState"] = json!(state);
    if let Some(answer) = answer {
        params["inputResponses"] = json!({ "approval": answer });
    }
    params
}

#[tokio::test]
async fn a_newer_client_makes_its_call_again_with_the_answer() {
    let mut client = asked(true, true).await;
    let first = client.ask("1", "tools/call", sum(1)).await;
    let (question, state) = required(&first);
    let message = question["params"]["message"].as_str().unwrap();
    assert!(message.contains("answers_add wants: call"), "{message}");
    assert_eq!(state.len(), 64);
    let params = again(sum(1), &state, Some(yes("allow once")));
    let answer = client.ask("2", "tools/call", params.clone()).await;
    assert_eq!(answer["result"]["structuredContent"], json!({ "sum": 3 }));
    // A name counts once.
    let replayed = client.ask("3", "tools/call", params).await;
    assert_eq!(replayed["error"]["code"], -32602, "{replayed}");

    // Without an answer the question comes again, under another name.
    let (_, state) = required(&client.ask("4", "tools/call", sum(1)).await);
    let (_, other) = required(
        &client
            .ask("5", "tools/call", again(sum(1), &state, None))
            .await,
    );
    assert_ne!(state, other);
    let nonsense = again(sum(1), &other, Some(json!("allow once")));
    let denied = client.ask("6", "tools/call", nonsense).await;
    assert_eq!(denied["result"]["isError"], true, "{denied}");

    let (_, state) = required(&client.ask("7", "tools/call", sum(1)).await);
    let session = again(sum(1), &state, Some(yes("allow for this session")));
    client.ask("8", "tools/call", session).await;
    let answer = client.ask("9", "tools/call", sum(5)).await;
    assert_eq!(answer["result"]["structuredContent"], json!({ "sum": 7 }));
}

/// A consent is for the call that was shown. Whoever knows its name can neither change it nor take it elsewhere.
#[tokio::test]
async fn a_consent_cannot_be_moved_to_another_call_or_connection() {
    let mut client = asked(true, true).await;
    let (_, state) = required(&client.ask("1", "tools/call", sum(1)).await);
    let show = json!({ "name": "answers_show", "arguments": {} });
    for other in [sum(2), show, json!({ "name": "answers_add" })] {
        let moved = again(other, &state, Some(yes("allow once")));
        let refused = client.ask("2", "tools/call", moved).await;
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    let mut stranger = asked(true, true).await;
    for forged in [state.as_str(), "", &"0".repeat(64)] {
        let params = again(sum(1), forged, Some(yes("allow once")));
        let refused = stranger.ask("3", "tools/call", params).await;
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    // The call itself still waits.
    let params = again(sum(1), &state, Some(yes("allow once")));
    let answer = client.ask("4", "tools/call", params).await;
    assert_eq!(answer["result"]["structuredContent"], json!({ "sum": 3 }));
}

#[tokio::test]
async fn so_many_calls_wait_and_no_more() {
    let policy = "[tool.answers]\napprove = \"ask\"\nlimits = { questions = 256 }\n[session]\nquestions = 256\n[host]\nquestions = 256\n";
    let mut client = Client::of(host(policy, &["answers"]).await, true);
    client.capabilities = json!({ "elicitation": { "form": {} } });
    for number in 0..64 {
        required(
            &client
                .ask(&number.to_string(), "tools/call", sum(number))
                .await,
        );
    }
    let denied = client.ask("one more", "tools/call", sum(64)).await;
    assert_eq!(denied["result"]["isError"], true, "{denied}");
}

/// Nobody who answers in time is nobody, and a late answer is for nothing.
#[tokio::test]
async fn a_question_to_a_client_is_given_up_in_time() {
    let host = host(ASKS, &["answers"]).await;
    let short = Some(Duration::from_millis(20));
    let mut client = Client::waiting(host.clone(), true, short);
    client.capabilities = json!({ "elicitation": {} });
    let mut client = client.begin().await;
    let (_, state) = required(&client.ask("1", "tools/call", sum(1)).await);
    while host.admission_report().questions > 0 {
        tokio::task::yield_now().await;
    }
    let late = again(sum(1), &state, Some(yes("allow once")));
    let refused = client.ask("2", "tools/call", late).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
}
