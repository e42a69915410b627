//! One request of a guest, and its response.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Uri, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::{What, now};
use crate::{
    capability::http::{Network as _, Requests, Sent, is_forbidden},
    worker::{
        heads,
        wire::{self, BodyKind, BodyPiece, Head, HttpFault, Reply, STREAM_BYTES, WireError},
    },
};

type Piece = Result<Frame<Bytes>, Error>;

/// An open request. To drop it is to give it up: everything that works on it ends.
pub(super) struct Exchange {
    /// Takes the pieces of the request's body; gone after its end.
    body: Option<mpsc::Sender<Piece>>,
    /// The body of the response, once there is one.
    response: Option<Arc<Mutex<WasiBody>>>,
    given_up: CancellationToken,
    _guard: DropGuard,
}

impl Exchange {
    /// Begins to send a request, which is decided on like any other.
    pub(super) fn begin(
        network: &Arc<Requests>,
        request: wire::Request,
    ) -> (Self, BoxFuture<'static, What>) {
        let given_up = CancellationToken::new();
        let (body, pieces) = mpsc::channel(1);
        let options = RequestOptions {
            connect_timeout: request.connect,
            first_byte_timeout: request.first_byte,
            between_bytes_timeout: request.between_bytes,
        };
        let sending: BoxFuture<'static, What> = match assemble(request, pieces) {
            Ok(request) => {
                let sent = Arc::clone(network).send(request, options);
                Box::pin(async move { What::Head(sent.await) })
            }
            Err(error) => Box::pin(std::future::ready(What::Head(Err(error)))),
        };
        let exchange = Self {
            body: Some(body),
            response: None,
            _guard: given_up.clone().drop_guard(),
            given_up,
        };
        let sending = exchange.unless_given_up(sending);
        (exchange, sending)
    }

    /// Keeps the response, and gives what to reply and what moves the bytes.
    pub(super) fn head(
        &mut self,
        sent: Result<Sent, Error>,
    ) -> (Reply, Option<BoxFuture<'static, ()>>) {
        let (response, driver) = match sent {
            Ok(sent) => sent,
            Err(error) => return (Reply::Http(error.into()), None),
        };
        let (head, body) = response.into_parts();
        let reply = Reply::Head(Head {
            status: head.status.as_u16(),
            headers: heads::fields(&head.headers),
            body: heads::kind_of(&body),
        });
        self.response = Some(Arc::new(Mutex::new(body)));
        let given_up = self.given_up.clone();
        let driver = Box::pin(async move {
            // How a connection ended shows in the body.
            let _ = given_up.run_until_cancelled(Pin::from(driver)).await;
        });
        (reply, Some(driver))
    }

    /// Appends to the request's body.
    pub(super) fn send(&mut self, piece: BodyPiece) -> Result<BoxFuture<'static, What>, WireError> {
        let Some(body) = self.body.clone() else {
            return Ok(now(Reply::Closed));
        };
        let piece = match piece {
            BodyPiece::Data(data) if data.len() > STREAM_BYTES => {
                return Err(WireError::OutOfTurn("too much of a body at once"));
            }
            BodyPiece::Data(data) => Some(Ok(Frame::data(data.into()))),
            BodyPiece::Trailers(fields) => {
                let map = guests(fields).map(Frame::trailers);
                Some(map)
            }
            BodyPiece::Abort => Some(Err(Error::HttpProtocolError)),
            BodyPiece::End => None,
        };
        if !matches!(&piece, Some(Ok(frame)) if frame.is_data()) {
            self.body = None;
        }
        Ok(self.unless_given_up(Box::pin(async move {
            let Some(piece) = piece else {
                return What::Reply(Reply::Taken);
            };
            What::Reply(match body.send(piece).await {
                Ok(()) => Reply::Taken,
                // The server did not want all of it, or has gone.
                Err(_) => Reply::Closed,
            })
        })))
    }

    /// Waits for the next piece of the response's body.
    pub(super) fn read(&self) -> Result<BoxFuture<'static, What>, WireError> {
        let body = self
            .response
            .clone()
            .ok_or(WireError::OutOfTurn("a read before the response"))?;
        Ok(self.unless_given_up(Box::pin(async move {
            let frame = body.lock().await.frame().await;
            What::Reply(match frame {
                None => Reply::Body(BodyPiece::End),
                Some(Err(error)) => Reply::Http(error.into()),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Reply::Body(BodyPiece::Data(data.into())),
                    Err(frame) => match frame.into_trailers() {
                        Ok(trailers) => Reply::Body(BodyPiece::Trailers(heads::fields(&trailers))),
                        Err(_) => Reply::Http(HttpFault::Protocol),
                    },
                },
            })
        })))
    }

    fn unless_given_up(&self, work: BoxFuture<'static, What>) -> BoxFuture<'static, What> {
        let given_up = self.given_up.clone();
        Box::pin(async move {
            given_up
                .run_until_cancelled(work)
                .await
                .unwrap_or(What::Dropped)
        })
    }
}

/// The request, if it is one that a guest could have made.
fn assemble(
    request: wire::Request,
    pieces: mpsc::Receiver<Piece>,
) -> Result<Request<WasiBody>, Error> {
    let uri = Uri::try_from(request.url).map_err(|_| Error::HttpRequestUriInvalid)?;
    let method =
        Method::from_bytes(request.method.as_bytes()).map_err(|_| Error::HttpProtocolError)?;
    let body = Outgoing {
        pieces,
        size: match request.body {
            BodyKind::None => Some(0),
            BodyKind::Sized(bytes) => Some(bytes),
            BodyKind::Open => None,
        },
        ended: request.body == BodyKind::None,
    };
    let mut assembled = Request::new(body.boxed_unsync());
    *assembled.headers_mut() = guests(request.headers)?;
    *assembled.method_mut() = method;
    *assembled.uri_mut() = uri;
    Ok(assembled)
}

/// Header fields that a guest may set. A worker refuses others to its guest, so this is for one that does not.
fn guests(fields: wire::Headers) -> Result<HeaderMap, Error> {
    let map = heads::map(fields).map_err(|_| Error::HttpProtocolError)?;
    let mut lengths = map.get_all(CONTENT_LENGTH).iter();
    let clear = lengths.next().is_none_or(|length| {
        let digits = length.as_bytes();
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    });
    if !clear || lengths.next().is_some() || map.keys().any(is_forbidden) {
        return Err(Error::HttpProtocolError);
    }
    Ok(map)
}

/// The body of a request, as its pieces arrive.
struct Outgoing {
    pieces: mpsc::Receiver<Piece>,
    size: Option<u64>,
    ended: bool,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(this.pieces.poll_recv(cx));
        this.ended = !matches!(&piece, Some(Ok(frame)) if frame.is_data());
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.size
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
