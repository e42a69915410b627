//! Standard streams that lead out of the sandbox, for programs that a person runs. Tools never have them: what a tool
//! prints ends in its log.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi::{
    async_trait,
    cli::{AsyncStdinStream, IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

/// How much a guest may write at once.
const PERMIT_BYTES: usize = 64 << 10;

/// What a program reads and writes. It is told that none of them is a terminal.
pub struct Stdio {
    /// Standard input.
    pub stdin: Box<dyn AsyncRead + Send + Sync + Unpin>,
    /// Standard output; writing may block.
    pub stdout: Box<dyn Write + Send>,
    /// Standard error; writing may block.
    pub stderr: Box<dyn Write + Send>,
}

impl std::fmt::Debug for Stdio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stdio").finish_non_exhaustive()
    }
}

/// The standard streams of a program as its sandbox has them.
pub(crate) struct Streams<I = AsyncStdinStream, O = Output> {
    pub(crate) stdin: I,
    pub(crate) stdout: O,
    pub(crate) stderr: O,
}

impl From<Stdio> for Streams {
    fn from(stdio: Stdio) -> Self {
        Self {
            stdin: AsyncStdinStream::new(stdio.stdin),
            stdout: Output::new(stdio.stdout),
            stderr: Output::new(stdio.stderr),
        }
    }
}

/// An output stream of a guest. Everything is written at once, so that nothing is lost however the program ends.
#[derive(Clone)]
pub(crate) struct Output(Arc<Mutex<Box<dyn Write + Send>>>);

impl Output {
    pub(crate) fn new(writer: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    fn with(&self, work: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> StreamResult<()> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever reads has gone away, or the disk is full: to the guest the stream is closed.
        work(&mut *writer).map_err(|_| StreamError::Closed)
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Asked for by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.with(|writer| writer.write_all(&bytes))
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.with(|writer| writer.flush())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT_BYTES)
    }
}
