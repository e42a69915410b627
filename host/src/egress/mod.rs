//! The only way out to the network: the one room that opens sockets for tools.
//!
//! A request passes these gates in this order: [`Target`] reads its address once; the caller has the policy decide on
//! that very value; [`pool`] gives back a connection that the same owner used for the same server before, or
//! [`connect`] looks the name up once, checks every address by [`address`] and dials only what it checked; [`request`]
//! speaks HTTP/1.1 or HTTP/2 over it, one exchange at a time, every byte on the account of one call ([`wire`],
//! [`Meter`]) and under its deadline. A redirect is told to the caller as a next request, if it is one ([`redirect`]).
//!
//! Deliberately absent: following redirects by itself, since each is a new decision; variables of the environment that
//! name proxies; connections that two owners, or a request with a credential and one without, could share; several
//! exchanges at the same time on one connection; resumption of TLS sessions; decompression; HTTP/2 without TLS; and any
//! switch that weakens TLS.
//!
//! It knows nothing of policies, guests or calls: those are its callers'.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, client::Resumption, crypto::ring};

mod address;
mod connect;
mod connection;
mod error;
mod inbound;
mod lease;
mod meter;
mod outgoing;
mod pool;
mod proxy;
mod redirect;
mod request;
mod resolve;
mod roots;
mod target;
#[cfg(test)]
pub(crate) mod testing;
mod wire;

pub(crate) use connection::content_length;
pub(crate) use error::{EgressError, LimitKind, Phase};
pub(crate) use meter::{Meter, Tally};
pub(crate) use pool::PoolKey;
pub use pool::PoolLimits;
pub use proxy::Proxy;
#[cfg(any(test, feature = "test-support"))]
pub use proxy::ProxyError;
pub(crate) use redirect::{Hop, Trail};
pub(crate) use request::Bounds;
pub use resolve::Resolver;
pub(crate) use roots::{CA_BYTES_MAX, RootsError, trust};
pub(crate) use target::Target;

/// How long the steps of a request may take where the tool sets no time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name lookup, TCP and TLS together. Default: 10 s.
    pub connect: Duration,
    /// From the sending of the request to the head of its response. Default: 30 s.
    pub first_byte: Duration,
    /// Between two pieces of a response's body. Default: 30 s.
    pub between_bytes: Duration,
    /// In each while of this length in which a response is waited for, at least [`rate_bytes`](Self::rate_bytes) of its
    /// body have to arrive. Default: 20 s.
    pub rate_window: Duration,
    /// See [`rate_window`](Self::rate_window). Default: 256.
    pub rate_bytes: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(30),
            between_bytes: Duration::from_secs(30),
            rate_window: Duration::from_secs(20),
            rate_bytes: 256,
        }
    }
}

/// Hears of every address before it is dialled, the proxy's included.
pub type DialSpy = Arc<dyn Fn(SocketAddr) + Send + Sync>;

/// What the way out is made of. The default is the real thing: the system's resolver and the roots that browsers
/// trust.
pub struct EgressOptions {
    /// Looks names up. Default: the operating system's resolver.
    pub resolver: Arc<dyn Resolver>,
    /// Who may vouch for a server. Default: Mozilla's list.
    pub roots: Arc<RootCertStore>,
    /// See [`Timeouts`].
    pub timeouts: Timeouts,
    /// See [`PoolLimits`].
    pub pool: PoolLimits,
    /// The one proxy that is used, for everything. Default: none, whatever the environment says.
    pub proxy: Option<Proxy>,
    /// See [`DialSpy`]. Default: nobody.
    pub dialled: Option<DialSpy>,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            resolver: Arc::new(resolve::SystemResolver),
            roots: Arc::new(RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            }),
            timeouts: Timeouts::default(),
            pool: PoolLimits::default(),
            proxy: None,
            dialled: None,
        }
    }
}

/// The way out, shared by all calls of a host. All it keeps between requests is connections that wait for the next one.
pub(crate) struct Egress {
    resolver: Arc<dyn Resolver>,
    tls: Arc<ClientConfig>,
    timeouts: Timeouts,
    pool: Arc<pool::Pool>,
    proxy: Option<Proxy>,
    dialled: Option<DialSpy>,
}

impl Egress {
    /// Opens the way out.
    ///
    /// # Errors
    ///
    /// When the TLS provider does not offer the protocol versions it should, which would be a broken build.
    pub(crate) fn new(options: EgressOptions) -> Result<Self, rustls::Error> {
        let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(options.roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![connect::ALPN_HTTP2.to_vec(), connect::ALPN_HTTP1.to_vec()];
        // A resumed session would tell a server that two calls come from one host.
        tls.resumption = Resumption::disabled();
        Ok(Self {
            resolver: options.resolver,
            tls: Arc::new(tls),
            timeouts: options.timeouts,
            pool: Arc::new(pool::Pool::new(options.pool)),
            proxy: options.proxy,
            dialled: options.dialled,
        })
    }
}
