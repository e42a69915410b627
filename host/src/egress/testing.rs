//! Doubles for tests: names that lead where the test says, and servers on the loopback address that keep what they
//! were sent.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures_util::future::BoxFuture;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    },
};

use super::{Egress, EgressOptions, Resolver, Timeouts};

pub(crate) mod client;
pub(crate) mod http2;
pub(crate) mod proxy;

/// Answers with what was written down, and keeps what it was asked. A name with several answers gives them in turn.
#[derive(Default)]
pub(crate) struct Names {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    pub(crate) fn with(mut self, name: &str, answers: &[&[&str]]) -> Self {
        let answers = answers
            .iter()
            .map(|found| found.iter().map(|text| text.parse().unwrap()).collect())
            .collect();
        self.answers.insert(name.to_owned(), answers);
        self
    }
}

impl Names {
    /// The names that were looked up, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let mut asked = self.asked.lock().unwrap();
        let turn = asked.len();
        asked.push(host.to_owned());
        let found = self
            .answers
            .get(host)
            .map(|answers| answers[turn % answers.len()].clone());
        Box::pin(async move { found.ok_or_else(|| io::ErrorKind::NotFound.into()) })
    }
}

/// A resolver that never answers.
pub(crate) struct Silent;

impl Resolver for Silent {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::pending())
    }
}

/// A way out with that resolver, only the test's own roots, and the default times.
pub(crate) fn egress(resolver: Arc<dyn Resolver>, roots: RootCertStore) -> Egress {
    egress_with(resolver, roots, Timeouts::default())
}

pub(crate) fn egress_with(
    resolver: Arc<dyn Resolver>,
    roots: RootCertStore,
    timeouts: Timeouts,
) -> Egress {
    egress_as(resolver, roots, |options| options.timeouts = timeouts)
}

/// As [`egress`], with whatever else the test wants.
pub(crate) fn egress_as(
    resolver: Arc<dyn Resolver>,
    roots: RootCertStore,
    change: impl FnOnce(&mut EgressOptions),
) -> Egress {
    let mut options = EgressOptions {
        resolver,
        roots: Arc::new(roots),
        ..EgressOptions::default()
    };
    change(&mut options);
    Egress::new(options).unwrap()
}

/// What a server does once it has read the head of a request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Sends this and closes.
    Once(Vec<u8>),
    /// Sends this and then waits until the other side has gone.
    Hold(Vec<u8>),
    /// Sends the first and then the second again and again until the other side has gone.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends the first, and then one letter at each tick until the other side has gone.
    Drip(Vec<u8>, Duration),
    /// Reads the rest of the request in the same way, and then sends what the test makes of all of it.
    By(Arc<Answering>),
    /// Reads the rest of the request to its end, as far as its `content-length` says, and then sends this.
    AfterBody(Vec<u8>),
    /// Sends this to as many requests on one connection, and closes it on the next without a word.
    Keep(Vec<u8>, usize),
    /// Sends the first to the first request on a connection, and the second to the second, and closes then.
    Twice(Vec<u8>, Vec<u8>),
}

impl Answer {
    pub(crate) fn ok(body: &str) -> Self {
        let length = body.len();
        Self::Once(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into())
    }

    /// As [`ok`](Self::ok), to every request of a connection.
    pub(crate) fn keep(body: &str) -> Self {
        match Self::ok(body) {
            Self::Once(bytes) => Self::Keep(bytes, usize::MAX),
            other => other,
        }
    }
}

