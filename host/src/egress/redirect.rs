//! Where an answer sends a client on, as a request that the caller may decide on, or why it is none.
//!
//! Nothing is sent here. What is not followed is an answer like any other.

use http::{
    HeaderMap, HeaderName, Method, StatusCode, Uri,
    header::{
        ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_ENCODING,
        CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, LOCATION, PRAGMA,
        USER_AGENT,
    },
};
use url::{Origin, Url};

use super::target::{Target, URL_BYTES_MAX};

/// Headers that say what the body is, and go with it.
const OF_THE_BODY: [HeaderName; 5] = [
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_TYPE,
];

/// What another server is told of what the first one was told, besides [`OF_THE_BODY`]: nothing else, since any other
/// header may be a credential (`authorization`, `cookie`, `x-api-key`, …) or tell of the first server.
const FOR_ANYBODY: [HeaderName; 7] = [
    ACCEPT,
    ACCEPT_CHARSET,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    CACHE_CONTROL,
    PRAGMA,
    USER_AGENT,
];

/// Why an answer is handed on as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    /// It sends nobody anywhere.
    NoRedirect,
    /// As many were followed as the rule says.
    Enough,
    /// The address is missing, said twice, or cannot be read, or is one that is never requested.
    Unreadable,
    /// From https to http: what was encrypted would not be any more.
    Downgrade,
    /// The same request was made before on this way.
    Loop,
    /// The body would have to be sent once more, and is not there any more.
    Body,
}

/// The next request of a way.
#[derive(Debug)]
pub(crate) struct Hop {
    /// Where to.
    pub(crate) target: Target,
    /// With which method.
    pub(crate) method: Method,
    /// Whether the body goes along.
    pub(crate) with_body: bool,
    same_server: bool,
}

impl Hop {
    /// Those of the last request's headers that go along.
    pub(crate) fn headers(&self, from: &HeaderMap) -> HeaderMap {
        let goes = |name: &HeaderName| {
            let of_the_body = OF_THE_BODY.contains(name);
            (self.with_body || !of_the_body)
                && (self.same_server || of_the_body || FOR_ANYBODY.contains(name))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in from.iter().filter(|(name, _)| goes(name)) {
            headers.append(name, value.clone());
        }
        headers
    }
}

/// The way that a request went so far.
#[derive(Debug)]
pub(crate) struct Trail {
    visited: Vec<(Method, Url)>,
    most: u8,
}

impl Trail {
    /// A way that starts with this request, and on which `most` redirects are followed.
    pub(crate) fn new(method: &Method, target: &Target, most: u8) -> Self {
        Self {
            visited: vec![(method.clone(), target.url().clone())],
            most,
        }
    }

    /// The request that an answer to the last one asks for. `body` says whether its body can be sent once more, or whether
    /// it had none.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) fn next(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        body: bool,
    ) -> Result<Hop, Stay> {
        let (method, base) = self.visited.last().ok_or(Stay::NoRedirect)?;
        let (method, with_body) = method_after(status, method)?;
        if self.visited.len() > usize::from(self.most) {
            return Err(Stay::Enough);
        }
        let target = read(headers, base)?;
        if base.scheme() == "https" && !target.is_https() {
            return Err(Stay::Downgrade);
        }
        let same_server = same_server(base, target.url());
        let request = (method.clone(), target.url().clone());
        if self.visited.contains(&request) {
            return Err(Stay::Loop);
        }
        if with_body && !body {
            return Err(Stay::Body);
        }
        self.visited.push(request);
        Ok(Hop {
            target,
            method,
            with_body,
            same_server,
        })
    }
}

/// The next method, and whether the body goes along (RFC 9110, 15.4, and what browsers do).
fn method_after(status: StatusCode, method: &Method) -> Result<(Method, bool), Stay> {
    let plain = *method == Method::GET || *method == Method::HEAD;
    match status.as_u16() {
        303 if !plain => Ok((Method::GET, false)),
        301 | 302 if *method == Method::POST => Ok((Method::GET, false)),
        301 | 302 | 303 | 307 | 308 => Ok((method.clone(), true)),
        _ => Err(Stay::NoRedirect),
    }
}

/// Reads where an answer leads to, with the one reading of addresses that there is.
fn read(headers: &HeaderMap, base: &Url) -> Result<Target, Stay> {
    let mut said = headers.get_all(LOCATION).iter();
    let (Some(location), None) = (said.next(), said.next()) else {
        return Err(Stay::Unreadable);
    };
    let location = location.as_bytes();
    // What readers of addresses cut out or turn round silently is where two of them differ.
    let clear = |byte: &u8| byte.is_ascii_graphic() && *byte != b'\\';
    if location.is_empty() || location.len() > URL_BYTES_MAX || !location.iter().all(clear) {
        return Err(Stay::Unreadable);
    }
    let location = str::from_utf8(location).map_err(|_| Stay::Unreadable)?;
    let mut url = base.join(location).map_err(|_| Stay::Unreadable)?;
    url.set_fragment(None);
    let uri: Uri = url.as_str().parse().map_err(|_| Stay::Unreadable)?;
    Target::read(&uri).map_err(|_| Stay::Unreadable)
}

fn same_server(one: &Url, other: &Url) -> bool {
    let origin = one.origin();
    matches!(origin, Origin::Tuple(..)) && origin == other.origin()
}

#[cfg(test)]
mod tests;
