use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::{
    model::{Assembler, bedrock::tests::frames},
    testing::server::turn,
    wire::Reply,
};

fn frame(headers: &[(&'static str, &'static str)], payload: &[u8]) -> Vec<u8> {
    let headers = headers
        .iter()
        .map(|(name, value)| Header::new(*name, HeaderValue::String((*value).into())));
    let message = Message::new_from_parts(headers.collect(), payload.to_vec());
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

fn one(bytes: &[u8]) -> Result<Option<Frame>, ModelError> {
    let mut frames = Frames::default();
    frames.push(bytes);
    frames.next()
}

/// What a body becomes that comes in pieces of this size.
fn reply(body: &[u8], size: usize) -> Result<Reply, ModelError> {
    let (mut frames, mut assembler) = (Frames::default(), Assembler::default());
    for piece in body.chunks(size) {
        frames.push(piece);
        while let Some(frame) = frames.next()? {
            if let Frame::Event(data) = frame {
                assembler.on_event(None, &data)?;
            }
        }
    }
    assembler.finish()
}

#[test]
fn a_turn_arrives_in_pieces_of_any_size() {
    let body = frames(&turn("hello", Some(("toolu_1", "read"))));
    let whole = reply(&body, body.len()).unwrap();
    assert_eq!(whole.text(), "hello");
    for size in [1, 2, 3, 7, 11, 12, 13, 100] {
        assert_eq!(reply(&body, size).unwrap(), whole, "{size}");
    }
}

/// Every byte is covered by a checksum, so none can change unseen.
#[test]
fn a_turn_with_any_byte_changed_is_no_turn() {
    let body = frames(&turn("x", Some(("toolu_1", "read"))));
    for at in 0..body.len() {
        let mut changed = body.clone();
        changed[at] ^= 0x10;
        let error = reply(&changed, changed.len()).unwrap_err();
        assert!(
            matches!(error, ModelError::Protocol(_) | ModelError::Truncated),
            "{at}: {error}"
        );
    }
}

#[test]
fn a_damaged_frame_is_told_by_its_checksum() {
    let mut bytes = frame(
        &[(":message-type", "event"), (":event-type", "chunk")],
        b"{}",
    );
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let error = one(&bytes).unwrap_err().to_string();
    assert!(
        error.contains("the event stream is damaged: message checksum"),
        "{error}"
    );
    let mut bytes = frame(&[(":message-type", "event")], b"");
    bytes[9] ^= 1;
    let error = one(&bytes).unwrap_err().to_string();
    assert!(error.contains("prelude checksum"), "{error}");
}

#[test]
fn nobody_waits_for_a_frame_that_is_too_long() {
    let mut bytes = vec![0; 12];
    bytes[..4].copy_from_slice(&(MAX_FRAME_BYTES + 1).to_be_bytes());
    let error = one(&bytes).unwrap_err().to_string();
    assert!(error.contains("at most 25165824 are allowed"), "{error}");
    bytes[..4].copy_from_slice(&3_u32.to_be_bytes());
    assert!(one(&bytes).is_err());
}

#[test]
fn exceptions_have_the_words_of_the_api() {
    for (name, word) in [
        ("throttlingException", "rate_limit_error"),
        ("ThrottlingException", "rate_limit_error"),
        ("serviceUnavailableException", "overloaded_error"),
        ("modelTimeoutException", "timeout_error"),
        ("modelStreamErrorException", "api_error"),
        ("internalServerException", "api_error"),
        ("validationException", "invalid_request_error"),
        ("newException", "newException"),
    ] {
        let headers = [(":message-type", "exception"), (":exception-type", name)];
        let error = one(&frame(&headers, br#"{"message":"slow down"}"#)).unwrap_err();
        assert_eq!(
            error,
            ModelError::Stream {
                kind: word.into(),
                message: format!("{name}: slow down"),
                request_id: None
            }
        );
    }
    let headers = [
        (":message-type", "error"),
        (":error-code", "InternalFailure"),
        (":error-message", "oh"),
    ];
    let error = one(&frame(&headers, b"")).unwrap_err().to_string();
    assert!(error.contains("InternalFailure: oh"), "{error}");
}

#[test]
fn frames_for_others_are_passed_over() {
    let chunk = [(":message-type", "event"), (":event-type", "chunk")];
    for (headers, payload) in [
        (
            vec![(":message-type", "event"), (":event-type", "later")],
            &b"x"[..],
        ),
        (vec![(":message-type", "later")], b"x"),
        (chunk.to_vec(), b"{}"),
        (chunk.to_vec(), br#"{"p":"abc"}"#),
    ] {
        assert_eq!(one(&frame(&headers, payload)), Ok(Some(Frame::Other)));
    }
    for (headers, payload, words) in [
        (vec![], &b""[..], "without a type"),
        (chunk.to_vec(), b"x", "no JSON"),
        (chunk.to_vec(), br#"{"bytes":"*"}"#, "no base64"),
        (chunk.to_vec(), br#"{"bytes":"/w=="}"#, "no UTF-8"),
    ] {
        let error = one(&frame(&headers, payload)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// CRC-32 as the frames have it, so that what lies behind a right checksum is reached too.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn sealed(headers_length: u32, rest: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + u32::try_from(rest.len()).unwrap())
        .to_be_bytes()
        .to_vec();
    bytes.extend(headers_length.to_be_bytes());
    bytes.extend(crc(&bytes).to_be_bytes());
    bytes.extend(rest);
    bytes.extend(crc(&bytes).to_be_bytes());
    bytes
}

proptest! {
    #[test]
    fn any_bytes_are_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = reply(&bytes, 7);
    }

    #[test]
    fn any_sealed_bytes_are_frames_or_an_error(
        rest in proptest::collection::vec(any::<u8>(), 0..200),
        headers in 0_u32..220,
    ) {
        let _ = one(&sealed(headers, &rest));
    }
}
