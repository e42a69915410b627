//! Who may come in: how many connections there are, how long one may be silent, and which names a request may call
//! this machine by.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    http::{HeaderMap, header::HOST},
    serve::Listener,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// After an error of the system, such as too many open files, the next connection is taken this much later.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections, so many at a time.
pub(crate) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    idle: Duration,
}

impl Door {
    pub(crate) fn new(listener: TcpListener, connections: usize, idle: Duration) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(connections)),
            idle,
        }
    }
}

impl Listener for Door {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        // The place comes first: whoever finds none waits in the system's own queue, which is bounded.
        let place = loop {
            if let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
                break place;
            }
            sleep(PAUSE).await;
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let guest = Guest {
                        stream,
                        idle: self.idle,
                        silent_until: Box::pin(sleep(self.idle)),
                        _place: place,
                    };
                    return (guest, address);
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection. It ends where nothing was read or written for a while.
pub(crate) struct Guest {
    stream: TcpStream,
    idle: Duration,
    silent_until: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Guest {
    /// Ends the connection when it was silent for too long, and counts anew when something passed.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        passed: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if passed.is_ready() {
            let until = Instant::now() + self.idle;
            self.silent_until.as_mut().reset(until);
            return passed;
        }
        match self.silent_until.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let passed = Pin::new(&mut self.stream).poll_read(cx, into);
        self.watch(cx, passed)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let passed = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, passed)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Whether a request calls this machine by an address, by `localhost`, or by a name that the operator listed.
///
/// A page in somebody's browser can have a name of its own lead to this machine and read what it answers then (DNS
/// rebinding). Such a request carries that name, which is neither of these.
pub(crate) fn is_called_rightly(headers: &HeaderMap, names: &[String]) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Some(name) = host.to_str().ok().and_then(name_of) else {
        return false;
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let listed = |listed: &String| listed.eq_ignore_ascii_case(name);
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(listed)
}

/// The host of `host`, `host:port` or `[address]:port`.
fn name_of(host: &str) -> Option<&str> {
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let port = port.strip_prefix(':').unwrap_or(port);
        return (address.contains(':') && digits(port)).then_some(address);
    }
    match host.split_once(':') {
        Some((name, port)) => digits(port).then_some(name),
        None => Some(host),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn called(hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        is_called_rightly(&headers, &["metrics.internal".to_owned()])
    }

    #[test]
    fn a_name_that_only_leads_here_is_no_name_of_this_machine() {
        for good in [
            "127.0.0.1",
            "127.0.0.1:9464",
            "[::1]:9464",
            "[::1]",
            "10.1.2.3:80",
            "localhost",
            "LOCALHOST:9464",
            "localhost.",
            "metrics.internal:9464",
        ] {
            assert!(called(&[good]), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:9464:1",
            "127.0.0.1:x",
            "[localhost]:9464",
            "[::1",
            "",
            ":9464",
            "internal",
        ] {
            assert!(!called(&[bad]), "{bad}");
        }
        assert!(!called(&[]));
        assert!(!called(&["127.0.0.1", "127.0.0.1"]));
    }
}
