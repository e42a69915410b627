//! The other side of the network: a server that keeps every byte it was sent and answers by a script, a resolver that
//! keeps every name it was asked, and certificates by nobody.

#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::future::BoxFuture;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
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
use toolcell::testing::Resolver;

/// What a server does once it has read a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Sends these pieces one by one and ends the connection.
    Send(Vec<Vec<u8>>),
    /// The same, and stays.
    Hold(Vec<u8>),
    /// Sends the first, and then the second again and again until the other side has gone.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends the first, and then the second at each tick until the other side has gone.
    Drip(Vec<u8>, Vec<u8>, Duration),
}

impl Reply {
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Send(vec![bytes.into()])
    }

    /// A whole answer.
    pub(crate) fn ok(body: &str) -> Self {
        Self::head("200 OK", &[], body.as_bytes())
    }

    /// A whole answer with a status, header fields and a body.
    pub(crate) fn head(status: &str, fields: &[(&str, &str)], body: &[u8]) -> Self {
        let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in fields {
            head += &format!("{name}: {value}\r\n");
        }
        head += "connection: close\r\n\r\n";
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Self::raw(bytes)
    }
}

/// One connection that somebody made.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// The address that was dialled.
    pub(crate) dialled: IpAddr,
    /// The name that was asked for in TLS.
    pub(crate) server_name: Option<String>,
    /// Everything that was sent.
    pub(crate) bytes: Vec<u8>,
}

impl Heard {
    pub(crate) fn text(&self) -> String {
        self.bytes.iter().map(|byte| char::from(*byte)).collect()
    }

    /// The lines of the head, the request line first.
    pub(crate) fn head(&self) -> Vec<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        head.split("\r\n").map(str::to_owned).collect()
    }

    /// Every value of a header field.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let fields = self.head().into_iter().skip(1);
        fields
            .filter_map(|line| {
                let (field, value) = line.split_once(':')?;
                let same = field.trim().eq_ignore_ascii_case(name);
                same.then(|| value.trim().to_owned())
            })
            .collect()
    }
}

type Script = dyn Fn(&Heard) -> Reply + Send + Sync;

/// A server on every address of this machine.
pub(crate) struct Spy {
    pub(crate) port: u16,
    log: Arc<Log>,
    task: JoinHandle<()>,
}

/// What a server keeps.
#[derive(Default)]
struct Log {
    heard: Mutex<Vec<Heard>>,
    sent: AtomicU64,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// What a test's own connection sends, so that everything before it is known to have been heard.
const MARK: &[u8] = b"\0the end\0";

impl Spy {
    /// A server that answers every request in the same way.
    pub(crate) async fn start(reply: Reply) -> Self {
        Self::scripted(None, move |_| reply.clone()).await
    }

