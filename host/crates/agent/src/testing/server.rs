//! A server on this machine's loopback that speaks HTTP by hand, so that it can break off anywhere.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// What is sent before the connection ends.
pub(crate) enum Answer {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// These bytes, then silence for as long as the client waits.
    Stall(Vec<u8>),
    /// These bytes, then the connection is torn down.
    Reset(Vec<u8>),
    /// These bytes, and the connection waits for the next request.
    Keep(Vec<u8>),
    /// These bytes, each in a packet of its own, then the end.
    Bytewise(Vec<u8>),
}

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    /// How many connections there were.
    pub(crate) connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers each request, which has a connection of its own, with what `answer` says. It also gets the number of
    /// the request, from 0.
    pub(crate) async fn start<F>(answer: F) -> Self
    where
        F: Fn(usize, &Request) -> Answer + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        let connections: Arc<AtomicUsize> = Arc::default();
        let accepted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&answer)));
            }
        });
        Self {
            url,
            requests,
            connections,
            task,
        }
    }

    /// Answers the requests with these, one after the other, and then always with the last.
    pub(crate) async fn with(answers: Vec<Vec<u8>>) -> Self {
        Self::start(move |number, _| Answer::Bytes(answers[number.min(answers.len() - 1)].clone()))
            .await
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<F>(mut stream: TcpStream, seen: Arc<Mutex<Vec<Request>>>, answer: Arc<F>)
where
    F: Fn(usize, &Request) -> Answer,
{
    while let Some(request) = read(&mut stream).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        // A client that has gone away is no failure of the server.
        match answer(number, &request) {
            Answer::Bytes(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Answer::Reset(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.set_zero_linger();
            }
            Answer::Keep(bytes) => {
                if stream.write_all(&bytes).await.is_ok() {
                    continue;
                }
            }
            Answer::Stall(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.read(&mut [0]).await;
            }
            Answer::Bytewise(bytes) => {
                let _ = stream.set_nodelay(true);
                for byte in bytes {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    // Whoever reads it may have its turn.
                    tokio::task::yield_now().await;
                }
                let _ = stream.shutdown().await;
            }
        }
        return;
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let request = Request {
            head: head.into(),
            body: body.into(),
        };
        let length = request.header("content-length").unwrap_or("0");
        let length: usize = length.parse().ok()?;
        if body.len() >= length {
            return Some(request);
        }
    }
}

/// A whole answer.
pub(crate) fn plain(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into()
}

/// An error as the API sends it.
pub(crate) fn error(status: u16, headers: &str, kind: &str, message: &str) -> Vec<u8> {
    let body =
        serde_json::json!({ "type": "error", "error": { "type": kind, "message": message } });
    let headers = format!("content-type: application/json\r\nrequest-id: req_9\r\n{headers}");
    plain(status, &headers, &body.to_string())
}

/// A stream of events, each in a chunk of its own.
pub(crate) fn stream(events: &str) -> Vec<u8> {
    let mut answer = String::from(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
         request-id: req_1\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for event in events.split_inclusive("\n\n") {
        answer.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
    }
    answer.push_str("0\r\n\r\n");
    answer.into()
}

/// The events of a turn that says `text` and then asks for `tool`, if there is one.
pub(crate) fn turn(text: &str, tool: Option<(&str, &str)>) -> String {
    use serde_json::json;
    let mut events = vec![
        json!({ "type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "content": [], "stop_reason": null,
            "usage": { "input_tokens": 9, "output_tokens": 1 } } }),
        json!({ "type": "ping" }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
        json!({ "type": "content_block_stop", "index": 0 }),
    ];
    let mut stop = "end_turn";
    if let Some((id, name)) = tool {
        stop = "tool_use";
        let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
        let input = |part| json!({ "type": "input_json_delta", "partial_json": part });
        events.extend([
            json!({ "type": "content_block_start", "index": 1, "content_block": block }),
            json!({ "type": "content_block_delta", "index": 1, "delta": input("{\"a\":") }),
            json!({ "type": "content_block_delta", "index": 1, "delta": input("1}") }),
            json!({ "type": "content_block_stop", "index": 1 }),
        ]);
    }
    events.push(json!({
        "type": "message_delta", "delta": { "stop_reason": stop }, "usage": { "output_tokens": 4 } }));
    events.push(json!({ "type": "message_stop" }));
    events
        .iter()
        .map(|event| {
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap()
            )
        })
        .collect()
}

/// Chunks of a chat completion as a stream of events, with its end.
pub(crate) fn chunks(chunks: &[serde_json::Value]) -> String {
    let events = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    events.chain(["data: [DONE]\n\n".to_owned()]).collect()
}

/// One chunk with a delta of the only choice.
pub(crate) fn delta(delta: &serde_json::Value) -> serde_json::Value {
    chunk(delta, None)
}

/// One chunk of a chat completion.
pub(crate) fn chunk(delta: &serde_json::Value, finish: Option<&str>) -> serde_json::Value {
    serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_795_000_000, "model": "gpt-6",
        "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }], "usage": null,
    })
}

/// The chunks of a turn as OpenAI itself sends them: text, then perhaps a call, then the counts.
pub(crate) fn chat_turn(text: &str, tool: Option<(&str, &str)>) -> String {
    use serde_json::json;
    let mut list = vec![
        delta(&json!({ "role": "assistant", "content": "", "refusal": null })),
        delta(&json!({ "content": text })),
    ];
    let call = |call: serde_json::Value| delta(&json!({ "tool_calls": [call] }));
    let arguments = |part| call(json!({ "index": 0, "function": { "arguments": part } }));
    if let Some((id, name)) = tool {
        list.extend([
            call(json!({ "index": 0, "id": id, "type": "function", "function": { "name": name, "arguments": "" } })),
            arguments("{\"a\":"),
            arguments("1}"),
        ]);
    }
    let finish = tool.map_or("stop", |_| "tool_calls");
    list.push(chunk(&json!({}), Some(finish)));
    list.push(json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_795_000_000, "model": "gpt-6", "choices": [],
        "usage": { "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13 },
    }));
    chunks(&list)
}
