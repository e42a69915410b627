//! One request after the other, as long as the answers lead elsewhere.

use super::Url;
use crate::{Error, Result};

/// The headers that go to another server when a redirect leads there. Others may be meant for the
/// first one alone, whatever they are called.
const FOR_EVERYBODY: [&str; 6] = [
    "accept",
    "accept-language",
    "content-language",
    "content-type",
    "if-modified-since",
    "user-agent",
];

/// One request of those that a redirect makes of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop<U> {
    pub(super) method: String,
    pub(super) url: U,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl<U> Hop<U> {
    /// The same request, to somewhere else.
    pub(super) fn to<V>(self, url: V) -> Hop<V> {
        let Self {
            method,
            headers,
            body,
            ..
        } = self;
        Hop {
            method,
            url,
            headers,
            body,
        }
    }

    /// Whether it may change something, so that sending it again is another matter.
    pub(super) fn changes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }
}

/// The head of an answer, as far as it matters here.
pub(super) trait Answered {
    fn status(&self) -> u16;
    fn location(&self) -> Option<&str>;
}

/// Sends a request and those that its answers lead to. Gives the last answer, the request that it
/// answers, and whether any of them may have changed something.
pub(super) fn follow<A: Answered>(
    first: Hop<Url>,
    redirects: u32,
    mut send: impl FnMut(&Hop<Url>) -> Result<A>,
) -> Result<(A, Hop<Url>, bool)> {
    let mut hop = first;
    let mut sent = false;
    let mut followed = 0;
    loop {
        let told = |error: Error| mark(error, sent);
        let answer = send(&hop).map_err(|error| match followed {
            0 => error,
            _ => told(error).context("redirected"),
        })?;
        sent |= hop.changes();
        if redirects == 0 || !is_redirect(answer.status()) {
            return Ok((answer, hop, sent));
        }
        let url = target(&hop.url, &answer).map_err(|error| mark(error, sent))?;
        if followed == redirects {
            let what = format!("more than {redirects} redirects, the last one to {url}");
            return Err(mark(Error::failed(what), sent));
        }
        followed += 1;
        hop = next(hop, answer.status(), url);
    }
}

/// An error after a request that may have changed something.
pub(super) fn mark(error: Error, sent: bool) -> Error {
    if sent {
        error.with_request_sent()
    } else {
        error
    }
}

fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Where an answer sends us on to.
fn target(url: &Url, answer: &impl Answered) -> Result<Url> {
    let location = answer.location().unwrap_or_default();
    let target = url.join(location).filter(|_| !location.is_empty());
    target.ok_or_else(|| {
        let location = location.escape_debug();
        Error::failed(format!(
            "{url} redirects to `{location}`, which is no address of a page"
        ))
    })
}

/// The request that a redirect makes of one.
fn next(hop: Hop<Url>, status: u16, url: Url) -> Hop<Url> {
    let elsewhere = !hop.url.same_origin(&url);
    let becomes_get = match status {
        301 | 302 => hop.method == "POST",
        303 => hop.method != "HEAD",
        _ => false,
    };
    let mut next = hop.to(url);
    if elsewhere {
        next.headers
            .retain(|(name, _)| FOR_EVERYBODY.iter().any(|it| name.eq_ignore_ascii_case(it)));
    }
    if becomes_get {
        next.method = "GET".to_owned();
        next.body.clear();
        next.headers
            .retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
    }
    next
}

#[cfg(test)]
mod tests {
    use super::{Answered, Hop, follow};
    use crate::http::Url;
    use crate::{Error, ErrorKind, Result};

