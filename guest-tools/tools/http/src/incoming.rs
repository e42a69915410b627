//! The response as an answer.

use std::collections::BTreeMap;

use toolcell_guest::http::{Response, Url};
use toolcell_guest::serde_json::{self, Value};
use toolcell_guest::{Result, base64};

use crate::Answer;
use crate::limits::JSON_DEPTH;

pub(crate) fn answer(asked: &str, response: &Response, max_bytes: usize) -> Result<Answer> {
    // One byte more than is wanted tells whether there is more.
    let mut body = response.read(max_bytes + 1)?;
    let truncated = body.len() > max_bytes;
    body.truncate(max_bytes);
    let headers = headers(response.headers());
    let media_type = headers.get("content-type").cloned().unwrap_or_default();
    let bytes = body.len();
    let elsewhere = Url::parse(asked).is_ok_and(|asked| asked != *response.url());
    let redirected = elsewhere.then(|| response.url().to_string());
    let (mut json, mut text, mut base64) = (None, None, None);
    match read(body, &media_type, truncated) {
        Body::Nothing => {}
        Body::Json(value) => json = Some(value),
        Body::Text(it) => text = Some(it),
        Body::Bytes(bytes) => base64 = Some(base64::encode(&bytes)),
    }
    Ok(Answer {
        status: response.status(),
        redirected,
        headers,
        json,
        text,
        base64,
        bytes,
        truncated,
    })
}

#[derive(Debug, PartialEq)]
enum Body {
    Nothing,
    Json(Value),
    Text(String),
    Bytes(Vec<u8>),
}

/// What a body is, by what the server calls it and by what it holds.
fn read(body: Vec<u8>, media_type: &str, truncated: bool) -> Body {
    if body.is_empty() {
        return Body::Nothing;
    }
    let media_type = media_type.to_ascii_lowercase();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let is_json = essence == "application/json" || essence.ends_with("+json");
    if is_json
        && !truncated
        && let Ok(value) = serde_json::from_slice(&body)
        && is_shallow(&value, JSON_DEPTH)
    {
        return Body::Json(value);
    }
    let binary = ["image/", "audio/", "video/", "font/"]
        .iter()
        .any(|kind| essence.starts_with(kind))
        && essence != "image/svg+xml";
    if binary || body.contains(&0) {
        return Body::Bytes(body);
    }
    match String::from_utf8(body) {
        Ok(text) => Body::Text(text),
        Err(error) => {
            let cut = error.utf8_error();
            let (valid, broken) = (cut.valid_up_to(), cut.error_len());
            let mut body = error.into_bytes();
            if truncated && broken.is_none() {
                // The end fell into a character.
                body.truncate(valid);
            }
            String::from_utf8(body).map_or_else(|error| Body::Bytes(error.into_bytes()), Body::Text)
        }
    }
}

fn is_shallow(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(values) => {
            depth > 0 && values.iter().all(|value| is_shallow(value, depth - 1))
        }
        Value::Object(values) => {
            depth > 0 && values.values().all(|value| is_shallow(value, depth - 1))
        }
        _ => true,
    }
}

/// The headers by name. Cookies have commas of their own, so a line break stands between them.
fn headers<'a>(all: impl Iterator<Item = (&'a str, &'a [u8])>) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in all {
        let (name, value) = (name.to_ascii_lowercase(), String::from_utf8_lossy(value));
        let between = if name == "set-cookie" { "\n" } else { ", " };
        match headers.get_mut(&name) {
            Some(known) => {
                known.push_str(between);
                known.push_str(&value);
            }
            None => {
                headers.insert(name, value.into_owned());
            }
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use toolcell_guest::serde_json::json;

    use super::{Body, headers, read};

    fn text(text: &str) -> Body {
        Body::Text(text.to_owned())
    }

    #[test]
    fn a_body_is_what_it_holds() {
        let cases: [(&[u8], &str, bool, Body); 12] = [
            (b"", "application/json", false, Body::Nothing),
            (
                b"{\"a\":1}",
                "application/json",
                false,
                Body::Json(json!({"a": 1})),
            ),
            (
                b"[]",
                "application/problem+JSON; a=b",
                false,
                Body::Json(json!([])),
            ),
            (b"{\"a\":1}", "text/plain", false, text("{\"a\":1}")),
            // What is called JSON and is none, or not all of it.
            (b"<p>", "application/json", false, text("<p>")),
            (b"[1", "application/json", true, text("[1")),
            (b"hi", "", false, text("hi")),
            (b"a\0b", "text/plain", false, Body::Bytes(b"a\0b".to_vec())),
            (b"abc", "image/png", false, Body::Bytes(b"abc".to_vec())),
            (b"<svg/>", "image/svg+xml", false, text("<svg/>")),
            ("aä".as_bytes(), "text/plain", true, text("aä")),
            (
                b"\xff\xfea",
                "text/plain",
                false,
                Body::Bytes(b"\xff\xfea".to_vec()),
            ),
        ];
        for (body, media_type, truncated, expected) in cases {
            assert_eq!(
                read(body.to_vec(), media_type, truncated),
                expected,
                "{media_type}"
            );
        }
        // The end fell into a character: only then is it left out.
        assert_eq!(read(b"a\xc3".to_vec(), "", true), text("a"));
        assert_eq!(
            read(b"a\xc3".to_vec(), "", false),
            Body::Bytes(b"a\xc3".to_vec())
        );
    }

    #[test]
    fn deep_json_is_answered_as_text() {
        let deep = format!("{}{}", "[".repeat(61), "]".repeat(61));
        assert_eq!(
            read(deep.clone().into_bytes(), "application/json", false),
            text(&deep)
        );
        let deeper = "[".repeat(5000);
        assert_eq!(
            read(deeper.clone().into_bytes(), "application/json", false),
            text(&deeper)
        );
        let shallow = format!("{}{}", "[".repeat(60), "]".repeat(60));
        assert!(matches!(
            read(shallow.into_bytes(), "application/json", false),
            Body::Json(_)
        ));
    }

    #[test]
    fn headers_of_one_name_stand_together() {
        let all: [(&str, &[u8]); 5] = [
            ("Vary", b"a"),
            ("vary", b"b"),
            ("set-cookie", b"x=1, 2"),
            ("Set-Cookie", b"y"),
            ("odd", b"\xff"),
        ];
        let headers = headers(all.into_iter());
        assert_eq!(headers["vary"], "a, b");
        assert_eq!(headers["set-cookie"], "x=1, 2\ny");
        assert_eq!(headers["odd"], "\u{fffd}");
    }
}
