//! From a URL to the bytes behind it.

use toolcell_guest::http::{Request, Response, Url};
use toolcell_guest::{Error, ErrorKind, Result};

use crate::limits::{BODY_BYTES, ERROR_BYTES, ERROR_CHARACTERS, REDIRECTS};
use crate::{Format, decode};

/// What a server sent.
pub(crate) struct Loaded {
    /// Where it was in the end.
    pub(crate) url: Url,
    /// The same as text, if redirects led there.
    pub(crate) redirected: Option<String>,
    /// The header `content-type`, in lower case; empty without one.
    pub(crate) media_type: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body goes on behind [`BODY_BYTES`].
    pub(crate) cut: bool,
}

impl Loaded {
    /// Whether this is an HTML page, by what the server says or else by how it begins.
    pub(crate) fn is_html(&self, text: &str) -> bool {
        if self.media_type.is_empty() {
            let start = text
                .trim_start()
                .get(..14)
                .unwrap_or_default()
                .to_ascii_lowercase();
            return start.starts_with("<!doctype html") || start.starts_with("<html");
        }
        self.media_type.contains("html")
    }
}

/// Sends the request and follows its redirects. Each hop is a request like any other, so the host
/// decides on each.
pub(crate) fn load(url: &str, format: Format) -> Result<Loaded> {
    let mut url = Url::parse(url)?;
    let mut redirected = None;
    for _ in 0..=REDIRECTS {
        let response = send(&url, format, redirected.is_some())?;
        let Some(target) = redirect(&url, &response)? else {
            return loaded(url, redirected, &response);
        };
        redirected = Some(target.to_string());
        url = target;
    }
    Err(Error::failed(format!(
        "more than {REDIRECTS} redirects, the last one to {url}"
    )))
}

fn send(url: &Url, format: Format, redirected: bool) -> Result<Response> {
    let accept = match format {
        Format::Json => "application/json, */*;q=0.1",
        _ => "text/html, text/markdown, text/plain, application/json;q=0.9, */*;q=0.1",
    };
    let request = Request::get(url.to_string())
        .header("accept", accept)
        .header("accept-encoding", "identity")
        .header(
            "user-agent",
            concat!("toolcell-fetch/", env!("CARGO_PKG_VERSION")),
        );
    request.send().map_err(|error| match redirected {
        true => error.context("redirected"),
        false => error,
    })
}

/// Where a response sends us on to, if it does.
fn redirect(url: &Url, response: &Response) -> Result<Option<Url>> {
    if !matches!(response.status(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.header("location").unwrap_or_default();
    match url.join(location).filter(|_| !location.is_empty()) {
        Some(target) => Ok(Some(target)),
        None => Err(Error::failed(format!(
            "{url} redirects to `{location}`, which is no page"
        ))),
    }
}

fn loaded(url: Url, redirected: Option<String>, response: &Response) -> Result<Loaded> {
    let media_type = response
        .header("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    if response.status() >= 400 {
        // The text often says what was wrong; without it the status has to do.
        let body = response.read(ERROR_BYTES).unwrap_or_default();
        return Err(refused(
            &url,
            response.status(),
            &decode::lossy(&body, &media_type),
        ));
    }
    // One byte more than is wanted tells whether there is more.
    let mut body = response.read(BODY_BYTES + 1)?;
    let cut = body.len() > BODY_BYTES;
    body.truncate(BODY_BYTES);
    Ok(Loaded {
        url,
        redirected,
        media_type,
        body,
        cut,
    })
}

/// The error that a status of 400 or more means.
fn refused(url: &Url, status: u16, text: &str) -> Error {
    let (kind, meaning) = match status {
        401 | 407 => (ErrorKind::AuthRequired, "it wants a login"),
        403 => (ErrorKind::Failed, "the server refuses it"),
        404 | 410 => (ErrorKind::NotFound, "there is no such page"),
        429 => (ErrorKind::Unavailable, "too many requests; try again later"),
        500.. => (
            ErrorKind::Unavailable,
            "the server failed; a later try may succeed",
        ),
        _ => (ErrorKind::Failed, "the server did not accept the request"),
    };
    let mut message = format!("{url} answered {status}: {meaning}");
    let text = text.trim();
    if !text.is_empty() && !text.starts_with('<') {
        let shown: String = text.chars().take(ERROR_CHARACTERS).collect();
        message.push_str(&format!("\n{shown}"));
    }
    Error::new(kind, message).with_code(format!("http-{status}"))
}

#[cfg(test)]
mod tests {
    use super::{Loaded, refused};
    use toolcell_guest::ErrorKind;
    use toolcell_guest::http::Url;

    #[test]
    fn a_status_says_what_to_do() {
        let url = Url::parse("https://h/x").unwrap();
        let error = refused(&url, 404, "<html>");
        assert_eq!(
            error.message,
            "https://h/x answered 404: there is no such page"
        );
        assert_eq!(
            (error.kind, error.code.as_deref()),
            (ErrorKind::NotFound, Some("http-404"))
        );
        let error = refused(&url, 429, "slow down");
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(
            error.message.ends_with("later\nslow down"),
            "{}",
            error.message
        );
    }

    #[test]
    fn html_is_known_by_its_type_or_its_start() {
        let url = Url::parse("https://h/x").unwrap();
        let page = |media_type: &str| Loaded {
            url: url.clone(),
            redirected: None,
            media_type: media_type.to_owned(),
            body: Vec::new(),
            cut: false,
        };
        assert!(page("text/html; charset=utf-8").is_html(""));
        assert!(page("").is_html("\n<!DOCTYPE HTML><p>"));
        assert!(!page("").is_html("<p>"));
        assert!(!page("text/plain").is_html("<html>"));
    }
}
