//! What the codes of WASI and the statuses of servers mean to somebody who wanted an answer.

use super::{Url, wire::ErrorCode};
use crate::{Error, ErrorKind};

/// What is shown of what a server says about an error, in characters.
const SHOWN_CHARACTERS: usize = 500;

/// `GET https://example.com/path`, for messages. The query is left out: it is often long.
pub(super) fn what(method: &str, url: &Url) -> String {
    let path = url.path.split('?').next().unwrap_or_default();
    format!("{method} {}://{}{path}", url.scheme, url.authority)
}

/// The error that says why a request brought no answer.
pub(super) fn of_code(what: &str, code: &ErrorCode) -> Error {
    use ErrorCode as E;
    match code {
        E::HttpRequestDenied => Error::denied(format!("{what} is outside what was granted")),
        E::DestinationIpProhibited => {
            Error::denied(format!("{what} leads to an address that no tool may reach"))
        }
        E::HttpRequestUriInvalid | E::HttpRequestMethodInvalid => {
            Error::invalid_input(format!("{what} is no valid request"))
        }
        E::HttpRequestBodySize(_)
        | E::HttpRequestHeaderSize(_)
        | E::HttpRequestHeaderSectionSize(_)
        | E::HttpResponseBodySize(_)
        | E::HttpResponseHeaderSectionSize(_)
        | E::HttpResponseHeaderSize(_) => {
            Error::too_large(format!("{what} passes the size that the operator allows"))
        }
        E::ConnectionLimitReached => {
            Error::too_large(format!("{what} is one request more than a call may make"))
        }
        E::DnsError(_) | E::DestinationNotFound => {
            Error::unavailable(format!("{what}: the host was not found"))
        }
        E::DnsTimeout
        | E::ConnectionTimeout
        | E::ConnectionReadTimeout
        | E::HttpResponseTimeout => Error::unavailable(format!("{what}: no answer in time")),
        E::ConnectionRefused | E::ConnectionTerminated | E::DestinationUnavailable => {
            Error::unavailable(format!("{what}: the connection failed"))
        }
        E::HttpResponseIncomplete => Error::unavailable(format!("{what}: the answer broke off")),
        E::TlsCertificateError | E::TlsProtocolError | E::TlsAlertReceived(_) => {
            Error::failed(format!("{what}: no trustworthy connection ({code:?})"))
        }
        E::InternalError(Some(reason)) => Error::failed(format!("{what}: {reason}")),
        other => Error::failed(format!("{what}: {other:?}")),
    }
}

/// Whether the server may have got a request that ended like this. Only what is certain counts as no.
pub(super) fn may_have_arrived(code: &ErrorCode) -> bool {
    use ErrorCode as E;
    !matches!(
        code,
        E::HttpRequestDenied
            | E::DestinationIpProhibited
            | E::DestinationIpUnroutable
            | E::DestinationNotFound
            | E::DestinationUnavailable
            | E::DnsError(_)
            | E::DnsTimeout
            | E::ConnectionRefused
            | E::ConnectionTimeout
            | E::ConnectionLimitReached
            | E::TlsCertificateError
            | E::TlsProtocolError
            | E::HttpRequestUriInvalid
            | E::HttpRequestUriTooLong
            | E::HttpRequestMethodInvalid
            | E::HttpRequestHeaderSize(_)
            | E::HttpRequestHeaderSectionSize(_)
    )
}

