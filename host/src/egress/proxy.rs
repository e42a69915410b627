//! The operator's forward proxy: the one thing between a host and a server that may be there, and only where the policy
//! names it. No variable of the environment is read.
//!
//! Either the names are looked up here and the proxy is told a checked address to connect to (`CONNECT`, for plain `http`
//! too, since a whole address would let the proxy look the name up once more), or the operator said that the proxy looks
//! names up: then it is told the name, with `CONNECT` for `https` and the whole address for plain `http`, and only
//! addresses that are written out are checked. TLS always goes to the server itself.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use url::{Host, Url};

use super::{
    Egress,
    connect::{CheckedAddress, DIALS_MAX, dial, look_up, look_up_and_check, speak},
    connection::Opened,
    error::EgressError,
    target::Target,
};

/// The most bytes of a proxy's answer to `CONNECT`.
pub(crate) const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// The operator's proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    host: Host,
    port: u16,
    resolves: bool,
}

/// Why an address cannot be a proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// TLS to the proxy itself is not spoken.
    #[error("the address of a proxy starts with http://")]
    Scheme,
    /// A user name or password.
    #[error("the address of a proxy has no user name and no password")]
    UserInfo,
    /// A path, a query or a fragment.
    #[error("the address of a proxy is a host and a port, and nothing after them")]
    Rest,
    /// No host.
    #[error("the address of a proxy names a host")]
    Host,
}

impl Proxy {
    /// Reads the address of a proxy. `resolves` says that it looks names up, and that the host does not.
    ///
    /// # Errors
    ///
    /// Where the address is no host and port behind `http://`.
    pub fn read(url: &Url, resolves: bool) -> Result<Self, ProxyError> {
        if url.scheme() != "http" {
            return Err(ProxyError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ProxyError::UserInfo);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::Rest);
        }
        let host = url.host().ok_or(ProxyError::Host)?.to_owned();
        let port = url.port_or_known_default().ok_or(ProxyError::Host)?;
        Ok(Self {
            host,
            port,
            resolves,
        })
    }
}

/// Connects to the target's host through the proxy until `until`.
pub(super) async fn connect(
    way: &Egress,
    proxy: &Proxy,
    target: &Target,
    special: bool,
    until: Instant,
) -> Result<Opened, EgressError> {
    let spelled_out = !matches!(target.host(), Host::Domain(_));
    if !proxy.resolves || spelled_out {
        let checked = look_up_and_check(way, target, special, until).await?;
        return through_any(way, proxy, target, &checked, until).await;
    }
    if target.is_https() {
        let name = format!("{}:{}", target.host(), target.port());
        let stream = tunnel(way, proxy, &name, until).await?;
        return speak(way, target, stream, None, until).await;
    }
    let stream = dial_proxy(way, proxy, until).await?;
    Ok(Opened {
        link: Box::new(stream),
        http2: false,
        absolute: true,
        address: None,
    })
}

/// Has the proxy connect to the first of these that it can connect to.
async fn through_any(
    way: &Egress,
    proxy: &Proxy,
    target: &Target,
    checked: &[CheckedAddress],
    until: Instant,
) -> Result<Opened, EgressError> {
    for address in checked.iter().take(DIALS_MAX) {
        if let Ok(stream) = tunnel(way, proxy, &address.to_string(), until).await {
            return speak(way, target, stream, Some(*address), until).await;
        }
    }
    Err(EgressError::Proxy)
}

async fn dial_proxy(way: &Egress, proxy: &Proxy, until: Instant) -> Result<TcpStream, EgressError> {
    let found = look_up(way, &proxy.host, until).await;
    let found: Vec<_> = found
        .map_err(|_| EgressError::Proxy)?
        .into_iter()
        .map(|address| CheckedAddress::of_proxy(address, proxy.port))
        .collect();
    let dialled = dial(way, &found, until).await;
    dialled
        .map(|(stream, _)| stream)
        .map_err(|_| EgressError::Proxy)
}

/// Asks the proxy for a way to `authority`. Nothing but yes is an answer, and nothing may follow it: the other end of the
/// way speaks only when it was spoken to.
async fn tunnel(
    way: &Egress,
    proxy: &Proxy,
    authority: &str,
    until: Instant,
) -> Result<TcpStream, EgressError> {
    let mut stream = dial_proxy(way, proxy, until).await?;
    let asking = async {
        let question = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
        stream.write_all(question.as_bytes()).await.ok()?;
        let mut answer = Vec::with_capacity(1024);
        let end = loop {
            let left = ANSWER_BYTES_MAX.checked_sub(answer.len())?;
            let mut piece = (&mut stream).take(u64::try_from(left).ok()?);
            if piece.read_buf(&mut answer).await.ok()? == 0 {
                return None;
            }
            if let Some(at) = answer.windows(4).position(|it| it == b"\r\n\r\n") {
                break at.checked_add(4)?;
            }
        };
        (end == answer.len() && is_yes(&answer)).then_some(())
    };
    match timeout_at(until, asking).await {
        Ok(Some(())) => Ok(stream),
        Ok(None) | Err(_) => Err(EgressError::Proxy),
    }
}

/// Whether an answer starts with `HTTP/1.0 2xx` or `HTTP/1.1 2xx`.
fn is_yes(answer: &[u8]) -> bool {
    let Some((version, rest)) = answer.split_at_checked(9) else {
        return false;
    };
    matches!(version, b"HTTP/1.0 " | b"HTTP/1.1 ")
        && matches!(rest, [b'2', b'0'..=b'9', b'0'..=b'9', b' ' | b'\r', ..])
}

#[cfg(test)]
mod tests;
