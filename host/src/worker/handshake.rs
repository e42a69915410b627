//! What host and worker say to each other before the first call, one after the other:
//!
//! 1. The host says hello, and the worker answers with its own: both must be of one version.
//! 2. The host sends a [`Welcome`] and the descriptors that belong to it.
//! 3. The worker confines itself, prepares the tool, and answers whether it is ready.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

use super::wire::{PROTOCOL, WireError};
use crate::{capability::holdings::Holdings, confine::ConfinementReport};

/// Descriptors that one message carries. The kernel takes up to 253.
const FDS_PER_MESSAGE: usize = 64;

/// The most descriptors that a worker is handed. It can have 256 open.
pub(super) const MAX_FDS: usize = 192;

/// The first frame in both directions. Its shape never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    role: [u8; 16],
    protocol: u32,
    version: String,
}

impl Hello {
    pub(super) fn of_host() -> Self {
        Self::of(*b"toolcell host   ")
    }

    pub(super) fn of_worker() -> Self {
        Self::of(*b"toolcell worker ")
    }

    fn of(role: [u8; 16]) -> Self {
        Self {
            role,
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether the other side is what this side expects.
    ///
    /// # Errors
    ///
    /// What it is instead.
    pub(super) fn expect(&self, expected: &Self) -> Result<(), String> {
        if self.role != expected.role {
            return Err("it is no worker".to_owned());
        }
        if self != expected {
            return Err(format!(
                "it is a worker of version {} (protocol {}), and this is version {} (protocol {})",
                self.version.escape_debug(),
                self.protocol,
                expected.version,
                expected.protocol
            ));
        }
        Ok(())
    }
}

/// What a worker is for, and what it may hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Welcome {
    pub(super) task: Task,
    /// Whether the engine counts fuel.
    pub(super) count_fuel: bool,
    /// How many descriptors follow.
    pub(super) descriptors: u32,
    /// The host's process id.
    pub(super) parent: u32,
    pub(super) data_bytes: u64,
    pub(super) file_bytes: u64,
    pub(super) cpu_seconds: u64,
    /// Only tests say no.
    pub(super) openat2: bool,
}

/// What a worker is for. Its descriptors are in the order of this page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Task {
    /// Compile one component. The component; the file for its compiled form.
    Compile,
    /// Carry out calls of a package. The compiled component; where directories for single calls are made, if the holdings
    /// name any; the directories, each as the holdings describe it.
    Tools(Holdings),
    /// The same for a plain WASI program.
    Program(Holdings),
}

/// Whether a worker is ready for its task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It is, and this confined.
    Ready(ConfinementReport),
    /// It is not, since the component cannot be used.
    Unfit(String),
    /// It is not.
    Failed(String),
}

/// How compiling ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Compiled {
    /// The compiled form has so many bytes.
    Done(u64),
    /// The component cannot be compiled.
    Refused(String),
}

/// A stream on which everything must have happened by a time.
pub(super) struct Until<'a> {
    stream: &'a UnixStream,
    deadline: Instant,
}

impl<'a> Until<'a> {
    pub(super) fn new(stream: &'a UnixStream, deadline: Instant) -> Self {
        Self { stream, deadline }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        (&mut &*self.stream).read(buffer)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        (&mut &*self.stream).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the time was over.
pub(super) fn timed_out(error: &WireError) -> bool {
    matches!(error, WireError::Io(error)
        if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock))
}

/// Hands descriptors over, each message with one byte.
pub(super) fn send_fds(stream: &UnixStream, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    for some in fds.chunks(FDS_PER_MESSAGE) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(some)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        rustix::net::sendmsg(
            stream,
            &[IoSlice::new(&[0])],
            &mut control,
            SendFlags::empty(),
        )?;
    }
    Ok(())
}

/// Receives so many descriptors.
pub(super) fn receive_fds(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut fds = Vec::new();
    while fds.len() < count {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let got = rustix::net::recvmsg(
            stream.as_fd(),
            &mut [IoSliceMut::new(&mut byte)],
            &mut control,
            receive_flags(),
        )?;
        let before = fds.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                fds.extend(some);
            }
        }
        if got.bytes == 0 || fds.len() == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(fds)
}

#[cfg(target_os = "linux")]
fn receive_flags() -> RecvFlags {
    RecvFlags::CMSG_CLOEXEC
}

#[cfg(not(target_os = "linux"))]
fn receive_flags() -> RecvFlags {
    RecvFlags::empty()
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Seek as _};

    use super::*;
    use crate::worker::wire::{read_blocking, write_blocking};

    #[test]
    fn descriptors_come_through_in_their_order_and_beside_frames() {
        let (near, far) = UnixStream::pair().unwrap();
        let files: Vec<File> = (0..MAX_FDS)
            .map(|number| {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(number.to_string().as_bytes()).unwrap();
                file.rewind().unwrap();
                file
            })
            .collect();
        let fds: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        write_blocking(&mut &near, &Hello::of_host()).unwrap();
        send_fds(&near, &fds).unwrap();
        write_blocking(&mut &near, &Hello::of_worker()).unwrap();

        let hello: Hello = read_blocking(&mut &far).unwrap();
        assert_eq!(hello.expect(&Hello::of_host()), Ok(()));
        let got = receive_fds(&far, MAX_FDS).unwrap();
        assert_eq!(got.len(), MAX_FDS);
        for (number, fd) in got.into_iter().enumerate() {
            let mut text = String::new();
            File::from(fd).read_to_string(&mut text).unwrap();
            assert_eq!(text, number.to_string());
        }
        let hello: Hello = read_blocking(&mut &far).unwrap();
        assert!(hello.expect(&Hello::of_host()).is_err());
    }

    #[test]
    fn another_version_is_named() {
        let mut other = Hello::of_worker();
        other.version = "9.9.9".to_owned();
        let said = other.expect(&Hello::of_worker()).unwrap_err();
        assert!(said.contains("9.9.9"), "{said}");
        let mut other = Hello::of_worker();
        other.protocol += 1;
        assert!(other.expect(&Hello::of_worker()).is_err());
    }

    #[test]
    fn whoever_says_nothing_is_out_of_time() {
        let (near, _far) = UnixStream::pair().unwrap();
        let mut until = Until::new(&near, Instant::now() + Duration::from_millis(20));
        let error = read_blocking::<Hello>(&mut until).unwrap_err();
        assert!(timed_out(&error), "{error}");
    }
}
