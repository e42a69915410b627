//! From a URL to the bytes behind it.

use toolcell_guest::Result;
use toolcell_guest::http::{Request, Response, Url};

use crate::limits::{BODY_BYTES, ERROR_BYTES, REDIRECTS};
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
    let asked = Url::parse(url)?;
    let accept = match format {
        Format::Json => "application/json, */*;q=0.1",
        _ => "text/html, text/markdown, text/plain, application/json;q=0.9, */*;q=0.1",
    };
    let response = Request::get(asked.to_string())
        .header("accept", accept)
        .header("accept-encoding", "identity")
        .header(
            "user-agent",
            concat!("toolcell-fetch/", env!("CARGO_PKG_VERSION")),
        )
        .redirects(REDIRECTS)
        .send()?;
    loaded(&asked, &response)
}

fn loaded(asked: &Url, response: &Response) -> Result<Loaded> {
    let media_type = response
        .header("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    if response.status() >= 400 {
        // The text often says what was wrong; without it the status has to do.
        let body = response.read(ERROR_BYTES).unwrap_or_default();
        return Err(response.refused(&decode::lossy(&body, &media_type)));
    }
    // One byte more than is wanted tells whether there is more.
    let mut body = response.read(BODY_BYTES + 1)?;
    let cut = body.len() > BODY_BYTES;
    body.truncate(BODY_BYTES);
    let url = response.url().clone();
    Ok(Loaded {
        redirected: (url != *asked).then(|| url.to_string()),
        url,
        media_type,
        body,
        cut,
    })
}

#[cfg(test)]
mod tests {
    use super::Loaded;
    use toolcell_guest::http::Url;

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
