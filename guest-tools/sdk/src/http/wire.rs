//! One request over `wasi:http`, and what comes back.

use std::time::Duration;

use super::{
    Url, error,
    follow::{self, Answered, Hop},
};
use crate::{Error, Result};

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package toolcell:guest-http;
            world http {
                import wasi:http/outgoing-handler@0.2.12;
            }
        ",
        world: "toolcell:guest-http/http",
        runtime_path: "::toolcell_guest::__private::wit_bindgen::rt",
        type_section_suffix: "-http",
        generate_all,
    });
}

use bindings::wasi::http::outgoing_handler::handle;
pub(super) use bindings::wasi::http::types::ErrorCode;
use bindings::wasi::http::types::{
    Fields, FutureTrailers, HeaderError, IncomingBody, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme, http_error_code,
};
use bindings::wasi::io::streams::{InputStream, StreamError};

/// What one read asks the host for, in bytes.
const READ_BYTES: usize = 64 << 10;
/// What one write takes at once, in bytes; WASI allows no more.
const WRITE_BYTES: usize = 4096;

/// Times that are shorter than the host's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) connect: Option<Duration>,
    pub(super) response: Option<Duration>,
    pub(super) idle: Option<Duration>,
}

impl Times {
    fn options(self) -> Option<RequestOptions> {
        if self == Self::default() {
            return None;
        }
        let options = RequestOptions::new();
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // A host that knows no such time has its own.
        let _ = options.set_connect_timeout(self.connect.map(nanos));
        let _ = options.set_first_byte_timeout(self.response.map(nanos));
        let _ = options.set_between_bytes_timeout(self.idle.map(nanos));
        Some(options)
    }
}

/// The head of an answer, and the way to its body.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    // The order matters: a stream has to go before the body it belongs to.
    stream: InputStream,
    body: IncomingBody,
}

/// Sends one request and waits for the head of its answer.
pub(super) fn send(hop: &Hop<Url>, times: Times) -> Result<Answer> {
    let what = error::what(&hop.method, &hop.url);
    let explain = |code: ErrorCode| {
        let arrived = hop.changes() && error::may_have_arrived(&code);
        follow::mark(error::of_code(&what, &code), arrived)
    };
    let lost = || Error::failed(format!("the host lost the answer to {what}"));
    let request = prepare(hop)?;
    let body = request.body().map_err(|()| lost())?;
    let future = handle(request, times.options()).map_err(explain)?;
    // Where the body is not taken, the answer says why: a server may refuse before it has read it all.
    let _ = write(body, &hop.body);
    future.subscribe().block();
    let response = match future.get() {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(code))) => return Err(explain(code)),
        _ => return Err(lost()),
    };
    let headers = response.headers().entries();
    let body = response.consume().map_err(|()| lost())?;
    let stream = body.stream().map_err(|()| lost())?;
    Ok(Answer {
        status: response.status(),
        headers,
        stream,
        body,
    })
}

fn prepare(hop: &Hop<Url>) -> Result<OutgoingRequest> {
    let headers = Fields::new();
    for (name, value) in &hop.headers {
        headers.append(name, value.as_bytes()).map_err(|error| {
            let why = match error {
                HeaderError::Forbidden => "it belongs to the host",
                _ => "it is no valid header",
            };
            Error::invalid_input(format!("the header `{name}` cannot be sent: {why}"))
        })?;
    }
    let wrong = |()| Error::invalid_input(format!("`{}` cannot be requested", hop.url));
    let request = OutgoingRequest::new(headers);
    request.set_method(&method(&hop.method)).map_err(wrong)?;
    request
        .set_scheme(Some(&scheme(&hop.url.scheme)))
        .map_err(wrong)?;
    request
        .set_authority(Some(&hop.url.authority))
        .map_err(wrong)?;
    request
        .set_path_with_query(Some(&hop.url.path))
        .map_err(wrong)?;
    Ok(request)
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), ()> {
    if !bytes.is_empty() {
        let stream = body.write()?;
        for chunk in bytes.chunks(WRITE_BYTES) {
            stream.blocking_write_and_flush(chunk).map_err(|_| ())?;
        }
    }
    OutgoingBody::finish(body, None).map_err(|_| ())
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

impl Answer {
    /// The first value of a header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        str::from_utf8(value).ok()
    }

    /// The next piece of the body; `None` at its end.
    pub(super) fn chunk(&self, most: usize) -> Result<Option<Vec<u8>>, Broken> {
        if most == 0 {
            return Ok(Some(Vec::new()));
        }
        match self.stream.blocking_read(READ_BYTES.min(most) as u64) {
            Ok(chunk) => Ok(Some(chunk)),
            Err(StreamError::Closed) => Ok(None),
            Err(StreamError::LastOperationFailed(error)) => Err(Broken(http_error_code(&error))),
        }
    }

    /// The trailers behind the body.
    pub(super) fn trailers(self) -> Result<Vec<(String, Vec<u8>)>, Broken> {
        drop(self.stream);
        let future: FutureTrailers = IncomingBody::finish(self.body);
        future.subscribe().block();
        match future.get() {
            Some(Ok(Ok(Some(trailers)))) => Ok(trailers.entries()),
            Some(Ok(Ok(None))) => Ok(Vec::new()),
            Some(Ok(Err(code))) => Err(Broken(Some(code))),
            _ => Err(Broken(None)),
        }
    }
}

impl Answered for Answer {
    fn status(&self) -> u16 {
        self.status
    }

    fn location(&self) -> Option<&str> {
        self.header("location")
    }
}

/// Why a body ended before its end.
#[derive(Debug)]
pub(super) struct Broken(Option<ErrorCode>);

impl Broken {
    pub(super) fn explain(&self, what: &str) -> Error {
        match &self.0 {
            Some(code) => error::of_code(what, code),
            None => Error::unavailable(format!("{what}: the answer broke off")),
        }
    }
}
