//! A server on this machine's loopback that speaks the Messages API, as far as a test tells it to.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What is answered.
pub(crate) enum Answer {
    /// This status, media type and body.
    Whole(u16, &'static str, String),
    /// Nothing, for as long as the client waits.
    Silence,
}

impl Answer {
    pub(crate) fn error(status: u16, kind: &str, message: &str) -> Self {
        let body = json!({ "type": "error", "error": { "type": kind, "message": message } });
        Self::Whole(status, "application/json", body.to_string())
    }

    /// A turn that says something and ends.
    pub(crate) fn turn(text: &str, input: u64, output: u64) -> Self {
        let events = [
            json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant",
                "content": [], "stop_reason": null, "usage": { "input_tokens": input, "output_tokens": 1 } } }),
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
            json!({ "type": "content_block_stop", "index": 0 }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": output } }),
            json!({ "type": "message_stop" }),
        ];
        let text = |event: &Value| {
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap()
            )
        };
        Self::Whole(200, "text/event-stream", events.iter().map(text).collect())
    }
}

type Says = dyn Fn(usize, &Request) -> Answer + Send + Sync;

/// The server. It ends with the test's process.
pub(crate) struct Api {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Api {
    /// Answers each request as `says` wants, which also gets its number, from 0.
    pub(crate) fn start(says: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, says): (_, Arc<Says>) = (Arc::clone(&requests), Arc::new(says));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, says) = (Arc::clone(&seen), Arc::clone(&says));
                thread::spawn(move || serve(stream, &seen, &*says));
            }
        });
        Self { url, requests }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// One request, then the end of the connection.
fn serve(stream: TcpStream, seen: &Mutex<Vec<Request>>, says: &Says) {
    let mut reader = BufReader::new(&stream);
    let Some(request) = read(&mut reader) else {
        return;
    };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    match says(number, &request) {
        Answer::Whole(status, media, body) => {
            // A client that has gone away is no failure of the server.
            let _ = write!(
                &stream,
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        Answer::Silence => {
            let _ = reader.read(&mut [0]);
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        body: String::from_utf8(body).ok()?,
    })
}
