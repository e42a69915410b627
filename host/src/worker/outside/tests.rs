//! What a worker may do that is not what it was made for: none of it hurts its host, and no call outlives its time.

use std::{path::Path, sync::Arc, time::Duration};

use proptest::prelude::*;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::{
    capability::{
        answer::{OwnError, OwnErrorKind, Piece},
        recorder::{Notice, PathUse},
    },
    worker::{
        fixtures::{Never, PLENTY, setup},
        wire::{Ask, BodyKind, BodyPiece, FromWorker, Output, Reply, Request, decode},
    },
};

fn plain(limits: &str, time: Duration) -> Setup {
    let policy = format!("calls = [\"time_now\"]\nlimits = {{ {limits} }}");
    setup(&policy, Path::new("/"), time)
}

/// A call against a worker that reads it, sends what `says` makes of its number, and then reads until its host has gone
/// or leaves at once.
async fn against(
    setup: Setup,
    stays: bool,
    says: impl FnOnce(u64) -> Vec<u8> + Send + 'static,
) -> Ended<Vec<Content>> {
    let (mut stream, far) = duplex(1 << 20);
    let worker = tokio::spawn(async move {
        let (reader, mut writer) = tokio::io::split(far);
        let mut reader = FrameReader::new(reader);
        let bytes = says(number_of(&mut reader).await);
        let writing = async {
            let _ = writer.write_all(&bytes).await;
            if !stays {
                let _ = writer.shutdown().await;
            }
        };
        let reading = async { while let Ok(Some(_)) = reader.next().await {} };
        tokio::join!(writing, reading);
    });
    let cancel = CancellationToken::new();
    let ended = call(&mut stream, setup, "t", "{}".into(), &cancel).await;
    drop(stream);
    worker.await.unwrap();
    ended
}

async fn number_of<R: AsyncRead + Unpin>(reader: &mut FrameReader<R>) -> u64 {
    match decode(&reader.next().await.unwrap().unwrap()).unwrap() {
        ToWorker::Call(call) => call.number,
        other => panic!("{other:?}"),
    }
}

async fn sends(messages: &[FromWorker]) -> Ended<Vec<Content>> {
    sends_in(plain("", PLENTY), messages).await
}

async fn sends_in(setup: Setup, messages: &[FromWorker]) -> Ended<Vec<Content>> {
    let messages = messages.to_vec();
    against(setup, true, move |number| frames(number, messages)).await
}

fn frames(number: u64, messages: Vec<FromWorker>) -> Vec<u8> {
    let frames = messages.into_iter().map(|mut message| {
        if let FromWorker::Finished(finished) = &mut message {
            finished.number ^= number;
        }
        encode(&message).unwrap()
    });
    frames.collect::<Vec<_>>().concat()
}

fn finished(done: Done) -> FromWorker {
    FromWorker::Finished(wire::Finished {
        number: 0,
        done,
        cpu_us: u64::MAX,
        fuel: Some(u64::MAX),
        memory_peak_bytes: u64::MAX,
        written_bytes: u64::MAX,
        files_created: u64::MAX,
        log_bytes: u64::MAX,
        denials_untold: u64::MAX,
        paths_untold: u64::MAX,
    })
}

fn answer(text: &str) -> FromWorker {
    finished(Done::Answer(Few(vec![Piece::Text(text.into())])))
}

fn failed(kind: ErrorKind, message: &str) -> FromWorker {
    let message = message.to_owned();
    finished(Done::Failed(Fault { kind, message }))
}

fn outcome(ended: &Ended<Vec<Content>>) -> (ErrorKind, &str) {
    let failure = ended.finished.outcome.as_ref().unwrap_err();
    (failure.kind, &failure.message)
}

fn is_broken(ended: &Ended<Vec<Content>>) {
    assert_eq!(
        outcome(ended),
        (ErrorKind::Trap, "the tool's process broke the rules")
    );
    assert!(!ended.reusable && !ended.gone);
}

