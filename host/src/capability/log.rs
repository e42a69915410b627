//! Lines for the operator's log: the import `log`, and what the guest writes to its standard streams.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use toolcell_policy::Limits;
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use super::{
    LimitExceeded,
    bindings::toolcell::tool::log::{self, Host, Level},
    recorder::Recorder,
};
use crate::{CallEvent, ErrorKind};

/// The log of one call. Clones share it; its limit holds for lines of the import and both standard streams together.
#[derive(Clone)]
pub(crate) struct LogState {
    shared: Arc<Shared>,
}

struct Shared {
    recorder: Recorder,
    max_bytes: u64,
    /// However short they are: each is an event that somebody has to handle.
    max_lines: u64,
    bytes: AtomicU64,
    lines: AtomicU64,
    /// What was written to each standard stream since its last newline. The limit on bytes bounds it.
    stdout: Mutex<Vec<u8>>,
    stderr: Mutex<Vec<u8>>,
}

/// One of the guest's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standard {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

impl Standard {
    fn level(self) -> &'static str {
        match self {
            Self::Output => "stdout",
            Self::Error => "stderr",
        }
    }
}

impl LogState {
    /// An empty log within the limits `log` and `log_lines`.
    pub(crate) fn new(limits: &Limits, recorder: Recorder) -> Self {
        Self {
            shared: Arc::new(Shared {
                recorder,
                max_bytes: limits.log,
                max_lines: limits.log_lines.into(),
                bytes: AtomicU64::new(0),
                lines: AtomicU64::new(0),
                stdout: Mutex::default(),
                stderr: Mutex::default(),
            }),
        }
    }

    /// Bytes written so far, as the guest wrote them.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Relaxed).min(self.shared.max_bytes)
    }

    /// A standard stream of the guest that ends in this log.
    pub(crate) fn stream(&self, standard: Standard) -> LogStream {
        LogStream {
            log: self.clone(),
            standard,
        }
    }

    /// Passes on what a guest left on its standard streams without a newline. To be called once, after the call.
    pub(crate) fn finish(&self) {
        for standard in [Standard::Output, Standard::Error] {
            let rest = mem::take(&mut *self.unfinished(standard));
            if !rest.is_empty() {
                // The limit on lines is of no use any more: this is the last one, and the call has its outcome.
                self.tell(standard.level(), &String::from_utf8_lossy(&rest));
            }
        }
    }

    fn unfinished(&self, standard: Standard) -> MutexGuard<'_, Vec<u8>> {
        match standard {
            Standard::Output => &self.shared.stdout,
            Standard::Error => &self.shared.stderr,
        }
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
    }

    fn charge(&self, bytes: usize) -> Result<(), LimitExceeded> {
        let max = self.shared.max_bytes;
        let before = self.shared.bytes.fetch_add(bytes as u64, Relaxed);
        if before.saturating_add(bytes as u64) <= max {
            return Ok(());
        }
        Err(self.shared.recorder.exceed(
            ErrorKind::LimitLog,
            format!(
                "the tool wrote more than {max} bytes of log, standard output and standard error"
            ),
        ))
    }

    fn line(&self, level: &str, message: &str) -> Result<(), LimitExceeded> {
        let max = self.shared.max_lines;
        if self.shared.lines.fetch_add(1, Relaxed) >= max {
            return Err(self.shared.recorder.exceed(
                ErrorKind::LimitLog,
                format!(
                    "the tool wrote more lines of log than it may: its limit `log_lines` is {max}"
                ),
            ));
        }
        self.tell(level, message);
        Ok(())
    }

    fn tell(&self, level: &str, message: &str) {
        if self.shared.recorder.is_heard() {
            self.shared.recorder.emit(CallEvent::Log {
                level: level.to_owned(),
                message: message.to_owned(),
            });
        }
    }

    fn write(&self, standard: Standard, bytes: &[u8]) -> Result<(), LimitExceeded> {
        self.charge(bytes.len())?;
        let mut unfinished = self.unfinished(standard);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            unfinished.extend_from_slice(piece);
            if unfinished.last() != Some(&b'\n') {
                continue;
            }
            let line = mem::take(&mut *unfinished);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.line(standard.level(), &String::from_utf8_lossy(line))?;
        }
        Ok(())
    }
}

struct HasLog;

impl HasData for HasLog {
    type Data<'a> = &'a mut LogState;
}

/// Links `toolcell:tool/log`.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: fn(&mut T) -> &mut LogState,
) -> wasmtime::Result<()> {
    log::add_to_linker::<T, HasLog>(linker, get)
}

