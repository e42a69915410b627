//! How connections are made and kept.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{super::ModelError, chain};

/// How long to wait for what, and how connections are kept.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection. Default 5 s.
    pub connect: Duration,
    /// For the answer to begin, and from one piece of it to the next. Default 120 s.
    pub idle: Duration,
    /// For a whole turn, retries not included. Default 600 s.
    pub total: Duration,
    /// How connections are kept for the next request.
    pub connections: Connections,
    /// Tells the time where a server says when to come back but not how late it is. Default none: this library reads no
    /// clock by itself.
    pub clock: Option<fn() -> SystemTime>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(600),
            connections: Connections::default(),
            clock: None,
        }
    }
}

/// How connections are kept for the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// How many to one server wait at a time; 0 keeps none. Default 16.
    pub spare: usize,
    /// How long one waits. Default 90 s.
    pub keep: Duration,
    /// How often a quiet connection is asked whether it still stands, while it waits and while an answer is awaited: by
    /// TCP, and by a ping in HTTP/2, which has as long for its answer. Zero asks never. Default 30 s.
    pub probe: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            spare: 16,
            keep: Duration::from_secs(90),
            probe: Duration::from_secs(30),
        }
    }
}

/// A client with this library's own TLS settings: Mozilla's roots, no proxy, no redirects, since each of these could
/// hand the key to somebody else. How long an answer may take is for whoever asks.
///
/// # Errors
/// [`ModelError::Config`] where TLS cannot be set up.
pub fn http_client(timeouts: &Timeouts) -> Result<reqwest::Client, ModelError> {
    let config = |error: &dyn std::error::Error| ModelError::Config(chain(error));
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| config(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let Connections { spare, keep, probe } = timeouts.connections;
    let mut client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(timeouts.connect)
        .pool_max_idle_per_host(spare)
        .pool_idle_timeout(keep)
        .tcp_keepalive((!probe.is_zero()).then_some(probe));
    if !probe.is_zero() {
        client = client
            .http2_keep_alive_interval(probe)
            .http2_keep_alive_timeout(probe)
            .http2_keep_alive_while_idle(true);
    }
    client.build().map_err(|error| config(&error))
}