/// The error that a status of 400 or more means, with when to try again and what the server says.
pub(super) fn of_status(what: &str, status: u16, later: Option<&str>, text: &str) -> Error {
    let (kind, meaning) = match status {
        400 | 422 => (
            ErrorKind::InvalidInput,
            "the server does not accept the request",
        ),
        401 | 407 => (
            ErrorKind::AuthRequired,
            "it wants a credential, or another one",
        ),
        403 => (ErrorKind::Denied, "the server refuses it"),
        404 | 410 => (ErrorKind::NotFound, "there is no such thing"),
        408 | 425 => (
            ErrorKind::Unavailable,
            "the server was not ready; try again later",
        ),
        413 => (ErrorKind::TooLarge, "the server takes less"),
        429 => (ErrorKind::Unavailable, "too many requests; try again later"),
        500.. => (
            ErrorKind::Unavailable,
            "the server failed; a later try may succeed",
        ),
        _ => (ErrorKind::Failed, "the server did not accept the request"),
    };
    let mut message = format!("{what} answered {status}: {meaning}");
    // Seconds, or a date. Whatever else a server says here is nobody's business.
    if let Some(later) = later
        .map(str::trim)
        .filter(|it| it.len() < 40 && it.is_ascii())
    {
        let seconds = later.parse::<u32>().map(|seconds| format!("{seconds} s"));
        let when = seconds.unwrap_or_else(|_| later.escape_debug().to_string());
        message.push_str(&format!(" (it asks to wait: {when})"));
    }
    let text = text.trim();
    if !text.is_empty() && !text.starts_with('<') {
        let shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
        message.push_str(&format!("\n{shown}"));
    }
    Error::new(kind, message).with_code(format!("http-{status}"))
}

#[cfg(test)]
mod tests {
    use super::{ErrorCode, may_have_arrived, of_code, of_status, what};
    use crate::ErrorKind;
    use crate::http::Url;

    #[test]
    fn a_status_says_what_to_do() {
        for (status, kind) in [
            (400, ErrorKind::InvalidInput),
            (401, ErrorKind::AuthRequired),
            (403, ErrorKind::Denied),
            (404, ErrorKind::NotFound),
            (409, ErrorKind::Failed),
            (410, ErrorKind::NotFound),
            (413, ErrorKind::TooLarge),
            (422, ErrorKind::InvalidInput),
            (429, ErrorKind::Unavailable),
            (503, ErrorKind::Unavailable),
        ] {
            let error = of_status("GET https://h/x", status, None, "");
            assert_eq!(error.kind, kind, "{status}");
            assert_eq!(error.code, Some(format!("http-{status}")));
        }
        let error = of_status("GET https://h/x", 404, None, "<html>");
        assert_eq!(
            error.message,
            "GET https://h/x answered 404: there is no such thing"
        );
        let error = of_status("GET https://h/x", 429, Some("30"), "slow down");
        assert!(
            error
                .message
                .ends_with("(it asks to wait: 30 s)\nslow down"),
            "{error}"
        );
        let error = of_status("GET https://h/x", 503, Some("soon\nignore this"), "");
        assert!(!error.message.contains('\n'), "{error}");
        let long = of_status("GET https://h/x", 500, None, &"x".repeat(9999));
        assert!(long.message.len() < 700, "{}", long.message.len());
    }

    #[test]
    fn a_query_is_not_repeated() {
        let url = Url::parse("https://h/x?token=1").unwrap();
        assert_eq!(what("GET", &url), "GET https://h/x");
    }

    #[test]
    fn codes_keep_their_meaning() {
        for (code, kind, arrived) in [
            (ErrorCode::HttpRequestDenied, ErrorKind::Denied, false),
            (ErrorCode::DestinationIpProhibited, ErrorKind::Denied, false),
            (
                ErrorCode::DestinationNotFound,
                ErrorKind::Unavailable,
                false,
            ),
            (ErrorCode::ConnectionRefused, ErrorKind::Unavailable, false),
            (ErrorCode::ConnectionTimeout, ErrorKind::Unavailable, false),
            (ErrorCode::TlsCertificateError, ErrorKind::Failed, false),
            (
                ErrorCode::ConnectionLimitReached,
                ErrorKind::TooLarge,
                false,
            ),
            (ErrorCode::HttpResponseTimeout, ErrorKind::Unavailable, true),
            (
                ErrorCode::HttpResponseIncomplete,
                ErrorKind::Unavailable,
                true,
            ),
            (
                ErrorCode::ConnectionTerminated,
                ErrorKind::Unavailable,
                true,
            ),
            (
                ErrorCode::HttpResponseBodySize(None),
                ErrorKind::TooLarge,
                true,
            ),
            (ErrorCode::HttpProtocolError, ErrorKind::Failed, true),
        ] {
            assert_eq!(of_code("GET https://h/", &code).kind, kind, "{code:?}");
            assert_eq!(may_have_arrived(&code), arrived, "{code:?}");
        }
    }
}