#[tokio::test]
async fn claims_of_usage_go_no_further_than_the_limits() {
    let ended = sends_in(plain("memory = '1MiB'", PLENTY), &[answer("x")]).await;
    assert!(ended.reusable);
    let usage = ended.finished.usage;
    assert_eq!(ended.finished.outcome.unwrap(), [Content::text("x")]);
    assert_eq!(usage.memory_peak_bytes, 1 << 20);
    assert_eq!((usage.fuel, usage.cpu_us), (None, usage.wall_us));
    assert_eq!((usage.requests, usage.egress_bytes), (0, 0));
    assert!(usage.written_bytes < 1 << 40 && usage.log_bytes < 1 << 40);
    assert_eq!(ended.finished.record.denials_total, usage.wall_us);
}

#[tokio::test]
async fn a_worker_that_never_answers_ends_with_the_deadline() {
    let begin = Instant::now();
    let ended = against(plain("", Duration::from_millis(50)), true, |_| Vec::new()).await;
    assert_eq!(outcome(&ended), (ErrorKind::LimitTime, "too late"));
    assert!(!ended.reusable && !ended.gone);
    assert!(begin.elapsed() >= Duration::from_millis(50) && begin.elapsed() < PLENTY);
}

#[tokio::test]
async fn a_worker_that_never_reads_ends_with_the_deadline() {
    let (mut stream, _far) = duplex(16);
    let cancel = CancellationToken::new();
    let input = "x".repeat(100_000);
    let setup = plain("", Duration::from_millis(50));
    let ended = call(&mut stream, setup, "t", input, &cancel).await;
    assert_eq!(outcome(&ended), (ErrorKind::LimitTime, "too late"));
}

#[tokio::test]
async fn a_worker_that_is_gone_is_told_as_that() {
    let ended = against(plain("", PLENTY), false, |_| Vec::new()).await;
    assert_eq!(
        outcome(&ended),
        (ErrorKind::Trap, "the tool's process ended")
    );
    assert!(ended.gone && !ended.reusable);
}

#[tokio::test]
async fn a_conversation_that_is_cut_anywhere_ends_at_once() {
    let ask = Ask::Tool {
        name: "time_now".into(),
        input: "{}".into(),
    };
    let messages = vec![
        FromWorker::Notice(Notice::Touched("/a".into(), PathUse::Read)),
        FromWorker::Ask(1, ask),
        FromWorker::Notice(Notice::Outside("/etc".into(), PathUse::Write)),
        answer("done"),
    ];
    for end in 0..frames(0, messages.clone()).len() {
        let messages = messages.clone();
        let cut = move |number| frames(number, messages)[..end].to_vec();
        let ended = against(plain("", PLENTY), false, cut).await;
        assert_eq!(
            outcome(&ended),
            (ErrorKind::Trap, "the tool's process ended"),
            "{end}"
        );
    }
    let ended = sends(&messages).await;
    assert_eq!(ended.finished.outcome.unwrap(), [Content::text("done")]);
    let record = ended.finished.record;
    assert_eq!((record.paths.len(), record.denials.len()), (1, 1));
}

#[tokio::test]
async fn garbage_and_huge_lengths_are_refused() {
    for bytes in [
        vec![0xff; 64],
        u32::MAX.to_le_bytes().to_vec(),
        (21_u32 << 20).to_le_bytes().to_vec(),
        vec![0; 4],
        [&4_u32.to_le_bytes()[..], b"GET "].concat(),
    ] {
        is_broken(&against(plain("", PLENTY), true, |_| bytes).await);
    }
}

#[tokio::test]
async fn the_end_of_another_call_is_not_taken_for_this_ones() {
    let mut other = answer("x");
    if let FromWorker::Finished(finished) = &mut other {
        finished.number = 1;
    }
    is_broken(&sends(&[other]).await);
}

