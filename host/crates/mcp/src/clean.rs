//! The last net before a client: every message that goes out is searched for the secrets of the host.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use serde_json::Value;
use tokio::io::AsyncWrite;
use toolcell::Redaction;

/// How many bytes may wait to be written before more are taken. One message may be longer.
const WAITING_BYTES: usize = 64 * 1024;

/// A stream of messages, one a line, that lets no secret through. A line is passed on once it is whole.
pub(crate) struct Clean<W> {
    inner: W,
    redaction: Redaction,
    /// A line that has not ended yet.
    line: Vec<u8>,
    /// What waits to be written, and how much of it was.
    waiting: Vec<u8>,
    written: usize,
}

impl<W: AsyncWrite + Unpin> Clean<W> {
    pub(crate) fn new(inner: W, redaction: Redaction) -> Self {
        Self {
            inner,
            redaction,
            line: Vec::new(),
            waiting: Vec::new(),
            written: 0,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") {
                self.pass();
            }
        }
    }

    /// Puts the line among what waits.
    fn pass(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.waiting.extend(clean(&self.redaction, line));
    }

    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.written..).filter(|it| !it.is_empty()) {
            let count = ready!(Pin::new(&mut self.inner).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        self.waiting.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

/// A message without any secret. It is still one message: a value is taken out of its texts and not of its structure.
fn clean(redaction: &Redaction, line: Vec<u8>) -> Vec<u8> {
    if redaction.is_empty() {
        return line;
    }
    let text = String::from_utf8_lossy(&line);
    if matches!(redaction.text(&text), std::borrow::Cow::Borrowed(_)) {
        return line;
    }
    let Ok(mut message) = serde_json::from_str::<Value>(&text) else {
        return redaction.text(&text).into_owned().into_bytes();
    };
    redaction.json(&mut message);
    let mut line = message.to_string().into_bytes();
    line.push(b'\n');
    line
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Clean<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waiting.len() >= WAITING_BYTES {
            ready!(self.poll_waiting(context))?;
        }
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_waiting(context))?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.line.is_empty() {
            self.pass();
        }
        ready!(self.poll_waiting(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use toolcell::Secret;

    use super::*;

    const VALUE: &str = "q7Rk2mXw9TbZ";

    fn knowing() -> Redaction {
        let redaction = Redaction::new();
        redaction.register("TOKEN", Secret::new(VALUE).unwrap());
        redaction
    }

    /// What comes out of these pieces, each flushed, by a pipe that takes only a few bytes at a time.
    async fn through(redaction: Redaction, pieces: &[&[u8]]) -> String {
        let (ours, mut theirs) = tokio::io::duplex(7);
        let reading = tokio::spawn(async move {
            let mut out = String::new();
            theirs.read_to_string(&mut out).await.unwrap();
            out
        });
        let mut clean = Clean::new(ours, redaction);
        for piece in pieces {
            clean.write_all(piece).await.unwrap();
            clean.flush().await.unwrap();
        }
        clean.shutdown().await.unwrap();
        drop(clean);
        reading.await.unwrap()
    }

    #[tokio::test]
    async fn a_message_stays_one_without_the_secret_in_it() {
        let message = json!({ "id": 1, "result": { VALUE: format!("a \"{VALUE}\" b\n") } });
        let line = format!("{message}\n{{\"id\":2}}\n");
        let (one, two) = line.split_at(30);
        let out = through(knowing(), &[one.as_bytes(), two.as_bytes()]).await;
        let lines: Vec<&str> = out.lines().collect();
        let clean: Value = serde_json::from_str(lines[0]).unwrap();
        let expected =
            json!({ "id": 1, "result": { "[secret TOKEN]": "a \"[secret TOKEN]\" b\n" } });
        assert_eq!(clean, expected);
        assert_eq!(lines[1..], ["{\"id\":2}"]);
        assert_eq!(through(Redaction::new(), &[line.as_bytes()]).await, line);
    }

    #[tokio::test]
    async fn what_is_no_message_is_searched_all_the_same() {
        let text = format!("no JSON {VALUE}\nand no end {VALUE}");
        let out = through(knowing(), &[text.as_bytes()]).await;
        assert_eq!(out, "no JSON [secret TOKEN]\nand no end [secret TOKEN]");
    }

    #[tokio::test]
    async fn what_holds_no_secret_comes_out_byte_for_byte() {
        let mut bytes = b"{\"a\" : 1.0}\n".repeat(20_000);
        bytes.extend_from_slice(b"\xc3\xa4 no end");
        let out = through(knowing(), &[&bytes]).await;
        assert_eq!(out.as_bytes(), bytes);
    }
}
