//! Questions in the middle of a call, and of calls that tools make: which calls may wait for an answer, and which may not
//! because they would do something twice.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

mod common;

use std::sync::{Arc, Mutex};

use common::{builder, guest};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use toolcell::{
    Answers, Approval, ApprovalRequest, Approver, CallContext, CallId, ErrorKind, Isolation,
    Policy, ToolCall, ToolHost, ToolResult, testing::Weakness,
};

struct Later;

impl Approver for Later {
    async fn approve(&self, _: &ApprovalRequest) -> Approval {
        Approval::Later
    }
}

/// A server of two pages, of which the first leads to the second, and what was asked of it.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let into = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                into.lock().unwrap().push(path.clone());
                let link = match path.as_str() {
                    "/one" => format!("link: <http://127.0.0.1:{port}/two>; rel=\"next\"\r\n"),
                    _ => String::new(),
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3\r\nconnection: close\r\n{link}\r\n[1]"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// A host on which requests to some paths need a person, who answers later.
async fn host(server: &Server, asks: &str, isolation: Isolation, weak: &[Weakness]) -> ToolHost {
    let to = format!("http://127.0.0.1:{}", server.port);
    let grant = |path: &str| {
        let ask = match asks == path {
            true => ", approve = \"ask\"",
            false => "",
        };
        format!("{{ to = \"{to}\", paths = [\"{path}\"]{ask} }}")
    };
    let policy = format!(
        "[tool.client]\nnet = [{}, {}]\n{}[tool.calls]\ncalls = [\"client_pages\"]\n",
        grant("/one"),
        grant("/two"),
        if asks == "call" {
            "approve = \"ask\"\n"
        } else {
            ""
        },
    );
    let policy = Policy::from_toml(&policy).unwrap();
    let mut builder = builder(isolation).policy(policy).approver(Later);
    for weakness in weak {
        builder = builder.weakness(*weakness);
    }
    let host = builder.build().unwrap();
    host.load_file(guest("client")).await.unwrap();
    host
}

async fn call(host: &ToolHost, tool: &str, input: &Value, answers: Answers) -> ToolResult {
    let context = CallContext {
        answers,
        ..CallContext::default()
    };
    let call = ToolCall::new(tool, input.clone()).with_id(CallId::new("c1"));
    host.call_with(call, &context).await.unwrap()
}

fn pages(server: &Server) -> Value {
    json!({ "url": format!("http://127.0.0.1:{}/one", server.port) })
}

const BOTH: [Isolation; 2] = [Isolation::Thread, Isolation::Process];

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_asks_before_its_first_request_waits_and_is_made_again() {
    for isolation in BOTH {
        let server = Server::start().await;
        let host = host(&server, "/one", isolation, &[]).await;
        let input = pages(&server);
        let waits = call(&host, "client_pages", &input, Answers::new()).await;
        let pending = waits
            .pending
            .unwrap_or_else(|| panic!("{isolation}: {:?}", waits.failure));
        assert!(pending.access.ends_with("/one"), "{pending:?}");
        assert!(server.seen().is_empty(), "nothing has happened");
        let answers = Answers::new().with(pending.id.clone(), true);
        let done = call(&host, "client_pages", &input, answers).await;
        assert_eq!(done.text(), "[1,1]", "{isolation}");
        let refused = Answers::new().with(pending.id.clone(), false);
        let refused = call(&host, "client_pages", &input, refused).await;
        assert!(refused.is_error() && refused.pending.is_none());
        assert_eq!(server.seen(), ["/one", "/two"]);
    }
}

/// A request was sent already. To wait would be to send it twice, which is seen without the defence.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_has_sent_a_request_does_not_wait() {
    for isolation in BOTH {
        for weak in [&[][..], &[Weakness::WaitsAnyway]] {
            let server = Server::start().await;
            let host = host(&server, "/two", isolation, weak).await;
            let input = pages(&server);
            let result = call(&host, "client_pages", &input, Answers::new()).await;
            assert!(result.is_error());
            let Some(pending) = result.pending else {
                assert!(weak.is_empty(), "{isolation}");
                let denial = &result.denials[0];
                assert!(denial.reason.contains("cannot wait"), "{denial:?}");
                assert_eq!(server.seen(), ["/one"]);
                continue;
            };
            assert!(!weak.is_empty(), "{isolation}");
            let answers = Answers::new().with(pending.id, true);
            call(&host, "client_pages", &input, answers).await;
            assert_eq!(server.seen(), ["/one", "/one", "/two"]);
        }
    }
}

/// What a tool's own call waits for, the first call waits for: it is ended and made again.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_the_questions_of_those_that_it_makes() {
    for isolation in BOTH {
        let policy = "[tool.calls]\ncalls = [\"calls\", \"env\"]\n[tool.env]\napprove = \"ask\"\n";
        let policy = Policy::from_toml(policy).unwrap();
        let host = builder(isolation).policy(policy).approver(Later).build();
        let host = host.unwrap();
        for name in ["calls", "env"] {
            host.load_file(guest(name)).await.unwrap();
        }
        let within = json!({ "tool": "env", "input": "{}" });
        let input = json!({ "tool": "calls", "input": within.to_string() });
        let result = call(&host, "calls", &input, Answers::new()).await;
        assert_eq!(result.failure.unwrap().kind, ErrorKind::Unavailable);
        let pending = result.pending.unwrap();
        assert_eq!(
            (pending.tool.as_str(), pending.access.as_str()),
            ("env", "call")
        );
        let answers = Answers::new().with(pending.id.clone(), true);
        let done = call(&host, "calls", &input, answers.clone()).await;
        assert!(!done.is_error(), "{isolation}: {:?}", done.failure);
        // The same words of another first call are another question.
        let context = CallContext {
            answers,
            ..CallContext::default()
        };
        let other = ToolCall::new("calls", input).with_id(CallId::new("c2"));
        let other = host.call_with(other, &context).await.unwrap();
        assert_ne!(other.pending.unwrap().id, pending.id);
        let report = host.admission_report();
        assert_eq!((report.questions, report.running), (0, 0));
    }
}
