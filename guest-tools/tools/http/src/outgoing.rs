//! The body that is sent.

use toolcell_guest::http::Request;
use toolcell_guest::serde_json::Value;
use toolcell_guest::{Error, Result, base64};

use crate::Method;

/// At most one of three.
#[derive(Debug, PartialEq)]
pub(crate) enum Outgoing {
    Nothing,
    Text(String),
    Json(Value),
    Bytes(Vec<u8>),
}

/// The one that was given.
pub(crate) fn choose(
    text: Option<String>,
    json: Option<Value>,
    base64: Option<String>,
) -> Result<Outgoing> {
    match (text, json, base64) {
        (None, None, None) => Ok(Outgoing::Nothing),
        (Some(text), None, None) => Ok(Outgoing::Text(text)),
        (None, Some(json), None) => Ok(Outgoing::Json(json)),
        (None, None, Some(text)) => match base64::decode(&text) {
            Some(bytes) => Ok(Outgoing::Bytes(bytes)),
            None => Err(Error::invalid_input(
                "`base64` is not in standard base64 with its padding",
            )),
        },
        _ => Err(Error::invalid_input(
            "at most one of `body`, `json` and `base64` can be given: a request has one body",
        )),
    }
}

impl Outgoing {
    pub(crate) fn put(self, request: Request) -> Request {
        match self {
            Self::Nothing => request,
            Self::Text(text) => request.text(text),
            Self::Json(value) => request.json(&value),
            Self::Bytes(bytes) => request.bytes(bytes),
        }
    }
}

pub(crate) fn name(method: Option<Method>) -> &'static str {
    match method {
        None | Some(Method::Get) => "GET",
        Some(Method::Head) => "HEAD",
        Some(Method::Post) => "POST",
        Some(Method::Put) => "PUT",
        Some(Method::Patch) => "PATCH",
        Some(Method::Delete) => "DELETE",
        Some(Method::Options) => "OPTIONS",
    }
}

#[cfg(test)]
mod tests {
    use toolcell_guest::ErrorKind;
    use toolcell_guest::serde_json::json;

    use super::{Outgoing, choose};

    #[test]
    fn a_request_has_one_body_at_most() {
        assert_eq!(choose(None, None, None).unwrap(), Outgoing::Nothing);
        assert_eq!(
            choose(None, Some(json!([1])), None).unwrap(),
            Outgoing::Json(json!([1]))
        );
        assert_eq!(
            choose(None, None, Some("AP8=".into())).unwrap(),
            Outgoing::Bytes(vec![0, 255])
        );
        for (text, json, base64) in [
            (Some("a"), Some(json!(1)), None),
            (Some("a"), None, Some("YQ==")),
            (None, Some(json!(1)), Some("YQ==")),
            (None, None, Some("a")),
        ] {
            let chosen = choose(text.map(Into::into), json, base64.map(Into::into));
            assert_eq!(chosen.unwrap_err().kind, ErrorKind::InvalidInput);
        }
    }
}
