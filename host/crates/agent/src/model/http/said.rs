//! What an error says, in the shapes that servers give errors.

use serde_json::Value;

use crate::model::resilient::spent;

/// The server's word for an error, and its message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) kind: Option<String>,
    pub(crate) message: Option<String>,
}

/// Reads the body of an error, or an error event.
///
/// OpenAI and Anthropic have an object `error`, whose `code` says more than its `type` where it has both. Google sends
/// a list of such objects, some servers only a text, vLLM's older versions no inner object, and FastAPI a `detail`.
pub(crate) fn said(body: &Value) -> Said {
    let body = match body {
        Value::Array(list) => list.first().unwrap_or(&Value::Null),
        other => other,
    };
    match body.get("error") {
        Some(error @ Value::Object(_)) => object(error),
        Some(Value::String(text)) => Said {
            kind: None,
            message: Some(text.clone()),
        },
        _ if body.get("message").is_some() => object(body),
        // Some services of AWS.
        _ if body.get("Message").is_some() => Said {
            kind: None,
            message: body.get("Message").and_then(detail),
        },
        _ => Said {
            kind: None,
            message: body.get("detail").and_then(detail),
        },
    }
}

fn object(error: &Value) -> Said {
    let text = |key: &str| {
        let text = error.get(key)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let code = text("code").or_else(|| number(error.get("code")?.as_u64()?));
    // A number says less than a word.
    let word = error.get("code").is_some_and(Value::is_string);
    let kind = match word {
        true => code.or_else(|| text("type")),
        false => text("type").or_else(|| text("status")).or(code),
    };
    let raw = error.pointer("/metadata/raw").and_then(Value::as_str);
    // A limit on what may be spent is a kind of its own: waiting does not lift it.
    let details = error.pointer("/details/error_code").and_then(Value::as_str);
    let kind = match details {
        Some(code) if spent(code) => Some(code.to_owned()),
        _ => kind,
    };
    let message = text("message").map(|message| match raw {
        // What the server behind a gateway said.
        Some(raw) => format!("{message}: {raw}"),
        None => message,
    });
    Said { kind, message }
}

/// The word for an HTTP status that a gateway gives as a code.
fn number(code: u64) -> Option<String> {
    let word = match code {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        408 | 504 => "timeout_error",
        500.. => "api_error",
        400.. => "invalid_request_error",
        _ => return None,
    };
    Some(word.to_owned())
}

fn detail(detail: &Value) -> Option<String> {
    match detail {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) if !list.is_empty() => {
            let problems: Vec<String> = list.iter().map(Value::to_string).collect();
            Some(problems.join("; "))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_are_read_in_every_shape() {
        let unauthorized = json!({ "error": { "message": "no", "type": "invalid_request_error", "param": null, "code": "invalid_api_key" } });
        let gateway = json!({ "error": { "code": 429, "message": "Provider returned error", "metadata": { "raw": "slow down" } } });
        let detail = json!({ "detail": [{ "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted" }] });
        for (body, kind, message) in [
            (
                json!({ "type": "error", "error": { "type": "overloaded_error", "message": "busy" } }),
                Some("overloaded_error"),
                Some("busy"),
            ),
            (unauthorized, Some("invalid_api_key"), Some("no")),
            (
                json!({ "error": { "message": "m", "type": "server_error", "code": null } }),
                Some("server_error"),
                Some("m"),
            ),
            (
                json!({ "error": { "message": "m", "type": "exceed_context_size_error", "code": 400 } }),
                Some("exceed_context_size_error"),
                Some("m"),
            ),
            (
                gateway,
                Some("rate_limit_error"),
                Some("Provider returned error: slow down"),
            ),
            (
                json!([{ "error": { "code": 400, "message": "m", "status": "INVALID_ARGUMENT" } }]),
                Some("INVALID_ARGUMENT"),
                Some("m"),
            ),
            (
                json!({ "object": "error", "message": "m", "type": "BadRequestError", "code": 400 }),
                Some("BadRequestError"),
                Some("m"),
            ),
            (
                json!({ "error": "model 'x' not found" }),
                None,
                Some("model 'x' not found"),
            ),
            (json!({ "detail": "Not Found" }), None, Some("Not Found")),
            (
                detail,
                None,
                Some(r#"{"loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}"#),
            ),
            (json!({ "error": {} }), None, None),
            (json!({ "detail": [] }), None, None),
            (json!([]), None, None),
            (json!("x"), None, None),
        ] {
            let said = said(&body);
            assert_eq!(
                (said.kind.as_deref(), said.message.as_deref()),
                (kind, message),
                "{body}"
            );
        }
    }

    #[test]
    fn codes_that_are_a_status_have_a_word() {
        for (code, word) in [
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (408, "timeout_error"),
            (418, "invalid_request_error"),
            (502, "api_error"),
            (503, "overloaded_error"),
        ] {
            assert_eq!(number(code).as_deref(), Some(word));
        }
        assert_eq!(number(5), None);
    }
}
