//! Header fields, bodies and errors of HTTP, between the words of the wire and those of the libraries.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body;
use wasmtime_wasi_http::Error;

use super::wire::{BodyKind, Few, Headers, HttpFault, Value};

/// Header fields for the wire. Those beyond what the other side reads are left out; egress refuses far fewer.
pub(super) fn fields(map: &HeaderMap) -> Headers {
    let fields = map
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), Value(value.as_bytes().to_vec())));
    Few(fields.take(super::wire::MAX_HEADERS).collect())
}

/// Header fields from the wire.
///
/// # Errors
///
/// Where a name or value is none that HTTP could carry.
pub(super) fn map(fields: Headers) -> Result<HeaderMap, http::Error> {
    let mut map = HeaderMap::new();
    for (name, Value(value)) in fields.0 {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        map.try_append(name, HeaderValue::from_maybe_shared(Bytes::from(value))?)?;
    }
    Ok(map)
}

/// What is known of a body before it is read.
pub(super) fn kind_of(body: &impl Body) -> BodyKind {
    if body.is_end_stream() {
        BodyKind::None
    } else {
        match body.size_hint().exact() {
            Some(bytes) => BodyKind::Sized(bytes),
            None => BodyKind::Open,
        }
    }
}

impl From<HttpFault> for Error {
    fn from(fault: HttpFault) -> Self {
        match fault {
            HttpFault::RequestBodySize(bytes) => Self::HttpRequestBodySize(bytes),
            HttpFault::DestinationNotFound => Self::DestinationNotFound,
            HttpFault::ConnectionRefused => Self::ConnectionRefused,
            HttpFault::ConnectionTimeout => Self::ConnectionTimeout,
            HttpFault::ConnectionReadTimeout => Self::ConnectionReadTimeout,
            HttpFault::ConnectionLimitReached => Self::ConnectionLimitReached,
            HttpFault::TlsProtocol => Self::TlsProtocolError,
            HttpFault::TlsCertificate => Self::TlsCertificateError,
            HttpFault::Denied => Self::HttpRequestDenied,
            HttpFault::RequestUriInvalid => Self::HttpRequestUriInvalid,
            HttpFault::RequestHeaderSectionSize(bytes) => Self::HttpRequestHeaderSectionSize(bytes),
            HttpFault::ResponseIncomplete => Self::HttpResponseIncomplete,
            HttpFault::ResponseHeaderSectionSize(bytes) => {
                Self::HttpResponseHeaderSectionSize(bytes)
            }
            HttpFault::ResponseBodySize(bytes) => Self::HttpResponseBodySize(bytes),
            HttpFault::ResponseTimeout => Self::HttpResponseTimeout,
            HttpFault::Protocol => Self::HttpProtocolError,
            HttpFault::Internal => Self::InternalError(None),
        }
    }
}

impl From<Error> for HttpFault {
    fn from(error: Error) -> Self {
        match error {
            Error::HttpRequestBodySize(bytes) => Self::RequestBodySize(bytes),
            Error::DestinationNotFound => Self::DestinationNotFound,
            Error::ConnectionRefused => Self::ConnectionRefused,
            Error::ConnectionTimeout => Self::ConnectionTimeout,
            Error::ConnectionReadTimeout => Self::ConnectionReadTimeout,
            Error::ConnectionLimitReached => Self::ConnectionLimitReached,
            Error::TlsProtocolError => Self::TlsProtocol,
            Error::TlsCertificateError => Self::TlsCertificate,
            Error::HttpRequestDenied => Self::Denied,
            Error::HttpRequestUriInvalid => Self::RequestUriInvalid,
            Error::HttpRequestHeaderSectionSize(bytes) => Self::RequestHeaderSectionSize(bytes),
            Error::HttpResponseIncomplete => Self::ResponseIncomplete,
            Error::HttpResponseHeaderSectionSize(bytes) => Self::ResponseHeaderSectionSize(bytes),
            Error::HttpResponseBodySize(bytes) => Self::ResponseBodySize(bytes),
            Error::HttpResponseTimeout => Self::ResponseTimeout,
            Error::HttpProtocolError => Self::Protocol,
            // No others come out of egress, and their texts are not for a guest.
            _ => Self::Internal,
        }
    }
}
