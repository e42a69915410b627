//! One request and its response, over a connection of its owner's.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{
    Egress,
    connect::connect,
    connection::{Connection, Unanswered, content_length, header_bytes},
    error::{EgressError, Phase},
    inbound::Inbound,
    lease::{Home, Lease, Watch},
    meter::Meter,
    outgoing::{BoxError, Outgoing},
    pool::{Key, PoolKey},
    target::Target,
    wire::Exchange,
};

/// The most header fields of a request and of a response. How many bytes they have is a limit of the call.
pub(crate) const HEADERS_MAX: usize = 100;

/// What bounds one request. Every time ends at `deadline` at the latest.
#[derive(Clone, Debug)]
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
    /// Whose connection it may go over, and who may go on with it afterwards; absent means a connection of its own.
    pub(crate) pool: Option<PoolKey>,
}

impl Bounds {
    /// The end of a time that starts now.
    pub(super) fn until(&self, time: Option<Duration>, default: Duration) -> Instant {
        Instant::now()
            .checked_add(time.unwrap_or(default))
            .map_or(self.deadline, |end| end.min(self.deadline))
    }
}

/// Is done when the response has arrived and been read, and says why where it was stopped. To drop it before is to close
/// the connection.
pub(crate) type Driver = Pin<Box<dyn Future<Output = Result<(), EgressError>> + Send>>;

impl Egress {
    /// Sends one request to a target that the policy allowed, and answers with the head of the response. Redirects
    /// come back as what they are: to follow one is a new request, and a new decision.
    ///
    /// The request's own address is not looked at, nor are headers of the connection, such as `Host` and `Connection`.
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
        let headers = request.headers();
        if headers.len() > HEADERS_MAX || header_bytes(headers) > bounds.header_bytes {
            return Err(EgressError::RequestHeaders);
        }
        let exchange = Arc::new(Exchange::new(Arc::clone(meter), bounds.header_bytes));
        let mut sending = Sending {
            egress: self,
            home: bounds.pool.clone().map(|owner| Home {
                pool: Arc::downgrade(&self.pool),
                key: Key::new(owner, target, bounds.special, bounds.header_bytes),
            }),
            sent: Arc::default(),
            target,
            bounds,
            exchange,
        };
        let length = content_length(request.headers());
        let mut request = request.map(|body| Outgoing::new(body, length, &sending.exchange));
        sending.sent = request.body().whole();
        let again = sending.repeatable(&request);
        if let Some(connection) = sending.waiting().await {
            match sending.over(connection, request).await {
                Ok(answered) => return Ok(answered),
                Err(failed) => request = sending.repeat(failed, again)?,
            }
        }
        let connection = sending.open().await?;
        let answered = sending.over(connection, request).await;
        answered.map_err(|failed| failed.error)
    }
}

/// What came of a request that went out.
type Answered = (Response<Inbound>, Driver);

/// Why a request failed on a connection.
struct Failed {
    error: EgressError,
    /// The request, where nothing of it was sent.
    unsent: Option<Request<Outgoing>>,
    /// Whether the connection ended before anything of a response came, and not by our own doing.
    gone: bool,
}

impl From<EgressError> for Failed {
    fn from(error: EgressError) -> Self {
        Self {
            error,
            unsent: None,
            gone: false,
        }
    }
}

/// One request on its way.
struct Sending<'a> {
    egress: &'a Egress,
    target: &'a Target,
    bounds: Bounds,
    home: Option<Home>,
    exchange: Arc<Exchange>,
    sent: Arc<AtomicBool>,
}

