//! Requests to GitHub's REST API, and what its refusals mean.

use toolcell_guest::http::{Request, Response, Url};
use toolcell_guest::serde_json::{self, Value};
use toolcell_guest::{Error, ErrorKind, Result, secrets};

use crate::limits::{ANSWER_BYTES, REFUSAL_BYTES};
use crate::{page, view};

/// GitHub's own place.
const GITHUB: &str = "https://api.github.com";
/// The version of the API that this package was written for.
const VERSION: &str = "2022-11-28";
/// The usual form of answers.
pub(crate) const JSON: &str = "application/vnd.github+json";

/// Where the API is.
#[derive(Debug)]
pub(crate) struct Api {
    /// Without a slash at the end.
    base: String,
}

/// An answer, and whether the list in it goes on.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) value: Value,
    pub(crate) more: bool,
}

impl Api {
    /// The API that the operator chose.
    pub(crate) fn open() -> Result<Self> {
        Self::at(std::env::var("GITHUB_API_URL").ok())
    }

    fn at(url: Option<String>) -> Result<Self> {
        let url = url.filter(|url| !url.trim().is_empty());
        let Some(url) = url else {
            return Ok(Self {
                base: GITHUB.to_owned(),
            });
        };
        let wrong = |error: Error| {
            Error::failed(error.message).context("this tool is not set up: GITHUB_API_URL")
        };
        let url = Url::parse(&url).map_err(wrong)?.to_string();
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
        })
    }

    /// A request in that form, for example for `/repos/o/r`.
    pub(crate) fn request(&self, method: &str, path: &str, form: &str) -> Request {
        Request::new(method, format!("{}{path}", self.base))
            .header("accept", form)
            .header("x-github-api-version", VERSION)
            .header(
                "user-agent",
                concat!("toolcell-github/", env!("CARGO_PKG_VERSION")),
            )
            .limit(ANSWER_BYTES)
    }

    /// Reads a thing.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let request = self.request("GET", path, JSON);
        Ok(read(request)?.value)
    }

    /// Reads a page of a list.
    pub(crate) fn list(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        let mut request = self.request("GET", path, JSON);
        for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.query(*name, value);
        }
        read(request)
    }

    /// Changes something.
    pub(crate) fn change(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let request = self.request(method, path, JSON).json(body);
        Ok(read(request)?.value)
    }
}

fn read(request: Request) -> Result<Answer> {
    let response = answered(request)?;
    Ok(Answer {
        more: response.link("next").is_some(),
        value: response.json()?,
    })
}

/// Sends a request, and makes an error of a refusal.
pub(crate) fn answered(request: Request) -> Result<Response> {
    let response = request.send()?;
    match response.status() {
        200..300 => Ok(response),
        300..400 => {
            let what = "GitHub says that this has moved, mostly because the repository was renamed: \
                        use its new name";
            Err(Error::failed(what).with_code(format!("http-{}", response.status())))
        }
        _ => {
            let body = response.read(REFUSAL_BYTES).unwrap_or_default();
            let error = response.refused(&words(&body));
            Err(explain(error, response.status(), |name| {
                response.header(name).map(str::to_owned)
            }))
        }
    }
}

/// What GitHub says in a refusal: its message, and what is wrong with which field.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let Ok(value) = serde_json::from_str::<Value>(&text) else {
        return text.into_owned();
    };
    let mut words = view::text(&value, "/message");
    let errors = value.get("errors").and_then(Value::as_array);
    for error in errors.into_iter().flatten().take(10) {
        let said = match error {
            Value::String(text) => text.clone(),
            error => {
                let place = ["/resource", "/field", "/code", "/message"];
                let parts = place.map(|pointer| view::text(error, pointer));
                parts
                    .join(" ")
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
            }
        };
        words.push_str(&format!("\n- {said}"));
    }
    words
}

