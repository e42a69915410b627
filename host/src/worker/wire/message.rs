//! The messages of a call.
//!
//! The host sends one [`Call`] and answers what is asked; the worker asks, tells, and says at last how the call ended.
//! Nothing of one call is left on the stream when the next one begins, but for replies that nobody waits for any more.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Few;
use crate::{
    ErrorKind,
    capability::{
        answer::{OwnError, Piece, as_bytes},
        recorder::Notice,
    },
    engine::limits,
};

/// The most header fields of one head that are read. Egress sends and takes fewer.
pub(crate) const MAX_HEADERS: usize = 1_024;

/// The most pieces of an answer that are read: one more than allowed, so that an answer with too many is an answer.
pub(crate) const MAX_PIECES: usize = limits::OUTPUT_PIECES + 1;

/// The most bytes of a body or of a standard stream that are sent at once.
pub(crate) const STREAM_BYTES: usize = 64 << 10;

/// The most arguments of a program.
pub(crate) const MAX_ARGS: usize = 65_536;
/// More credentials than any tool is granted.
pub(crate) const MAX_SECRETS: usize = 64;

/// What a host sends to its worker during calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// Run this.
    Call(Call),
    /// The answer to what was asked under this number.
    Reply(u64, Reply),
}

/// What a worker sends to its host during calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    /// Wants a [`Reply`] under this number, which the worker has not used before.
    Ask(u64, Ask),
    /// The guest has no more use for the request that was asked for under this number. No reply.
    Close(u64),
    /// Something happened.
    Notice(Notice),
    /// The call has ended; nothing follows.
    Finished(Finished),
}

/// One call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// Any number. The end of the call comes with the same one, so that nothing left over is taken for it.
    pub(crate) number: u64,
    /// What is to be run.
    pub(crate) job: Job,
    /// The names of the credentials that have a value.
    pub(crate) secrets: Few<String, MAX_SECRETS>,
    /// How much time is left until the deadline.
    pub(crate) time_left: Duration,
    /// Whether anybody listens to log lines and progress.
    pub(crate) heard: bool,
}

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Job {
    /// A tool.
    Tool {
        /// Its name in the manifest.
        name: String,
        /// Its input as JSON text.
        input: String,
    },
    /// A program.
    Program {
        /// Its arguments, its own name first.
        args: Few<String, MAX_ARGS>,
    },
}

/// What a worker asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Send a request; replied to with [`Reply::Head`]. Its number names it from then on.
    Send(Request),
    /// Append to the body of a request; replied to with [`Reply::Taken`] once it was.
    Body(u64, BodyPiece),
    /// Give the next piece of the body of a response: [`Reply::Body`].
    Read(u64),
    /// Call another tool: [`Reply::Answer`] or [`Reply::Refused`].
    Tool {
        /// Its public name.
        name: String,
        /// Its input as JSON text.
        input: String,
    },
    /// Read from standard input, so many bytes at most: [`Reply::Input`].
    Input(u32),
    /// Write to a standard stream: [`Reply::Taken`].
    Output(Output, #[serde(with = "as_bytes")] Vec<u8>),
}

/// The two standard streams that are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a host replies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The head of a response.
    Head(Head),
    /// What was to be sent or written is taken.
    Taken,
    /// The next piece of a body.
    Body(BodyPiece),
    /// A request failed.
    Http(HttpFault),
    /// Another tool's answer.
    Answer(Few<Piece, MAX_PIECES>),
    /// Another tool's error, or why it was not called.
    Refused(OwnError),
    /// Bytes of standard input; none at its end.
    Input(#[serde(with = "as_bytes")] Vec<u8>),
    /// A standard stream is closed.
    Closed,
    /// The call must end; the host has recorded why.
    Stop(ErrorKind),
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The method's name.
    pub(crate) method: String,
    /// The whole address.
    pub(crate) url: String,
    /// The guest's header fields, as names and values.
    pub(crate) headers: Headers,
    /// What body it has.
    pub(crate) body: BodyKind,
    /// The guest's own time for the connection.
    pub(crate) connect: Option<Duration>,
    /// The guest's own time until the head of the response.
    pub(crate) first_byte: Option<Duration>,
    /// The guest's own time between two pieces of the response's body.
    pub(crate) between_bytes: Option<Duration>,
}

/// Header fields as names and values, in their order.
pub(crate) type Headers = Few<(String, Value), MAX_HEADERS>;

/// The value of a header field, which need not be text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Value(#[serde(with = "as_bytes")] pub(crate) Vec<u8>);

/// What is known of a body before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BodyKind {
    /// There is none.
    None,
    /// So many bytes.
    Sized(u64),
    /// Nobody knows how many.
    Open,
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The status.
    pub(crate) status: u16,
    /// The header fields.
    pub(crate) headers: Headers,
    /// What is known of the body.
    pub(crate) body: BodyKind,
}

/// A piece of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BodyPiece {
    /// Some bytes.
    Data(#[serde(with = "as_bytes")] Vec<u8>),
    /// The trailers, after which nothing follows.
    Trailers(Headers),
    /// The end.
    End,
    /// The body will never be whole.
    Abort,
}

/// Why a request failed, in the words of WASI. Only those that a host uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HttpFault {
    /// The request's body is larger than allowed.
    RequestBodySize(Option<u64>),
    /// The name has no address.
    DestinationNotFound,
    /// Nobody listens.
    ConnectionRefused,
    /// No connection in time.
    ConnectionTimeout,
    /// The response stalled.
    ConnectionReadTimeout,
    /// No more requests are allowed.
    ConnectionLimitReached,
    /// TLS failed.
    TlsProtocol,
    /// The certificate is not valid.
    TlsCertificate,
    /// The host denied it.
    Denied,
    /// The address makes no sense.
    RequestUriInvalid,
    /// The request's headers are too large.
    RequestHeaderSectionSize(Option<u32>),
    /// The response ended early.
    ResponseIncomplete,
    /// The response's headers are too large.
    ResponseHeaderSectionSize(Option<u32>),
    /// The response's body is larger than allowed.
    ResponseBodySize(Option<u64>),
    /// No response in time.
    ResponseTimeout,
    /// It is no HTTP.
    Protocol,
    /// Something else.
    Internal,
}

/// How a call ended in the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// The number of the call.
    pub(crate) number: u64,
    /// What came of it.
    pub(crate) done: Done,
    /// Time the guest executed, in microseconds.
    pub(crate) cpu_us: u64,
    /// Fuel used, where it is counted.
    pub(crate) fuel: Option<u64>,
    /// The highest sum over all linear memories, in bytes.
    pub(crate) memory_peak_bytes: u64,
    /// Bytes written to files.
    pub(crate) written_bytes: u64,
    /// Files and directories created.
    pub(crate) files_created: u64,
    /// Bytes of log, standard output and standard error.
    pub(crate) log_bytes: u64,
    /// Refused accesses that were too many to be told one by one.
    pub(crate) denials_untold: u64,
    /// Used paths that were too many to be told one by one.
    pub(crate) paths_untold: u64,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Done {
    /// The tool answered.
    Answer(Few<Piece, MAX_PIECES>),
    /// The tool answered with an error of its own.
    Refused(OwnError),
    /// The program exited.
    Exit(u8),
    /// It was stopped.
    Failed(Fault),
}

/// Why a call was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// Which kind of failure.
    pub(crate) kind: ErrorKind,
    /// What happened.
    pub(crate) message: String,
}
