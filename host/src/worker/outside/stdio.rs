//! The standard streams of a program, read and written for it.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::{
    sandbox::Stdio,
    worker::wire::{Output, Reply, STREAM_BYTES},
};

type Input = Box<dyn AsyncRead + Send + Sync + Unpin>;
type Writer = Arc<Mutex<Box<dyn Write + Send>>>;

/// The standard streams of one program.
pub(super) struct Streams {
    stdin: Arc<tokio::sync::Mutex<Input>>,
    stdout: Writer,
    stderr: Writer,
}

impl From<Stdio> for Streams {
    fn from(stdio: Stdio) -> Self {
        Self {
            stdin: Arc::new(tokio::sync::Mutex::new(stdio.stdin)),
            stdout: Arc::new(Mutex::new(stdio.stdout)),
            stderr: Arc::new(Mutex::new(stdio.stderr)),
        }
    }
}

impl Streams {
    /// Reads up to `max` bytes.
    pub(super) fn read(&self, max: u32) -> BoxFuture<'static, Reply> {
        let stdin = Arc::clone(&self.stdin);
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(STREAM_BYTES);
        Box::pin(async move {
            let mut bytes = vec![0; max];
            match stdin.lock().await.read(&mut bytes).await {
                Ok(read) => {
                    bytes.truncate(read);
                    Reply::Input(bytes)
                }
                Err(_) => Reply::Closed,
            }
        })
    }

    /// Writes all of it. Writing may block, which must not keep the call from ending in time.
    pub(super) fn write(&self, output: Output, bytes: Vec<u8>) -> BoxFuture<'static, Reply> {
        let writer = match output {
            Output::Stdout => Arc::clone(&self.stdout),
            Output::Stderr => Arc::clone(&self.stderr),
        };
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.write_all(&bytes).and_then(|()| writer.flush())
        });
        Box::pin(async move {
            match writing.await {
                Ok(Ok(())) => Reply::Taken,
                // Whoever reads has gone away, or the disk is full.
                Ok(Err(_)) | Err(_) => Reply::Closed,
            }
        })
    }
}