    /// A server with a script, behind TLS where it has a certificate.
    pub(crate) async fn scripted(
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Heard) -> Reply + Send + Sync + 'static,
    ) -> Self {
        // One that also takes IPv6, where the machine has it.
        let listener = match TcpListener::bind("[::]:0").await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("0.0.0.0:0").await.unwrap(),
        };
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Log::default());
        let script: Arc<Script> = Arc::new(script);
        let task = tokio::spawn({
            let log = log.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let ear = Ear::new(&log, &stream);
                    let (tls, script) = (tls.clone(), script.clone());
                    tokio::spawn(async move {
                        // How a connection ends is the other side's affair.
                        let _ = ear.listen(tls, stream, &*script).await;
                        ear.log.open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            }
        });
        Self { port, log, task }
    }

    /// Every connection so far, once all of them have ended.
    pub(crate) async fn heard(&self) -> Vec<Heard> {
        // Connections are accepted in their order, so that all others were when this one is heard.
        if let Ok(mut mark) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await {
            let _ = mark.write_all(MARK).await;
            let _ = mark.shutdown().await;
            let _ = mark.read_to_end(&mut Vec::new()).await;
        }
        for _ in 0..1_000 {
            if self.log.open.load(Ordering::SeqCst) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut heard = self.log.heard.lock().unwrap().clone();
        heard.retain(|it| !it.bytes.starts_with(MARK));
        heard
    }

    /// How many bytes were handed to the system to be sent.
    pub(crate) fn sent(&self) -> u64 {
        self.log.sent.load(Ordering::SeqCst)
    }

    /// Waits until there are so many connections at the same time, and then a little for more that should not come.
    pub(crate) async fn has_open(&self, connections: usize) {
        while self.most_open() < connections {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    /// How many connections there were at the same time.
    pub(crate) fn most_open(&self) -> usize {
        self.log.most_open.load(Ordering::SeqCst)
    }
}

impl Drop for Spy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection's record.
struct Ear {
    log: Arc<Log>,
    index: usize,
}

impl Ear {
    fn new(log: &Arc<Log>, stream: &TcpStream) -> Self {
        let open = log.open.fetch_add(1, Ordering::SeqCst) + 1;
        log.most_open.fetch_max(open, Ordering::SeqCst);
        let mut heard = log.heard.lock().unwrap();
        heard.push(Heard {
            dialled: stream.local_addr().unwrap().ip().to_canonical(),
            server_name: None,
            bytes: Vec::new(),
        });
        Self {
            log: log.clone(),
            index: heard.len() - 1,
        }
    }

    async fn listen(
        &self,
        tls: Option<TlsAcceptor>,
        stream: TcpStream,
        script: &Script,
    ) -> io::Result<()> {
        let Some(tls) = tls else {
            return self.serve(stream, script).await;
        };
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first == MARK[..1] {
            self.keep(MARK);
            return Ok(());
        }
        let stream = tls.accept(stream).await?;
        let name = stream.get_ref().1.server_name().map(str::to_owned);
        self.log.heard.lock().unwrap()[self.index].server_name = name;
        self.serve(stream, script).await
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: S,
        script: &Script,
    ) -> io::Result<()> {
        let mut request = Vec::new();
        while !is_whole(&request) {
            let before = request.len();
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
            self.keep(&request[before..]);
        }
        if request.starts_with(MARK) {
            return Ok(());
        }
        let heard = self.log.heard.lock().unwrap()[self.index].clone();
        match script(&heard) {
            Reply::Send(pieces) => {
                for piece in pieces {
                    self.send(&mut stream, &piece).await?;
                }
                stream.shutdown().await?;
            }
            Reply::Hold(bytes) => self.send(&mut stream, &bytes).await?,
            Reply::Endless(first, again) => {
                self.send(&mut stream, &first).await?;
                loop {
                    self.send(&mut stream, &again).await?;
                }
            }
            Reply::Drip(first, again, tick) => {
                self.send(&mut stream, &first).await?;
                let mut tick = tokio::time::interval(tick);
                loop {
                    tick.tick().await;
                    self.send(&mut stream, &again).await?;
                }
            }
        }
        // Whatever else comes on this connection must be known too.
        let mut more = Vec::new();
        while stream.read_buf(&mut more).await? > 0 {
            self.keep(&std::mem::take(&mut more));
        }
        Ok(())
    }

    async fn send<S: AsyncWrite + Unpin>(&self, stream: &mut S, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await?;
        stream.flush().await?;
        self.log
            .sent
            .fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    fn keep(&self, bytes: &[u8]) {
        let mut heard = self.log.heard.lock().unwrap();
        heard[self.index].bytes.extend_from_slice(bytes);
    }
}

/// Whether a request has come to its end, as far as its own fields say where that is.
fn is_whole(bytes: &[u8]) -> bool {
    if bytes.starts_with(MARK) {
        return true;
    }
    let Some(at) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&bytes[..at]).to_lowercase();
    let body = &bytes[at + 4..];
    if head.contains("\r\ntransfer-encoding:") && head.contains("chunked") {
        return body.starts_with(b"0\r\n") && body.ends_with(b"\r\n\r\n")
            || body.windows(3).any(|it| it == b"\n0\r") && body.ends_with(b"\r\n\r\n");
    }
    let length = head.split_once("\r\ncontent-length:").map(|(_, rest)| rest);
    let length = length.and_then(|it| it.split("\r\n").next()?.trim().parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

/// A resolver that keeps what it is asked. A name that was given no address gets a loopback address of its own, so that
/// a connection tells which name it was for.
#[derive(Default)]
pub(crate) struct Names {
    answers: Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
    waits: AtomicBool,
}

impl Names {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What a name answers: one list after the other, and the first again.
    pub(crate) fn answer(&self, name: &str, answers: &[&[&str]]) {
        let answers = answers
            .iter()
            .map(|found| found.iter().map(|text| text.parse().unwrap()).collect())
            .collect();
        self.answers
            .lock()
            .unwrap()
            .insert(name.to_owned(), answers);
    }

    /// From now on nothing is answered.
    pub(crate) fn keep_waiting(&self) {
        self.waits.store(true, Ordering::SeqCst);
    }

    /// The names that were looked up, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The addresses of a name, now.
    pub(crate) fn look_up(&self, host: &str) -> Vec<IpAddr> {
        let mut asked = self.asked.lock().unwrap();
        let turn = asked.iter().filter(|it| *it == host).count();
        asked.push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let fresh = u8::try_from(answers.len() % 200 + 2).unwrap();
        let found = answers
            .entry(host.to_owned())
            .or_insert_with(|| vec![vec![Ipv4Addr::new(127, 9, 9, fresh).into()]]);
        found[turn % found.len()].clone()
    }

    /// The name that an address was given to.
    pub(crate) fn name_of(&self, address: IpAddr) -> String {
        let answers = self.answers.lock().unwrap();
        let found = answers
            .iter()
            .find(|(_, answers)| answers.iter().flatten().any(|it| *it == address));
        found.map_or_else(|| address.to_string(), |(name, _)| name.clone())
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let found = self.look_up(host);
        if self.waits.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(Ok(found)))
    }
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

    /// Its certificate, as a policy names it.
    pub(crate) fn pem(&self) -> String {
        let text = BASE64_STANDARD.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    /// What a server of that name presents.
    pub(crate) fn vouch_for(&self, name: &str) -> TlsAcceptor {
        self.vouch(name, |_| {})
    }

    /// What a server presents whose certificate is odd.
    pub(crate) fn vouch(
        &self,
        name: &str,
        odd: impl FnOnce(&mut CertificateParams),
    ) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        odd(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        acceptor(certificate.der().clone(), &key)
    }
}

/// What a server presents that vouches for itself, and roots that believe it.
pub(crate) fn self_signed(name: &str) -> (TlsAcceptor, RootCertStore) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    (acceptor(certificate, &key), roots)
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

/// The machine's own address in its network, where it has one. Connecting a UDP socket sends nothing.
pub(crate) fn own_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket
        .connect(SocketAddr::from(([192, 0, 2, 200], 9)))
        .ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}
