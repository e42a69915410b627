//! The only way out to the network: the one room that opens sockets for tools.
//!
//! A request passes these gates in this order: [`Target`] reads its address once; the caller has the policy decide on
//! that very value; [`connect`] looks the name up once, checks every address by [`address`] and dials only what it
//! checked; [`request`] speaks HTTP/1.1 over that one connection, under the [`Meter`] of the call and its deadline.
//!
//! Deliberately absent: redirects (they go back to the tool), proxies and their environment variables, connection
//! reuse (a tool must not see what another one left behind), decompression, and any switch that weakens TLS.
//!
//! It knows nothing of policies, guests or calls: those are its callers'.

use std::{sync::Arc, time::Duration};

use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, client::Resumption, crypto::ring};

mod address;
mod connect;
mod error;
mod meter;
mod request;
mod resolve;
mod target;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use error::{EgressError, LimitKind, Phase};
pub(crate) use meter::Meter;
pub(crate) use request::Bounds;
pub use resolve::Resolver;
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
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(30),
            between_bytes: Duration::from_secs(30),
        }
    }
}

/// What the way out is made of. The default is the real thing: the system's resolver and the roots that browsers
/// trust.
pub struct EgressOptions {
    /// Looks names up. Default: the operating system's resolver.
    pub resolver: Arc<dyn Resolver>,
    /// Who may vouch for a server. Default: Mozilla's list.
    pub roots: Arc<RootCertStore>,
    /// See [`Timeouts`].
    pub timeouts: Timeouts,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            resolver: Arc::new(resolve::SystemResolver),
            roots: Arc::new(RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            }),
            timeouts: Timeouts::default(),
        }
    }
}

/// The way out, shared by all calls of a host. It keeps no state between requests.
pub(crate) struct Egress {
    resolver: Arc<dyn Resolver>,
    tls: Arc<ClientConfig>,
    timeouts: Timeouts,
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
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would tell a server that two calls come from one host.
        tls.resumption = Resumption::disabled();
        Ok(Self {
            resolver: options.resolver,
            tls: Arc::new(tls),
            timeouts: options.timeouts,
        })
    }
}
