//! Servers that speak HTTP/2: one that behaves, and one that writes whatever frames a test makes up.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::Authority;
use crate::egress::connect::{ALPN_HTTP1, ALPN_HTTP2};

/// What a server answers to every request.
#[derive(Clone)]
pub(crate) enum Says {
    /// This, once it has read the request to its end.
    Whole(Response<Vec<Bytes>>, HeaderMap),
    /// This to so many requests of a connection; then it refuses each of them unread.
    Refuses(usize),
    /// The first frames to every request but this one of a connection, which gets the second ones and the end.
    Later(Vec<u8>, usize, Vec<u8>),
    /// These frames after its settings, and then the second ones again and again.
    Frames(Vec<u8>, Vec<u8>),
}

impl Says {
    pub(crate) fn ok(body: &'static str) -> Self {
        let body = vec![Bytes::from_static(body.as_bytes())];
        Self::Whole(Response::new(body), HeaderMap::new())
    }
}

/// A request as a server read it.
pub(crate) struct Heard {
    pub(crate) head: Request<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// A server of `server.test` that speaks HTTP/2 over TLS.
pub(crate) struct Http2Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<Heard>>>,
    task: JoinHandle<()>,
}

impl Http2Server {
    pub(crate) async fn start(authority: &Authority, says: Says) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let tls = authority.vouch_for_speaking("server.test", &[ALPN_HTTP2, ALPN_HTTP1]);
        let (count, keep) = (connections.clone(), heard.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(accept(stream, tls.clone(), says.clone(), keep.clone()));
            }
        });
        Self {
            address,
            connections,
            heard,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://server.test:{}/path?query=1", self.address.port())
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests that were read so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl Drop for Http2Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    stream: TcpStream,
    tls: TlsAcceptor,
    says: Says,
    keep: Arc<Mutex<Vec<Heard>>>,
) -> Option<()> {
    let stream = tls.accept(stream).await.ok()?;
    let says = match says {
        Says::Frames(first, again) => return write_frames(stream, first, again).await,
        Says::Later(first, requests, second) => {
            return write_later(stream, first, requests, second).await;
        }
        says => says,
    };
    let mut connection = h2::server::handshake(stream).await.ok()?;
    let mut answered = 0;
    // What was answered goes out while the next request is awaited.
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        match &says {
            Says::Refuses(most) if answered >= *most => {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
                continue;
            }
            _ => {}
        }
        answered += 1;
        let (says, keep) = (says.clone(), keep.clone());
        tokio::spawn(async move { answer(request, respond, says, keep).await });
    }
    Some(())
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    says: Says,
    keep: Arc<Mutex<Vec<Heard>>>,
) -> Option<()> {
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(piece)) = incoming.data().await {
        let _ = incoming.flow_control().release_capacity(piece.len());
        body.extend_from_slice(&piece);
    }
    let trailers = incoming.trailers().await.ok()?;
    let head = Request::from_parts(head, ());
    keep.lock().unwrap().push(Heard {
        head,
        body,
        trailers,
    });
    let (response, trailers) = match says {
        Says::Whole(response, trailers) => (response, trailers),
        _ => (
            Response::new(vec![Bytes::from_static(b"hello")]),
            HeaderMap::new(),
        ),
    };
    let (head, pieces) = response.into_parts();
    let head = Response::from_parts(head, ());
    let mut sending = respond.send_response(head, false).ok()?;
    for piece in pieces {
        sending.send_data(piece, false).ok()?;
    }
    if trailers.is_empty() {
        sending.send_data(Bytes::new(), true).ok()
    } else {
        sending.send_trailers(trailers).ok()
    }
}

async fn write_frames(stream: TlsStream<TcpStream>, first: Vec<u8>, again: Vec<u8>) -> Option<()> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    // The client's preface, its settings and its request.
    let mut request = vec![0; 24];
    reading.read_exact(&mut request).await.ok()?;
    let draining = tokio::spawn(async move {
        let mut sink = [0; 4096];
        while reading.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    });
    writing.write_all(&frame(4, 0, 0, &[])).await.ok()?;
    writing.write_all(&first).await.ok()?;
    writing.flush().await.ok()?;
    if again.is_empty() {
        let _ = draining.await;
        return Some(());
    }
    loop {
        writing.write_all(&again).await.ok()?;
    }
}

async fn write_later(
    mut stream: TlsStream<TcpStream>,
    first: Vec<u8>,
    requests: usize,
    second: Vec<u8>,
) -> Option<()> {
    let mut request = vec![0; 24];
    stream.read_exact(&mut request).await.ok()?;
    stream.write_all(&frame(4, 0, 0, &[])).await.ok()?;
    let mut heads = 0;
    while heads < requests {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.ok()?;
        if head[3] == 1 {
            heads += 1;
            let says = if heads == requests { &second } else { &first };
            stream.write_all(says).await.ok()?;
        }
    }
    Some(())
}

/// A frame of HTTP/2.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header field as HPACK writes it when it neither indexes nor compresses. `name` and `value` are short.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(
            u8::try_from(text.len())
                .ok()
                .filter(|it| *it < 127)
                .unwrap(),
        );
        bytes.extend(text.as_bytes());
    }
    bytes
}
