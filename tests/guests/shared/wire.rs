//! Requests through `wasi:http` itself, with nothing between the plan and the host: no library that would refuse first
//! what the host has to refuse.
//!
//! A plan is `{"requests": [..], "together": false, "veil": false}`. A request is `{"url": ".."}`, cut at `://` and at the
//! next `/` and looked at no further, or `scheme`, `authority` and `path`; beside it `method`, `headers` and `trailers` as
//! lists of pairs, `body` as text or as `{"repeat": n}`, `times`, the three timeouts in seconds, and `keep`, how many
//! bytes of the body are told. Values of headers are text, or lists of bytes.

use toolcell_guest::{
    Error, Result,
    serde_json::{Value, from_str, json},
};

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package test:wire;
            world wire {
                import wasi:http/outgoing-handler@0.2.12;
            }
        ",
        world: "test:wire/wire",
        type_section_suffix: "-wire",
        generate_all,
    });
}

use bindings::wasi::http::{
    outgoing_handler::handle,
    types::{
        Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody,
        OutgoingRequest, RequestOptions, Scheme, http_error_code,
    },
};
use bindings::wasi::io::streams::StreamError;

/// What one write takes at once, in bytes; WASI allows no more.
const WRITE_BYTES: usize = 4096;

/// How many bytes of a body are told where nothing else is asked for.
const KEEP: u64 = 64 << 10;

/// Carries a plan out, and tells what came of each request.
pub fn run(plan: &str) -> Result<Value> {
    let plan: Value = from_str(plan).map_err(|error| Error::invalid_input(error.to_string()))?;
    let veil = plan["veil"] == true;
    let mut requests = Vec::new();
    for request in plan["requests"].as_array().into_iter().flatten() {
        let times = request["times"].as_u64().unwrap_or(1);
        requests.extend((0..times).map(|_| request));
    }
    let end = |(request, begun)| match begun {
        Ok(future) => end(request, future, veil),
        Err(told) => told,
    };
    let begun = requests.into_iter().map(|it| (it, begin(it)));
    let answers: Vec<Value> = if plan["together"] == true {
        let begun: Vec<_> = begun.collect();
        begun.into_iter().map(end).collect()
    } else {
        begun.map(end).collect()
    };
    Ok(json!({ "answers": answers }))
}

/// What the guest's own side of the host refuses before anything is sent.
fn refused(what: impl std::fmt::Display) -> Value {
    json!({ "refused": what.to_string() })
}

fn begin(request: &Value) -> Result<FutureIncomingResponse, Value> {
    let headers = fields(&request["headers"]).map_err(|it| refused(format!("header {it}")))?;
    let outgoing = OutgoingRequest::new(headers);
    let url = request["url"].as_str().unwrap_or_default();
    let (scheme_text, rest) = url.split_once("://").unwrap_or(("", url));
    let at = rest.find('/').unwrap_or(rest.len());
    let part = |name: &str, text: &str| match request[name].as_str() {
        Some(own) => own.to_owned(),
        None => text.to_owned(),
    };
    let method_text = part("method", "GET");
    outgoing
        .set_method(&method(&method_text))
        .map_err(|()| refused("method"))?;
    outgoing
        .set_scheme(Some(&scheme(&part("scheme", scheme_text))))
        .map_err(|()| refused("scheme"))?;
    outgoing
        .set_authority(Some(&part("authority", &rest[..at])))
        .map_err(|()| refused("authority"))?;
    outgoing
        .set_path_with_query(Some(&part("path", &rest[at..])))
        .map_err(|()| refused("path"))?;
    let trailers = match request["trailers"].is_array() {
        true => Some(fields(&request["trailers"]).map_err(|it| refused(format!("trailer {it}")))?),
        false => None,
    };
    let body = outgoing.body().map_err(|()| refused("body"))?;
    let future = handle(outgoing, Some(options(request)))
        .map_err(|code| json!({ "error": format!("{code:?}") }))?;
    write(request, body, trailers);
    Ok(future)
}

