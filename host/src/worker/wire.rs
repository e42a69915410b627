//! What a host and its worker say to each other: frames on one stream, and the messages of a call in them.

mod bounded;
mod frame;
mod message;
#[cfg(test)]
mod tests;

pub(crate) use bounded::Few;
pub(crate) use frame::{
    FrameReader, MAX_FRAME_BYTES, WireError, decode, encode, read_blocking, write_blocking,
};
pub(crate) use message::{
    Ask, BodyKind, BodyPiece, Call, Done, Fault, Finished, FromWorker, Head, Headers, HttpFault,
    Job, MAX_HEADERS, MAX_PIECES, Output, Reply, Request, STREAM_BYTES, ToWorker, Value,
};

/// The version of the protocol, handshake and messages together. Host and worker are the same program in nearly all
/// cases, so any difference is refused.
pub(crate) const PROTOCOL: u32 = 1;
