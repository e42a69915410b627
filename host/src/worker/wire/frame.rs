//! Frames: four bytes that say the length, the lowest first, then so many bytes of one message.

use std::io::{self, Read as _};

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest message, in bytes: 20 MiB. A tool's answer has at most 16 MiB, since the engine copies no more out of a
/// guest at once.
pub(crate) const MAX_FRAME_BYTES: usize = 20 << 20;

/// How much room is made for a message at once, in bytes. A length alone is no reason to set memory aside.
const STEP_BYTES: usize = 64 << 10;

/// How much is read at once at least, in bytes: most messages are shorter, and arrive with their length.
const LEAST_BYTES: usize = 4 << 10;

const HEADER_BYTES: usize = 4;

/// What can go wrong between the two ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The other side ended in the middle of a message.
    #[error("the other side ended in the middle of a message")]
    Cut,
    /// A message is longer than [`MAX_FRAME_BYTES`].
    #[error("a message of {0} bytes is longer than a message may be")]
    TooLong(usize),
    /// The bytes are no message.
    #[error("what arrived is no message")]
    Malformed,
    /// A message that has no place here.
    #[error("a message came out of turn: {0}")]
    OutOfTurn(&'static str),
    /// The stream failed.
    #[error("the stream failed: {0}")]
    Io(#[from] io::Error),
}

/// A message as a frame.
///
/// # Errors
///
/// [`WireError::TooLong`].
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, WireError> {
    let mut frame =
        postcard::to_extend(message, vec![0; HEADER_BYTES]).map_err(|_| WireError::Malformed)?;
    let length = frame.len() - HEADER_BYTES;
    if length > MAX_FRAME_BYTES {
        return Err(WireError::TooLong(length));
    }
    let header = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    for (place, byte) in frame.iter_mut().zip(header) {
        *place = byte;
    }
    Ok(frame)
}

/// The message that is the content of a frame, to its last byte.
///
/// # Errors
///
/// [`WireError::Malformed`].
pub(crate) fn decode<T: DeserializeOwned>(content: &[u8]) -> Result<T, WireError> {
    match postcard::take_from_bytes(content) {
        Ok((message, [])) => Ok(message),
        Ok(_) | Err(_) => Err(WireError::Malformed),
    }
}

fn length(header: [u8; HEADER_BYTES]) -> Result<usize, WireError> {
    let length = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if length > MAX_FRAME_BYTES {
        return Err(WireError::TooLong(length));
    }
    Ok(length)
}

/// Reads frames from a stream.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader at the start of a frame.
    pub(crate) fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// Whether nothing was read that belongs to a later frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.buffer.capacity()
    }

    /// The content of the next frame, or `None` where the stream ended before it. A dropped future loses nothing: the
    /// next one goes on where it was.
    ///
    /// # Errors
    ///
    /// [`WireError::TooLong`], before anything of the message is read; [`WireError::Cut`], [`WireError::Io`].
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, WireError> {
        loop {
            let wanted = match self.buffer.first_chunk() {
                Some(header) => HEADER_BYTES + length(*header)?,
                None => HEADER_BYTES,
            };
            let missing = wanted.saturating_sub(self.buffer.len());
            if missing == 0 && wanted > HEADER_BYTES {
                let mut frame = self.buffer.split_to(wanted).freeze();
                return Ok(Some(frame.split_off(HEADER_BYTES)));
            }
            if missing == 0 {
                // No message is empty.
                return Err(WireError::Malformed);
            }
            self.buffer.reserve(missing.clamp(LEAST_BYTES, STEP_BYTES));
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(WireError::Cut)
                };
            }
        }
    }
}

/// Reads one frame and not one byte more, for the handshake.
///
/// # Errors
///
/// As [`FrameReader::next`]; the end of the stream is [`WireError::Cut`] too.
pub(crate) fn read_blocking<T: DeserializeOwned>(
    stream: &mut impl io::Read,
) -> Result<T, WireError> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).map_err(cut)?;
    let length = length(header)?;
    let mut content = Vec::new();
    // Grows with what arrives.
    stream
        .by_ref()
        .take(length as u64)
        .read_to_end(&mut content)?;
    if content.len() < length {
        return Err(WireError::Cut);
    }
    decode(&content)
}

fn cut(error: io::Error) -> WireError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => WireError::Cut,
        _ => WireError::Io(error),
    }
}

/// Writes one frame.
///
/// # Errors
///
/// [`WireError::TooLong`], [`WireError::Io`].
pub(crate) fn write_blocking<T: Serialize>(
    stream: &mut impl io::Write,
    message: &T,
) -> Result<(), WireError> {
    stream.write_all(&encode(message)?)?;
    Ok(stream.flush()?)
}
