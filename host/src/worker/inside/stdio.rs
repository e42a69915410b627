//! Standard streams of a program, which the host reads and writes.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};
use wasmtime_wasi::{
    async_trait,
    cli::{AsyncStdinStream, IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use super::Link;
use crate::worker::wire::{Ask, Output, Reply, STREAM_BYTES};

/// Standard input.
pub(super) fn input(link: Link) -> AsyncStdinStream {
    AsyncStdinStream::new(Input {
        link,
        waiting: None,
        rest: Bytes::new(),
    })
}

struct Input {
    link: Link,
    waiting: Option<oneshot::Receiver<Reply>>,
    rest: Bytes,
}

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let waiting = match &mut this.waiting {
                Some(waiting) => waiting,
                None => {
                    let max = into.remaining().min(STREAM_BYTES);
                    let max = u32::try_from(max).unwrap_or(u32::MAX);
                    let Some((_, reply)) = this.link.post(Ask::Input(max)) else {
                        return Poll::Ready(Ok(()));
                    };
                    this.waiting.insert(reply)
                }
            };
            let reply = std::task::ready!(Pin::new(waiting).poll(cx));
            this.waiting = None;
            match reply {
                Ok(Reply::Input(bytes)) => this.rest = bytes.into(),
                // The host says it can no longer be read, or has gone.
                _ => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let now = this.rest.len().min(into.remaining());
        into.put_slice(this.rest.get(..now).unwrap_or_default());
        this.rest.advance(now);
        Poll::Ready(Ok(()))
    }
}

/// Standard output or standard error. One write is under way at a time, so that a program is no faster than whoever
/// reads what it writes.
#[derive(Clone)]
pub(super) struct RemoteOutput {
    link: Link,
    which: Output,
    state: Arc<Mutex<State>>,
}

enum State {
    Free,
    Writing(oneshot::Receiver<Reply>),
    Closed,
}

impl RemoteOutput {
    pub(super) fn stdout(link: Link) -> Self {
        Self::new(link, Output::Stdout)
    }

    pub(super) fn stderr(link: Link) -> Self {
        Self::new(link, Output::Stderr)
    }

    fn new(link: Link, which: Output) -> Self {
        Self {
            link,
            which,
            state: Arc::new(Mutex::new(State::Free)),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn settle(&mut self, reply: Option<&Reply>) {
        *self = match reply {
            Some(Reply::Taken) => Self::Free,
            _ => Self::Closed,
        };
    }
}

impl IsTerminal for RemoteOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for RemoteOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Asked for by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for RemoteOutput {
    async fn ready(&mut self) {
        poll_fn(|cx| {
            self.with(|state| {
                if let State::Writing(reply) = state {
                    let reply = std::task::ready!(Pin::new(reply).poll(cx));
                    state.settle(reply.ok().as_ref());
                }
                Poll::Ready(())
            })
        })
        .await;
    }
}

#[async_trait]
impl OutputStream for RemoteOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.check_write()? < bytes.len() {
            return Err(StreamError::trap("more was written than is taken at once"));
        }
        let ask = Ask::Output(self.which, bytes.into());
        let (_, reply) = self.link.post(ask).ok_or(StreamError::Closed)?;
        self.with(|state| *state = State::Writing(reply));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.with(|state| {
            if let State::Writing(reply) = state {
                match reply.try_recv() {
                    Ok(reply) => state.settle(Some(&reply)),
                    Err(oneshot::error::TryRecvError::Empty) => {}
                    Err(oneshot::error::TryRecvError::Closed) => state.settle(None),
                }
            }
            match state {
                State::Free => Ok(STREAM_BYTES),
                State::Writing(_) => Ok(0),
                State::Closed => Err(StreamError::Closed),
            }
        })
    }
}