/// Writes a body and its trailers. What fails here is told by the answer, or by there being none.
fn write(request: &Value, body: OutgoingBody, trailers: Option<Fields>) {
    let bytes = match &request["body"] {
        Value::String(text) => text.as_bytes().to_vec(),
        repeat => {
            let bytes = repeat["repeat"].as_u64().unwrap_or(0);
            vec![b'x'; usize::try_from(bytes).unwrap_or(0)]
        }
    };
    if !bytes.is_empty()
        && let Ok(stream) = body.write()
    {
        for piece in bytes.chunks(WRITE_BYTES) {
            if stream.blocking_write_and_flush(piece).is_err() {
                break;
            }
        }
    }
    let _ = OutgoingBody::finish(body, trailers);
}

fn options(request: &Value) -> RequestOptions {
    let options = RequestOptions::new();
    let nanos = |name: &str| {
        let seconds = request[name].as_u64();
        seconds.map(|it| it.saturating_mul(1_000_000_000))
    };
    let _ = options.set_connect_timeout(nanos("connect"));
    let _ = options.set_first_byte_timeout(nanos("first_byte"));
    let _ = options.set_between_bytes_timeout(nanos("between_bytes"));
    options
}

fn fields(pairs: &Value) -> Result<Fields, String> {
    let fields = Fields::new();
    for pair in pairs.as_array().into_iter().flatten() {
        let name = pair[0].as_str().unwrap_or_default();
        let value = match &pair[1] {
            Value::String(text) => text.as_bytes().to_vec(),
            bytes => bytes
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|byte| u8::try_from(byte.as_u64()?).ok())
                .collect(),
        };
        fields
            .append(name, &value)
            .map_err(|error| format!("{name:?}: {error:?}"))?;
    }
    Ok(fields)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn scheme(name: &str) -> Scheme {
    match name {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    }
}

fn end(request: &Value, future: FutureIncomingResponse, veil: bool) -> Value {
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => read(request, response, veil),
        Some(Ok(Err(code))) => json!({ "error": format!("{code:?}") }),
        _ => json!({ "error": "the host lost the response" }),
    }
}

fn read(request: &Value, response: IncomingResponse, veil: bool) -> Value {
    let keep = request["keep"].as_u64().unwrap_or(KEEP);
    let mut told = json!({
        "status": response.status(),
        "headers": pairs(response.headers().entries(), veil),
    });
    let Ok(body) = response.consume() else {
        return told;
    };
    let (mut kept, mut bytes) = (Vec::new(), 0u64);
    if let Ok(stream) = body.stream() {
        loop {
            match stream.blocking_read(64 << 10) {
                Ok(piece) => {
                    let left = keep.saturating_sub(bytes);
                    bytes += piece.len() as u64;
                    kept.extend(piece.into_iter().take(usize::try_from(left).unwrap_or(0)));
                }
                Err(StreamError::Closed) => break,
                Err(StreamError::LastOperationFailed(error)) => {
                    told["error"] = format!("{:?}", http_error_code(&error)).into();
                    break;
                }
            }
        }
    }
    told["body"] = shown(&kept, veil).into();
    told["bytes"] = bytes.into();
    if told["error"].is_null() {
        let trailers = IncomingBody::finish(body);
        trailers.subscribe().block();
        match trailers.get() {
            Some(Ok(Ok(Some(trailers)))) => {
                told["trailers"] = pairs(trailers.entries(), veil);
            }
            Some(Ok(Err(code))) => told["error"] = format!("{code:?}").into(),
            _ => {}
        }
    }
    told
}

fn pairs(entries: Vec<(String, Vec<u8>)>, veil: bool) -> Value {
    let pairs: Vec<Value> = entries
        .into_iter()
        .map(|(name, value)| json!([name, shown(&value, veil)]))
        .collect();
    pairs.into()
}

/// Bytes as text: each is the character of its number. Under a veil nobody on the way recognises what they are, so that a
/// test sees what the guest saw, whatever is done to the guest's answer later.
pub fn shown(bytes: &[u8], veil: bool) -> String {
    if veil {
        return bytes
            .iter()
            .map(|byte| format!("{:02x}", byte ^ 0x5a))
            .collect();
    }
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
