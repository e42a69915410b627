//! The built-in tools as an embedder meets them: through a host, under a policy, with real files and a real server.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]

#[path = "builtins/client.rs"]
mod client;
mod common;
#[path = "builtins/credentials.rs"]
mod credentials;
#[path = "builtins/double.rs"]
mod double;
#[path = "builtins/github.rs"]
mod github;
#[path = "builtins/http.rs"]
mod http;
#[path = "builtins/merging.rs"]
mod merging;
#[path = "builtins/search.rs"]
mod search;

use std::{fs, path::Path};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use toolcell::{ErrorKind, Policy, ToolCall, ToolHost, ToolResult, testing::EgressOptions};

/// A host with the built-in tools that `policy` names, whose relative paths start in `dir`.
async fn host(dir: &Path, policy: &str) -> ToolHost {
    let policy = Policy::from_toml(policy).unwrap();
    let builder = common::builder(common::isolation()).policy(policy);
    let host = builder.base_dir(dir.to_owned()).build().unwrap();
    host.load_policy_tools().await.unwrap();
    host
}

/// The same with another way out to the network.
async fn host_with(policy: &str, egress: EgressOptions) -> ToolHost {
    let host = empty_host(policy, egress);
    host.load_policy_tools().await.unwrap();
    host
}

/// The same before any tool is loaded.
fn empty_host(policy: &str, egress: EgressOptions) -> ToolHost {
    let policy = Policy::from_toml(policy).unwrap();
    let builder = common::builder(common::isolation()).policy(policy);
    builder.egress(egress).build().unwrap()
}

async fn call(host: &ToolHost, tool: &str, input: Value) -> ToolResult {
    host.call(ToolCall::new(tool, input)).await.unwrap()
}

/// The text of an answer that must be no error.
async fn text(host: &ToolHost, tool: &str, input: Value) -> String {
    let result = call(host, tool, input).await;
    assert!(!result.is_error(), "{result:?}");
    result.text()
}

/// The kind of an answer that must be an error, and the error's text.
async fn failure(host: &ToolHost, tool: &str, input: Value) -> (ErrorKind, String) {
    let result = call(host, tool, input).await;
    let failure = result.failure.as_ref().unwrap();
    (failure.kind, failure.message.clone())
}

const ALL: &str = r#"
    [tool.calc]
    from = "builtin:calc"
    [tool.fetch]
    from = "builtin:fetch"
    [tool.files]
    from = "builtin:files"
    [tool.github]
    from = "builtin:github"
    [tool.http]
    from = "builtin:http"
    [tool.search]
    from = "builtin:search"
    [tool.time]
    from = "builtin:time"
"#;

#[tokio::test]
async fn every_tool_has_its_public_name_a_description_and_a_schema() {
    let host = host(Path::new("."), ALL).await;
    let tools = host.tools();
    let names: Vec<&str> = tools.iter().map(|tool| tool.public_name.as_str()).collect();
    let expected = [
        "calc",
        "fetch",
        "files_edit",
        "files_list",
        "files_read",
        "files_search",
        "files_write",
        "github_branch-create",
        "github_branch-list",
        "github_comment-create",
        "github_commit",
        "github_file-read",
        "github_issue-create",
        "github_issue-get",
        "github_issue-list",
        "github_issue-update",
        "github_pull-comment",
        "github_pull-create",
        "github_pull-get",
        "github_pull-list",
        "github_search",
        "http",
        "search",
        "time_convert",
        "time_difference",
        "time_now",
    ];
    assert_eq!(names, expected);
    for tool in &tools {
        assert!(tool.description.len() > 40, "{tool:?}");
        assert_eq!(tool.input_schema["type"], "object", "{tool:?}");
        let properties = tool.input_schema["properties"].as_object().unwrap();
        for (name, property) in properties {
            assert!(
                property["description"].is_string(),
                "{} {name}",
                tool.public_name
            );
        }
    }
}

const FILES: &str = r#"
    [tool.files]
    from = "builtin:files"
    files = [{ host = ".", guest = "/work", access = "ACCESS" }]
"#;

#[tokio::test]
async fn files_are_written_found_edited_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path(), &FILES.replace("ACCESS", "write")).await;
    let input =
        json!({ "path": "src/a.rs", "content": "fn one() {}\nfn two() {}\n", "create_dirs": true });
    assert_eq!(
        text(&host, "files_write", input).await,
        "created /work/src/a.rs (24 bytes)"
    );
    let found = text(&host, "files_list", json!({ "glob": "*.rs" })).await;
    assert_eq!(found, "/work/src/a.rs  24 bytes\n");
    let found = text(&host, "files_search", json!({ "pattern": r"fn t\w+" })).await;
    assert!(
        found.starts_with("/work/src/a.rs:2: fn two() {}\n"),
        "{found}"
    );
    let edit = json!({ "path": "/work/src/a.rs", "old": "two", "new": "three" });
    let diff = text(&host, "files_edit", edit).await;
    assert!(diff.contains("-fn two() {}\n+fn three() {}\n"), "{diff}");
    let page = text(
        &host,
        "files_read",
        json!({ "path": "src/a.rs", "offset": 2 }),
    )
    .await;
    assert_eq!(page, "fn three() {}\n[lines 2-2 of 2]\n");
    let on_disk = fs::read_to_string(dir.path().join("src/a.rs")).unwrap();
    assert_eq!(on_disk, "fn one() {}\nfn three() {}\n");
}

