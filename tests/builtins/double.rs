//! A server on the loopback address that speaks HTTPS under a name of its own, answers as the test says, and keeps what
//! it was sent.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
};

use futures_util::future::BoxFuture;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    },
};
use toolcell::testing::{EgressOptions, Resolver};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// `GET /path?query`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The path alone.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let headers = self.headers.iter();
        let named = headers.filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a header; empty without one.
    pub(crate) fn header(&self, name: &str) -> &str {
        let all = self.all(name);
        assert!(all.len() < 2, "{name}: {all:?}");
        all.first().copied().unwrap_or_default()
    }

    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error}: {:?}", self.line(), self.body))
    }
}

/// What is answered.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: String,
}

impl Reply {
    pub(crate) fn new(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), media_type.to_owned())],
            body: body.into(),
            trailers: String::new(),
        }
    }

    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", value.to_string())
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a trailer behind the body.
    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Nothing at all: the connection is held until the other side is gone.
    pub(crate) fn silence() -> Self {
        Self::new(0, "", "")
    }

    /// A response that ends before it should.
    pub(crate) fn broken_off() -> Self {
        Self::text(200, "half").header("content-length", "1000")
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { status, body, .. } = self;
        let mut head = format!("HTTP/1.1 {status} Status\r\nconnection: close\r\n");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = body.len();
        if self.trailers.is_empty() {
            let names = self.headers.iter().map(|(name, _)| name);
            if !names.into_iter().any(|name| name == "content-length") {
                head.push_str(&format!("content-length: {length}\r\n"));
            }
            head.push_str("\r\n");
            return [head.as_bytes(), body].concat();
        }
        head.push_str(&format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n"));
        let end = format!("\r\n0\r\n{}\r\n", self.trailers);
        [head.as_bytes(), body, end.as_bytes()].concat()
    }
}

/// The server.
pub(crate) struct Double {
    port: u16,
    name: String,
    roots: RootCertStore,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Double {
    /// Starts a server that is called `name`, which ends in `.test`.
    pub(crate) async fn start(
        name: &str,
        answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (acceptor, roots) = certified(name);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept, answer) = (acceptor.clone(), kept.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    let request = read(&mut stream).await?;
                    let reply = answer(&request);
                    kept.lock().unwrap().push(request);
                    if reply.status == 0 {
                        let mut rest = Vec::new();
                        while stream.read_buf(&mut rest).await? > 0 {}
                    } else {
                        stream.write_all(&reply.bytes()).await?;
                    }
                    stream.shutdown().await
                });
            }
        });
        Self {
            port,
            name: name.to_owned(),
            roots,
            seen,
            task,
        }
    }

    /// `https://name:port`.
    pub(crate) fn base(&self) -> String {
        format!("https://{}:{}", self.name, self.port)
    }

    /// What it was sent so far, and forgets.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// The only request that it was sent since the last time.
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// A way out on which this server and no other can be trusted, and every name that ends in `.test` is this machine.
    pub(crate) fn egress(&self) -> EgressOptions {
        EgressOptions {
            resolver: Arc::new(Local),
            roots: Arc::new(self.roots.clone()),
            ..EgressOptions::default()
        }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Knows the names that end in `.test`.
struct Local;

impl Resolver for Local {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let known = host.ends_with(".test");
        Box::pin(async move {
            match known {
                true => Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]),
                false => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }
}

/// What a server of that name presents, and the roots that trust it.
fn certified(name: &str) -> (TlsAcceptor, RootCertStore) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut roots = RootCertStore::empty();
    let root: CertificateDer<'static> = params.self_signed(&key).unwrap().der().clone();
    roots.add(root).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), roots)
}

/// Reads one request to its end.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break at;
        }
        more(stream, &mut bytes).await?;
    };
    let mut body = bytes.split_off(head_end + 4);
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next(), first.next());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let mut seen = Seen {
        method: method.unwrap_or_default().to_owned(),
        target: target.unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    if seen.header("transfer-encoding") == "chunked" {
        while !body.ends_with(b"0\r\n\r\n") {
            more(stream, &mut body).await?;
        }
        seen.body = unchunked(&body);
    } else {
        let length: usize = seen.header("content-length").parse().unwrap_or_default();
        while body.len() < length {
            more(stream, &mut body).await?;
        }
        seen.body = body;
    }
    Ok(seen)
}

async fn more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = rest.windows(2).position(|it| it == b"\r\n") {
        let length = String::from_utf8_lossy(&rest[..at]);
        let length = usize::from_str_radix(length.split(';').next().unwrap(), 16).unwrap();
        if length == 0 {
            break;
        }
        body.extend(&rest[at + 2..at + 2 + length]);
        rest = &rest[at + 4 + length..];
    }
    body
}
