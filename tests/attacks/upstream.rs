//! Attacks by the server: it waits, drips, never ends, swells, and answers what is no HTTP.

use std::{io::Write as _, time::Duration};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use toolcell::{ErrorKind, ToolFailure};

use crate::{
    spy::{Reply, Spy},
    stage::{Run, Spoils, attack},
    wire::{Answer, Ask, GOOD, Net, Told, everything_at, policy},
};

/// A policy with limits of the attack's own, for a spy's port.
fn limited(port: u16, limits: &str) -> String {
    let rules = [everything_at(&format!("http://{GOOD}:{port}"))];
    let policy = policy(&rules);
    let (before, _) = policy.rsplit_once("limits = ").unwrap();
    format!("{before}limits = {{ {limits} }}\n")
}

/// How long a call may take at most.
fn time(run: Run) -> &'static str {
    if run.defended { "500ms" } else { "1h" }
}

/// Sends one request and waits for a while: far longer than its deadline, or, where there is none, long enough to see it.
async fn wait(run: Run, what: &str, net: &Net, ask: Ask) -> Result<Told, String> {
    let patience = Duration::from_millis(if run.defended { 20_000 } else { 1_500 });
    tokio::time::timeout(patience, net.send(&[ask]))
        .await
        .map_err(|_| format!("{what}: the call still runs after {patience:?}"))
}

fn kind(told: &Told) -> Option<ErrorKind> {
    told.result.failure.as_ref().map(|it: &ToolFailure| it.kind)
}

/// Whether a call came to its deadline: it was ended there, or its request was, and the guest had time to say so.
fn in_time(told: &Told) -> bool {
    let failed = |it: &Answer| !it.error().is_empty();
    kind(told) == Some(ErrorKind::LimitTime) || told.answers.first().is_some_and(failed)
}

const TEN_YEARS: u64 = 315_360_000;

/// N16: a tool that would wait ten years, and servers that would let it: before the connection, before the answer, in it.
async fn n16(run: Run) -> Spoils {
    let silent = Spy::start(Reply::Hold(Vec::new())).await;
    let part = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let halting = Spy::start(Reply::Hold(part.into())).await;
    let mut spoils = Vec::new();
    for (what, port, name_leads) in [
        ("a name that is looked up for ever", silent.port, false),
        ("a server that never answers", silent.port, true),
        ("a server that stops half-way", halting.port, true),
    ] {
        let limits = format!("time = {:?}", time(run));
        let net = Net::new(run, &limited(port, &limits)).await;
        if !name_leads {
            net.names.keep_waiting();
        }
        let ask = Ask::get(format!("http://{GOOD}:{port}/"))
            .with("connect", TEN_YEARS)
            .with("first_byte", TEN_YEARS)
            .with("between_bytes", TEN_YEARS);
        match wait(run, what, &net, ask).await {
            Ok(told) if in_time(&told) => {}
            Ok(told) => spoils.push(format!("{what}: {:?}", told.result)),
            Err(late) => spoils.push(late),
        }
        // One is enough to show that the attack is seen.
        if !run.defended {
            break;
        }
    }
    spoils
}

attack! { n16:
    attack_n16_thread = THREAD,
    attack_n16_process = PROCESS,
    attack_n16_is_seen_without_its_defence = UNDEFENDED,
}

/// N17: heads and bodies that come letter by letter, and never end.
async fn n17(run: Run) -> Spoils {
    let head = "HTTP/1.1 200 OK\r\n";
    let mut spoils = Vec::new();
    for (what, first, again) in [
        ("a body", format!("{head}\r\n"), "x"),
        (
            "a body with a length",
            format!("{head}content-length: 1000000\r\n\r\n"),
            "x",
        ),
        (
            "chunks",
            format!("{head}transfer-encoding: chunked\r\n\r\n"),
            "1\r\nx\r\n",
        ),
        (
            "a chunk's extension",
            format!("{head}transfer-encoding: chunked\r\n\r\n1;"),
            "x",
        ),
        ("a status line", "HTTP/1.1 200 ".to_owned(), "x"),
        ("a field's name", head.to_owned(), "x"),
        ("a field's value", format!("{head}x: "), "x"),
        ("fields", head.to_owned(), "x: y\r\n"),
        (
            "trailers",
            format!("{head}transfer-encoding: chunked\r\n\r\n0\r\n"),
            "x: y\r\n",
        ),
        (
            "interim answers",
            String::new(),
            "HTTP/1.1 103 Early Hints\r\n\r\n",
        ),
    ] {
        let tick = Duration::from_millis(10);
        let spy = Spy::start(Reply::Drip(first.into(), again.into(), tick)).await;
        let limits = format!("time = {:?}", time(run));
        let net = Net::new(run, &limited(spy.port, &limits)).await;
        let ask = Ask::get(format!("http://{GOOD}:{}/", spy.port));
        match wait(run, what, &net, ask).await {
            Ok(told) if in_time(&told) => {}
            Ok(told) => spoils.push(format!("{what}: {:?}", told.result)),
            Err(late) => spoils.push(late),
        }
        if !run.defended {
            break;
        }
    }
    spoils
}

