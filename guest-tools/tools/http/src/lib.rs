//! `http`: send a request with any method, and answer what came back.
//!
//! The body to send is chosen from three arguments (`outgoing`), the one that came becomes JSON, text or
//! base64 (`incoming`).

mod incoming;
mod limits;
mod outgoing;

use std::collections::BTreeMap;

use toolcell_guest::http::Request;
use toolcell_guest::serde_json::Value;
use toolcell_guest::{Json, Result, data, package, tool};

use limits::{DEFAULT_BYTES, MAX_BYTES, MAX_REDIRECTS, URL_CHARACTERS};

package! {
    name = "http",
    tools = [http],
    request = {
        net = [{
            to = "any",
            methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            why = "send the requests the model asks for",
        }],
        secrets = [{
            name = "HTTP_TOKEN",
            to = "any",
            why = "a credential for the one server that the operator chooses",
        }],
    },
}

/// A method of HTTP.
#[data]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads. The default.
    #[serde(rename = "GET")]
    Get,
    /// Reads the status and the headers alone.
    #[serde(rename = "HEAD")]
    Head,
    /// Creates, or does something.
    #[serde(rename = "POST")]
    Post,
    /// Puts something in the place of what is there.
    #[serde(rename = "PUT")]
    Put,
    /// Changes a part of something.
    #[serde(rename = "PATCH")]
    Patch,
    /// Removes.
    #[serde(rename = "DELETE")]
    Delete,
    /// Asks what is possible.
    #[serde(rename = "OPTIONS")]
    Options,
}

/// What came back.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status, for example 200. From 400 on the server did not do what was asked.
    pub status: u16,
    /// Where redirects led to, if anywhere.
    pub redirected: Option<String>,
    /// The headers by their names in lower case; several of one name are joined with `, `.
    pub headers: BTreeMap<String, String>,
    /// The body, if it is JSON.
    pub json: Option<Value>,
    /// The body, if it is text.
    pub text: Option<String>,
    /// The body in base64, if it is neither.
    pub base64: Option<String>,
    /// How many bytes of the body were read.
    pub bytes: usize,
    /// Whether the body goes on behind `max_bytes`. What is cut off is answered as text or base64.
    pub truncated: bool,
}

/// Sends an HTTP request and answers the status, the headers and the body of the response.
///
/// For web APIs. To read a page, `fetch` is better where there is one: it answers Markdown. Only what the
/// operator granted can be reached, by host, method and path; a refused request stays refused, so do not
/// try it again. Credentials that the operator bound are added on the way out: do not look for them, and do
/// not set their header. A status of 400 or more is an answer like any other. At most one of `body`, `json`
/// and `base64` can be given.
#[tool(open_world, destructive)]
pub fn http(
    /// An absolute URL with its query, for example `https://api.example.com/v1/items?limit=10`.
    #[arg(max_length = URL_CHARACTERS)]
    url: String,
    method: Option<Method>,
    /// Headers by name, for example `{"accept": "application/json"}`. Without line breaks.
    #[arg(pattern = r"^[^\x00-\x08\x0a-\x1f\x7f]*$")]
    headers: Option<BTreeMap<String, String>>,
    /// A text to send. `text/plain` unless a header `content-type` says otherwise.
    body: Option<String>,
    /// A JSON value to send, as `application/json`.
    json: Option<Value>,
    /// Bytes to send, in base64. `application/octet-stream` unless a header says otherwise.
    base64: Option<String>,
    /// How many redirects are followed; each is a request of its own, which must be granted.
    #[arg(default = 0, min = 0, max = MAX_REDIRECTS)]
    redirects: u32,
    /// How many bytes of the body are read at most.
    #[arg(default = DEFAULT_BYTES, min = 0, max = MAX_BYTES)]
    max_bytes: u32,
) -> Result<Json<Answer>> {
    let outgoing = outgoing::choose(body, json, base64)?;
    let mut request = Request::new(outgoing::name(method), url.clone()).redirects(redirects);
    let mut named = false;
    for (name, value) in headers.unwrap_or_default() {
        named |= name.eq_ignore_ascii_case("user-agent");
        request = request.header(name, value);
    }
    if !named {
        let agent = concat!("toolcell-http/", env!("CARGO_PKG_VERSION"));
        request = request.header("user-agent", agent);
    }
    let response = outgoing.put(request).send()?;
    incoming::answer(&url, &response, max_bytes as usize).map(Json)
}
