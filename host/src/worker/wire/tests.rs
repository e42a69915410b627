use std::time::Duration;

use proptest::{collection::vec, option::of, prelude::*};
use tokio::io::AsyncWriteExt as _;

use super::{frame::MAX_FRAME_BYTES, message::*, *};
use crate::{
    Denial, ErrorKind,
    capability::{
        answer::{Blob, Body, OwnError, OwnErrorKind, Piece},
        recorder::{Notice, PathUse},
    },
};

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn time() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos))
}

fn kind() -> impl Strategy<Value = ErrorKind> {
    proptest::sample::select(ErrorKind::ALL)
}

fn used() -> impl Strategy<Value = PathUse> {
    any::<bool>().prop_map(|write| if write { PathUse::Write } else { PathUse::Read })
}

fn headers() -> impl Strategy<Value = Headers> {
    vec((text(), bytes().prop_map(Value)), 0..4).prop_map(Few)
}

fn body_kind() -> impl Strategy<Value = BodyKind> {
    prop_oneof![
        Just(BodyKind::None),
        any::<u64>().prop_map(BodyKind::Sized),
        Just(BodyKind::Open),
    ]
}

fn body_piece() -> impl Strategy<Value = BodyPiece> {
    prop_oneof![
        bytes().prop_map(BodyPiece::Data),
        headers().prop_map(BodyPiece::Trailers),
        Just(BodyPiece::End),
        Just(BodyPiece::Abort),
    ]
}

fn blob() -> impl Strategy<Value = Blob> {
    (text(), bytes()).prop_map(|(mime_type, data)| Blob { mime_type, data })
}

fn piece() -> impl Strategy<Value = Piece> {
    let body = prop_oneof![text().prop_map(Body::Text), bytes().prop_map(Body::Bytes)];
    prop_oneof![
        text().prop_map(Piece::Text),
        text().prop_map(Piece::Json),
        blob().prop_map(Piece::Image),
        blob().prop_map(Piece::Audio),
        (text(), of(text()), body).prop_map(|(uri, mime_type, body)| Piece::Resource {
            uri,
            mime_type,
            body
        }),
    ]
}

fn pieces() -> impl Strategy<Value = Few<Piece, MAX_PIECES>> {
    vec(piece(), 0..4).prop_map(Few)
}

fn own_error() -> impl Strategy<Value = OwnError> {
    use OwnErrorKind::*;
    let kinds = [
        InvalidInput,
        NotFound,
        Denied,
        AuthRequired,
        Unavailable,
        TooLarge,
        Failed,
    ];
    let kind = proptest::sample::select(kinds.to_vec());
    (kind, of(text()), text(), any::<bool>()).prop_map(|(kind, code, message, request_sent)| {
        OwnError {
            kind,
            code,
            message,
            request_sent,
        }
    })
}

fn fault() -> impl Strategy<Value = HttpFault> {
    let plain = [
        HttpFault::DestinationNotFound,
        HttpFault::ConnectionRefused,
        HttpFault::ConnectionTimeout,
        HttpFault::ConnectionReadTimeout,
        HttpFault::ConnectionLimitReached,
        HttpFault::TlsProtocol,
        HttpFault::TlsCertificate,
        HttpFault::Denied,
        HttpFault::RequestUriInvalid,
        HttpFault::ResponseIncomplete,
        HttpFault::ResponseTimeout,
        HttpFault::Protocol,
        HttpFault::Internal,
    ];
    prop_oneof![
        proptest::sample::select(plain.to_vec()),
        of(any::<u64>()).prop_map(HttpFault::RequestBodySize),
        of(any::<u32>()).prop_map(HttpFault::RequestHeaderSectionSize),
        of(any::<u32>()).prop_map(HttpFault::ResponseHeaderSectionSize),
        of(any::<u64>()).prop_map(HttpFault::ResponseBodySize),
    ]
}