attack! { n17:
    attack_n17_thread = THREAD,
    attack_n17_process = PROCESS,
    attack_n17_is_seen_without_its_defence = UNDEFENDED,
}

/// What the system may hold between a server and a host that has stopped to read, in bytes.
const IN_BETWEEN: u64 = 16 << 20;

/// N18: bodies without end, and one of ten gigabytes.
async fn n18(run: Run) -> Spoils {
    let response = if run.defended { "1MiB" } else { "64MiB" };
    let head = "HTTP/1.1 200 OK\r\n";
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend(vec![b'x'; 0x10000]);
    chunk.extend(b"\r\n");
    let plain = vec![b'x'; 0x10000];
    let mut spoils = Vec::new();
    for (what, first, again) in [
        ("a body until the end", format!("{head}\r\n"), &plain),
        (
            "ten gigabytes",
            format!("{head}content-length: 10000000000\r\n\r\n"),
            &plain,
        ),
        (
            "chunks",
            format!("{head}transfer-encoding: chunked\r\n\r\n"),
            &chunk,
        ),
    ] {
        let spy = Spy::start(Reply::Endless(first.into(), again.clone())).await;
        let limits = format!("time = \"60s\", cpu = \"60s\", response = {response:?}");
        let net = Net::new(run, &limited(spy.port, &limits)).await;
        let told = net
            .send(&[Ask::get(format!("http://{GOOD}:{}/", spy.port))])
            .await;
        if kind(&told) != Some(ErrorKind::LimitEgress) {
            spoils.push(format!("{what}: {:?}", told.result.failure));
        }
        let received = told.result.usage.ingress_bytes;
        if received > (1 << 20) + 0x20000 {
            spoils.push(format!("{what}: {received} bytes were received"));
        }
        spy.heard().await;
        if spy.sent() > (1 << 20) + IN_BETWEEN {
            spoils.push(format!("{what}: {} bytes were sent", spy.sent()));
        }
    }
    spoils
}

