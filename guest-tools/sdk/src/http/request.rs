//! A request that was not sent yet.

use std::time::Duration;

use serde::Serialize;

use super::{
    Response, Url,
    follow::{self, Hop},
    wire::{self, Times},
};
use crate::{Error, Result};

/// What is read of a body where a request does not say, in bytes: 1 MiB.
pub const DEFAULT_LIMIT: usize = 1 << 20;

/// A request that was not sent yet.
///
/// ```no_run
/// use toolcell_guest::http::Request;
/// use toolcell_guest::serde_json::json;
///
/// let response = Request::post("https://api.example.com/notes")
///     .json(&json!({ "text": "buy sand" }))
///     .send()?
///     .ok()?;
/// # Ok::<(), toolcell_guest::Error>(())
/// ```
///
/// What cannot be part of a request, such as a line break in a header, is told when it is sent.
#[derive(Debug, Clone)]
pub struct Request {
    hop: Hop<String>,
    query: Vec<(String, String)>,
    /// What the body is, unless a header says otherwise.
    media_type: Option<String>,
    /// The first thing that cannot be sent.
    wrong: Option<Error>,
    redirects: u32,
    limit: usize,
    times: Times,
}

impl Request {
    /// A request with any method, for example `GET`.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            hop: Hop {
                method: method.into(),
                url: url.into(),
                headers: Vec::new(),
                body: Vec::new(),
            },
            query: Vec::new(),
            media_type: None,
            wrong: None,
            redirects: 0,
            limit: DEFAULT_LIMIT,
            times: Times::default(),
        }
    }

    /// A `GET` request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `HEAD` request.
    pub fn head(url: impl Into<String>) -> Self {
        Self::new("HEAD", url)
    }

    /// A `POST` request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A `PUT` request.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// A `PATCH` request.
    pub fn patch(url: impl Into<String>) -> Self {
        Self::new("PATCH", url)
    }

    /// A `DELETE` request.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Adds a header. A line break or another control character in it is an error, told by
    /// [`send`](Self::send). Headers that belong to the connection are the host's, and so is the header
    /// that an operator bound a credential to: a tool that sets one of them is refused.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        if let Err(error) = check_header(&name, &value) {
            self.wrong.get_or_insert(error);
        }
        self.hop.headers.push((name, value));
        self
    }

    /// Adds a parameter to the URL's query, percent-encoded.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.query.push((name.into(), value.to_string()));
        self
    }

    /// Sends these bytes as the body. They are `application/octet-stream` unless a header says
    /// otherwise.
    #[must_use]
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body("application/octet-stream", bytes.into())
    }

    /// Sends a text as the body. It is `text/plain` unless a header says otherwise.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.body("text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// Sends a value as JSON. It is `application/json` unless a header says otherwise.
    #[must_use]
    pub fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.body("application/json", bytes),
            Err(error) => {
                let what = format!("the body is no JSON: {error}");
                self.wrong.get_or_insert(Error::invalid_input(what));
                self
            }
        }
    }

    fn body(mut self, media_type: &str, bytes: Vec<u8>) -> Self {
        self.hop.body = bytes;
        self.media_type = Some(media_type.to_owned());
        self
    }

    /// Follows up to so many redirects; none unless this is said. Each hop is a request of its own,
    /// which the host decides on, and the call's number of requests counts it.
    ///
    /// As in browsers, 301, 302 and 303 turn a `POST` into a `GET` without a body, 307 and 308 repeat
    /// the request. To another scheme, host or port go only `accept`, `accept-language`, `user-agent`
    /// and what describes the body: other headers may be meant for one server alone.
    #[must_use]
    pub fn redirects(mut self, most: u32) -> Self {
        self.redirects = most;
        self
    }

    /// How many bytes of the response's body are wanted at most: what [`Response::bytes`],
    /// [`text`](Response::text) and [`json`](Response::json) take before they call it too large.
    /// [`DEFAULT_LIMIT`] unless this is said.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// How long looking up the name, connecting and agreeing on encryption may take together. Times
    /// can be made shorter than the host's, never longer.
    #[must_use]
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.times.connect = Some(time);
        self
    }

    /// How long the server may take until the head of its response is there.
    #[must_use]
    pub fn response_timeout(mut self, time: Duration) -> Self {
        self.times.response = Some(time);
        self
    }

    /// How long the server may pause within its response.
    #[must_use]
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.times.idle = Some(time);
        self
    }

    /// Sends the request and waits for the head of the response, whatever its status is;
    /// [`Response::ok`] makes an error of a status of 400 or more.
    ///
    /// # Errors
    /// `denied` where it is outside what was granted, `invalid-input` for what is no request,
    /// `unavailable` where nobody answers. `request_sent` is set where something may have happened
    /// all the same: a request that changes things was sent, and no answer came back.
    pub fn send(self) -> Result<Response> {
        let (redirects, limit, times) = (self.redirects, self.limit, self.times);
        let hop = self.first()?;
        let (answer, hop, sent) = follow::follow(hop, redirects, |hop| wire::send(hop, times))?;
        Ok(Response::new(answer, hop, sent, limit))
    }

    /// The request as it is sent first.
    fn first(mut self) -> Result<Hop<Url>> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let mut url = Url::parse(&self.hop.url)?;
        for (name, value) in &self.query {
            url = url.with_query(name, value);
        }
        let headers = &mut self.hop.headers;
        let is_type = |(name, _): &(String, String)| name.eq_ignore_ascii_case("content-type");
        if let Some(media_type) = self.media_type
            && !headers.iter().any(is_type)
        {
            headers.push(("content-type".to_owned(), media_type));
        }
        Ok(self.hop.to(url))
    }
}