impl Sending<'_> {
    /// A connection of the same owner to the same server that waits for a request.
    async fn waiting(&self) -> Option<Connection> {
        self.egress.pool.take(&self.home.as_ref()?.key).await
    }

    /// A new connection.
    async fn open(&self) -> Result<Connection, EgressError> {
        let bounds = &self.bounds;
        let until = bounds.until(bounds.connect, self.egress.timeouts.connect);
        let opened = connect(self.egress, self.target, bounds.special, until).await?;
        let exchange = Arc::clone(&self.exchange);
        let starting = Connection::start(opened, exchange, bounds.header_bytes);
        timeout_at(until, starting)
            .await
            .map_err(|_| EgressError::Timeout(Phase::Connect))?
            .map_err(|error| explain(&error, &self.exchange))
    }

    /// Sends the request over this connection, and waits for the head of the response.
    async fn over(
        &self,
        mut connection: Connection,
        request: Request<Outgoing>,
    ) -> Result<Answered, Failed> {
        let (bounds, timeouts) = (&self.bounds, self.egress.timeouts);
        let until = bounds.until(bounds.first_byte, timeouts.first_byte);
        let last = self.home.is_none();
        let answering = connection.send(self.target, request, &self.exchange, last);
        let answered = timeout_at(until, answering)
            .await
            .map_err(|_| EgressError::Timeout(Phase::FirstByte))?;
        let head = answered.map_err(|why| match why {
            Ok(unanswered) => self.failed(unanswered),
            Err(error) => error.into(),
        })?;
        self.exchange.head_done();
        self.judge(&head)?;
        let lease = Arc::new(Lease::new(
            connection,
            self.home.clone(),
            Arc::clone(&self.exchange),
            Arc::clone(&self.sent),
        ));
        let (exchange, bounds) = (Arc::clone(&self.exchange), self.bounds.clone());
        let response = head
            .map(|incoming| Inbound::new(incoming, exchange, Arc::clone(&lease), bounds, timeouts));
        Ok((response, Box::pin(Watch(lease).until_over())))
    }

    /// What no answer may be, whichever version of HTTP brought it.
    fn judge(&self, head: &Response<Incoming>) -> Result<(), EgressError> {
        let headers = head.headers();
        if headers.len() > HEADERS_MAX || header_bytes(headers) > self.bounds.header_bytes {
            return Err(EgressError::HeadTooLarge);
        }
        // Nobody asked for another protocol.
        if head.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(EgressError::Protocol);
        }
        // Only a proxy asks so, and only its operator could answer.
        let asked_by_proxy = head.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        if asked_by_proxy && self.egress.proxy.is_some() {
            return Err(EgressError::Proxy);
        }
        Ok(())
    }

    fn failed(&self, Unanswered { error, unsent }: Unanswered) -> Failed {
        let gone = self.exchange.stopped().is_none()
            && (self.exchange.is_unanswered() || never_processed(&error));
        Failed {
            error: explain(&error, &self.exchange),
            unsent,
            gone,
        }
    }

    /// What has to be kept to send the request once more: only where it may be sent twice, and has no body.
    fn repeatable(&self, request: &Request<Outgoing>) -> Option<request::Parts> {
        let repeatable = self.home.is_some()
            && is_idempotent(request.method())
            && self.sent.load(Ordering::Relaxed);
        repeatable.then(|| {
            let mut copy = Request::new(());
            copy.method_mut().clone_from(request.method());
            copy.headers_mut().clone_from(request.headers());
            copy.into_parts().0
        })
    }

    /// The request once more, where the connection that had waited turned out to be gone: the very same where nothing of
    /// it was sent, or a copy.
    fn repeat(
        &self,
        failed: Failed,
        again: Option<request::Parts>,
    ) -> Result<Request<Outgoing>, EgressError> {
        let copy = again.filter(|_| failed.gone);
        let copy = copy.map(|head| Request::from_parts(head, Outgoing::none(&self.exchange)));
        failed.unsent.or(copy).ok_or(failed.error)
    }
}

/// Whether a server that gets it twice ends up as if it had got it once (RFC 9110, 9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    )
}

/// Whether a server of HTTP/2 said that it has not looked at the request.
fn never_processed(error: &hyper::Error) -> bool {
    cause(error).is_some_and(|cause| {
        let refused = cause.is_reset() && cause.reason() == Some(h2::Reason::REFUSED_STREAM);
        let going = cause.is_go_away() && cause.reason() == Some(h2::Reason::NO_ERROR);
        cause.is_remote() && (refused || going)
    })
}

fn cause(error: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// A connection's error in our words. What we stopped ourselves is told as that.
pub(super) fn explain(error: &hyper::Error, exchange: &Exchange) -> EgressError {
    if let Some(why) = exchange.stopped() {
        why
    } else if error.is_parse_too_large() {
        EgressError::HeadTooLarge
    } else if error.is_parse() || cause(error).is_some_and(h2::Error::is_library) {
        EgressError::Protocol
    } else if error.is_user() {
        EgressError::RequestAborted
    } else {
        EgressError::Incomplete
    }
}

#[cfg(test)]
mod tests;
