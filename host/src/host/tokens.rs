//! Asks token endpoints, through the same way out as tools.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{
    egress::{Bounds, Egress, EgressError, LimitKind, Meter, Target},
    secrets::{ANSWER_BYTES_MAX, TokenAnswer, TokenEndpoint, TokenError, TokenRequest},
};

/// How long a token endpoint may take in all.
const TOKEN_TIME: Duration = Duration::from_secs(20);
/// The most bytes of headers, in the request and in the answer.
const HEADER_BYTES_MAX: u64 = 64 * 1024;
/// The most bytes that are sent: more than the longest client secret, refresh token and scopes take in a form.
const SENT_BYTES_MAX: u64 = 1024 * 1024;

/// Token endpoints in the network.
pub(super) struct Endpoints(pub(super) Arc<Egress>);

impl TokenEndpoint for Endpoints {
    fn ask(&self, request: TokenRequest) -> BoxFuture<'_, Result<TokenAnswer, TokenError>> {
        Box::pin(self.attempt(request))
    }
}

impl Endpoints {
    async fn attempt(&self, request: TokenRequest) -> Result<TokenAnswer, TokenError> {
        let target = target(&request)?;
        let bounds = Bounds {
            deadline: Instant::now() + TOKEN_TIME,
            connect: None,
            first_byte: None,
            between_bytes: None,
            response_bytes: ANSWER_BYTES_MAX,
            header_bytes: HEADER_BYTES_MAX,
            special: request.special,
            // What one client sent must not be seen by another one's connection.
            pool: None,
        };
        let meter = Arc::new(Meter::new(SENT_BYTES_MAX));
        let sent = self
            .0
            .send(&target, written(request)?, bounds, &meter)
            .await;
        let (response, driver) = sent.map_err(|error| unreachable(&error))?;
        let (head, body) = response.into_parts();
        // The body arrives only while the connection is driven, which may end before the body was read.
        let body = match select(pin!(gathered(body)), driver).await {
            Either::Left((body, _)) => body,
            Either::Right((_, reading)) => reading.await,
        };
        Ok(TokenAnswer {
            status: head.status.as_u16(),
            media_type: media_type(&head.headers),
            body: body?,
        })
    }
}

/// The token endpoint, which is https or nothing.
fn target(request: &TokenRequest) -> Result<Target, TokenError> {
    let uri = request.url.as_str().parse().ok();
    let target = uri.and_then(|uri| Target::read(&uri).ok());
    target
        .filter(Target::is_https)
        .ok_or(TokenError::Unreachable(
            "its address is not valid, or is not https",
        ))
}

fn written(request: TokenRequest) -> Result<Request<Full<Bytes>>, TokenError> {
    // What is sent is overwritten when the last piece of it was.
    let form = Bytes::from_owner(request.form);
    let mut built = Request::builder()
        .method(Method::POST)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONTENT_LENGTH, form.len());
    if let Some(authorization) = &request.authorization {
        let value = HeaderValue::from_str(authorization);
        let mut value =
            value.map_err(|_| TokenError::Unreachable("its request cannot be written"))?;
        value.set_sensitive(true);
        built = built.header(header::AUTHORIZATION, value);
    }
    built
        .body(Full::new(form))
        .map_err(|_| TokenError::Unreachable("its request cannot be written"))
}

async fn gathered(
    body: impl Body<Data = Bytes, Error = EgressError>,
) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    let mut body = pin!(body);
    // Never grows, so that no copy of a token stays behind.
    let most = usize::try_from(ANSWER_BYTES_MAX).unwrap_or(usize::MAX);
    let mut gathered = Zeroizing::new(Vec::with_capacity(most));
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(|error| unreachable(&error))?.into_data() {
            gathered.extend_from_slice(&piece);
        }
    }
    Ok(gathered)
}

/// The media type without parameters, in lower case; nothing where the body is encoded, which cannot be read.
fn media_type(headers: &HeaderMap) -> String {
    let encoded = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|encoding| encoding != "identity");
    let value = headers.get(header::CONTENT_TYPE).filter(|_| !encoded);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

/// In our own words: the way out's may name addresses, which are nobody's business here.
fn unreachable(error: &EgressError) -> TokenError {
    TokenError::Unreachable(match error {
        EgressError::Refused(_) => {
            "its address is not public, and the policy does not plainly name such a place"
        }
        EgressError::NameNotFound => "its name was not found",
        EgressError::Unreachable => "it does not accept the connection",
        EgressError::Certificate => "its certificate is not valid",
        EgressError::Tls => "the encrypted connection failed",
        EgressError::Timeout(_) => "it did not answer in time",
        EgressError::Limit(LimitKind::Response(_)) | EgressError::HeadTooLarge => {
            "its answer is too large"
        }
        _ => "its answer did not arrive whole",
    })
}

#[cfg(test)]
mod tests;
