//! What the APIs of AWS have in common: keys, and signing requests with them (Signature Version 4).

use std::{fmt, sync::Arc, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use futures_util::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::{ApiKey, ModelError};

/// The time of day, which signatures hold.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// How requests to AWS are authorised.
#[derive(Clone)]
pub enum AwsAuth {
    /// `Authorization: Bearer KEY`, with an API key of Amazon Bedrock.
    Bearer(ApiKey),
    /// Each request is signed.
    Signed {
        /// Who has the keys.
        keys: Arc<dyn AwsKeySource>,
        /// What time it is: a signature that is more than five minutes off is refused.
        clock: Clock,
    },
}

impl fmt::Debug for AwsAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(..)",
            Self::Signed { .. } => "Signed { .. }",
        })
    }
}

/// Keys to sign requests with. They are never printed.
#[derive(Clone)]
pub struct AwsKeys {
    /// The access key's id, which is no secret.
    pub id: String,
    /// The secret access key.
    pub secret: ApiKey,
    /// The session token of keys that are valid for a while.
    pub session: Option<ApiKey>,
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKeys").finish_non_exhaustive()
    }
}

/// Who has keys. It is asked before each request, so that keys which are valid for a while can be replaced.
pub trait AwsKeySource: Send + Sync {
    /// The keys as they are now.
    fn keys(&self) -> BoxFuture<'_, Result<AwsKeys, ModelError>>;
}

/// Keys that never change.
impl AwsKeySource for AwsKeys {
    fn keys(&self) -> BoxFuture<'_, Result<AwsKeys, ModelError>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}

/// A `POST` that is about to be sent.
pub(super) struct Unsigned<'a> {
    pub(super) url: &'a Url,
    pub(super) body: &'a [u8],
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

impl AwsAuth {
    /// Tells those who pay apart, as far as it is known without asking for keys.
    pub(super) fn payer(&self) -> String {
        match self {
            Self::Bearer(key) => key.payer(),
            Self::Signed { .. } => "signed".to_owned(),
        }
    }

    /// Adds to the headers what authorises the request, and says which values must not be shown.
    ///
    /// Everything in `headers` is signed, so nothing may be added or changed afterwards but the user agent.
    pub(super) async fn authorize(
        &self,
        request: &Unsigned<'_>,
        headers: &mut HeaderMap,
    ) -> Result<Vec<ApiKey>, ModelError> {
        match self {
            Self::Bearer(key) => {
                headers.insert(AUTHORIZATION, key.header("Bearer ")?);
                Ok(vec![key.clone()])
            }
            Self::Signed { keys, clock } => {
                let keys = keys.keys().await?;
                signed(request, &keys, clock(), headers)?;
                Ok(keys.session.into_iter().chain([keys.secret]).collect())
            }
        }
    }
}

fn signed(
    request: &Unsigned<'_>,
    keys: &AwsKeys,
    now: SystemTime,
    headers: &mut HeaderMap,
) -> Result<(), ModelError> {
    if keys.id.is_empty() || keys.secret.expose().is_empty() {
        return Err(ModelError::Key("is missing"));
    }
    let session = keys.session.as_ref().map(|token| token.expose().to_owned());
    let identity =
        Credentials::new(&keys.id, keys.secret.expose(), session, None, "toolcell").into();
    let failed = |error: &dyn fmt::Display| {
        ModelError::Config(format!("the request cannot be signed: {error}"))
    };
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(request.region)
        .name(request.service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let mut named = Vec::new();
    for (name, value) in headers.iter() {
        let text = value.to_str().map_err(|error| failed(&error))?;
        named.push((name.as_str(), text));
    }
    let body = SignableBody::Bytes(request.body);
    let signable = SignableRequest::new("POST", request.url.as_str(), named.into_iter(), body)
        .map_err(|error| failed(&error))?;
    let (instructions, _) = sign(signable, &params)
        .map_err(|error| failed(&error))?
        .into_parts();
    let (new, _) = instructions.into_parts();
    for header in new {
        let name =
            HeaderName::from_bytes(header.name().as_bytes()).map_err(|error| failed(&error))?;
        let mut value = HeaderValue::from_str(header.value())
            .map_err(|_| ModelError::Key("holds characters that cannot be sent"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
