//! Follows redirects where the rule of a request says so: each is a request of its own, counted, decided afresh and without
//! any credential of the host, as if the tool had made it.
//!
//! What is not followed, the tool gets as it came: a redirect that goes on for longer than the rule says, in a circle, from
//! https to http, to an address that cannot be read, or with a body that is gone by then. One that the policy refuses is
//! denied like any other request. And one whose address holds a secret of the session, which a server may well put there,
//! is handed over with the secret taken out, and never followed.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header::LOCATION};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::{
    Driving, Sent,
    requests::Requests,
    turn::{Place, Turn},
};
use crate::egress::{Hop, Trail, content_length};

/// The largest body of a request that is kept to be sent once more.
const REPLAY_BYTES_MAX: usize = 64 * 1024;

/// An answer, searched for secrets, and where it leads to as it really said.
pub(super) struct Answer {
    pub(super) response: Response<WasiBody>,
    pub(super) driver: Box<Driving>,
    pub(super) location: Option<HeaderValue>,
    /// Its place among the requests under way, which the next one of its way goes on with.
    pub(super) place: Place,
}

/// What a request may carry besides what the tool put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    /// The secrets that belong to it.
    Secrets,
    /// Nothing.
    Nothing,
}

impl Requests {
    /// Sends a request of the guest's, and what it is redirected to as far as its rule says.
    pub(super) async fn attempt(
        self: Arc<Self>,
        request: Request<WasiBody>,
        options: RequestOptions,
        mut turn: Turn,
    ) -> Result<Sent, Error> {
        let decided = self.admit(request.method(), request.uri()).await?;
        let most = self.redirects(request.method(), &decided.target);
        if most == 0 {
            let answer = self.one(request, &options, decided, Carries::Secrets, turn);
            let Answer {
                response, driver, ..
            } = answer.await?;
            return Ok((response, driver));
        }
        let mut trail = Trail::new(request.method(), &decided.target, most);
        let (mut request, kept) = keep(request);
        let mut headers = request.headers().clone();
        let (mut decided, mut carries) = (decided, Carries::Secrets);
        loop {
            let sending = Arc::clone(&self).one(request, &options, decided, carries, turn);
            let Answer {
                response,
                driver,
                location,
                place,
            } = sending.await?;
            let status = response.status();
            let clear = response.headers().get(LOCATION) == location.as_ref();
            let next = clear.then(|| trail.next(status, response.headers(), kept.is_whole()));
            let Some(Ok(hop)) = next else {
                return Ok((response, driver));
            };
            // Its connection is closed, or goes on with what comes next.
            drop((response, driver));
            turn = Turn::Now(place);
            headers = hop.headers(&headers);
            request = again(&hop, &headers, &kept)?;
            decided = self.admit(request.method(), request.uri()).await?;
            carries = Carries::Nothing;
        }
    }
}

/// The next request of a way.
fn again(hop: &Hop, headers: &HeaderMap, kept: &Kept) -> Result<Request<WasiBody>, Error> {
    let body = if hop.with_body {
        kept.bytes()
    } else {
        Bytes::new()
    };
    let body = Full::new(body).map_err(|never| match never {});
    let mut request = Request::new(body.boxed_unsync());
    *request.method_mut() = hop.method.clone();
    *request.headers_mut() = headers.clone();
    let address = hop.target.url().as_str().parse();
    *request.uri_mut() = address.map_err(|_| Error::HttpRequestUriInvalid)?;
    Ok(request)
}

/// The body of a request, as far as it was sent.
#[derive(Default)]
struct Keeping {
    bytes: Vec<u8>,
    whole: bool,
    lost: bool,
}

/// A body that was kept while it was sent.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Keeping>>);

impl Kept {
    /// Whether all of it is there.
    fn is_whole(&self) -> bool {
        self.with(|kept| kept.whole && !kept.lost)
    }

    fn bytes(&self) -> Bytes {
        self.with(|kept| Bytes::copy_from_slice(&kept.bytes))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Keeping) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps the body of a request while it is sent.
fn keep(request: Request<WasiBody>) -> (Request<WasiBody>, Kept) {
    let kept = Kept::default();
    let length = content_length(request.headers());
    // Such a request says the length of its body where it has one; otherwise nobody may ever ask for it.
    let bodiless = matches!(*request.method(), Method::GET | Method::HEAD) && length.is_none();
    let request = request.map(|body| {
        kept.with(|kept| kept.whole = bodiless || length == Some(0) || body.is_end_stream());
        Copied {
            body,
            kept: kept.clone(),
            length,
        }
        .boxed_unsync()
    });
    (request, kept)
}

/// A body that is copied as it passes.
struct Copied {
    body: WasiBody,
    kept: Kept,
    length: Option<u64>,
}

impl Body for Copied {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        let ended = this.body.is_end_stream();
        this.kept.with(|kept| match &frame {
            None => kept.whole = true,
            Some(Ok(frame)) => {
                match frame.data_ref() {
                    Some(data)
                        if kept.bytes.len().saturating_add(data.len()) <= REPLAY_BYTES_MAX =>
                    {
                        kept.bytes.extend_from_slice(data);
                    }
                    // Trailers are not kept.
                    _ => {
                        kept.lost = true;
                        kept.bytes = Vec::new();
                    }
                }
                // Whoever sends a body of a known length does not ask whether there is more.
                let length = u64::try_from(kept.bytes.len()).ok();
                kept.whole = ended || (this.length.is_some() && this.length == length);
            }
            Some(Err(_)) => kept.lost = true,
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