/// Makes an answer of a request.
pub(crate) type Answering = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// A server that answers every connection in the same way.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    ended: watch::Sender<usize>,
    server_names: Arc<Mutex<Vec<String>>>,
    received: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(answer: Answer) -> Self {
        Self::listen(None, answer).await
    }

    pub(crate) async fn start_tls(certificate: TlsAcceptor, answer: Answer) -> Self {
        Self::listen(Some(certificate), answer).await
    }

    async fn listen(tls: Option<TlsAcceptor>, answer: Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let received = Arc::new(Mutex::new(Vec::new()));
        let server_names = Arc::new(Mutex::new(Vec::new()));
        let ended = watch::Sender::new(0);
        let ending = ended.clone();
        let (count, keep, hear) = (connections.clone(), received.clone(), server_names.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (answer, keep, tls) = (answer.clone(), keep.clone(), tls.clone());
                let (hear, ending) = (hear.clone(), ending.clone());
                tokio::spawn(async move {
                    let _ = match tls {
                        None => serve(stream, answer, keep).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => {
                                let name = stream.get_ref().1.server_name().unwrap_or_default();
                                hear.lock().unwrap().push(name.to_owned());
                                serve(stream, answer, keep).await
                            }
                            Err(_) => Ok(()),
                        },
                    };
                    ending.send_modify(|count| *count += 1);
                });
            }
        });
        Self {
            address,
            connections,
            ended,
            server_names,
            received,
            task,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many connections have ended.
    pub(crate) async fn ended(&self, count: usize) {
        let mut ended = self.ended.subscribe();
        let wait = ended.wait_for(|it| *it >= count);
        tokio::time::timeout(PLENTY, wait).await.unwrap().unwrap();
    }

    /// The names that clients asked for in TLS.
    pub(crate) fn server_names(&self) -> Vec<String> {
        self.server_names.lock().unwrap().clone()
    }

    /// Everything that all connections sent so far.
    pub(crate) fn received(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().unwrap()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: Answer,
    keep: Arc<Mutex<Vec<u8>>>,
) -> io::Result<()> {
    let mut request = Vec::new();
    let body_start = read_head(&mut stream, &mut request, &keep).await?;
    match answer {
        Answer::Once(bytes) => stream.write_all(&bytes).await?,
        Answer::Hold(bytes) => {
            stream.write_all(&bytes).await?;
            while read_more(&mut stream, &mut request, &keep).await.is_ok() {}
        }
        Answer::Endless(first, again) => {
            stream.write_all(&first).await?;
            loop {
                stream.write_all(&again).await?;
            }
        }
        Answer::Drip(first, tick) => {
            stream.write_all(&first).await?;
            let mut tick = tokio::time::interval(tick);
            loop {
                tick.tick().await;
                stream.write_all(b"x").await?;
            }
        }
        Answer::AfterBody(bytes) => {
            read_body(&mut stream, &mut request, body_start, &keep).await?;
            stream.write_all(&bytes).await?;
        }
        Answer::By(answer) => {
            let request = read_body(&mut stream, &mut request, body_start, &keep).await?;
            stream.write_all(&answer(&request)).await?;
        }
        Answer::Keep(bytes, times) => {
            let mut body_start = body_start;
            for _ in 0..times {
                read_body(&mut stream, &mut request, body_start, &keep).await?;
                stream.write_all(&bytes).await?;
                body_start = read_head(&mut stream, &mut request, &keep).await?;
            }
        }
        Answer::Twice(first, second) => {
            read_body(&mut stream, &mut request, body_start, &keep).await?;
            stream.write_all(&first).await?;
            read_head(&mut stream, &mut request, &keep).await?;
            stream.write_all(&second).await?;
        }
    }
    stream.shutdown().await
}

/// Reads a head. Gives where it ends.
async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    request: &mut Vec<u8>,
    keep: &Mutex<Vec<u8>>,
) -> io::Result<usize> {
    loop {
        if let Some(at) = request.windows(4).position(|it| it == b"\r\n\r\n") {
            return Ok(at + 4);
        }
        read_more(stream, request, keep).await?;
    }
}

/// Reads the body of a request as far as its head says, takes the request out of what was read, and gives it.
async fn read_body<S: AsyncRead + Unpin>(
    stream: &mut S,
    request: &mut Vec<u8>,
    start: usize,
    keep: &Mutex<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    let head = String::from_utf8_lossy(&request[..start]).to_lowercase();
    if head.contains("transfer-encoding: chunked") {
        while !request.ends_with(b"\r\n\r\n") || request.len() == start {
            read_more(stream, request, keep).await?;
        }
        return Ok(std::mem::take(request));
    }
    let length = head.split_once("content-length: ").map_or(0, |(_, rest)| {
        rest.split("\r\n").next().unwrap().parse().unwrap()
    });
    while request.len() < start + length {
        read_more(stream, request, keep).await?;
    }
    Ok(request.drain(..start + length).collect())
}

async fn read_more<S: AsyncRead + Unpin>(
    stream: &mut S,
    request: &mut Vec<u8>,
    keep: &Mutex<Vec<u8>>,
) -> io::Result<()> {
    let before = request.len();
    if stream.read_buf(request).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    keep.lock().unwrap().extend_from_slice(&request[before..]);
    Ok(())
}

/// A certificate authority of the test's own.
pub(crate) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    /// Roots that trust this authority and nobody else.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    /// What a server of that name presents.
    pub(crate) fn vouch_for(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        acceptor(certificate.der().clone(), &key)
    }

    /// As [`vouch_for`](Self::vouch_for), of a server that chooses the first of these protocols that it is offered.
    pub(crate) fn vouch_for_speaking(&self, name: &str, protocols: &[&[u8]]) -> TlsAcceptor {
        let mut config = ServerConfig::clone(self.vouch_for(name).config());
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// This authority's certificate as PEM.
    pub(crate) fn pem(&self) -> String {
        let text = BASE64_STANDARD.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }
}

/// What a server presents that vouches for itself.
pub(crate) fn self_signed(name: &str) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    acceptor(certificate.der().clone(), &key)
}

/// What a server presents whose certificate ended in the past.
pub(crate) fn expired(authority: &Authority, name: &str) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    acceptor(certificate.der().clone(), &key)
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Longer than any test should take, so that a test that hangs fails instead.
pub(crate) const PLENTY: Duration = Duration::from_secs(20);
