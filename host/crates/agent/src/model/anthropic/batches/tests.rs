use proptest::prelude::*;

use super::*;
use crate::{
    model::{AnthropicConfig, ApiKey, BatchStatus},
    testing::server::{Server, error, plain},
};

fn client(server: &Server) -> Anthropic {
    let mut config = AnthropicConfig::new("claude-sonnet-5-5", ApiKey::new("sk-quite-secret"));
    config.base_url = format!("{}/under", server.url);
    Anthropic::new(config).unwrap()
}

fn json_answer(body: &Value) -> Vec<u8> {
    plain(200, "content-type: application/json\r\n", &body.to_string())
}

fn batch(id: &str, status: &str) -> Value {
    json!({ "id": id, "type": "message_batch", "processing_status": status, "archived_at": null,
        "request_counts": { "processing": 2, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0 } })
}

async fn lines(client: &Anthropic) -> (Result<(), ModelError>, Vec<BatchLine>) {
    let mut heard = Vec::new();
    let mut each = |line| {
        heard.push(line);
        More::Next
    };
    let ended = client.results("msgbatch_1", &mut each).await;
    (ended, heard)
}

#[tokio::test]
async fn a_batch_is_told_as_it_stands() {
    let server = Server::with(vec![
        json_answer(&batch("a", "in_progress")),
        json_answer(&batch("a", "canceling")),
        json_answer(&batch("a", "something_new")),
        json_answer(&batch("a", "ended")),
        error(404, "", "not_found_error", "no such batch sk-quite-secret"),
        json_answer(&json!({ "id": 5 })),
    ])
    .await;
    let client = client(&server);
    let taken = client
        .submit(&[b"{\"a\":1}".to_vec(), b"{}".to_vec()])
        .await
        .unwrap();
    assert_eq!(
        (taken.status, taken.counts.all()),
        (BatchStatus::InProgress, 3)
    );
    assert_eq!(
        client.cancel("a").await.unwrap().status,
        BatchStatus::Canceling
    );
    assert_eq!(
        client.status("a/../b?c").await.unwrap().status,
        BatchStatus::Other
    );
    assert_eq!(client.status("a").await.unwrap().status, BatchStatus::Ended);
    let gone = client.status("a").await.unwrap_err().to_string();
    assert!(
        gone.contains("no such batch") && !gone.contains("quite-secret"),
        "{gone}"
    );
    assert!(matches!(
        client.status("a").await,
        Err(ModelError::Protocol(_))
    ));
    let requests = server.requests.lock().unwrap();
    let paths: Vec<&str> = requests
        .iter()
        .map(|it| it.head.lines().next().unwrap())
        .collect();
    assert_eq!(
        paths[..3],
        [
            "POST /under/v1/messages/batches HTTP/1.1",
            "POST /under/v1/messages/batches/a/cancel HTTP/1.1",
            "GET /under/v1/messages/batches/a%2F..%2Fb%3Fc HTTP/1.1",
        ]
    );
    assert_eq!(requests[0].body, "{\"requests\":[{\"a\":1},{}]}");
    assert_eq!(requests[0].header("anthropic-version"), Some("2026-10-21"));
}

#[tokio::test]
async fn the_list_is_read_up_to_the_batch_that_is_known() {
    let page = |ids: &[&str], more| {
        let data: Vec<Value> = ids.iter().map(|id| batch(id, "ended")).collect();
        json_answer(&json!({ "data": data, "has_more": more, "last_id": ids.last() }))
    };
    let pages = vec![page(&["e", "d"], true), page(&["c", "b"], true)];
    let server = Server::with(pages).await;
    let newer = client(&server).newer(Some("b")).await.unwrap();
    assert_eq!(
        newer.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(),
        ["e", "d", "c"]
    );
    assert!(
        server.requests.lock().unwrap()[1]
            .head
            .contains("after_id=d")
    );
    // A server that says the same again and again is not asked for ever.
    let server = Server::with(vec![page(&["e"], true)]).await;
    client(&server).newer(Some("b")).await.unwrap();
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn results_are_read_line_by_line() {
    let message = json!({ "role": "assistant", "content": [{ "type": "text", "text": "hi" }],
        "stop_reason": "end_turn", "usage": { "input_tokens": 3, "output_tokens": 2 } });
    let body = [
        json!({ "custom_id": "t-1", "result": { "type": "succeeded", "message": message } })
            .to_string(),
        String::new(),
        json!({ "custom_id": "t-2", "result": { "type": "errored", "error": { "type": "error",
            "error": { "type": "api_error", "message": "m" } } } })
        .to_string(),
        "{".into(),
        json!({ "result": {} }).to_string(),
        json!({ "custom_id": "t-3" }).to_string(),
        json!({ "custom_id": "t-4", "result": { "type": "new" } }).to_string(),
        json!({ "custom_id": "t-5", "result": { "type": "expired" } }).to_string(),
    ]
    .join("\n");
    let server = Server::with(vec![plain(
        200,
        "content-type: application/x-jsonl\r\n",
        &body,
    )])
    .await;
    let (ended, heard) = lines(&client(&server)).await;
    ended.unwrap();
    let of = |id: &str| {
        &heard
            .iter()
            .find(|it| it.id.as_deref() == Some(id))
            .unwrap()
            .result
    };
    assert!(
        matches!(of("t-1"), BatchResult::Answered(reply) if reply.text() == "hi" && reply.usage.total_tokens() == 5)
    );
    assert_eq!(
        of("t-2"),
        &BatchResult::Failed {
            kind: "api_error".into(),
            message: "m".into()
        }
    );
    assert!(
        matches!(of("t-3"), BatchResult::Broken(_)) && matches!(of("t-4"), BatchResult::Broken(_))
    );
    assert_eq!(of("t-5"), &BatchResult::Expired);
    assert_eq!(heard.len(), 7);
    assert_eq!(heard.iter().filter(|it| it.id.is_none()).count(), 2);
}

#[tokio::test]
async fn results_that_break_off_are_an_error() {
    let line = json!({ "custom_id": "t-1", "result": { "type": "expired" } });
    let cut = format!(
        "HTTP/1.1 200 X\r\nconnection: close\r\ncontent-type: x/y\r\ncontent-length: 999\r\n\r\n{line}\n{{"
    );
    let server = Server::with(vec![cut.into_bytes()]).await;
    let (ended, heard) = lines(&client(&server)).await;
    assert!(matches!(ended, Err(ModelError::Transport(_))), "{ended:?}");
    assert_eq!(heard.len(), 1);
}

#[tokio::test]
async fn a_line_without_an_end_is_given_up() {
    let body = "x".repeat(100);
    let server = Server::with(vec![plain(200, "content-type: x/y\r\n", &body)]).await;
    let client = client(&server);
    let url = client.batch_url(&["a", "results"]).unwrap();
    let ask = client.batch_ask(Method::GET, url, "*/*");
    let mut none = |_: &[u8]| More::Next;
    let ended = client.http.lines(ask, 99, &mut none).await;
    assert_eq!(ended, Err(ModelError::TooLarge { limit: 99 }));
}

proptest! {
    #[test]
    fn no_line_breaks_the_reader(line in "\\PC{0,200}") {
        let _ = read(line.as_bytes());
    }
}
