//! Requests over HTTP(S) to the hosts that were granted.
//!
//! ```no_run
//! use toolcell_guest::http::Request;
//!
//! let response = Request::get("https://example.com/").header("accept", "text/html").send()?;
//! let page = response.read(1 << 20)?;
//! # Ok::<(), toolcell_guest::Error>(())
//! ```
//!
//! The host decides on every request by scheme, host, port, method and path. It follows no redirects:
//! a tool that wants to sends another request, which is decided on like the first.

mod error;
mod url;

use crate::{Error, Result};

pub use url::Url;

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
use bindings::wasi::http::types::{
    Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use bindings::wasi::io::streams::{InputStream, StreamError};

/// What one read asks the host for, in bytes.
const READ_BYTES: u64 = 64 << 10;
/// What one write takes at once, in bytes; WASI allows no more.
const WRITE_BYTES: usize = 4096;

/// A request that was not sent yet.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request with any method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A `GET` request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `POST` request with a body.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::new("POST", url)
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends the request and waits for the head of the response, whatever its status is.
    ///
    /// # Errors
    /// `denied` where it is outside what was granted, `invalid-input` for a URL that is none,
    /// `unavailable` where nobody answers.
    pub fn send(self) -> Result<Response> {
        let request = self.prepare()?;
        let safe = matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS");
        let explain = |code| {
            let error = error::explain(&self.method, &self.url, code);
            // What changes something may have arrived although no answer came back.
            let sent = !safe && error.kind != crate::ErrorKind::Denied;
            if sent {
                error.with_request_sent()
            } else {
                error
            }
        };
        let body = request
            .body()
            .map_err(|()| Error::failed("the request has no body"))?;
        let future = handle(request, None).map_err(explain)?;
        self.send_body(body)?;
        future.subscribe().block();
        match future.get() {
            Some(Ok(Ok(response))) => Response::new(&self, response),
            Some(Ok(Err(code))) => Err(explain(code)),
            _ => Err(Error::failed(format!(
                "the host lost the response of {}",
                self.url
            ))),
        }
    }

    fn prepare(&self) -> Result<OutgoingRequest> {
        let url = Url::parse(&self.url)?;
        let headers = Fields::new();
        for (name, value) in &self.headers {
            headers.append(name, value.as_bytes()).map_err(|error| {
                Error::invalid_input(format!("the header `{name}` cannot be sent: {error}"))
            })?;
        }
        let wrong = |()| Error::invalid_input(format!("`{}` cannot be requested", self.url));
        let request = OutgoingRequest::new(headers);
        request.set_method(&method(&self.method)).map_err(wrong)?;
        request
            .set_scheme(Some(&scheme(&url.scheme)))
            .map_err(wrong)?;
        request.set_authority(Some(&url.authority)).map_err(wrong)?;
        request
            .set_path_with_query(Some(&url.path))
            .map_err(wrong)?;
        Ok(request)
    }

    fn send_body(&self, body: OutgoingBody) -> Result<()> {
        let failed = |_| Error::unavailable(format!("{} took no body", self.url));
        if !self.body.is_empty() {
            let stream = body
                .write()
                .map_err(|()| Error::failed("the body is taken"))?;
            for chunk in self.body.chunks(WRITE_BYTES) {
                stream.blocking_write_and_flush(chunk).map_err(failed)?;
            }
        }
        OutgoingBody::finish(body, None)
            .map_err(|code| error::explain(&self.method, &self.url, code))
    }
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

/// The head of a response, and its body still to be read.
#[derive(Debug)]
pub struct Response {
    method: String,
    url: String,
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    // The order matters: a stream has to go before the body it belongs to.
    stream: InputStream,
    _body: IncomingBody,
}

impl Response {
    fn new(request: &Request, response: IncomingResponse) -> Result<Self> {
        let taken = |()| Error::failed("the body is taken");
        let headers = response.headers().entries();
        let body = response.consume().map_err(taken)?;
        let stream = body.stream().map_err(taken)?;
        let (method, url) = (request.method.clone(), request.url.clone());
        Ok(Self {
            method,
            url,
            status: response.status(),
            headers,
            stream,
            _body: body,
        })
    }

    /// The status, for example 200.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first value of a header, if it has one that is text. Upper and lower case are the same.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        str::from_utf8(value).ok()
    }

    /// Reads the body up to its end or up to `most` bytes, whichever comes first.
    ///
    /// # Errors
    /// `unavailable` where the connection broke, `too-large` where the operator's limit was met.
    pub fn read(&self, most: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < most {
            let wanted = READ_BYTES.min((most - bytes.len()) as u64);
            match self.stream.blocking_read(wanted) {
                Ok(chunk) => bytes.extend(chunk),
                Err(StreamError::Closed) => break,
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(match bindings::wasi::http::types::http_error_code(&error) {
                        Some(code) => error::explain(&self.method, &self.url, code),
                        None => Error::unavailable(format!("{} broke off", self.url)),
                    });
                }
            }
        }
        Ok(bytes)
    }
}
