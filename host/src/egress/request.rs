//! One request over one connection of its own.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::{
    Egress,
    connect::connect,
    error::{EgressError, LimitKind, Phase},
    meter::{Meter, Metered, Wire},
    target::Target,
};

/// The most header fields of a request and of a response. How many bytes they have is a limit of the call.
pub(crate) const HEADERS_MAX: usize = 100;
/// What hyper reads at least at once.
const BUFFER_BYTES_MIN: usize = 8 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What bounds one request. Every time ends at `deadline` at the latest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The end of the call.
    pub(crate) deadline: Instant,
    /// For name lookup, TCP and TLS together; absent means the host's own default.
    pub(crate) connect: Option<Duration>,
    /// From the sending to the head of the response; absent means the host's own default.
    pub(crate) first_byte: Option<Duration>,
    /// Between two pieces of the response's body; absent means the host's own default.
    pub(crate) between_bytes: Option<Duration>,
    /// The most bytes of the response's body.
    pub(crate) response_bytes: u64,
    /// The most bytes of the request's header names and values together, and of the response's head.
    pub(crate) header_bytes: u64,
    /// Whether the rule names this host as one that may lead to special addresses.
    pub(crate) special: bool,
}

impl Bounds {
    /// The end of a time that starts now.
    fn until(&self, time: Option<Duration>, default: Duration) -> Instant {
        Instant::now()
            .checked_add(time.unwrap_or(default))
            .map_or(self.deadline, |end| end.min(self.deadline))
    }
}

/// Moves the connection's bytes. The request body is sent and the response body arrives only while this is polled;
/// it is done when the response is. To drop it is to close the connection.
pub(crate) type Driver = Pin<Box<dyn Future<Output = Result<(), EgressError>> + Send>>;

impl Egress {
    /// Sends one request to a target that the policy allowed, and answers with the head of the response. Redirects
    /// come back as what they are: to follow one is a new request, and a new decision.
    ///
    /// The request's own address is not looked at, nor is a `Host` or `Connection` header.
    pub(crate) async fn send<B>(
        &self,
        target: &Target,
        request: Request<B>,
        bounds: Bounds,
        meter: &Arc<Meter>,
    ) -> Result<(Response<Inbound>, Driver), EgressError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let header_bytes = usize::try_from(bounds.header_bytes).unwrap_or(usize::MAX);
        let request = prepare(target, request, header_bytes)?;
        let until = bounds.until(bounds.connect, self.timeouts.connect);
        let connecting = connect(&*self.resolver, &self.tls, target, bounds.special, until);
        let link = timeout_at(until, connecting)
            .await
            .map_err(|_| EgressError::Timeout(Phase::Connect))??;

        let wire = Arc::new(Wire::default());
        let metered = Metered::new(link, Arc::clone(meter), Arc::clone(&wire))
            .with_head_max(bounds.header_bytes);
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(HEADERS_MAX)
            .max_header_size(header_bytes)
            .max_buf_size(header_bytes.max(BUFFER_BYTES_MIN))
            .handshake(TokioIo::new(metered))
            .await
            .map_err(|error| explain(&error, &wire))?;
        let mut driver: Driver = {
            let wire = Arc::clone(&wire);
            Box::pin(async move { connection.await.map_err(|error| explain(&error, &wire)) })
        };

        let until = bounds.until(bounds.first_byte, self.timeouts.first_byte);
        let sending = sender.send_request(request);
        let (head, ended) = timeout_at(until, head_while_driving(sending, &mut driver, &wire))
            .await
            .map_err(|_| EgressError::Timeout(Phase::FirstByte))??;
        wire.head_done();
        if head.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(EgressError::Protocol);
        }
        if ended {
            driver = Box::pin(std::future::ready(Ok(())));
        }
        let between_bytes = bounds.between_bytes.unwrap_or(self.timeouts.between_bytes);
        let response = head.map(|incoming| Inbound {
            incoming,
            wire,
            left: bounds.response_bytes,
            bounds,
            between_bytes,
            patience: Box::pin(sleep_until(bounds.until(None, between_bytes))),
            failed: false,
        });
        Ok((response, driver))
    }
}

/// Waits for the head of the response, and moves the connection's bytes meanwhile. Also says whether the connection
/// has ended already.
async fn head_while_driving(
    sending: impl Future<Output = hyper::Result<Response<Incoming>>>,
    driver: &mut Driver,
    wire: &Wire,
) -> Result<(Response<Incoming>, bool), EgressError> {
    let mut sending = pin!(sending);
    tokio::select! {
        biased;
        head = &mut sending => Ok((head.map_err(|error| explain(&error, wire))?, false)),
        ended = driver => {
            // The head may have arrived together with the end.
            let head = sending.await.map_err(|error| explain(&error, wire));
            ended.and(head).map(|head| (head, true))
        }
    }
}

/// The request as it goes over the wire: origin form, and the connection's own headers are ours.
fn prepare<B>(
    target: &Target,
    request: Request<B>,
    header_bytes_max: usize,
) -> Result<Request<B>, EgressError> {
    let (mut parts, body) = request.into_parts();
    let header_bytes: usize = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .sum();
    if parts.headers.len() > HEADERS_MAX || header_bytes > header_bytes_max {
        return Err(EgressError::RequestHeaders);
    }
    let host =
        HeaderValue::from_str(target.host_header()).map_err(|_| EgressError::RequestAddress)?;
    parts.headers.insert(header::HOST, host);
    // One request a connection, so the server need not wait for a second one.
    parts
        .headers
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    parts.uri = target
        .path_and_query()
        .parse()
        .map_err(|_| EgressError::RequestAddress)?;
    parts.version = http::Version::HTTP_11;
    Ok(Request::from_parts(parts, body))
}

/// A connection's error in our words. What we stopped ourselves is told as that.
fn explain(error: &hyper::Error, wire: &Wire) -> EgressError {
    if let Some(why) = wire.stopped() {
        why
    } else if error.is_parse_too_large() {
        EgressError::HeadTooLarge
    } else if error.is_parse() {
        EgressError::Protocol
    } else if error.is_user() {
        EgressError::RequestAborted
    } else {
        EgressError::Incomplete
    }
}

/// The body of a response, as it arrives: it fails when it grows beyond its limit or when it stalls.
pub(crate) struct Inbound {
    incoming: Incoming,
    wire: Arc<Wire>,
    left: u64,
    bounds: Bounds,
    between_bytes: Duration,
    patience: Pin<Box<Sleep>>,
    failed: bool,
}

impl Inbound {
    fn receive(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, EgressError> {
        let until = self.bounds.until(None, self.between_bytes);
        self.patience.as_mut().reset(until);
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or(EgressError::Limit(LimitKind::Response(
                self.bounds.response_bytes,
            )))?;
        Ok(frame)
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        let outcome = match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Ok(frame))) => this.receive(frame),
            Poll::Ready(Some(Err(error))) => Err(explain(&error, &this.wire)),
            Poll::Pending => match this.patience.as_mut().poll(cx) {
                Poll::Ready(()) => Err(EgressError::Timeout(Phase::BetweenBytes)),
                Poll::Pending => return Poll::Pending,
            },
        };
        this.failed = outcome.is_err();
        Poll::Ready(Some(outcome))
    }

    fn is_end_stream(&self) -> bool {
        self.failed || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests;
