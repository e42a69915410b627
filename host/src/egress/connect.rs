//! From a host to a connection: look up once, check every address, dial only what was checked.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{self, ClientConfig, pki_types::ServerName},
};
use url::Host;

use super::{
    Egress,
    address::{Reach, classify},
    connection::Opened,
    error::{EgressError, Phase},
    proxy,
    target::Target,
};

/// The most addresses of one name that are dialled, in the resolver's order; all of them are checked.
pub(crate) const DIALS_MAX: usize = 4;

/// The protocol that a server chooses in TLS for HTTP/2.
pub(super) const ALPN_HTTP2: &[u8] = b"h2";
/// As [`ALPN_HTTP2`], for HTTP/1.1, which is also what a server speaks that chooses nothing.
pub(super) const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Something to speak HTTP over.
pub(crate) trait Link: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Link for T {}

/// An address that may be dialled. Only [`check`] makes one, and the operator's own proxy is one, so nothing else can
/// be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CheckedAddress(SocketAddr);

impl CheckedAddress {
    /// The proxy that the operator named: no tool had a say in it, so it may be anywhere.
    pub(super) fn of_proxy(address: IpAddr, port: u16) -> Self {
        Self(SocketAddr::new(address, port))
    }
}

impl fmt::Display for CheckedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Connects to the target's host until `until`. `special` says that the rule names this host as one that may lead
/// to special addresses.
pub(super) async fn connect(
    way: &Egress,
    target: &Target,
    special: bool,
    until: Instant,
) -> Result<Opened, EgressError> {
    if let Some(proxy) = &way.proxy {
        return proxy::connect(way, proxy, target, special, until).await;
    }
    let checked = look_up_and_check(way, target, special, until).await?;
    let (stream, address) = dial(way, &checked, until).await?;
    speak(way, target, stream, Some(address), until).await
}

/// The addresses of the target's host, all of which may be dialled.
pub(super) async fn look_up_and_check(
    way: &Egress,
    target: &Target,
    special: bool,
    until: Instant,
) -> Result<Vec<CheckedAddress>, EgressError> {
    let found = look_up(way, target.host(), until).await?;
    check(target.host(), target.port(), &found, special)
}

/// The addresses of a host, whatever they are.
pub(super) async fn look_up(
    way: &Egress,
    host: &Host,
    until: Instant,
) -> Result<Vec<IpAddr>, EgressError> {
    match host {
        Host::Domain(name) => timeout_at(until, way.resolver.resolve(name))
            .await
            .map_err(|_| EgressError::Timeout(Phase::Connect))?
            .map_err(|_| EgressError::NameNotFound),
        Host::Ipv4(address) => Ok(vec![IpAddr::V4(*address)]),
        Host::Ipv6(address) => Ok(vec![IpAddr::V6(*address)]),
    }
}

/// Puts TLS over a stream to the target's server where its scheme says so, and hears which HTTP it speaks.
pub(super) async fn speak(
    way: &Egress,
    target: &Target,
    stream: TcpStream,
    address: Option<CheckedAddress>,
    until: Instant,
) -> Result<Opened, EgressError> {
    let mut opened = Opened {
        link: Box::new(stream),
        http2: false,
        absolute: false,
        address,
    };
    if target.is_https() {
        let encrypting = encrypt(&way.tls, target.host(), opened.link);
        let stream = timeout_at(until, encrypting)
            .await
            .map_err(|_| EgressError::Timeout(Phase::Connect))??;
        opened.http2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2);
        opened.link = Box::new(stream);
    }
    Ok(opened)
}

/// Whether a connection that was once dialled to this address may be used again.
pub(super) fn check_again(
    host: &Host,
    CheckedAddress(address): CheckedAddress,
    special: bool,
) -> Result<(), EgressError> {
    check(host, address.port(), &[address.ip()], special).map(|_| ())
}

/// Checks every address of a host. One that is refused refuses them all: a name that leads to a public and to a
/// private place is an attack or a mistake, and which one is dialled must not be left to chance.
pub(super) fn check(
    host: &Host,
    port: u16,
    found: &[IpAddr],
    special: bool,
) -> Result<Vec<CheckedAddress>, EgressError> {
    if found.is_empty() {
        return Err(EgressError::NameNotFound);
    }
    let spelled_out = !matches!(host, Host::Domain(_));
    for address in found {
        let (what, allowed) = match reach(*address) {
            Reach::Public => continue,
            Reach::Private(what) => (what, special),
            Reach::Reserved(what) => (what, special && spelled_out),
        };
        if !allowed {
            let refusal = if spelled_out {
                format!("{address} is {what}")
            } else {
                format!("{host} leads to {address}, which is {what}")
            };
            return Err(EgressError::Refused(refusal));
        }
    }
    Ok(found
        .iter()
        .map(|address| CheckedAddress(SocketAddr::new(*address, port)))
        .collect())
}

/// As [`classify`], and a public address of this very machine counts as a loopback address.
fn reach(address: IpAddr) -> Reach {
    match classify(address) {
        Reach::Public if is_own(address) => Reach::Private("an address of this machine"),
        reach => reach,
    }
}

/// Whether the address is one of this machine's: only then does the system choose it as the source of a packet to
/// itself. Connecting a UDP socket makes that choice and sends nothing.
pub(super) fn is_own(address: IpAddr) -> bool {
    let any = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    UdpSocket::bind((any, 0))
        .and_then(|socket| {
            socket.connect((address, 9))?;
            socket.local_addr()
        })
        .is_ok_and(|source| source.ip() == address)
}

/// Tries the addresses one after the other; each gets its share of the time that is left. One that refuses and one that
/// never answers are told alike, so that a tool cannot tell a closed port from one behind a filter.
pub(super) async fn dial(
    way: &Egress,
    addresses: &[CheckedAddress],
    until: Instant,
) -> Result<(TcpStream, CheckedAddress), EgressError> {
    let mut left = u32::try_from(addresses.len().min(DIALS_MAX)).unwrap_or(1);
    for checked in addresses.iter().take(DIALS_MAX) {
        let CheckedAddress(address) = checked;
        let share = until
            .saturating_duration_since(Instant::now())
            .checked_div(left)
            .unwrap_or(Duration::ZERO);
        left = left.saturating_sub(1);
        if let Some(dialled) = &way.dialled {
            dialled(*address);
        }
        if let Ok(Ok(stream)) = timeout(share, TcpStream::connect(address)).await {
            // Small requests should leave at once; that this failed would only make them slower.
            let _ = stream.set_nodelay(true);
            return Ok((stream, *checked));
        }
    }
    Err(EgressError::Unreachable)
}

async fn encrypt(
    tls: &Arc<ClientConfig>,
    host: &Host,
    stream: Box<dyn Link>,
) -> Result<TlsStream<Box<dyn Link>>, EgressError> {
    let name = match host {
        Host::Domain(name) => {
            ServerName::try_from(name.clone()).map_err(|_| EgressError::NameNotFound)?
        }
        Host::Ipv4(address) => ServerName::from(IpAddr::V4(*address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::V6(*address)),
    };
    TlsConnector::from(Arc::clone(tls))
        .connect(name, stream)
        .await
        .map_err(|error| {
            let reason = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match reason {
                Some(rustls::Error::InvalidCertificate(_)) => EgressError::Certificate,
                _ => EgressError::Tls,
            }
        })
}

#[cfg(test)]
mod tests;
