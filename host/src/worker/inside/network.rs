//! Requests, which the host decides on and sends.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::Link;
use crate::{
    capability::http::{HttpUsage, Network, Sent},
    worker::{
        heads,
        wire::{self, Ask, BodyKind, BodyPiece, Reply, STREAM_BYTES},
    },
};

/// The requests of one call.
pub(super) struct RemoteNetwork {
    link: Link,
    attempts: AtomicU32,
    /// How many the call may make. One more is asked for, so that the host sees the limit exceeded.
    limit: u32,
}

impl RemoteNetwork {
    pub(super) fn new(link: Link, limit: u32) -> Self {
        Self {
            link,
            attempts: AtomicU32::new(0),
            limit,
        }
    }
}

impl Network for RemoteNetwork {
    fn send(
        self: Arc<Self>,
        request: Request<WasiBody>,
        options: RequestOptions,
    ) -> BoxFuture<'static, Result<Sent, Error>> {
        Box::pin(async move {
            if self.attempts.fetch_add(1, Relaxed) > self.limit {
                self.attempts.fetch_sub(1, Relaxed);
                return Err(Error::ConnectionLimitReached);
            }
            exchange(&self.link, request, options).await
        })
    }

    /// The host counts for itself.
    fn usage(&self) -> HttpUsage {
        HttpUsage::default()
    }
}

/// A request that the host knows by its number, until the guest has no more use for it.
struct Exchange {
    id: u64,
    link: Link,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.link.close(self.id);
    }
}

async fn exchange(
    link: &Link,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Sent, Error> {
    let (head, body) = request.into_parts();
    let kind = heads::kind_of(&body);
    let ask = Ask::Send(wire::Request {
        method: head.method.as_str().to_owned(),
        url: head.uri.to_string(),
        headers: heads::fields(&head.headers),
        body: kind,
        connect: options.connect_timeout,
        first_byte: options.first_byte_timeout,
        between_bytes: options.between_bytes_timeout,
    });
    let (id, mut reply) = link.post(ask).ok_or(Error::InternalError(None))?;
    let exchange = Arc::new(Exchange {
        id,
        link: link.clone(),
    });
    let mut sending = Some(Box::pin(send_body(Arc::clone(&exchange), body, kind)));
    // A server may answer before it has read everything, or only after.
    let reply = loop {
        match &mut sending {
            None => break reply.await,
            Some(body) => tokio::select! {
                biased;
                reply = &mut reply => break reply,
                () = body => sending = None,
            },
        }
    };
    let head = match reply {
        Ok(Reply::Head(head)) => head,
        Ok(Reply::Http(fault)) => return Err(fault.into()),
        Ok(_) | Err(_) => return Err(Error::InternalError(None)),
    };
    let mut response = Response::new(());
    *response.status_mut() =
        http::StatusCode::from_u16(head.status).map_err(|_| Error::HttpProtocolError)?;
    *response.headers_mut() = heads::map(head.headers).map_err(|_| Error::HttpProtocolError)?;
    let incoming = Incoming {
        exchange,
        waiting: None,
        size: match head.body {
            BodyKind::Sized(bytes) => Some(bytes),
            BodyKind::None | BodyKind::Open => None,
        },
        ended: head.body == BodyKind::None,
    };
    let driver = async move {
        if let Some(body) = sending {
            body.await;
        }
        Ok(())
    };
    Ok((response.map(|()| incoming.boxed_unsync()), Box::new(driver)))
}

/// Sends a body piece by piece; the next one when the last was taken.
async fn send_body(exchange: Arc<Exchange>, mut body: WasiBody, kind: BodyKind) {
    if kind == BodyKind::None {
        return;
    }
    loop {
        let (pieces, last) = match body.frame().await {
            None => (vec![BodyPiece::End], true),
            Some(Err(_)) => (vec![BodyPiece::Abort], true),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    let pieces = data.chunks(STREAM_BYTES);
                    (
                        pieces
                            .map(|piece| BodyPiece::Data(piece.to_vec()))
                            .collect(),
                        false,
                    )
                }
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => (vec![BodyPiece::Trailers(heads::fields(&trailers))], true),
                    Err(_) => (Vec::new(), false),
                },
            },
        };
        for piece in pieces {
            let ask = Ask::Body(exchange.id, piece);
            if exchange.link.ask(ask).await != Some(Reply::Taken) {
                return;
            }
        }
        if last {
            return;
        }
    }
}

/// The body of a response: each piece is asked for when the guest wants it.
struct Incoming {
    exchange: Arc<Exchange>,
    waiting: Option<oneshot::Receiver<Reply>>,
    size: Option<u64>,
    ended: bool,
}

impl Body for Incoming {
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
        let waiting = match &mut this.waiting {
            Some(waiting) => waiting,
            None => match this.exchange.link.post(Ask::Read(this.exchange.id)) {
                Some((_, reply)) => this.waiting.insert(reply),
                None => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(Error::HttpResponseIncomplete)));
                }
            },
        };
        let reply = ready!(Pin::new(waiting).poll(cx));
        this.waiting = None;
        let frame = match reply {
            Ok(Reply::Body(BodyPiece::Data(data))) => {
                return Poll::Ready(Some(Ok(Frame::data(data.into()))));
            }
            Ok(Reply::Body(BodyPiece::Trailers(fields))) => Some(
                heads::map(fields)
                    .map(Frame::trailers)
                    .map_err(|_| Error::HttpProtocolError),
            ),
            Ok(Reply::Body(BodyPiece::End)) => None,
            Ok(Reply::Http(fault)) => Some(Err(fault.into())),
            Ok(_) | Err(_) => Some(Err(Error::HttpResponseIncomplete)),
        };
        this.ended = true;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.size
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