/// Whether a header can be sent. The value is not repeated in the error: a tool's author may have put
/// anything there.
fn check_header(name: &str, value: &str) -> Result<()> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        let what = format!("`{}` is no name of a header", name.escape_debug());
        return Err(Error::invalid_input(what));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        let what = format!(
            "the header `{name}` holds a line break or another control character, which cannot be sent"
        );
        return Err(Error::invalid_input(what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Request;
    use crate::ErrorKind;

    #[test]
    fn the_query_is_added_to_the_one_that_is_there() {
        let request = Request::get("https://h/s?a=1#f")
            .query("q", "x & y=ü")
            .query("n", 3);
        let hop = request.first().unwrap();
        assert_eq!(
            hop.url.to_string(),
            "https://h/s?a=1&q=x%20%26%20y%3D%C3%BC&n=3"
        );
    }

    #[test]
    fn a_body_has_a_type_unless_one_is_given() {
        let hop = Request::post("https://h").json(&[1]).first().unwrap();
        assert_eq!(hop.method, "POST");
        assert_eq!(
            hop.headers,
            [("content-type".to_owned(), "application/json".to_owned())]
        );
        assert_eq!(hop.body, b"[1]");
        let hop = Request::put("https://h")
            .text("a,b")
            .header("Content-Type", "text/csv")
            .first()
            .unwrap();
        assert_eq!(hop.headers.len(), 1);
        assert_eq!(hop.body, b"a,b");
    }

    #[test]
    fn what_cannot_be_sent_is_told_when_sending() {
        for (name, value) in [
            ("x", "a\r\nhost: b"),
            ("x", "a\nb"),
            ("x", "a\0"),
            ("x", "\u{7f}"),
            ("a b", "c"),
            ("a:", "c"),
            ("a\r\nb", "c"),
            ("", "c"),
        ] {
            let error = Request::get("https://h").header(name, value).send();
            let error = error.unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidInput, "{name:?} {value:?}");
            assert!(!error.message.contains(value) || value == "c", "{error}");
            assert!(!error.message.contains('\r'), "{error}");
        }
        let error = Request::get("h").send().unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        // A map whose keys are no texts is no JSON.
        let error = Request::post("https://h").json(&BTreeMap::from([(vec![1], 2)]));
        assert!(error.send().unwrap_err().message.contains("no JSON"));
    }
}
