//! Puts credentials into a request that the policy allowed, on exactly the address that it decided on.
//!
//! The value takes the place that the policy names and is never joined with one of the tool's own: a tool that fills the
//! place itself is refused, whether or not the secret has a value. What it said of encodings and parts of the answer is
//! overruled, since an answer that cannot be searched cannot be handed on.

mod json;
mod own;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::{FutureExt as _, future};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{self, AUTHORIZATION, CONTENT_LENGTH},
    request::Parts,
};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use toolcell_policy::{SecretGrant, SecretPlace};
use wasmtime_wasi_http::{Error, WasiBody};

use super::follow::Carries;
use crate::{
    ErrorKind,
    egress::Target,
    secrets::{BoundSecret, CallSecrets, Secret, Weakness},
};

/// The largest JSON body that a secret is put into.
pub(super) const JSON_BYTES_MAX: usize = 1024 * 1024;

/// What a guest may say of the answer it wants, and not where the answer has to be searched.
const OF_THE_ANSWER: [HeaderName; 4] = [
    header::ACCEPT_CHARSET,
    header::RANGE,
    header::IF_RANGE,
    HeaderName::from_static("a-im"),
];

/// Headers by which some servers take another method or address than the request has, and so another one than the binding
/// of a secret was held against.
const REROUTING: [&str; 7] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-forwarded-host",
    "x-rewrite-url",
];

/// The secrets that belong to one request.
pub(super) struct Credentials {
    secrets: Arc<CallSecrets>,
    /// Which of the call's secrets go along, by their places among them.
    along: Vec<usize>,
    /// The rule of a secret whose destination this is.
    here: Option<String>,
    /// Whether the values go along. A request that a server asked for carries none, and may fill no place of theirs.
    carries: Carries,
}

/// Hears of a refusal that comes while a body is on its way.
pub(super) type Hears = Box<dyn Fn(Refusal) + Send>;

/// Why a request or its answer goes no further because of a secret.
pub(super) struct Refusal {
    /// The line that binds the secret.
    pub(super) rule: String,
    /// What is wrong, without any value.
    pub(super) reason: String,
    /// What the guest hears.
    pub(super) error: Error,
    /// What the whole call fails with, whatever the guest makes of it.
    pub(super) ends: Option<ErrorKind>,
}

impl Refusal {
    pub(super) fn new(rule: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            reason: reason.into(),
            error: Error::HttpRequestDenied,
            ends: None,
        }
    }

    fn of(grant: &SecretGrant, why: &str) -> Self {
        Self::new(
            grant.rule.to_string(),
            format!("the secret {} cannot be added: {why}", grant.name),
        )
    }

    /// No credential is to be had, and somebody has to see to it.
    fn unauthorized(grant: &SecretGrant, why: &str) -> Self {
        Self {
            ends: Some(ErrorKind::AuthRequired),
            ..Self::of(grant, why)
        }
    }
}

/// The values that went along with a request, each with the place of its secret among those of the call.
pub(super) type Used = Vec<(usize, Arc<Secret>)>;

/// A request with its credentials. Nothing of it is ever shown: logs, records and errors have the address without them.
pub(super) struct Laden {
    pub(super) target: Target,
    pub(super) request: Request<WasiBody>,
    pub(super) used: Used,
}

impl Credentials {
    /// The secrets of a call that belong to this request.
    pub(super) fn of(
        secrets: &Arc<CallSecrets>,
        method: &Method,
        target: &Target,
        carries: Carries,
    ) -> Self {
        let everywhere = secrets.lacks(Weakness::EveryDestination);
        let goes_along =
            |bound: &BoundSecret| everywhere || bound.grant.applies(method.as_str(), target.url());
        let bound = secrets.bound().iter().enumerate();
        Self {
            along: bound
                .filter(|(_, bound)| goes_along(bound))
                .map(|(place, _)| place)
                .collect(),
            here: secrets
                .at(target.url())
                .next()
                .map(|bound| bound.grant.rule.to_string()),
            carries,
            secrets: Arc::clone(secrets),
        }
    }

    /// The rule of a secret whose destination this is, where it is one: what comes back from there may hold its value,
    /// even where a request was sent without it.
    pub(super) fn destination(&self) -> Option<&str> {
        self.here.as_deref()
    }

    fn along(&self) -> impl Iterator<Item = (usize, &BoundSecret)> {
        let found = |place: &usize| Some((*place, self.secrets.bound().get(*place)?));
        self.along.iter().filter_map(found)
    }

