//! The words of OAuth 2.0 (RFC 6749) that a client without a person needs: the request for an access token, and the reading of
//! its answer. Nothing here sends anything.
//!
//! An answer comes from a server that somebody else runs. Of what it says only an error's registered code is ever repeated.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use toolcell_policy::{OAuthAuth, OAuthGrant, OAuthSource};
use url::{Url, form_urlencoded};
use zeroize::{Zeroize, Zeroizing};

use super::Secret;

/// The longest answer of a token endpoint, in bytes.
pub(crate) const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// How long a token is kept for which the server names no time.
const KEPT_UNNAMED: Duration = Duration::from_secs(5 * 60);
/// The longest that a token is kept, whatever the server says.
const KEPT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How long before its end a token is no longer used: a tenth of its life, and at most this.
const MARGIN_MAX: Duration = Duration::from_secs(60);

/// A request for an access token, always a POST.
pub(crate) struct TokenRequest {
    /// The token endpoint.
    pub(crate) url: Url,
    /// Whether it may lie in the private network, since the policy plainly names a place there.
    pub(crate) special: bool,
    /// The value of the header `Authorization`, where the client proves who it is that way.
    pub(crate) authorization: Option<Zeroizing<String>>,
    /// The form, `application/x-www-form-urlencoded`.
    pub(crate) form: Zeroizing<Vec<u8>>,
}

/// The answer of a token endpoint, as it came.
pub(crate) struct TokenAnswer {
    /// The status.
    pub(crate) status: u16,
    /// The media type without parameters, in lower case.
    pub(crate) media_type: String,
    /// The body, at most [`ANSWER_BYTES_MAX`].
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// A token that can be used.
pub(crate) struct Granted {
    /// The access token.
    pub(crate) access: Secret,
    /// How long it may be used.
    pub(crate) kept: Duration,
    /// The refresh token for the next time, where the server gave another one.
    pub(crate) refresh: Option<Secret>,
}

/// Why there is no token. No variant holds text of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// An error that the server named by its registered code.
    #[error("the token endpoint answered `{}`: {}", .0.code(), .0.about())]
    Refused(OAuthError),
    /// A status that is neither success nor an error with a code.
    #[error("the token endpoint answered with status {0}")]
    Status(u16),
    /// A redirect, which is not followed: it would hand the client's credentials to another place.
    #[error("the token endpoint answered with a redirect (status {0}), which is not followed")]
    Redirect(u16),
    /// The answer is no JSON object, or lacks what it must have.
    #[error("the token endpoint's answer is not what RFC 6749 describes")]
    Malformed,
    /// The kind of the token is not `Bearer`.
    #[error("the token endpoint gave a token of another kind than `Bearer`")]
    Kind,
    /// The token cannot be told from ordinary text.
    #[error(
        "the token endpoint gave a token that cannot be kept secret: it is too short or too simple"
    )]
    Weak,
    /// The request got no answer. The text is one of the way out's own.
    #[error("the token endpoint cannot be asked: {0}")]
    Unreachable(&'static str),
}

/// The registered codes of errors at a token endpoint (RFC 6749 section 5.2, and what section 4.1.2.1 adds for servers that
/// use it here as well).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OAuthError {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidScope,
    AccessDenied,
    ServerError,
    TemporarilyUnavailable,
}

impl OAuthError {
    const ALL: [Self; 9] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::AccessDenied,
        Self::ServerError,
        Self::TemporarilyUnavailable,
    ];

    fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.code() == code)
    }

    /// The code as registered.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// What it means, in plain words.
    fn about(self) -> &'static str {
        match self {
            Self::InvalidRequest => "it does not understand the request",
            Self::InvalidClient => "it does not know the client, or the client's secret is wrong",
            Self::InvalidGrant => "the refresh token is wrong, used up, or has expired",
            Self::UnauthorizedClient => "the client may not use this grant",
            Self::UnsupportedGrantType => "it does not offer this grant",
            Self::InvalidScope => "the scopes are unknown, or more than the client may have",
            Self::AccessDenied => "access was denied",
            Self::ServerError => "it has an error of its own",
            Self::TemporarilyUnavailable => "it is not available for now",
        }
    }
}