attack! { n18:
    attack_n18_thread = THREAD,
    attack_n18_process = PROCESS,
    attack_n18_is_seen_without_its_defence = UNDEFENDED,
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// N19: ten megabytes of zeros in ten kilobytes, and the same packed twice.
async fn n19(run: Run) -> Spoils {
    let once = compressed(&vec![0; 10_000_000]);
    let twice = compressed(&once);
    let mut spoils = Vec::new();
    for (coding, bomb) in [("gzip", &once), ("gzip, gzip", &twice), ("x-gzip", &once)] {
        if !run.defended {
            // What a client does that unpacks for its caller.
            let unpacked = std::io::copy(&mut MultiGzDecoder::new(&bomb[..]), &mut std::io::sink());
            let bytes = unpacked.unwrap();
            if bytes > bomb.len() as u64 {
                spoils.push(format!("{} bytes became {bytes}", bomb.len()));
            }
            continue;
        }
        let reply = Reply::head("200 OK", &[("content-encoding", coding)], bomb);
        let spy = Spy::start(reply).await;
        let net = Net::new(run, &limited(spy.port, "response = \"1MiB\"")).await;
        let ask =
            Ask::get(format!("http://{GOOD}:{}/", spy.port)).header("accept-encoding", "gzip");
        let told = net.send(&[ask]).await;
        let bytes = told.answers[0].bytes();
        if bytes != bomb.len() as u64 {
            spoils.push(format!(
                "{} bytes became {bytes}: {:?}",
                bomb.len(),
                told.result
            ));
        }
    }
    spoils
}

attack! { n19:
    attack_n19_thread = THREAD,
    attack_n19_process = PROCESS,
    attack_n19_is_seen_without_its_defence = UNDEFENDED,
}

/// Heads that are too much, and what a host may have read of each when it gives up.
fn floods() -> Vec<(&'static str, Reply)> {
    let head = "HTTP/1.1 200 OK\r\n";
    let fields: String = (0..100_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let ok = "content-length: 2\r\n\r\nok";
    let large = "x".repeat(300 << 10);
    vec![
        (
            "a hundred thousand fields",
            Reply::raw(format!("{head}{fields}{ok}")),
        ),
        (
            "a field of 300 KiB",
            Reply::raw(format!("{head}x: {large}\r\n{ok}")),
        ),
        (
            "a name of 300 KiB",
            Reply::raw(format!("{head}{large}: x\r\n{ok}")),
        ),
        (
            "a reason of 300 KiB",
            Reply::raw(format!("HTTP/1.1 200 {large}\r\n{ok}")),
        ),
        (
            "fields without end",
            Reply::Endless(head.into(), b"x: y\r\n".repeat(500)),
        ),
        (
            "a field without end",
            Reply::Endless(format!("{head}x: ").into(), vec![b'y'; 4096]),
        ),
        (
            "a status line without end",
            Reply::Endless(b"HTTP/1.1 200 ".to_vec(), vec![b'y'; 4096]),
        ),
        (
            "interim answers without end",
            Reply::Endless(
                Vec::new(),
                b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(100),
            ),
        ),
        (
            "trailers without end",
            Reply::Endless(
                format!("{head}transfer-encoding: chunked\r\n\r\n0\r\n").into(),
                b"x: y\r\n".repeat(500),
            ),
        ),
        (
            "a chunk's extension without end",
            Reply::Endless(
                format!("{head}transfer-encoding: chunked\r\n\r\n1;").into(),
                vec![b'y'; 4096],
            ),
        ),
    ]
}

/// Answers that are no HTTP.
const MALFORMED: &[&str] = &[
    "200 OK\r\n\r\n",
    "HTTP/1.1\r\n\r\n",
    "HTTP/1.1 \r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 -20 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1 2\x000 OK\r\n\r\n",
    "HTTP/1.1 ２００ OK\r\n\r\n",
    "HTTP/1,1 200 OK\r\n\r\n",
    "HTTP/9.9 200 OK\r\n\r\n",
    "HTTP/2 200\r\n\r\n",
    "http/1.1 200 OK\r\n\r\n",
    "HTTPS/1.1 200 OK\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
    "SSH-2.0-OpenSSH_9.6\r\n",
    "220 mail.example.com ESMTP\r\n",
    "-ERR unknown command\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "HTTP/1.1 200 OK\0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
    "HTTP/1.1 200 OK\r\nna me: v\r\n\r\n",
    "HTTP/1.1 200 OK\r\nname : v\r\n\r\n",
    "HTTP/1.1 200 OK\r\nname: a\0b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nname\0: v\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok",
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}",
    "\0\0\0\0",
    "",
    "HTTP/1.1 200 OK\r\n",
];

/// N20: heads without end, and answers that are no HTTP.
async fn n20(run: Run) -> Spoils {
    let headers = if run.defended { "32KiB" } else { "1MiB" };
    let mut spoils = Vec::new();
    for (what, reply) in floods() {
        let spy = Spy::start(reply).await;
        let limits = format!("time = \"60s\", headers = {headers:?}, hostcall = \"64MiB\"");
        let net = Net::new(run, &limited(spy.port, &limits)).await;
        let told = net
            .send(&[Ask::get(format!("http://{GOOD}:{}/", spy.port))])
            .await;
        let answer = told.answers.first();
        if answer.is_none_or(|it| it.error().is_empty()) {
            spoils.push(format!("{what}: {:?}", answer.and_then(|it| it.status())));
        }
        spy.heard().await;
        let received = told.result.usage.ingress_bytes;
        if received > 512 << 10 {
            spoils.push(format!("{what}: {received} bytes were received"));
        }
    }
    let place = std::sync::atomic::AtomicUsize::new(0);
    let spy = Spy::scripted(None, move |_| {
        let place = place.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Reply::raw(MALFORMED[place])
    })
    .await;
    let net = Net::new(run, &limited(spy.port, "time = \"60s\"")).await;
    for text in MALFORMED {
        let told = net
            .send(&[Ask::get(format!("http://{GOOD}:{}/", spy.port))])
            .await;
        let answer = told.answers.first();
        if answer.is_none_or(|it| it.error().is_empty()) {
            spoils.push(format!("{text:?} is an answer: {:?}", told.result));
        }
    }
    spoils
}

attack! { n20:
    attack_n20_thread = THREAD,
    attack_n20_process = PROCESS,
    attack_n20_is_seen_without_its_defence = UNDEFENDED,
}
