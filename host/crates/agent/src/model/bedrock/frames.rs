//! Frames of an AWS event stream: from the bytes of a body to the events of a turn.
//!
//! A frame carries two checksums, so a byte that changed on the way is an error and never a different turn.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::BytesMut;
use serde_json::Value;

use crate::model::ModelError;

/// The largest frame, as AWS limits it. The length comes before the checksum, so a damaged one must not make us wait for
/// gigabytes.
const MAX_FRAME_BYTES: u32 = 24 << 20;

/// The bytes of a prelude: two lengths and a checksum.
const PRELUDE_BYTES: usize = 12;

/// What an answer's frames hold.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    /// An event of the Messages API, as JSON.
    Event(String),
    /// A frame that has nothing for us.
    Other,
}

/// Puts frames together from pieces of a body.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    decoder: MessageFrameDecoder,
    /// Whether the decoder holds the prelude of the frame that the buffer begins in.
    inside: bool,
}

impl Frames {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole frame, if it is there.
    ///
    /// # Errors
    /// [`ModelError::Protocol`] for bytes that are no frame, [`ModelError::Stream`] for a frame that reports an error.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, ModelError> {
        if !self.inside {
            let Some(prelude) = self.buffer.first_chunk::<PRELUDE_BYTES>() else {
                return Ok(None);
            };
            let [a, b, c, d, ..] = *prelude;
            let length = u32::from_be_bytes([a, b, c, d]);
            if length > MAX_FRAME_BYTES {
                return Err(broken(format!(
                    "a frame of {length} bytes; at most {MAX_FRAME_BYTES} are allowed"
                )));
            }
            self.inside = true;
        }
        match self.decoder.decode_frame(&mut self.buffer) {
            Ok(DecodedFrame::Incomplete) => Ok(None),
            Ok(DecodedFrame::Complete(message)) => {
                self.inside = false;
                read(&message).map(Some)
            }
            Err(error) => Err(broken(error.to_string())),
        }
    }
}

/// What one message says.
fn read(message: &Message) -> Result<Frame, ModelError> {
    let header = |name: &str| {
        let found = message
            .headers()
            .iter()
            .find(|it| it.name().as_str() == name)?;
        Some(found.value().as_string().ok()?.as_str())
    };
    match (header(":message-type"), header(":event-type")) {
        (Some("event"), Some("chunk")) => event(message.payload()),
        (Some("exception"), _) => Err(exception(
            header(":exception-type").unwrap_or("exception"),
            payload_message(message.payload()).as_deref(),
        )),
        (Some("error"), _) => Err(exception(
            header(":error-code").unwrap_or("error"),
            header(":error-message"),
        )),
        // Kinds that came later are none of our concern.
        (Some(_), _) => Ok(Frame::Other),
        (None, _) => Err(broken("a frame without a type".into())),
    }
}

fn event(payload: &[u8]) -> Result<Frame, ModelError> {
    let wrapped: Value = serde_json::from_slice(payload)
        .map_err(|error| broken(format!("a chunk that is no JSON: {error}")))?;
    // Gateways send chunks without content to keep a connection open.
    let Some(coded) = wrapped.get("bytes").and_then(Value::as_str) else {
        return Ok(Frame::Other);
    };
    let bytes = BASE64_STANDARD
        .decode(coded)
        .map_err(|error| broken(format!("a chunk that is no base64: {error}")))?;
    String::from_utf8(bytes)
        .map(Frame::Event)
        .map_err(|_| broken("a chunk that is no UTF-8".into()))
}

fn payload_message(payload: &[u8]) -> Option<String> {
    let payload: Value = serde_json::from_slice(payload).ok()?;
    let message = payload.get("message").or_else(|| payload.get("Message"))?;
    message.as_str().map(str::to_owned)
}

/// An error frame, with the Messages API's word for it, so that nobody behind this room needs to know those of AWS.
fn exception(name: &str, message: Option<&str>) -> ModelError {
    ModelError::Stream {
        kind: word(name).to_owned(),
        message: match message {
            Some(message) => format!("{name}: {message}"),
            None => name.to_owned(),
        },
        request_id: None,
    }
}

/// The Messages API's word for an exception of AWS; the exception's own name where it has none.
pub(super) fn word(exception: &str) -> &str {
    let lower = exception.to_ascii_lowercase();
    match lower.trim_end_matches("exception") {
        "throttling" | "modelnotready" => "rate_limit_error",
        "serviceunavailable" => "overloaded_error",
        "modeltimeout" => "timeout_error",
        "internalserver" | "modelstreamerror" | "modelerror" => "api_error",
        "validation" | "servicequotaexceeded" => "invalid_request_error",
        "accessdenied" => "permission_error",
        "unrecognizedclient" | "expiredtoken" | "invalidsignature" => "authentication_error",
        "resourcenotfound" => "not_found_error",
        _ => exception,
    }
}

fn broken(what: String) -> ModelError {
    ModelError::Protocol(format!("the event stream is damaged: {what}"))
}

#[cfg(test)]
mod tests;
