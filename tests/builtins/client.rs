//! The HTTP client of the SDK, in a guest that uses one part of it in each tool.

use serde_json::{Value, json};
use toolcell::{ErrorKind, ToolHost};

use super::{
    call, common,
    double::{Double, Reply, Seen},
    empty_host, text,
};

fn answer(request: &Seen) -> Reply {
    match request.path() {
        "/trailers" => Reply::text(200, "body").trailer("x-sum", "abc"),
        "/long" => Reply::text(200, &"x".repeat(300_000)),
        "/pages" => match request.target.as_str() {
            "/pages" => Reply::json(200, &json!([1, 2])).header(
                "link",
                "</pages?page=1>; rel=\"first\", </pages?page=2>; rel=\"next\"",
            ),
            _ => Reply::json(200, &json!([3])),
        },
        "/silence" => Reply::silence(),
        "/half" => Reply::broken_off(),
        "/created" => Reply::json(201, &json!({ "id": 7 })),
        "/see" => Reply::text(303, "").header("location", "/seen"),
        "/seen" => Reply::json(200, &json!("seen")),
        "/see-nothing" => Reply::text(303, "").header("location", "/half"),
        "/page" => Reply::new(200, "text/html", "<p>no JSON</p>"),
        "/error" => Reply::new(500, "text/html", "<p>oops</p>"),
        "/refused" => Reply::json(422, &json!({ "message": "x is missing" })),
        "/busy" => Reply::text(429, "slow down").header("retry-after", "17"),
        "/login" => Reply::text(401, ""),
        _ => Reply::text(404, "nothing here"),
    }
}

async fn start() -> (Double, ToolHost) {
    let double = Double::start("api.test", answer).await;
    let net = format!(
        "net = [{{ to = \"{}\", methods = [\"GET\", \"POST\"] }}]",
        double.base()
    );
    let host = empty_host(&format!("[tool.client]\n{net}"), double.egress());
    host.load_file(common::guest("client")).await.unwrap();
    (double, host)
}

#[tokio::test]
async fn answers_are_read_in_every_way() {
    let (double, host) = start().await;
    let url = |path: &str| format!("{}{path}", double.base());
    let answer = text(&host, "client_trailers", json!({ "url": url("/trailers") })).await;
    assert_eq!(answer, "[(\"x-sum\", [97, 98, 99])]");
    let answer = text(&host, "client_trailers", json!({ "url": url("/created") })).await;
    assert_eq!(answer, "[]");
    let input = json!({ "url": url("/long"), "most": 1000 });
    assert_eq!(text(&host, "client_pieces", input).await, "300000 true");
    let answer = text(&host, "client_pages", json!({ "url": url("/pages") })).await;
    assert_eq!(answer, "[1,2,3]");
    let input = json!({ "url": url("/long"), "limit": 300_000 });
    assert_eq!(
        call(&host, "client_whole", input)
            .await
            .failure
            .unwrap()
            .kind,
        ErrorKind::LimitOutput
    );
    let input = json!({ "url": url("/seen"), "milliseconds": 20_000 });
    assert_eq!(text(&host, "client_patient", input).await, "\"seen\"");
}

#[tokio::test]
async fn a_change_is_sent_once_and_its_redirect_read() {
    let (double, host) = start().await;
    let input = json!({ "url": format!("{}/created?a=1", double.base()) });
    assert_eq!(text(&host, "client_change", input).await, "{\"id\":7}");
    let seen = double.only();
    assert_eq!(seen.line(), "POST /created?a=1&q=a%26b");
    assert_eq!(seen.json(), json!({ "x": 1 }));
    let input = json!({ "url": format!("{}/see", double.base()) });
    assert_eq!(text(&host, "client_change", input).await, "\"seen\"");
    let lines: Vec<String> = double.seen().iter().map(Seen::line).collect();
    assert_eq!(lines, ["POST /see?q=a%26b", "GET /seen"]);
}

/// Kind, code and whether something may have happened, of a call that must fail.
async fn error(host: &ToolHost, tool: &str, input: Value) -> (ErrorKind, String, bool, String) {
    let failure = call(host, tool, input).await.failure.unwrap();
    let code = failure.tool_code.unwrap_or_default();
    (failure.kind, code, failure.request_sent, failure.message)
}

#[tokio::test]
async fn errors_say_what_happened_and_whether_it_may_have() {
    let (double, host) = start().await;
    let input = |path: &str| json!({ "url": format!("{}{path}", double.base()) });
    for (tool, path, kind, code, sent) in [
        ("whole", "/none", ErrorKind::ToolError, "http-404", false),
        ("whole", "/error", ErrorKind::Unavailable, "http-500", false),
        ("whole", "/busy", ErrorKind::Unavailable, "http-429", false),
        (
            "whole",
            "/login",
            ErrorKind::AuthRequired,
            "http-401",
            false,
        ),
        ("whole", "/half", ErrorKind::Unavailable, "", false),
        // What was refused did not happen; what broke may have.
        ("change", "/none", ErrorKind::ToolError, "http-404", false),
        (
            "change",
            "/refused",
            ErrorKind::InvalidInput,
            "http-422",
            false,
        ),
        ("change", "/busy", ErrorKind::Unavailable, "http-429", false),
        ("change", "/error", ErrorKind::Unavailable, "http-500", true),
        ("change", "/half", ErrorKind::Unavailable, "", true),
        ("change", "/page", ErrorKind::ToolError, "", true),
        ("change", "/see-nothing", ErrorKind::Unavailable, "", true),
    ] {
        let found = error(&host, &format!("client_{tool}"), input(path)).await;
        let (expected, message) = ((kind, code.to_owned(), sent), found.3);
        assert_eq!(
            (found.0, found.1, found.2),
            expected,
            "{tool} {path}: {message}"
        );
        assert!(message.contains(&double.base()), "{message}");
    }
    let (.., message) = error(&host, "client_whole", input("/busy")).await;
    assert!(
        message.ends_with("(it asks to wait: 17 s)\nslow down"),
        "{message}"
    );
    let (.., message) = error(&host, "client_change", input("/refused")).await;
    assert!(
        message.ends_with("\n{\"message\":\"x is missing\"}"),
        "{message}"
    );
    let (.., message) = error(&host, "client_change", input("/error")).await;
    assert!(!message.contains('<'), "{message}");

    // Nothing was sent where the host said no, or where nobody listens.
    let url = "https://elsewhere.test/";
    let (kind, _, sent, _) = error(&host, "client_change", json!({ "url": url })).await;
    assert_eq!((kind, sent), (ErrorKind::Denied, false));
    let mut limited = input("/long");
    limited["limit"] = json!(299_999);
    let (kind, _, _, message) = error(&host, "client_whole", limited).await;
    assert_eq!(kind, ErrorKind::ToolError);
    assert!(message.contains("more than 299999 bytes"), "{message}");
    let mut hurried = input("/silence");
    hurried["milliseconds"] = json!(50);
    let (kind, _, _, message) = error(&host, "client_patient", hurried).await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(message.contains("no answer in time"), "{message}");
}

#[tokio::test]
async fn a_change_that_reached_nobody_did_not_happen() {
    let (double, host) = start().await;
    let input = json!({ "url": format!("{}/created", double.base()) });
    drop(double);
    let (kind, _, sent, message) = error(&host, "client_change", input).await;
    assert_eq!((kind, sent), (ErrorKind::Unavailable, false), "{message}");
}
