//! What the codes of WASI mean to somebody who wanted a page.

use super::bindings::wasi::http::types::ErrorCode;
use crate::Error;

/// The error that says why `method` on `url` brought no response.
pub(super) fn explain(method: &str, url: &str, code: ErrorCode) -> Error {
    use ErrorCode as E;
    let what = format!("{method} {url}");
    match code {
        E::HttpRequestDenied => Error::denied(format!("{what} is outside what was granted")),
        E::DestinationIpProhibited => {
            Error::denied(format!("{what} leads to an address that no tool may reach"))
        }
        E::HttpRequestUriInvalid | E::HttpRequestMethodInvalid => {
            Error::invalid_input(format!("{what} is no valid request"))
        }
        E::HttpRequestBodySize(_)
        | E::HttpResponseBodySize(_)
        | E::HttpResponseHeaderSectionSize(_)
        | E::HttpResponseHeaderSize(_) => {
            Error::too_large(format!("{what} passes the size that the operator allows"))
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
        E::TlsCertificateError | E::TlsProtocolError | E::TlsAlertReceived(_) => {
            Error::failed(format!("{what}: no trustworthy connection ({code:?})"))
        }
        E::InternalError(Some(reason)) => Error::failed(format!("{what}: {reason}")),
        other => Error::failed(format!("{what}: {other:?}")),
    }
}