    /// Refuses a request in which the tool has filled the place of a secret, or two secrets want the same place, or which
    /// may be taken for another one.
    pub(super) fn check(&self, headers: &HeaderMap, target: &Target) -> Result<(), Refusal> {
        let mut places: Vec<own::Place> = Vec::new();
        for (_, bound) in self.along() {
            let place = own::Place::of(&bound.grant.place);
            if places.contains(&place) {
                let why = "another secret goes to the same place of this request";
                return Err(Refusal::of(&bound.grant, why));
            }
            let filled = place.is_filled(headers, target.url().query());
            if filled && !self.secrets.lacks(Weakness::ValuesJoin) {
                let why = format!("the tool sets {place} itself");
                return Err(Refusal::of(&bound.grant, &why));
            }
            places.push(place);
        }
        let rerouted = REROUTING.iter().find(|name| headers.contains_key(**name));
        match (self.along().next(), rerouted) {
            (Some((_, bound)), Some(name)) => {
                let why = format!(
                    "by the header `{name}` the server may take another method or address than the allowed one"
                );
                Err(Refusal::of(&bound.grant, &why))
            }
            _ => Ok(()),
        }
    }

    /// Adds the values, and what is ours to say of the answer. Waits for values that have to be fetched, until the end of
    /// the call at the latest. `refused` hears of trailers in which the tool fills a secret's place.
    pub(super) async fn place(
        &self,
        request: Request<WasiBody>,
        target: Target,
        deadline: Instant,
        refused: Hears,
    ) -> Result<Laden, Refusal> {
        let mut laden = Laden {
            target,
            request,
            used: Vec::new(),
        };
        if self.here.is_some() && !self.secrets.lacks(Weakness::GuestOwnsHeaders) {
            let headers = laden.request.headers_mut();
            for name in &OF_THE_ANSWER {
                headers.remove(name);
            }
            let plain = HeaderValue::from_static("identity");
            headers.insert(header::ACCEPT_ENCODING, plain);
        }
        let mut watched = Vec::new();
        let carries = self.carries == Carries::Secrets;
        for (place, bound) in self.along().filter(|_| carries) {
            let Some(secret) = value(bound, deadline).await? else {
                continue;
            };
            self.put(&mut laden, bound, &secret, deadline).await?;
            laden.used.push((place, secret));
        }
        for (_, bound) in self.along() {
            let place = own::Place::of(&bound.grant.place);
            if !self.secrets.lacks(Weakness::ValuesJoin) && place.is_of_headers() {
                let refusal = Refusal::of(
                    &bound.grant,
                    &format!("the tool sets {place} itself, among the trailers"),
                );
                watched.push((place, refusal));
            }
        }
        if !watched.is_empty() && !laden.request.body().is_end_stream() {
            laden.request = laden.request.map(|body| {
                Watched {
                    body,
                    watched,
                    refused,
                }
                .boxed_unsync()
            });
        }
        Ok(laden)
    }

    async fn put(
        &self,
        laden: &mut Laden,
        bound: &BoundSecret,
        secret: &Secret,
        deadline: Instant,
    ) -> Result<(), Refusal> {
        let grant = &bound.grant;
        match &grant.place {
            SecretPlace::Header {
                name,
                before,
                after,
            } => {
                let name: HeaderName = name
                    .parse()
                    .map_err(|_| Refusal::of(grant, "its header has no valid name"))?;
                let value = [before.as_bytes(), secret.expose(), after.as_bytes()].concat();
                let spaced = [secret.expose().first(), secret.expose().last()];
                if spaced.into_iter().flatten().any(u8::is_ascii_whitespace) {
                    let why = "its value begins or ends with white space, which servers cut off";
                    return Err(Refusal::of(grant, why));
                }
                self.header(laden, grant, name, value)
            }
            SecretPlace::Basic { user } => {
                let pair = [user.as_bytes(), b":", secret.expose()].concat();
                let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
                self.header(laden, grant, AUTHORIZATION, value.into_bytes())
            }
            SecretPlace::Query { name } => {
                laden.target = laden.target.with_parameter(name, secret.expose());
                Ok(())
            }
            SecretPlace::Json { pointer } => {
                let text = std::str::from_utf8(secret.expose())
                    .map_err(|_| Refusal::of(grant, "its value is no text, and JSON holds text"))?;
                let request = std::mem::take(&mut laden.request);
                let filled = within(deadline, fill(request, pointer, text)).await;
                laden.request = filled
                    .unwrap_or_else(|| Err(Unfit::Aborted(Error::ConnectionTimeout)))
                    .map_err(|unfit| unfit.refusal(grant))?;
                Ok(())
            }
        }
    }

    fn header(
        &self,
        laden: &mut Laden,
        grant: &SecretGrant,
        name: HeaderName,
        value: Vec<u8>,
    ) -> Result<(), Refusal> {
        let mut value = HeaderValue::from_maybe_shared(Bytes::from(value)).map_err(|_| {
            let why = "its value has a character that no header can hold, such as a line break";
            Refusal::of(grant, why)
        })?;
        // It shows nothing of itself, and no compression of headers remembers it.
        value.set_sensitive(true);
        if self.secrets.lacks(Weakness::ValuesJoin) {
            laden.request.headers_mut().append(name, value);
        } else {
            laden.request.headers_mut().insert(name, value);
        }
        Ok(())
    }

