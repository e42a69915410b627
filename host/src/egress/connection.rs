//! One connection that speaks HTTP/1.1 or HTTP/2, with one exchange on it at a time.

use std::{future::Future, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use tokio::time::{Duration, Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    connect::{CheckedAddress, Link},
    error::EgressError,
    outgoing::Outgoing,
    request::HEADERS_MAX,
    target::Target,
    wire::{Exchange, Metered, Wire},
};

/// What HTTP/1.1 reads at least at once.
const BUFFER_BYTES_MIN: usize = 8 * 1024;
/// How much of a response HTTP/2 reads ahead of whoever reads its body: the window of the stream and of the connection,
/// which carries one stream at a time.
const WINDOW_BYTES: u32 = 256 * 1024;
/// The largest frame of HTTP/2 that is read: the smallest that the protocol allows to say.
const FRAME_BYTES: u32 = 16 * 1024;
/// How much of a request HTTP/2 holds that was not written yet.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// What a field of a head counts for in HTTP/2 besides its name and value.
const FIELD_OVERHEAD_BYTES: u64 = 32;
/// How many streams HTTP/2 remembers that ended too early. There is one stream at a time.
const RESET_STREAMS_MAX: usize = 8;
/// How long a connection may take to say that it is ready again, once its last exchange is over.
const READY_TIME: Duration = Duration::from_secs(1);

/// Headers that belong to a connection. In HTTP/1.1 they are ours to write, in HTTP/2 there are none.
const CONNECTION_HEADERS: [HeaderName; 8] = [
    header::CONNECTION,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Something to speak HTTP over, and how.
pub(super) struct Opened {
    /// The bytes, above TLS where there is TLS.
    pub(super) link: Box<dyn Link>,
    /// Whether the server chose HTTP/2.
    pub(super) http2: bool,
    /// Whether the other side is a proxy that is told the whole address.
    pub(super) absolute: bool,
    /// What was dialled, where we looked the name up.
    pub(super) address: Option<CheckedAddress>,
}

enum Sender {
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

/// A connection. To drop it is to close it.
pub(super) struct Connection {
    sender: Sender,
    wire: Arc<Wire>,
    absolute: bool,
    address: Option<CheckedAddress>,
    opened: Instant,
    requests: u32,
    _open: DropGuard,
}

/// Why a request on a connection got no answer.
pub(super) struct Unanswered {
    pub(super) error: hyper::Error,
    /// The request, where nothing of it was sent.
    pub(super) unsent: Option<Request<Outgoing>>,
}

impl Connection {
    /// Starts to speak HTTP. The connection is driven by a task of its own until it is dropped.
    pub(super) async fn start(
        opened: Opened,
        exchange: Arc<Exchange>,
        header_bytes: u64,
    ) -> Result<Self, hyper::Error> {
        let wire = Arc::new(Wire::new(exchange));
        let io = TokioIo::new(Metered::new(opened.link, Arc::clone(&wire)));
        let token = CancellationToken::new();
        let sender = if opened.http2 {
            let fields = FIELD_OVERHEAD_BYTES.saturating_mul(HEADERS_MAX as u64);
            let list = header_bytes.saturating_add(fields);
            let (sender, connection) = http2::Builder::new(Tasks(token.clone()))
                .initial_stream_window_size(WINDOW_BYTES)
                .initial_connection_window_size(WINDOW_BYTES)
                .max_frame_size(FRAME_BYTES)
                .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
                .max_send_buf_size(SEND_BUFFER_BYTES)
                .max_concurrent_reset_streams(RESET_STREAMS_MAX)
                .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
                .max_local_error_reset_streams(RESET_STREAMS_MAX)
                .initial_max_send_streams(1)
                .handshake(io)
                .await?;
            Tasks(token.clone()).execute(async {
                // Whoever waits for an answer hears of it there.
                let _ = connection.await;
            });
            Sender::Http2(sender)
        } else {
            let header_bytes = usize::try_from(header_bytes).unwrap_or(usize::MAX);
            let (sender, connection) = http1::Builder::new()
                .max_headers(HEADERS_MAX)
                .max_header_size(header_bytes)
                .max_buf_size(header_bytes.max(BUFFER_BYTES_MIN))
                .handshake(io)
                .await?;
            Tasks(token.clone()).execute(async {
                let _ = connection.await;
            });
            Sender::Http1(sender)
        };
        Ok(Self {
            sender,
            wire,
            absolute: opened.absolute,
            address: opened.address,
            opened: Instant::now(),
            requests: 0,
            _open: token.drop_guard(),
        })
    }

    /// Sends a request on this exchange's account. `last` says that no other will follow.
    pub(super) async fn send(
        &mut self,
        target: &Target,
        mut request: Request<Outgoing>,
        exchange: &Arc<Exchange>,
        last: bool,
    ) -> Result<Response<Incoming>, Result<Unanswered, EgressError>> {
        self.wire.begin(Arc::clone(exchange));
        self.requests = self.requests.saturating_add(1);
        self.address_it(target, &mut request, last).map_err(Err)?;
        let answered = match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        };
        answered.map_err(|failed: TrySendError<_>| {
            let mut failed = failed;
            let unsent = failed.take_message();
            let error = failed.into_error();
            Ok(Unanswered { error, unsent })
        })
    }

    /// Writes the request's address as this connection wants it. The headers of the connection are ours.
    fn address_it(
        &self,
        target: &Target,
        request: &mut Request<Outgoing>,
        last: bool,
    ) -> Result<(), EgressError> {
        for name in &CONNECTION_HEADERS {
            request.headers_mut().remove(name);
        }
        let http1 = matches!(self.sender, Sender::Http1(_));
        let address = if http1 && !self.absolute {
            target.path_and_query()
        } else {
            target.url().as_str()
        };
        *request.uri_mut() = address.parse().map_err(|_| EgressError::RequestAddress)?;
        if !http1 {
            *request.version_mut() = Version::HTTP_2;
            return Ok(());
        }
        *request.version_mut() = Version::HTTP_11;
        let host =
            HeaderValue::from_str(target.host_header()).map_err(|_| EgressError::RequestAddress)?;
        request.headers_mut().insert(header::HOST, host);
        if last {
            let close = HeaderValue::from_static("close");
            request.headers_mut().insert(header::CONNECTION, close);
        }
        Ok(())
    }

    /// Waits until it can carry the next exchange; false where it never will.
    pub(super) async fn is_ready(&mut self) -> bool {
        let ready = async {
            match &mut self.sender {
                Sender::Http1(sender) => sender.ready().await,
                Sender::Http2(sender) => sender.ready().await,
            }
        };
        matches!(timeout(READY_TIME, ready).await, Ok(Ok(())))
    }

    /// Whether the other side has closed it.
    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Its exchange is over.
    pub(super) fn rest(&self) {
        self.wire.end();
    }

    /// What was dialled, where we looked the name up.
    pub(super) fn address(&self) -> Option<CheckedAddress> {
        self.address
    }

    /// How long it has been there.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// How many requests were sent on it.
    pub(super) fn requests(&self) -> u32 {
        self.requests
    }
}

/// Runs what belongs to one connection, until that is dropped.
#[derive(Clone)]
struct Tasks(CancellationToken);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, future: F) {
        tokio::spawn(self.0.clone().run_until_cancelled_owned(future));
    }
}

/// How many bytes the names and values of these fields have.
pub(super) fn header_bytes(headers: &HeaderMap) -> u64 {
    let bytes = headers
        .iter()
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .fold(0_usize, usize::saturating_add);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The length that the head of a message says its body has.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut said = headers.get_all(header::CONTENT_LENGTH).iter();
    let (Some(length), None) = (said.next(), said.next()) else {
        return None;
    };
    length.to_str().ok()?.parse().ok()
}
