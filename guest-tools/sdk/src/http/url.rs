//! Just enough of URLs to send a request and to follow a link.

use std::fmt;

use crate::{Error, Result};

/// An absolute URL without its fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// For example `https`, in lower case.
    pub scheme: String,
    /// Host and port, for example `example.com:8080`.
    pub authority: String,
    /// Path and query, for example `/search?q=x`. Never empty.
    pub path: String,
}

impl Url {
    /// Reads an absolute URL. Spaces and letters outside ASCII in its path are percent-encoded.
    ///
    /// # Errors
    /// `invalid-input` with what is missing. Nothing is decided on here: that is the host's part.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::invalid_input(format!("`{text}` is no URL: {why}"));
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .ok_or_else(|| wrong("it starts like https://example.com/"))?;
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if scheme.is_empty() || !scheme.chars().all(letters) {
            return Err(wrong("its scheme is a word such as https"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?', '\\']).unwrap_or(rest.len()));
        if authority.is_empty() || !authority.is_ascii() || authority.contains(char::is_whitespace)
        {
            return Err(wrong("its host is an ASCII name (others as xn--...)"));
        }
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            authority: authority.to_ascii_lowercase(),
            path: normal(path),
        })
    }

    /// The URL that `link` means on a page with this URL; `None` for what is no page, such as
    /// `mailto:` or `javascript:`.
    #[must_use]
    pub fn join(&self, link: &str) -> Option<Self> {
        let link = link.trim();
        let link = link.split('#').next().unwrap_or_default();
        if let Some(rest) = link.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", self.scheme)).ok();
        }
        let colon = link
            .find(':')
            .filter(|colon| !link.get(..*colon).unwrap_or("/").contains(['/', '?']));
        if colon.is_some() {
            return Url::parse(link)
                .ok()
                .filter(|url| matches!(url.scheme.as_str(), "http" | "https"));
        }
        let (page, _) = self
            .path
            .split_at(self.path.find('?').unwrap_or(self.path.len()));
        let path = match link.chars().next() {
            None => self.path.clone(),
            Some('/') => link.to_owned(),
            Some('?') => format!("{page}{link}"),
            Some(_) => {
                let directory = page
                    .rfind('/')
                    .map_or("/", |slash| page.get(..=slash).unwrap_or("/"));
                format!("{directory}{link}")
            }
        };
        Some(Self {
            path: normal(&path),
            ..self.clone()
        })
    }
}

impl Url {
    /// The same URL with a parameter more in its query, percent-encoded.
    ///
    /// ```
    /// use toolcell_guest::http::Url;
    ///
    /// let url = Url::parse("https://example.com/s?a=1")?.with_query("q", "sand & sea");
    /// assert_eq!(url.to_string(), "https://example.com/s?a=1&q=sand%20%26%20sea");
    /// # Ok::<(), toolcell_guest::Error>(())
    /// ```
    #[must_use]
    pub fn with_query(mut self, name: &str, value: &str) -> Self {
        self.path
            .push(if self.path.contains('?') { '&' } else { '?' });
        self.path
            .push_str(&format!("{}={}", encode(name), encode(value)));
        self
    }

    /// Whether both name the same scheme, host and port.
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        self.origin() == other.origin()
    }

    fn origin(&self) -> (&str, &str) {
        let port = match self.scheme.as_str() {
            "http" => ":80",
            "https" => ":443",
            _ => "",
        };
        let authority = self.authority.strip_suffix(port);
        (&self.scheme, authority.unwrap_or(&self.authority))
    }
}

/// A text as one segment of a path or one value of a query: everything but ASCII letters, digits and
/// `-._~` is percent-encoded, slashes too.
///
/// ```
/// assert_eq!(toolcell_guest::http::encode("a/b c.ä"), "a%2Fb%20c.%C3%A4");
/// ```
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

/// A path that starts with a slash, without `.` and `..`, with everything encoded that has to be.
fn normal(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut parts: Vec<&str> = Vec::new();
    let mut directory = true;
    for part in path.split('/').skip(usize::from(path.starts_with('/'))) {
        directory = matches!(part, "." | ".." | "");
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if directory && parts.last().is_some_and(|last| !last.is_empty()) {
        parts.push("");
    }
    encoded(&format!("/{}{query}", parts.join("/")))
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for character in text.chars() {
        if character.is_ascii_graphic() && !matches!(character, '"' | '<' | '>' | '\\' | '^' | '`')
        {
            encoded.push(character);
        } else {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::Url;

    fn url(text: &str) -> String {
        Url::parse(text).unwrap().to_string()
    }

    #[test]
    fn urls_are_taken_apart_and_put_together() {
        assert_eq!(url("https://Example.com"), "https://example.com/");
        assert_eq!(
            url("HTTP://h:8080/a/../b/./c/?q=1#f"),
            "http://h:8080/b/c/?q=1"
        );
        assert_eq!(url("https://h?q=ä b"), "https://h/?q=%C3%A4%20b");
        assert_eq!(url("https://h/a/.."), "https://h/");
        assert_eq!(url("https://h/a//b"), "https://h/a//b");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let url = |text| Url::parse(text).unwrap();
        let mine = url("https://H/x");
        for (other, same) in [
            ("https://h:443/y", true),
            ("https://h:80/", false),
            ("http://h/", false),
            ("https://h.h/", false),
            ("https://u@h/", false),
        ] {
            assert_eq!(mine.same_origin(&url(other)), same, "{other}");
        }
    }

    #[test]
    fn what_is_no_url_is_explained() {
        for (text, why) in [
            ("example.com", "starts like"),
            ("https:///x", "host"),
            ("a b://x", "scheme"),
            ("https://ü.de", "xn--"),
        ] {
            let message = Url::parse(text).unwrap_err().message;
            assert!(message.contains(why) && message.contains(text), "{message}");
        }
    }

    #[test]
    fn links_are_joined_as_browsers_do() {
        let page = Url::parse("https://h/a/b?q=1").unwrap();
        for (link, expected) in [
            ("c", "https://h/a/c"),
            ("../c", "https://h/c"),
            ("/c", "https://h/c"),
            ("?x=2", "https://h/a/b?x=2"),
            ("//other/c", "https://other/c"),
            ("http://other/c#f", "http://other/c"),
            ("#top", "https://h/a/b?q=1"),
            ("", "https://h/a/b?q=1"),
            ("c:d", ""),
            ("./c:d", "https://h/a/c:d"),
            ("mailto:a@b", ""),
            ("javascript:alert(1)", ""),
            ("ftp://h/x", ""),
        ] {
            let joined = page
                .join(link)
                .map(|url| url.to_string())
                .unwrap_or_default();
            assert_eq!(joined, expected, "{link}");
        }
    }
}