/// Writes the request for a token.
pub(crate) fn request(
    source: &OAuthSource,
    client_secret: Option<&Secret>,
    refresh_token: Option<&Secret>,
) -> TokenRequest {
    let mut form = Form::default();
    match source.grant {
        OAuthGrant::ClientCredentials => form.add("grant_type", b"client_credentials"),
        OAuthGrant::RefreshToken(_) => form.add("grant_type", b"refresh_token"),
    }
    if let Some(token) = refresh_token {
        form.add("refresh_token", token.expose());
    }
    if !source.scopes.is_empty() {
        form.add("scope", source.scopes.join(" ").as_bytes());
    }
    let mut authorization = None;
    match (client_secret, source.auth) {
        (Some(secret), OAuthAuth::Basic) => {
            authorization = Some(basic(&source.client_id, secret));
        }
        (Some(secret), OAuthAuth::Body) => {
            form.add("client_id", source.client_id.as_bytes());
            form.add("client_secret", secret.expose());
        }
        // A public client only says who it is.
        (None, _) => form.add("client_id", source.client_id.as_bytes()),
    }
    TokenRequest {
        url: source.token_url.clone(),
        special: source.allows_special_addresses(),
        authorization,
        form: form.0,
    }
}

/// RFC 6749 section 2.3.1: both are encoded as in a form before they are joined.
fn basic(client_id: &str, secret: &Secret) -> Zeroizing<String> {
    let mut joined = Zeroizing::new(Vec::new());
    encode(client_id.as_bytes(), &mut joined);
    joined.push(b':');
    encode(secret.expose(), &mut joined);
    let mut header = Zeroizing::new(String::with_capacity(
        16_usize.saturating_add(joined.len().saturating_mul(2)),
    ));
    header.push_str("Basic ");
    STANDARD.encode_string(joined.as_slice(), &mut header);
    header
}

#[derive(Default)]
struct Form(Zeroizing<Vec<u8>>);

impl Form {
    fn add(&mut self, name: &str, value: &[u8]) {
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
        encode(value, &mut self.0);
    }
}

/// Encodes as in a form. Room is made first, so that no copy of a half-written value stays behind.
fn encode(value: &[u8], into: &mut Zeroizing<Vec<u8>>) {
    let room = value.len().saturating_mul(3).saturating_add(64);
    if into.capacity().saturating_sub(into.len()) < room {
        let mut grown = Zeroizing::new(Vec::with_capacity(
            into.len().saturating_mul(2).saturating_add(room),
        ));
        grown.extend_from_slice(into);
        *into = grown;
    }
    for piece in form_urlencoded::byte_serialize(value) {
        into.extend_from_slice(piece.as_bytes());
    }
}

/// The members of an answer that matter. What else a server says is not even kept.
#[derive(Deserialize)]
struct Members {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
    refresh_token: Option<String>,
    error: Option<String>,
}

impl Drop for Members {
    fn drop(&mut self) {
        self.access_token.zeroize();
        self.refresh_token.zeroize();
    }
}

/// Some servers write the number as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    fn duration(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Number(seconds) => *seconds,
            Self::Text(text) => text.parse().ok()?,
        };
        let longest = KEPT_MAX.as_secs_f64();
        seconds
            .is_finite()
            .then(|| Duration::from_secs_f64(seconds.clamp(0.0, longest)))
    }
}

/// Reads an answer.
pub(crate) fn read(answer: &TokenAnswer) -> Result<Granted, TokenError> {
    if (300..400).contains(&answer.status) {
        return Err(TokenError::Redirect(answer.status));
    }
    let json = answer.media_type == "application/json";
    let members = || {
        serde_json::from_slice::<Members>(&answer.body)
            .ok()
            .filter(|_| json)
    };
    if answer.status != 200 {
        let code = members().and_then(|members| OAuthError::from_code(members.error.as_deref()?));
        return Err(code.map_or(TokenError::Status(answer.status), TokenError::Refused));
    }
    let mut members = members().ok_or(TokenError::Malformed)?;
    if let Some(code) = members.error.as_deref() {
        // Some servers send errors with a status of success.
        return Err(OAuthError::from_code(code).map_or(TokenError::Malformed, TokenError::Refused));
    }
    let kind = members.token_type.as_deref().ok_or(TokenError::Malformed)?;
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Kind);
    }
    let kept = match &members.expires_in {
        None => KEPT_UNNAMED,
        Some(seconds) => usable(seconds.duration().ok_or(TokenError::Malformed)?),
    };
    let access = members.access_token.take().ok_or(TokenError::Malformed)?;
    let access = Secret::new(access).map_err(|_| TokenError::Weak)?;
    let refresh = members.refresh_token.take().map(Secret::new).transpose();
    Ok(Granted {
        access,
        kept,
        refresh: refresh.map_err(|_| TokenError::Weak)?,
    })
}

/// How long a token with that life is used.
fn usable(life: Duration) -> Duration {
    life.saturating_sub((life / 10).min(MARGIN_MAX))
}

#[cfg(test)]
mod tests;