/// What a refusal means here, for whoever has no token, too few rights, or asked too often.
fn explain(mut error: Error, status: u16, header: impl Fn(&str) -> Option<String>) -> Error {
    let token = secrets::exists("GITHUB_TOKEN");
    let spent = header("x-ratelimit-remaining").as_deref() == Some("0");
    let limited = error.message.to_ascii_lowercase().contains("rate limit");
    let later = header("retry-after").is_some();
    let hint = match status {
        403 | 429 if spent || limited || later || status == 429 => {
            error.kind = ErrorKind::Unavailable;
            error.code = Some("rate-limited".to_owned());
            let reset = header("x-ratelimit-reset").filter(|_| spent);
            let reset = reset.and_then(|text| text.parse().ok()).map(page::utc);
            let when = reset.map_or_else(
                || "later".to_owned(),
                |reset| format!("after {reset} (UTC)"),
            );
            match token {
                true => format!("too many requests: try again {when}"),
                false => format!(
                    "too many requests, of which there are few without a GITHUB_TOKEN: try again {when}"
                ),
            }
        }
        401 if token => "GitHub does not know the GITHUB_TOKEN, or it has expired".to_owned(),
        401 => "this needs a GITHUB_TOKEN, and none was granted to this tool".to_owned(),
        403 if token => "the GITHUB_TOKEN may not do this".to_owned(),
        403 => "no GITHUB_TOKEN was granted to this tool".to_owned(),
        404 if token => "it does not exist, or the GITHUB_TOKEN may not see it".to_owned(),
        404 => {
            "it does not exist, or is private: no GITHUB_TOKEN was granted to this tool".to_owned()
        }
        _ => return error,
    };
    error.message.push_str(&format!("\n{hint}"));
    error
}

#[cfg(test)]
mod tests {
    use toolcell_guest::{Error, ErrorKind};

    use super::{Api, explain, words};

    #[test]
    fn the_place_is_the_operators() {
        assert_eq!(Api::at(None).unwrap().base, "https://api.github.com");
        assert_eq!(
            Api::at(Some(" ".into())).unwrap().base,
            "https://api.github.com"
        );
        let api = Api::at(Some("https://GHE.example/api/v3/".into())).unwrap();
        assert_eq!(api.base, "https://ghe.example/api/v3");
        let error = Api::at(Some("ghe".into())).unwrap_err();
        assert!(error.message.contains("GITHUB_API_URL: `ghe`"), "{error}");
    }

    #[test]
    fn refusals_are_in_githubs_words() {
        let body = r#"{"message": "Validation Failed", "errors": [
            {"resource": "Issue", "field": "title", "code": "missing_field"}, "other"]}"#;
        assert_eq!(
            words(body.as_bytes()),
            "Validation Failed\n- Issue title missing_field\n- other"
        );
        assert_eq!(words(b"<html>"), "<html>");
        assert_eq!(words(b"{}"), "");
    }

    #[test]
    fn a_spent_quota_is_told_from_a_missing_right() {
        let headers = |name: &str| match name {
            "x-ratelimit-remaining" => Some("0".to_owned()),
            "x-ratelimit-reset" => Some("1767323045".to_owned()),
            _ => None,
        };
        for status in [403, 429] {
            let error = explain(Error::denied("x"), status, headers);
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert_eq!(error.code.as_deref(), Some("rate-limited"));
            assert!(
                error.message.ends_with("after 2026-01-02 03:04:05 (UTC)"),
                "{error}"
            );
        }
        let secondary = "You have exceeded a secondary rate limit";
        let error = explain(Error::denied(secondary), 403, |_| None);
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.ends_with("try again later"), "{error}");
        let error = explain(Error::denied("x"), 403, |_| None);
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(
            error
                .message
                .ends_with("no GITHUB_TOKEN was granted to this tool")
        );
        let error = explain(Error::not_found("x"), 404, |_| None);
        assert!(error.message.contains("or is private"), "{error}");
        assert_eq!(explain(Error::failed("x"), 409, |_| None).message, "x");
    }
}
