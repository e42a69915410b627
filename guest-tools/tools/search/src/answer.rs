//! What the engines have in common.

use toolcell_guest::http::{Request, Response, Url};
use toolcell_guest::serde_json::{self, Value};
use toolcell_guest::{Error, Result};

use crate::Found;
use crate::limits::{ANSWER_BYTES, REFUSAL_BYTES, SNIPPET_CHARACTERS, TITLE_CHARACTERS, URL_BYTES};
use crate::plain;

/// A request to an engine, as far as all are alike.
pub(crate) fn request(url: String) -> Request {
    Request::get(url)
        .header("accept", "application/json")
        .header(
            "user-agent",
            concat!("toolcell-search/", env!("CARGO_PKG_VERSION")),
        )
        .limit(ANSWER_BYTES)
}

/// The answer of an engine as JSON; `hint` adds what a refusal mostly means there.
pub(crate) fn read(response: &Response, hint: impl Fn(u16) -> Option<String>) -> Result<Value> {
    let status = response.status();
    if status >= 400 {
        let body = response.read(REFUSAL_BYTES).unwrap_or_default();
        let mut error = response.refused(&plain_refusal(&body));
        if let Some(hint) = hint(status) {
            error.message.push_str(&format!("\n{hint}"));
        }
        return Err(error);
    }
    if status >= 300 {
        let what = "the engine answered with a redirect: the operator has to correct SEARCH_URL";
        return Err(Error::failed(what).with_code(format!("http-{status}")));
    }
    response.json()
}

/// What an engine says about its refusal: a page of HTML says nothing.
fn plain_refusal(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let Ok(value) = serde_json::from_str::<Value>(&text) else {
        return text.into_owned();
    };
    let places = [
        "/error/detail",
        "/message",
        "/error/code",
        "/error",
        "/detail",
    ];
    let mut words = places
        .iter()
        .filter_map(|place| value.pointer(place)?.as_str());
    words
        .next()
        .map_or_else(|| text.into_owned(), str::to_owned)
}

/// One result, if there is an address in it that could be read.
pub(crate) fn found(
    url: &str,
    title: &str,
    snippet: &str,
    published: Option<&str>,
) -> Option<Found> {
    let is_page = Url::parse(url).is_ok_and(|url| matches!(url.scheme.as_str(), "http" | "https"));
    if !is_page || url.len() > URL_BYTES || url.chars().any(|c| c.is_control() || c == ' ') {
        return None;
    }
    let title = plain::words(title, TITLE_CHARACTERS);
    Some(Found {
        title: if title.is_empty() {
            url.to_owned()
        } else {
            title
        },
        url: url.to_owned(),
        snippet: plain::words(snippet, SNIPPET_CHARACTERS),
        published: published
            .map(|text| plain::words(text, 40))
            .filter(|text| !text.is_empty()),
    })
}

/// A text in an object; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The list that has to be there.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> Result<&'a [Value]> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or_else(|| {
        Error::failed(format!(
            "the engine's answer has no list `{pointer}`: is SEARCH_URL the right one?"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::{found, plain_refusal};

    #[test]
    fn a_result_needs_an_address() {
        let found = |url: &str| found(url, "<b>T</b>", "s", Some(""));
        let one = found("https://h/x").unwrap();
        assert_eq!((one.title.as_str(), one.published), ("T", None));
        for url in [
            "",
            "javascript:alert(1)",
            "/x",
            "ftp://h/",
            "https://h/a b",
            "https://h/\n",
        ] {
            assert_eq!(found(url), None, "{url}");
        }
        assert_eq!(found(&format!("https://h/{}", "x".repeat(3000))), None);
        assert_eq!(
            super::found("https://h/x", " ", "", None).unwrap().title,
            "https://h/x"
        );
    }

    #[test]
    fn a_refusal_is_in_its_own_words() {
        for (body, words) in [
            (
                r#"{"error": {"code": "C", "detail": "no plan"}}"#,
                "no plan",
            ),
            (r#"{"message": "m"}"#, "m"),
            (r#"{"error": {"code": "C"}}"#, "C"),
            (r#"{"error": "e"}"#, "e"),
            ("[]", "[]"),
            ("plain", "plain"),
        ] {
            assert_eq!(plain_refusal(body.as_bytes()), words);
        }
    }
}
