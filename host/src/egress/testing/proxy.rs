//! A forward proxy on the loopback address.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What a proxy does with whatever it is asked.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    /// Connects to the address that `CONNECT` says, or says 502.
    Connect,
    /// Sends this and closes.
    Refuse(&'static str),
    /// Reads and says nothing.
    Nothing,
}

/// A proxy that keeps the heads it was sent, and what passed through it.
pub(crate) struct ProxyServer {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    passed: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl ProxyServer {
    pub(crate) async fn start(does: Does) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, passed) = (Arc::default(), Arc::default());
        let (keep, pass) = (Arc::clone(&heads), Arc::clone(&passed));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, does, Arc::clone(&keep), Arc::clone(&pass)));
            }
        });
        Self {
            address,
            heads,
            passed,
            task,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The heads of all that was asked.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// What went through to the servers.
    pub(crate) fn passed(&self) -> String {
        String::from_utf8_lossy(&self.passed.lock().unwrap()).into_owned()
    }
}

impl Drop for ProxyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    does: Does,
    heads: Arc<Mutex<Vec<String>>>,
    passed: Arc<Mutex<Vec<u8>>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    heads.lock().unwrap().push(head.clone());
    match does {
        Does::Refuse(answer) => {
            stream.write_all(answer.as_bytes()).await.ok()?;
            stream.shutdown().await.ok()
        }
        Does::Nothing => {
            let _ = stream.read_u8().await;
            Some(())
        }
        Does::Connect => {
            let to = head.strip_prefix("CONNECT ")?.split(' ').next()?;
            let Ok(mut server) = TcpStream::connect(to).await else {
                stream.write_all(b"HTTP/1.1 502 no\r\n\r\n").await.ok()?;
                return None;
            };
            stream.write_all(b"HTTP/1.1 200 yes\r\n\r\n").await.ok()?;
            let mut piece = [0; 4096];
            let mut back = [0; 4096];
            loop {
                tokio::select! {
                    read = stream.read(&mut piece) => {
                        let read = read.ok().filter(|read| *read > 0)?;
                        passed.lock().unwrap().extend_from_slice(&piece[..read]);
                        server.write_all(&piece[..read]).await.ok()?;
                    }
                    read = server.read(&mut back) => {
                        let read = read.ok().filter(|read| *read > 0)?;
                        stream.write_all(&back[..read]).await.ok()?;
                    }
                }
            }
        }
    }
}