    /// Tells those who fetch values whether theirs was accepted.
    pub(super) fn answered(&self, used: &Used, status: StatusCode) {
        if status != StatusCode::UNAUTHORIZED {
            return;
        }
        for (place, secret) in used {
            if let Some(bound) = self.secrets.bound().get(*place) {
                bound.refused(secret);
            }
        }
    }
}

/// The value of a secret, fetched where it has to be.
async fn value(bound: &BoundSecret, deadline: Instant) -> Result<Option<Arc<Secret>>, Refusal> {
    match within(deadline, bound.value()).await {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Refusal::unauthorized(&bound.grant, &error.to_string())),
        None => Err(Refusal::unauthorized(
            &bound.grant,
            "it was not there before the end of the call",
        )),
    }
}

async fn within<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(deadline.into(), work).await.ok()
}

/// Why a secret cannot be put into a body.
enum Unfit {
    /// What is wrong with the request.
    Wrong(String),
    /// The body is larger than [`JSON_BYTES_MAX`].
    TooLarge,
    /// The guest, or the time, ended before the body did.
    Aborted(Error),
}

impl Unfit {
    fn refusal(self, grant: &SecretGrant) -> Refusal {
        let why = match &self {
            Self::Wrong(why) => why.clone(),
            Self::TooLarge => format!("the body has more than {JSON_BYTES_MAX} bytes"),
            Self::Aborted(_) => "the body was not finished".to_owned(),
        };
        let refusal = Refusal::of(grant, &why);
        let error = match self {
            Self::Wrong(_) => Error::HttpRequestDenied,
            Self::TooLarge => Error::HttpRequestBodySize(u64::try_from(JSON_BYTES_MAX).ok()),
            Self::Aborted(error) => error,
        };
        Refusal { error, ..refusal }
    }
}

/// The request with a text at a place of its JSON body, which is read to its end before anything is sent.
async fn fill(
    request: Request<WasiBody>,
    pointer: &str,
    text: &str,
) -> Result<Request<WasiBody>, Unfit> {
    let (mut parts, body) = request.into_parts();
    if !is_json(&parts) {
        let why = "its place is in a JSON body, and the request has none (`content-type: application/json`)";
        return Err(Unfit::Wrong(why.to_owned()));
    }
    let (document, trailers) = gather(body).await?;
    let document =
        std::str::from_utf8(&document).map_err(|_| Unfit::Wrong("the body is not JSON".into()))?;
    let filled = json::put(document, pointer, text)
        .map_err(|misfit| Unfit::Wrong(format!("the body {misfit}")))?;
    // What is sent says its own length.
    parts.headers.remove(CONTENT_LENGTH);
    let body = Full::new(Bytes::from(filled)).map_err(|never| match never {});
    let body = match trailers {
        None => body.boxed_unsync(),
        Some(trailers) => body
            .with_trailers(future::ready(Some(Ok(trailers))).boxed())
            .boxed_unsync(),
    };
    Ok(Request::from_parts(parts, body))
}

fn is_json(parts: &Parts) -> bool {
    let mut types = parts.headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(first), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = first.as_bytes().split(|byte| *byte == b';').next();
    essence.is_some_and(|essence| {
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    }) && !parts.headers.contains_key(header::CONTENT_ENCODING)
}

async fn gather(mut body: WasiBody) -> Result<(Vec<u8>, Option<HeaderMap>), Unfit> {
    if body.size_hint().lower() > JSON_BYTES_MAX as u64 {
        return Err(Unfit::TooLarge);
    }
    let (mut document, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame.map_err(Unfit::Aborted)?.into_data() {
            Ok(data) => {
                if document.len().saturating_add(data.len()) > JSON_BYTES_MAX {
                    return Err(Unfit::TooLarge);
                }
                document.extend_from_slice(&data);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((document, trailers))
}

/// A request's body whose trailers must leave the places of secrets alone.
struct Watched {
    body: WasiBody,
    watched: Vec<(own::Place, Refusal)>,
    refused: Hears,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        let trailers = match &frame {
            Some(Ok(frame)) => frame.trailers_ref(),
            _ => None,
        };
        let filled = trailers.and_then(|trailers| {
            let of = |(place, _): &(own::Place, Refusal)| place.is_filled(trailers, None);
            this.watched.iter().position(of)
        });
        let Some(filled) = filled else {
            return Poll::Ready(frame);
        };
        let (_, refusal) = this.watched.swap_remove(filled);
        (this.refused)(refusal);
        Poll::Ready(Some(Err(Error::HttpRequestDenied)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
