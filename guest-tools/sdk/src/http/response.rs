//! The head of a response, and its body still to be read.

use serde::de::DeserializeOwned;

use super::{
    Url, error,
    follow::{self, Answered as _, Hop},
    links,
    wire::Answer,
};
use crate::{Error, Result};

/// What is read of the body of an error, in bytes.
const ERROR_BYTES: usize = 4 << 10;

/// The head of a response, and its body still to be read.
///
/// The body comes only as fast as it is read, and never has to be read at all.
#[derive(Debug)]
pub struct Response {
    answer: Answer,
    method: String,
    url: Url,
    /// Whether something may have changed on the way here.
    sent: bool,
    limit: usize,
}

impl Response {
    pub(super) fn new(answer: Answer, hop: Hop<Url>, sent: bool, limit: usize) -> Self {
        Self {
            answer,
            method: hop.method,
            url: hop.url,
            sent,
            limit,
        }
    }

    /// The status, for example 200.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.answer.status()
    }

    /// Where it comes from: the URL of the request, or where redirects led to.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The first value of a header, if it has one that is text. Upper and lower case are the same.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.answer.header(name)
    }

    /// All headers, in the order in which they came. A value is mostly text, but need not be.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let headers = self.answer.headers.iter();
        headers.map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The link with that relation, for example `next` where a list goes on.
    #[must_use]
    pub fn link(&self, rel: &str) -> Option<Url> {
        let values = self.headers().filter_map(|(name, value)| {
            let value = str::from_utf8(value).ok()?;
            name.eq_ignore_ascii_case("link").then_some(value)
        });
        self.url.join(links::find(values, rel)?)
    }

    /// This response, unless its status says that the request was not answered as asked.
    ///
    /// # Errors
    /// What a status of 400 or more means, with its code (`http-404`) and the first words of the body
    /// where that is text: `auth-required` for 401, `denied` for 403, `not-found` for 404 and 410,
    /// `too-large` for 413, `invalid-input` for 400 and 422, `unavailable` for 408, 425, 429 and from
    /// 500 on, `failed` for others.
    pub fn ok(self) -> Result<Self> {
        if self.status() < 400 {
            return Ok(self);
        }
        // The text often says what was wrong; without it the status has to do.
        let body = self.read(ERROR_BYTES).unwrap_or_default();
        let text = match body.contains(&0) {
            true => String::new(),
            false => String::from_utf8_lossy(&body).into_owned(),
        };
        Err(self.refused(&text))
    }

    /// The error that this status means, with what the server says about it in its body, for tools
    /// that know how to read that.
    #[must_use]
    pub fn refused(&self, text: &str) -> Error {
        let later = self.header("retry-after");
        let error = error::of_status(&self.what(), self.status(), later, text);
        // What was refused did not happen. What broke half-way may have.
        let broke = self.sent && self.status() >= 500;
        follow::mark(error, broke)
    }

    /// Reads the body up to its end or up to `most` bytes, whichever comes first. Another call goes
    /// on where this one ended.
    ///
    /// # Errors
    /// `unavailable` where the connection broke, `too-large` where the operator's limit was met.
    pub fn read(&self, most: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < most {
            match self.chunk(most - bytes.len())? {
                Some(chunk) => bytes.extend(chunk),
                None => break,
            }
        }
        Ok(bytes)
    }

    /// The next piece of the body as it comes, of at most `most` bytes; `None` at the end.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn chunk(&self, most: usize) -> Result<Option<Vec<u8>>> {
        let read = self.answer.chunk(most);
        read.map_err(|why| follow::mark(why.explain(&self.what()), self.sent))
    }

    /// The whole body.
    ///
    /// # Errors
    /// `too-large` where it has more bytes than [`Request::limit`](super::Request::limit) says;
    /// else as [`read`](Self::read).
    pub fn bytes(&self) -> Result<Vec<u8>> {
        // One byte more than is wanted tells whether there is more.
        let bytes = self.read(self.limit.saturating_add(1))?;
        if bytes.len() > self.limit {
            let what = format!(
                "the answer to {} has more than {} bytes",
                self.what(),
                self.limit
            );
            return Err(follow::mark(Error::too_large(what), self.sent));
        }
        Ok(bytes)
    }

    /// The whole body as text. What is no UTF-8 becomes `\u{fffd}`.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn text(&self) -> Result<String> {
        let bytes = self.bytes()?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// The whole body, which is JSON.
    ///
    /// # Errors
    /// `failed` where it is not, or not of this shape; else as [`bytes`](Self::bytes).
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let bytes = self.bytes()?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Data => "is not what was expected",
                _ => "is no JSON",
            };
            let what = format!("the answer to {} {what}: {error}", self.what());
            follow::mark(Error::failed(what), self.sent)
        })
    }

    /// The trailers, which a few protocols send behind the body. What is left of the body is read
    /// first, up to [`Request::limit`](super::Request::limit).
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn trailers(self) -> Result<Vec<(String, Vec<u8>)>> {
        self.bytes()?;
        let (what, sent) = (self.what(), self.sent);
        let trailers = self.answer.trailers();
        trailers.map_err(|why| follow::mark(why.explain(&what), sent))
    }

    /// `GET https://example.com/path`, for messages.
    fn what(&self) -> String {
        error::what(&self.method, &self.url)
    }
}