#[tokio::test]
async fn numbers_that_were_used_or_never_given_are_refused() {
    let tool = |id| {
        let (name, input) = ("other".into(), "{}".into());
        FromWorker::Ask(id, Ask::Tool { name, input })
    };
    is_broken(&sends(&[tool(0)]).await);
    is_broken(&sends(&[tool(7), tool(7)]).await);
    is_broken(&sends(&[FromWorker::Close(1)]).await);
    is_broken(&sends(&[FromWorker::Ask(1, Ask::Read(9))]).await);
    is_broken(&sends(&[FromWorker::Ask(1, Ask::Body(9, BodyPiece::End))]).await);
    is_broken(&sends(&[FromWorker::Ask(1, Ask::Input(9))]).await);
    let output = Ask::Output(Output::Stdout, b"x".to_vec());
    is_broken(&sends(&[FromWorker::Ask(1, output)]).await);
}

fn request(headers: &[(&str, &str)], body: BodyKind) -> Ask {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), wire::Value(value.as_bytes().to_vec())));
    Ask::Send(Request {
        method: "POST".into(),
        url: "http://server.test/".into(),
        headers: Few(headers.collect()),
        body,
        connect: None,
        first_byte: None,
        between_bytes: None,
    })
}

#[tokio::test]
async fn more_than_a_guest_could_ask_for_is_refused() {
    let tool = || Ask::Tool {
        name: "time_now".into(),
        input: "{}".into(),
    };
    let mut slow = plain("", PLENTY);
    slow.callee = Arc::new(Never);
    let two = [FromWorker::Ask(1, tool()), FromWorker::Ask(2, tool())];
    is_broken(&sends_in(slow, &two).await);
    let send = FromWorker::Ask(1, request(&[], BodyKind::Open));
    is_broken(&sends(&[send.clone(), FromWorker::Ask(2, Ask::Read(1))]).await);
    let large = Ask::Body(1, BodyPiece::Data(vec![0; wire::STREAM_BYTES + 1]));
    is_broken(&sends(&[send, FromWorker::Ask(2, large)]).await);
    let many: Vec<_> = (1..=67)
        .map(|id| FromWorker::Ask(id, request(&[], BodyKind::Open)))
        .collect();
    let ended = sends_in(plain("requests = 65", PLENTY), &many).await;
    is_broken_or_limit(&ended);
}

fn is_broken_or_limit(ended: &Ended<Vec<Content>>) {
    let (kind, _) = outcome(ended);
    assert!(matches!(kind, ErrorKind::Trap | ErrorKind::LimitEgress));
    assert!(!ended.reusable);
}

/// Asks once and gives the reply.
async fn reply_to(ask: Ask) -> Reply {
    let (mut stream, far) = duplex(1 << 20);
    let worker = tokio::spawn(one_question(far, ask));
    let cancel = CancellationToken::new();
    let ended = call(&mut stream, plain("", PLENTY), "t", "{}".into(), &cancel).await;
    assert!(ended.finished.outcome.is_ok(), "{ended:?}");
    worker.await.unwrap()
}

