//! Where a secret goes, and whether a tool has put something there itself, in any spelling that a server may read as it.

use std::fmt;

use http::HeaderMap;
use toolcell_policy::SecretPlace;
use url::form_urlencoded;

/// The place of a secret in a request, in the one spelling that it is compared in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Header(String),
    Parameter(String),
    Json(String),
}

impl Place {
    pub(super) fn of(place: &SecretPlace) -> Self {
        match place {
            SecretPlace::Header { name, .. } => Self::Header(field(name)),
            SecretPlace::Basic { .. } => Self::Header("authorization".to_owned()),
            SecretPlace::Query { name } => Self::Parameter(parameter(name)),
            SecretPlace::Json { pointer } => Self::Json(pointer.clone()),
        }
    }

    pub(super) fn is_of_headers(&self) -> bool {
        matches!(self, Self::Header(_))
    }

    /// Whether something stands there. In a JSON body something may: it is replaced.
    pub(super) fn is_filled(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        match self {
            Self::Header(name) => headers.keys().any(|key| field(key.as_str()) == *name),
            Self::Parameter(name) => query.is_some_and(|query| names(query, name)),
            Self::Json(_) => false,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the header `{name}`"),
            Self::Parameter(name) => write!(f, "the query parameter `{name}`"),
            Self::Json(pointer) => write!(f, "the JSON value at `{pointer}`"),
        }
    }
}

/// The name of a header. Gateways to scripts make the same variable of `x-key` and `x_key`.
fn field(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// Whether a query has a parameter. Some servers also part parameters at `;`.
fn names(query: &str, name: &str) -> bool {
    query
        .split(['&', ';'])
        .filter_map(|pair| form_urlencoded::parse(pair.as_bytes()).next())
        .any(|(decoded, _)| parameter(&decoded) == name)
}

/// The decoded name of a parameter as the most lenient servers read it: without letter case, without the index of a
/// list, up to a NUL, and with a dot or a space read as an underscore.
fn parameter(name: &str) -> String {
    let name = name.split(['[', '\0']).next().unwrap_or_default();
    name.trim().to_lowercase().replace(['.', ' '], "_")
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn filled(place: SecretPlace, header: &str, query: &str) -> bool {
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_bytes(header.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_static("x"));
        Place::of(&place).is_filled(&headers, Some(query))
    }

    #[test]
    fn a_header_is_known_in_every_spelling() {
        for (bound, set, known) in [
            ("x-api-key", "X-API-Key", true),
            ("x-api-key", "x_api_key", true),
            ("x-api-key", "x-api-key2", false),
            ("x-api-key", "api-key", false),
            ("authorization", "AUTHORIZATION", true),
            ("cookie", "cookie", true),
        ] {
            let place = SecretPlace::Header {
                name: bound.to_owned(),
                before: String::new(),
                after: String::new(),
            };
            assert_eq!(filled(place, set, "x-api-key=1"), known, "{bound} {set}");
        }
        let user = String::new();
        assert!(filled(SecretPlace::Basic { user }, "Authorization", ""));
    }

    #[test]
    fn a_parameter_is_known_in_every_spelling() {
        for (query, known) in [
            ("api_key=x", true),
            ("a=1&api_key=x", true),
            ("a=1&api_key", true),
            ("a=1&=api_key", false),
            ("API_KEY=x", true),
            ("%61pi_key=x", true),
            ("%61%70%69%5f%6b%65%79=x", true),
            ("a=1;api_key=x", true),
            ("api_key[]=x", true),
            ("api_key%5B0%5D=x", true),
            ("api.key=x", true),
            ("api+key=x", true),
            ("api%20key=x", true),
            ("+api_key=x", true),
            ("api_key%00x=x", true),
            ("api_keys=x", false),
            ("my_api_key=x", false),
            ("a=api_key", false),
            ("", false),
        ] {
            let place = SecretPlace::Query {
                name: "api_key".to_owned(),
            };
            assert_eq!(filled(place, "api_key", query), known, "{query}");
        }
    }
}
