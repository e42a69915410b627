//! From a host to a connection: look up once, check every address, dial only what was checked.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, pki_types::ServerName},
};
use url::Host;

use super::{
    address::{Reach, classify},
    error::EgressError,
    resolve::Resolver,
    target::Target,
};

/// The most addresses of one name that are dialled, in the resolver's order; all of them are checked.
pub(crate) const DIALS_MAX: usize = 4;

/// Something to speak HTTP over.
pub(crate) trait Link: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Link for T {}

/// An address that may be dialled. Only [`check`] makes one, so nothing else can be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CheckedAddress(SocketAddr);

/// Connects to the target's host until `until`. `special` says that the rule names this host as one that may lead
/// to special addresses.
pub(super) async fn connect(
    resolver: &dyn Resolver,
    tls: &Arc<ClientConfig>,
    target: &Target,
    special: bool,
    until: Instant,
) -> Result<Box<dyn Link>, EgressError> {
    let found = match target.host() {
        Host::Domain(name) => resolver
            .resolve(name)
            .await
            .map_err(|_| EgressError::NameNotFound)?,
        Host::Ipv4(address) => vec![IpAddr::V4(*address)],
        Host::Ipv6(address) => vec![IpAddr::V6(*address)],
    };
    let checked = check(target.host(), target.port(), &found, special)?;
    let stream = dial(&checked, until).await?;
    if target.is_https() {
        Ok(Box::new(encrypt(tls, target.host(), stream).await?))
    } else {
        Ok(Box::new(stream))
    }
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

/// Tries the addresses one after the other; each gets its share of the time that is left.
async fn dial(addresses: &[CheckedAddress], until: Instant) -> Result<TcpStream, EgressError> {
    let mut left = u32::try_from(addresses.len().min(DIALS_MAX)).unwrap_or(1);
    for CheckedAddress(address) in addresses.iter().take(DIALS_MAX) {
        let share = until
            .saturating_duration_since(Instant::now())
            .checked_div(left)
            .unwrap_or(Duration::ZERO);
        left = left.saturating_sub(1);
        if let Ok(Ok(stream)) = timeout(share, TcpStream::connect(address)).await {
            // Small requests should leave at once; that this failed would only make them slower.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(EgressError::Unreachable)
}

async fn encrypt(
    tls: &Arc<ClientConfig>,
    host: &Host,
    stream: TcpStream,
) -> Result<impl Link + use<>, EgressError> {
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