    struct Head(u16, &'static str);

    impl Answered for Head {
        fn status(&self) -> u16 {
            self.0
        }
        fn location(&self) -> Option<&str> {
            Some(self.1).filter(|it| !it.is_empty())
        }
    }

    fn hop(method: &str, url: &str) -> Hop<Url> {
        let header = |name: &str| (name.to_owned(), "v".to_owned());
        Hop {
            method: method.to_owned(),
            url: Url::parse(url).unwrap(),
            headers: ["Accept", "Authorization", "Cookie", "X-Key", "Content-Type"]
                .map(header)
                .to_vec(),
            body: b"b".to_vec(),
        }
    }

    /// What is sent when these are the answers, in order.
    fn sent(
        first: Hop<Url>,
        redirects: u32,
        answers: &[(u16, &'static str)],
    ) -> (Vec<Hop<Url>>, Result<(u16, bool)>) {
        let mut hops = Vec::new();
        let mut answers = answers.iter();
        let result = follow(first, redirects, |hop| {
            hops.push(hop.clone());
            match answers.next() {
                Some((0, _)) => Err(Error::unavailable("gone")),
                Some((status, location)) => Ok(Head(*status, location)),
                None => Ok(Head(200, "")),
            }
        });
        (hops, result.map(|(head, _, sent)| (head.0, sent)))
    }

    fn names(hop: &Hop<Url>) -> Vec<&str> {
        hop.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn without_being_asked_no_redirect_is_followed() {
        let (hops, result) = sent(hop("GET", "https://a/"), 0, &[(302, "/x")]);
        assert_eq!((hops.len(), result.unwrap()), (1, (302, false)));
    }

    #[test]
    fn headers_stay_on_one_server() {
        let (hops, _) = sent(hop("GET", "https://a/"), 3, &[(302, "https://A:443/x")]);
        assert_eq!(hops.len(), 2);
        assert_eq!(names(&hops[1]).len(), 5);
        for elsewhere in [
            "https://b/",
            "http://a/",
            "https://a:444/",
            "//b/x",
            "https://a.b/",
        ] {
            let (hops, _) = sent(hop("GET", "https://a/"), 3, &[(307, elsewhere)]);
            assert_eq!(names(&hops[1]), ["Accept", "Content-Type"], "{elsewhere}");
        }
        // What was dropped does not come back with the way back.
        let there_and_back = [(307, "https://b/"), (307, "https://a/")];
        let (hops, _) = sent(hop("GET", "https://a/"), 3, &there_and_back);
        assert_eq!(names(&hops[2]), ["Accept", "Content-Type"]);
    }

    #[test]
    fn methods_change_as_in_browsers() {
        for (method, status, expected) in [
            ("POST", 301, "GET"),
            ("POST", 302, "GET"),
            ("POST", 303, "GET"),
            ("POST", 307, "POST"),
            ("POST", 308, "POST"),
            ("PUT", 302, "PUT"),
            ("DELETE", 303, "GET"),
            ("HEAD", 303, "HEAD"),
            ("GET", 301, "GET"),
        ] {
            let (hops, _) = sent(hop(method, "https://a/"), 1, &[(status, "/x")]);
            assert_eq!(hops[1].method, expected, "{method} {status}");
            let kept = method == expected;
            assert_eq!(!hops[1].body.is_empty(), kept, "{method} {status}");
            assert_eq!(names(&hops[1]).contains(&"Content-Type"), kept);
        }
    }

    #[test]
    fn redirects_come_to_an_end() {
        let round = [(302, "/"), (302, "/"), (302, "/")];
        let (hops, result) = sent(hop("GET", "https://a/"), 2, &round);
        assert_eq!(hops.len(), 3);
        let error = result.unwrap_err();
        assert!(error.message.contains("more than 2 redirects"), "{error}");
        assert!(!error.request_sent);
    }

    #[test]
    fn a_redirect_to_nowhere_is_an_error() {
        for location in ["", "mailto:a@b", "javascript:x", "ftp://a/"] {
            let (hops, result) = sent(hop("GET", "https://a/"), 2, &[(302, location)]);
            assert_eq!(hops.len(), 1, "{location}");
            assert_eq!(result.unwrap_err().kind, ErrorKind::Failed, "{location}");
        }
    }

    #[test]
    fn an_error_after_a_change_says_so() {
        // The POST was answered, so it happened, whatever becomes of the page that it leads to.
        let (_, result) = sent(hop("POST", "https://a/"), 2, &[(303, "/x"), (0, "")]);
        let error = result.unwrap_err();
        assert!(
            error.request_sent && error.message.starts_with("redirected"),
            "{error}"
        );
        let (_, result) = sent(hop("POST", "https://a/"), 2, &[(303, "")]);
        assert!(result.unwrap_err().request_sent);
        let (_, result) = sent(hop("GET", "https://a/"), 2, &[(303, "/x"), (0, "")]);
        assert!(!result.unwrap_err().request_sent);
        // Whether the first one itself arrived is for whoever sends to say.
        let (_, result) = sent(hop("POST", "https://a/"), 2, &[(0, "")]);
        assert!(!result.unwrap_err().request_sent);
    }
}