#[tokio::test]
async fn one_refused_attempt_leaves_one_denial() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "x").unwrap();
    let host = host(dir.path(), &FILES.replace("ACCESS", "read")).await;
    for (tool, input, access) in [
        (
            "files_read",
            json!({ "path": "/etc/passwd" }),
            "read /etc/passwd",
        ),
        ("files_list", json!({ "path": "/etc" }), "read /etc"),
        (
            "files_search",
            json!({ "path": "/etc", "pattern": "x" }),
            "read /etc",
        ),
        (
            "files_write",
            json!({ "path": "/etc/x", "content": "" }),
            "write /etc/x",
        ),
        (
            "files_write",
            json!({ "path": "/work/b", "content": "" }),
            "write /work/b",
        ),
        (
            "files_edit",
            json!({ "path": "/work/a", "old": "x", "new": "y" }),
            "write /work/a",
        ),
    ] {
        let result = call(&host, tool, input).await;
        assert_eq!(
            result.failure.as_ref().unwrap().kind,
            ErrorKind::Denied,
            "{tool} {result:?}"
        );
        let denied: Vec<&str> = result.denials.iter().map(|it| it.access.as_str()).collect();
        assert_eq!(denied, [access], "{tool}");
        // What was granted instead is only told where it would have helped.
        assert_eq!(
            result.text().ends_with("; granted: /work"),
            access.contains("/etc"),
            "{}",
            result.text()
        );
    }
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "x");
}

#[tokio::test]
async fn time_is_the_clock_of_the_policy() {
    let policy = "[tool.time]\nfrom = \"builtin:time\"\nclock = \"frozen:2026-01-01T00:00:00Z\"";
    let host = host(Path::new("."), policy).await;
    let answer = text(&host, "time_now", json!({ "zone": "America/New_York" })).await;
    let moment: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(moment["time"], "2025-12-31T19:00:00-05:00");
    assert_eq!(moment["weekday"], "Wednesday");
    let input = json!({ "zone": "Nowhere/Land" });
    let (kind, message) = failure(&host, "time_now", input).await;
    assert_eq!(kind, ErrorKind::InvalidInput);
    assert!(message.contains("`Nowhere/Land`"), "{message}");
}

#[tokio::test]
async fn calculations_are_exact_and_bounded() {
    let host = host(Path::new("."), "[tool.calc]\nfrom = \"builtin:calc\"").await;
    assert_eq!(
        text(&host, "calc", json!({ "expression": "0.1 + 0.2" })).await,
        "0.3"
    );
    for expression in [
        "9^9^9^9".to_owned(),
        "(".repeat(900),
        "-".repeat(999),
        "2500!^9".into(),
    ] {
        let (kind, message) = failure(&host, "calc", json!({ "expression": expression })).await;
        assert_eq!(kind, ErrorKind::ToolError, "{message}");
    }
}

/// A server on the loopback interface that answers every request by its path, and its port.
async fn server() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let response = respond(request.split(' ').nth(1).unwrap_or_default());
            // A client that went away is no concern of the server's.
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    port
}

fn respond(path: &str) -> String {
    let (status, header, body) = match path {
        "/page" => (
            "200 OK",
            "content-type: text/html",
            "<h1>Head</h1><a href=x>link</a>",
        ),
        "/data" => ("200 OK", "content-type: application/json", "{\"a\":[1]}"),
        "/moved" => ("302 Found", "location: /page", ""),
        "/away" => ("302 Found", "location: http://169.254.169.254/latest", ""),
        "/round" => ("302 Found", "location: /round", ""),
        _ => ("404 Not Found", "content-type: text/plain", "nothing here"),
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{header}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn pages_are_fetched_and_every_redirect_is_decided_on() {
    let base = format!("http://127.0.0.1:{}", server().await);
    let policy = format!(
        "[tool.fetch]\nfrom = \"builtin:fetch\"\nnet = [{{ to = \"{base}\", methods = [\"GET\"] }}]"
    );
    let host = host(Path::new("."), &policy).await;
    let url = |path: &str| json!({ "url": format!("{base}{path}") });

    let page = text(&host, "fetch", url("/page")).await;
    assert_eq!(page, format!("# Head\n\n[link]({base}/x)"));
    let page = text(&host, "fetch", url("/moved")).await;
    assert!(
        page.starts_with(&format!("[redirected to {base}/page]\n# Head")),
        "{page}"
    );
    let input = json!({ "url": format!("{base}/data"), "format": "json" });
    assert_eq!(
        text(&host, "fetch", input).await,
        "{\n  \"a\": [\n    1\n  ]\n}"
    );

    let (kind, message) = failure(&host, "fetch", url("/none")).await;
    assert_eq!(kind, ErrorKind::ToolError);
    assert!(
        message.contains("answered 404") && message.contains("nothing here"),
        "{message}"
    );
    let (_, message) = failure(&host, "fetch", url("/round")).await;
    assert!(message.contains("more than 5 redirects"), "{message}");
    for refused in [url("/away"), json!({ "url": "https://example.com/" })] {
        let result = call(&host, "fetch", refused).await;
        assert_eq!(
            result.failure.as_ref().unwrap().kind,
            ErrorKind::Denied,
            "{result:?}"
        );
        assert_eq!(result.denials.len(), 1, "{result:?}");
    }
}
