//! Which engine is asked, from the variables that the operator granted.

use toolcell_guest::http::Url;
use toolcell_guest::{Error, Result};

/// Where Brave is.
const BRAVE: &str = "https://api.search.brave.com";

/// The engines that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Searxng,
    Brave,
}

/// What the operator chose.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) engine: Engine,
    /// Where it is, without a slash at the end.
    pub(crate) url: String,
}

impl Settings {
    /// Reads the variables. What is wrong with them is for the operator, and no model can help it.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let variable = |name| variable(name).filter(|text| !text.trim().is_empty());
        let engine = match variable("SEARCH_ENGINE").as_deref().map(str::trim) {
            Some("searxng") => Engine::Searxng,
            Some("brave") => Engine::Brave,
            None => {
                return Err(Error::failed(
                    "this tool is not set up: its operator has to grant it SEARCH_ENGINE, \
                     `searxng` or `brave`",
                ));
            }
            Some(other) => {
                return Err(Error::failed(format!(
                    "this tool is not set up: SEARCH_ENGINE is `{}`, which is neither `searxng` nor `brave`",
                    other.escape_debug()
                )));
            }
        };
        let url = match (variable("SEARCH_URL"), engine) {
            (Some(url), _) => url,
            (None, Engine::Brave) => BRAVE.to_owned(),
            (None, Engine::Searxng) => {
                return Err(Error::failed(
                    "this tool is not set up: SEARCH_URL has to say where SearXNG is, \
                     for example https://searx.example.com",
                ));
            }
        };
        let parsed = Url::parse(&url).map_err(|error| {
            Error::failed(error.message).context("this tool is not set up: SEARCH_URL")
        })?;
        if parsed.path.contains('?') {
            let what = "this tool is not set up: SEARCH_URL has a query, and needs none";
            return Err(Error::failed(what));
        }
        let url = parsed.to_string();
        Ok(Self {
            engine,
            url: url.trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Engine, Settings};
    use toolcell_guest::{ErrorKind, Result};

    fn read(engine: &str, url: &str) -> Result<Settings> {
        Settings::read(|name| match name {
            "SEARCH_ENGINE" => Some(engine.to_owned()),
            "SEARCH_URL" => Some(url.to_owned()),
            _ => None,
        })
    }

    #[test]
    fn brave_has_a_place_of_its_own_and_searxng_has_none() {
        assert_eq!(
            read("brave", "").unwrap(),
            Settings {
                engine: Engine::Brave,
                url: "https://api.search.brave.com".to_owned()
            }
        );
        assert_eq!(
            read("searxng", "https://S.example/searx/").unwrap().url,
            "https://s.example/searx"
        );
        assert_eq!(
            read("searxng", "http://localhost:8080").unwrap().url,
            "http://localhost:8080"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        for (engine, url, says) in [
            ("", "", "SEARCH_ENGINE"),
            ("google", "", "neither `searxng` nor `brave`"),
            ("searxng", "", "SEARCH_URL has to say"),
            (
                "searxng",
                "searx.example",
                "SEARCH_URL: `searx.example` is no URL",
            ),
            ("searxng", "https://s/?a=b", "has a query"),
        ] {
            let error = read(engine, url).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Failed);
            assert!(error.message.contains(says), "{error}");
        }
    }
}