async fn one_question(far: DuplexStream, ask: Ask) -> Reply {
    let (reader, mut writer) = tokio::io::split(far);
    let mut reader = FrameReader::new(reader);
    let number = number_of(&mut reader).await;
    let ask = encode(&FromWorker::Ask(1, ask)).unwrap();
    writer.write_all(&ask).await.unwrap();
    let reply = reader.next().await.unwrap().unwrap();
    writer
        .write_all(&frames(number, vec![answer("x")]))
        .await
        .unwrap();
    match decode(&reply).unwrap() {
        ToWorker::Reply(1, reply) => reply,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn headers_that_no_guest_may_set_are_not_sent() {
    for headers in [
        &[("host", "evil.test")][..],
        &[("transfer-encoding", "chunked")],
        &[("proxy-authorization", "x")],
        &[("content-length", "1"), ("content-length", "2")],
        &[("content-length", "+1")],
        &[("x\r\ny", "z")],
        &[("x", "y\r\nz: 1")],
    ] {
        let reply = reply_to(request(headers, BodyKind::None)).await;
        assert_eq!(reply, Reply::Http(wire::HttpFault::Protocol), "{headers:?}");
    }
    let reply = reply_to(request(&[("x-own", "1")], BodyKind::None)).await;
    assert_eq!(reply, Reply::Http(wire::HttpFault::Denied));
}

#[tokio::test]
async fn notices_have_an_end() {
    let log = |message: &str| FromWorker::Notice(Notice::Log("info".into(), message.into()));
    let lines = vec![log(""); 20_000];
    is_broken(&sends_in(plain("", PLENTY), &lines).await);
    let long = log(&"x".repeat(10_000));
    is_broken(&sends_in(plain("log = '1KiB'", PLENTY), &[long]).await);
    let touched = FromWorker::Notice(Notice::Touched("/x".into(), PathUse::Read));
    is_broken(&sends_in(plain("", PLENTY), &vec![touched; 30_000]).await);
    let progress = FromWorker::Notice(Notice::Progress(1.0, None, None));
    is_broken(&sends_in(plain("", PLENTY), &vec![progress; 30_000]).await);
    let level = FromWorker::Notice(Notice::Log("fatal".into(), String::new()));
    let mut heard = plain("", PLENTY);
    heard.recorder = crate::worker::fixtures::listening().0;
    is_broken(&sends_in(heard, &[level]).await);
}

#[tokio::test]
async fn a_worker_cannot_claim_limits_that_its_host_holds() {
    for kind in [
        ErrorKind::LimitEgress,
        ErrorKind::BudgetExceeded,
        ErrorKind::Denied,
    ] {
        let notice = FromWorker::Notice(Notice::Exceeded(kind, "mine".into()));
        is_broken(&sends(&[notice]).await);
    }
    let late = FromWorker::Notice(Notice::Exceeded(ErrorKind::LimitTime, "mine".into()));
    let ended = sends(&[late, answer("x")]).await;
    assert_eq!(outcome(&ended), (ErrorKind::LimitTime, "too late"));
}

#[tokio::test]
async fn a_workers_own_words_are_cut_and_escaped() {
    let long = format!("a\u{1b}[2J\n{}", "x".repeat(10_000));
    let ended = sends(&[failed(ErrorKind::LimitCpu, &long)]).await;
    let (kind, message) = outcome(&ended);
    assert_eq!(kind, ErrorKind::LimitCpu);
    assert!(message.starts_with("a\\u{1b}[2J\\nx") && message.len() < 600);
    for kind in [
        ErrorKind::Denied,
        ErrorKind::Cancelled,
        ErrorKind::InvalidPolicy,
    ] {
        let ended = sends(&[failed(kind, "x")]).await;
        assert_eq!(outcome(&ended).0, ErrorKind::Trap);
    }
}

#[tokio::test]
async fn an_answer_is_checked_by_the_host() {
    let large = answer(&"x".repeat(2_000));
    let ended = sends_in(plain("output = '1000B'", PLENTY), &[large]).await;
    assert_eq!(outcome(&ended).0, ErrorKind::LimitOutput);
    let pieces = vec![Piece::Text(String::new()); wire::MAX_PIECES];
    let ended = sends(&[finished(Done::Answer(Few(pieces)))]).await;
    assert_eq!(outcome(&ended).0, ErrorKind::LimitOutput);
    let json = finished(Done::Answer(Few(vec![Piece::Json("{".into())])));
    assert_eq!(outcome(&sends(&[json]).await).0, ErrorKind::InvalidOutput);
    // Nothing was denied, so it is the tool's own word.
    let error = OwnError {
        kind: OwnErrorKind::Denied,
        code: None,
        message: "no".into(),
        request_sent: false,
    };
    let ended = sends(&[finished(Done::Refused(error))]).await;
    assert_eq!(outcome(&ended).0, ErrorKind::ToolError);
    let ended = sends(&[finished(Done::Exit(0))]).await;
    assert_eq!(outcome(&ended).0, ErrorKind::Trap);
    assert!(!ended.reusable);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_worker_sends_its_call_ends(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let ended = runtime.block_on(against(plain("", PLENTY), false, |_| bytes));
        prop_assert!(ended.finished.outcome.is_err());
    }
}