impl Host for LogState {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        self.charge(message.len())?;
        Ok(self.line(level, &message)?)
    }
}

/// A standard stream of a guest. It is never the host's own, which may carry a protocol.
#[derive(Clone)]
pub(crate) struct LogStream {
    log: LogState,
    standard: Standard,
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Asked for by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

/// How much a guest may write at once.
const PERMIT_BYTES: usize = 64 * 1024;

#[async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log
            .write(self.standard, &bytes)
            .map_err(|limit| StreamError::Trap(limit.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallId;

    type Lines = Arc<Mutex<Vec<(String, String)>>>;

    fn log(max_bytes: u64) -> (LogState, Recorder, Lines) {
        let lines = Lines::default();
        let heard = lines.clone();
        let events: crate::EventSink = Arc::new(move |_, event| {
            if let CallEvent::Log { level, message } = event {
                heard.lock().unwrap().push((level, message));
            }
        });
        let recorder = Recorder::new(CallId::new("call_1"), Some(events));
        let limits = Limits {
            log: max_bytes,
            ..Limits::default()
        };
        (LogState::new(&limits, recorder.clone()), recorder, lines)
    }

    fn pair(level: &str, message: &str) -> (String, String) {
        (level.into(), message.into())
    }

    #[test]
    fn standard_streams_become_lines() {
        let (log, _, lines) = log(1000);
        let mut out = log.stream(Standard::Output);
        let mut err = log.stream(Standard::Error);
        assert!(!out.is_terminal());
        out.write(Bytes::from_static(b"one\r\ntw")).unwrap();
        err.write(Bytes::from_static(b"oh\x1b[2J\n")).unwrap();
        out.p2_stream()
            .write(Bytes::from_static(b"o\nrest \xff"))
            .unwrap();
        log.finish();
        log.finish();
        assert_eq!(
            *lines.lock().unwrap(),
            [
                pair("stdout", "one"),
                pair("stderr", "oh\\u{1b}[2J"),
                pair("stdout", "two"),
                pair("stdout", "rest \u{fffd}"),
            ]
        );
        assert_eq!(log.bytes(), 7 + 7 + 8);
    }

    #[test]
    fn a_message_stays_one_line() {
        let (mut log, _, lines) = log(1000);
        log.log(Level::Warn, "a\nFAKE {\"ok\":true}".into())
            .unwrap();
        assert_eq!(
            *lines.lock().unwrap(),
            [pair("warn", "a\\nFAKE {\"ok\":true}")]
        );
    }

    #[test]
    fn all_of_it_shares_one_limit_in_bytes() {
        let (mut log, recorder, _) = log(10);
        log.log(Level::Info, "12345".into()).unwrap();
        log.stream(Standard::Error)
            .write(Bytes::from_static(b"12345"))
            .unwrap();
        assert_eq!(recorder.snapshot().limit, None);
        let error = log.stream(Standard::Output).write(Bytes::from_static(b"x"));
        let Err(StreamError::Trap(error)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(
            error.downcast_ref::<LimitExceeded>(),
            Some(&LimitExceeded(ErrorKind::LimitLog))
        );
        let limit = recorder.snapshot().limit.unwrap();
        assert_eq!(limit.kind, ErrorKind::LimitLog);
        assert!(limit.message.contains("10 bytes"), "{}", limit.message);
        assert_eq!(log.bytes(), 10);
    }

    fn lines_max() -> usize {
        Limits::default().log_lines as usize
    }

    #[test]
    fn empty_lines_are_limited_too() {
        let (log, recorder, lines) = log(u64::MAX);
        let mut out = log.stream(Standard::Output);
        let flood = Bytes::from(vec![b'\n'; lines_max()]);
        out.write(flood).unwrap();
        assert!(out.write(Bytes::from_static(b"\n")).is_err());
        assert_eq!(lines.lock().unwrap().len(), lines_max());
        let limit = recorder.snapshot().limit.unwrap();
        assert_eq!(limit.kind, ErrorKind::LimitLog);
        assert!(limit.message.ends_with("its limit `log_lines` is 10000"));
    }

    #[test]
    fn a_rest_without_a_newline_is_no_reason_to_fail_a_call_that_ended() {
        let (log, recorder, lines) = log(u64::MAX);
        let mut out = log.stream(Standard::Output);
        let all = "\n".repeat(lines_max()) + "rest";
        out.write(Bytes::from(all)).unwrap();
        log.finish();
        assert_eq!(lines.lock().unwrap().last(), Some(&pair("stdout", "rest")));
        assert_eq!(recorder.snapshot().limit, None);
    }
}