fn notice() -> impl Strategy<Value = Notice> {
    let denial =
        (text(), text(), text(), text()).prop_map(|(capability, access, rule, reason)| Denial {
            capability,
            access,
            rule,
            reason,
        });
    prop_oneof![
        denial.prop_map(Notice::Denied),
        Just(Notice::Changes),
        (text(), used()).prop_map(|(path, used)| Notice::Outside(path, used)),
        (text(), used()).prop_map(|(path, used)| Notice::Touched(path, used)),
        (kind(), text()).prop_map(|(kind, message)| Notice::Exceeded(kind, message)),
        (text(), text()).prop_map(|(level, line)| Notice::Log(level, line)),
        (any::<f64>(), of(any::<f64>()), of(text()))
            .prop_map(|(done, total, what)| Notice::Progress(done, total, what)),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let times = (of(time()), of(time()), of(time()));
    (text(), text(), headers(), body_kind(), times).prop_map(
        |(method, url, headers, body, times)| Request {
            method,
            url,
            headers,
            body,
            connect: times.0,
            first_byte: times.1,
            between_bytes: times.2,
        },
    )
}

fn ask() -> impl Strategy<Value = Ask> {
    let output = prop_oneof![Just(Output::Stdout), Just(Output::Stderr)];
    prop_oneof![
        request().prop_map(Ask::Send),
        (any::<u64>(), body_piece()).prop_map(|(id, piece)| Ask::Body(id, piece)),
        any::<u64>().prop_map(Ask::Read),
        (text(), text()).prop_map(|(name, input)| Ask::Tool { name, input }),
        any::<u32>().prop_map(Ask::Input),
        (output, bytes()).prop_map(|(output, bytes)| Ask::Output(output, bytes)),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let head = (any::<u16>(), headers(), body_kind()).prop_map(|(status, headers, body)| Head {
        status,
        headers,
        body,
    });
    prop_oneof![
        head.prop_map(Reply::Head),
        Just(Reply::Taken),
        body_piece().prop_map(Reply::Body),
        fault().prop_map(Reply::Http),
        pieces().prop_map(Reply::Answer),
        own_error().prop_map(Reply::Refused),
        bytes().prop_map(Reply::Input),
        Just(Reply::Closed),
        kind().prop_map(Reply::Stop),
    ]
}

fn finished() -> impl Strategy<Value = Finished> {
    let done = prop_oneof![
        pieces().prop_map(Done::Answer),
        own_error().prop_map(Done::Refused),
        any::<u8>().prop_map(Done::Exit),
        (kind(), text()).prop_map(|(kind, message)| Done::Failed(Fault { kind, message })),
    ];
    (done, any::<[u64; 8]>(), of(any::<u64>())).prop_map(|(done, n, fuel)| Finished {
        number: n[7],
        done,
        cpu_us: n[0],
        fuel,
        memory_peak_bytes: n[1],
        written_bytes: n[2],
        files_created: n[3],
        log_bytes: n[4],
        denials_untold: n[5],
        paths_untold: n[6],
    })
}

fn from_worker() -> impl Strategy<Value = FromWorker> {
    prop_oneof![
        (any::<u64>(), ask()).prop_map(|(id, ask)| FromWorker::Ask(id, ask)),
        any::<u64>().prop_map(FromWorker::Close),
        notice().prop_map(FromWorker::Notice),
        finished().prop_map(FromWorker::Finished),
    ]
}

fn to_worker() -> impl Strategy<Value = ToWorker> {
    let job = prop_oneof![
        (text(), text()).prop_map(|(name, input)| Job::Tool { name, input }),
        vec(text(), 0..4).prop_map(|args| Job::Program { args: Few(args) }),
    ];
    prop_oneof![
        (job, time(), any::<(bool, u64)>()).prop_map(|(job, time_left, (heard, number))| {
            ToWorker::Call(Call {
                number,
                job,
                secrets: Few(vec!["NAME".to_owned()]),
                time_left,
                heard,
            })
        }),
        (any::<u64>(), reply()).prop_map(|(id, reply)| ToWorker::Reply(id, reply)),
    ]
}

proptest! {
    #[test]
    fn every_message_of_a_worker_comes_through(message in from_worker()) {
        let frame = encode(&message).unwrap();
        let read: FromWorker = read_blocking(&mut &*frame).unwrap();
        // Numbers may be none, so that messages cannot be compared themselves.
        prop_assert_eq!(encode(&read).unwrap(), frame);
    }

    #[test]
    fn every_message_of_a_host_comes_through(message in to_worker()) {
        let frame = encode(&message).unwrap();
        let read: ToWorker = read_blocking(&mut &*frame).unwrap();
        prop_assert_eq!(encode(&read).unwrap(), frame);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        crate::worker::fuzzing::messages(&bytes);
        let _ = read_blocking::<FromWorker>(&mut &*bytes);
    }

    #[test]
    fn a_message_that_was_changed_is_a_message_or_an_error(
        message in from_worker(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut frame = encode(&message).unwrap();
        let at = at.index(frame.len());
        frame[at] = byte;
        crate::worker::fuzzing::messages(&frame[4..]);
        let _ = read_blocking::<FromWorker>(&mut &*frame);
    }
}

async fn frames(stream: &[u8], at_once: usize) -> (Vec<bytes::Bytes>, Option<WireError>) {
    let (near, mut far) = tokio::io::duplex(at_once);
    let stream = stream.to_vec();
    let writing = tokio::spawn(async move {
        let _ = far.write_all(&stream).await;
    });
    let mut reader = FrameReader::new(near);
    let mut found = Vec::new();
    let error = loop {
        match reader.next().await {
            Ok(Some(frame)) => found.push(frame),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    drop(reader);
    writing.await.unwrap();
    (found, error)
}

#[tokio::test]
async fn frames_arrive_whole_however_the_stream_is_cut() {
    let one = encode(&FromWorker::Close(7)).unwrap();
    let two = encode(&FromWorker::Notice(Notice::Log(
        "info".into(),
        "x".repeat(100_000),
    )))
    .unwrap();
    let stream = [one.clone(), two.clone(), one.clone()].concat();
    for at_once in [1, 3, 4, 5, 4_096, 1 << 20] {
        let (found, error) = frames(&stream, at_once).await;
        assert!(error.is_none(), "{error:?}");
        let expected = [&one[4..], &two[4..], &one[4..]];
        assert!(found.iter().eq(expected), "{at_once}");
    }
    for end in [1, 4, 5, one.len() + 3, stream.len() - 1] {
        let (_, error) = frames(&stream[..end], 4_096).await;
        let at_boundary = end == one.len();
        assert!(
            at_boundary || matches!(error, Some(WireError::Cut)),
            "{end}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_length_alone_takes_no_memory_and_too_long_a_one_ends_the_stream() {
    let max = u32::try_from(MAX_FRAME_BYTES).unwrap();
    let (found, error) = frames(&(max + 1).to_le_bytes(), 64).await;
    assert!(found.is_empty() && matches!(error, Some(WireError::TooLong(_))));

    let (near, mut far) = tokio::io::duplex(64);
    far.write_all(&max.to_le_bytes()).await.unwrap();
    let mut reader = FrameReader::new(near);
    tokio::select! {
        biased;
        frame = reader.next() => panic!("{frame:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert!(reader.room() < 1 << 20);
    let mut short = max.to_le_bytes().to_vec();
    short.extend([0; 10]);
    assert!(matches!(
        read_blocking::<FromWorker>(&mut &*short),
        Err(WireError::Cut)
    ));
    assert!(matches!(
        frames(&[0; 4], 64).await.1,
        Some(WireError::Malformed)
    ));
}

#[test]
fn a_message_that_is_too_long_is_not_written() {
    let line = Notice::Log("info".into(), "x".repeat(MAX_FRAME_BYTES));
    let error = encode(&FromWorker::Notice(line));
    assert!(matches!(error, Err(WireError::TooLong(_))));
}

#[test]
fn a_small_message_cannot_claim_a_long_list() {
    let long = Headers::from(Few(vec![
        (String::new(), Value(Vec::new()));
        MAX_HEADERS + 1
    ]));
    let content = &encode(&long).unwrap()[4..];
    assert!(content.len() < 4_096);
    assert!(matches!(
        decode::<Headers>(content),
        Err(WireError::Malformed)
    ));
}

#[test]
fn nothing_may_follow_a_message() {
    let mut content = encode(&FromWorker::Close(7)).unwrap().split_off(4);
    content.push(0);
    assert!(matches!(
        decode::<FromWorker>(&content),
        Err(WireError::Malformed)
    ));
}
