//! Attacks by a server that says a credential back, and by a tool that asks for it in a way that no search can read.

use std::{fmt::Write as _, io::Read as _};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use toolcell::testing::Weakness;

use crate::{
    forms::{FORMS, for_a_field},
    searcher,
    spy::{Authority, Heard, Reply, Spy},
    stage::{Run, Spoils, attack},
    vault::{Keys, Saw, Vault, bound, random_value, usual, weak},
    wire::{Ask, GOOD, everything_at},
};

/// The credential that a server was sent.
fn sent(heard: &Heard) -> String {
    let value = heard.values("authorization").pop().unwrap_or_default();
    value.strip_prefix("Bearer ").unwrap_or_default().to_owned()
}

/// The part of a path.
fn part(heard: &Heard, number: usize) -> String {
    let line = heard.head()[0].clone();
    let path = line.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    path.split('/').nth(number).unwrap_or_default().to_owned()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n";

/// A body in pieces, each in a write of its own, and trailers.
fn chunked(pieces: &[&[u8]], trailers: &str) -> Reply {
    let head = format!("{HEAD}transfer-encoding: chunked\r\n");
    let announced = match trailers {
        "" => String::new(),
        _ => "trailer: x-echo\r\n".to_owned(),
    };
    let mut writes = vec![format!("{head}{announced}\r\n").into_bytes()];
    for piece in pieces {
        writes.push([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    writes.push(format!("0\r\n{trailers}\r\n").into_bytes());
    Reply::Send(writes)
}

/// The ways in which an answer carries what it says.
const WAYS: &[&str] = &[
    "plain",
    "gzip anyway",
    "range",
    "1-byte chunks",
    "trailer",
    "reason phrase",
    "redirect",
];

/// Says the credential back that came with the request: in the form and in the way that its path names.
fn echo(heard: &Heard, port: u16) -> Reply {
    let (Ok(way), Ok(form)) = (
        part(heard, 1).parse::<usize>(),
        part(heard, 2).parse::<usize>(),
    ) else {
        return Reply::ok("no such echo");
    };
    let form = FORMS[form].1(&sent(heard));
    let field = for_a_field(&form);
    let body = [b"you sent ", form.as_slice(), b", did you not?"].concat();
    match WAYS[way] {
        "gzip anyway" => Reply::head("200 OK", &[("content-encoding", "gzip")], &gzip(&body)),
        // From the middle of the value on, and the value again, so that a part is not the whole.
        "range" if !heard.values("range").is_empty() => {
            let slice = &body[20..];
            let range = format!("bytes 20-{}/{}", body.len() - 1, body.len());
            Reply::head("206 Partial Content", &[("content-range", &range)], slice)
        }
        "1-byte chunks" => chunked(&body.chunks(1).collect::<Vec<_>>(), ""),
        "trailer" => chunked(&[b"see below"], &format!("x-echo: you sent {field}\r\n")),
        "reason phrase" => {
            let head = format!(
                "HTTP/1.1 200 you sent {field}\r\nconnection: close\r\ncontent-length: 2\r\n\r\n"
            );
            Reply::raw([head.as_bytes(), b"ok"].concat())
        }
        "redirect" => {
            let location = format!(
                "https://{GOOD}:{port}/landing?key={}",
                field.replace(' ', "+")
            );
            Reply::head("302 Found", &[("location", &location)], body.as_slice())
        }
        _ => Reply::head("200 OK", &[("x-echo", &field)], &body),
    }
}

/// A server that says back what it was sent, and who vouches for it.
async fn echoing() -> (Spy, Authority) {
    let authority = Authority::new();
    let port = std::sync::Arc::new(std::sync::OnceLock::new());
    let own = port.clone();
    let spy = Spy::scripted(Some(authority.vouch_for(GOOD)), move |heard| {
        echo(heard, *own.get().unwrap_or(&0))
    })
    .await;
    port.set(spy.port).unwrap();
    (spy, authority)
}

/// S3: a server says the credential back in eighteen forms and seven ways.
async fn s3(run: Run) -> Spoils {
    let (spy, authority) = echoing().await;
    let value = random_value();
    let keys = Keys::new(
        weak(run, &[Weakness::ResponsesAsTheyAre]),
        &usual(spy.port),
        &Vault::with("KEY", &value),
        authority.roots(),
    )
    .await;
    let mut asks = Vec::new();
    for way in 0..WAYS.len() {
        for form in 0..FORMS.len() {
            let ask = Ask::get(format!("https://{GOOD}:{}/{way}/{form}", spy.port));
            asks.push(
                ask.header("accept-encoding", "gzip")
                    .header("range", "bytes=20-"),
            );
        }
    }
    let saw = keys.send(&asks).await;
    let mut spoils = Vec::new();
    let mut withheld = 0;
    for (n, saw) in saw.iter().enumerate() {
        let (way, form) = (WAYS[n / FORMS.len()], FORMS[n % FORMS.len()].0);
        if let Some(found) = saw.find(&value) {
            spoils.push(format!("{form}, {way}: {found}"));
        }
        let encoded = way == "gzip anyway";
        if run.defended && (saw.is_refused() != encoded || (saw.status().is_none() && !encoded)) {
            spoils.push(format!(
                "{form}, {way}: {:?} {:?}",
                saw.status(),
                saw.error()
            ));
        }
        withheld += usize::from(saw.is_refused());
    }
    let heard = spy.heard().await;
    for one in heard.iter().filter(|it| sent(it) != value) {
        spoils.push(format!(
            "the server was not sent it: {:?}",
            one.head().first()
        ));
    }
    let audited = keys.audited();
    if run.defended {
        println!(
            "{} forms × {} ways: {} answers, {} leaks, {audited} redactions audited, {withheld} answers withheld",
            FORMS.len(),
            WAYS.len(),
            saw.len(),
            spoils.len()
        );
        // One in every answer that was handed on, but for reason phrases, of which there is nothing left to search.
        let least = (saw.len() - withheld - FORMS.len()) as u64;
        assert!(audited >= least, "{audited} of {least} are on record");
    }
    spoils
}

attack! { s3:
    attack_s3_thread = THREAD,
    attack_s3_process = PROCESS,
    attack_s3_is_seen_without_its_defence = UNDEFENDED,
}

/// Every way to ask for an answer that nobody can read.
const ENCODINGS: &[&str] = &[
    "gzip",
    "br",
    "zstd",
    "deflate",
    "compress",
    "x-gzip",
    "*",
    "gzip;q=1.0, identity;q=0",
    "identity;q=0",
    "dcb",
    "aes128gcm",
];

/// A server that encodes what it says back, in the way that its path names.
fn encoding(heard: &Heard) -> Reply {
    let body = gzip(sent(heard).as_bytes());
    let coding = part(heard, 1);
    match coding.as_str() {
        // A server that does as it is asked.
        "asked" if heard.values("accept-encoding") == ["identity"] => Reply::ok("plain"),
        "asked" => Reply::head("200 OK", &[("content-encoding", "gzip")], &body),
        "hidden" => Reply::head("200 OK", &[("content-type", "text/plain")], &body),
        "file" => Reply::head("200 OK", &[("content-type", "application/gzip")], &body),
        "twice" => Reply::head(
            "200 OK",
            &[("content-encoding", "gzip, gzip")],
            &gzip(&body),
        ),
        "apart" => Reply::head(
            "200 OK",
            &[
                ("content-encoding", "identity"),
                ("content-encoding", "gzip"),
            ],
            &body,
        ),
        "error" => Reply::head("500 Oh No", &[("content-encoding", "gzip")], &body),
        other => Reply::head("200 OK", &[("content-encoding", other)], &body),
    }
}

/// S4: a tool asks for an encoded answer, and a server encodes whatever was asked.
async fn s4(run: Run) -> Spoils {
    let authority = Authority::new();
    let spy = Spy::scripted(Some(authority.vouch_for(GOOD)), encoding).await;
    let value = random_value();
    let keys = Keys::new(
        weak(run, &[Weakness::EncodedPasses, Weakness::GuestOwnsHeaders]),
        &usual(spy.port),
        &Vault::with("KEY", &value),
        authority.roots(),
    )
    .await;
    let mut asks = Vec::new();
    for encoding in ENCODINGS {
        let ask = Ask::get(format!("https://{GOOD}:{}/asked", spy.port));
        asks.push(ask.clone().header("Accept-Encoding", encoding));
        asks.push(ask.header("te", encoding).header("a-im", encoding));
    }
    for how in [
        "hidden", "file", "twice", "apart", "error", "gzip", "GZIP", "x-gzip", "br", "nonsense",
    ] {
        asks.push(Ask::get(format!("https://{GOOD}:{}/{how}", spy.port)));
    }
    let saw = keys.send(&asks).await;
    let mut spoils: Spoils = saw
        .iter()
        .zip(&asks)
        .filter_map(|(saw, ask)| {
            let mut body = saw.body();
            // As often as it can be unpacked.
            loop {
                if let Some(found) = searcher::find_any_piece(&body, &value) {
                    return Some(format!("{:?}: {found}", ask.cut()));
                }
                let mut inner = Vec::new();
                GzDecoder::new(&body[..]).read_to_end(&mut inner).ok()?;
                body = inner;
            }
        })
        .collect();
    for one in spy.heard().await {
        if one.values("accept-encoding") != ["identity"] {
            spoils.push(format!(
                "the server was asked for {:?}",
                one.values("accept-encoding")
            ));
        }
    }
    spoils
}

attack! { s4:
    attack_s4_thread = THREAD,
    attack_s4_process = PROCESS,
    attack_s4_is_seen_without_its_defence = UNDEFENDED,
}

/// S5: a tool asks for an answer slice by slice, each too short to be known.
async fn s5(run: Run) -> Spoils {
    let authority = Authority::new();
    let spy = Spy::scripted(Some(authority.vouch_for(GOOD)), |heard| {
        let body = format!("you sent {}", sent(heard));
        let range = heard.values("range").pop().unwrap_or_default();
        let bounds = range
            .strip_prefix("bytes=")
            .and_then(|it| it.split_once('-'));
        let bounds =
            bounds.and_then(|(a, b)| Some((a.parse::<usize>().ok()?, b.parse::<usize>().ok()?)));
        match bounds {
            Some((first, last)) if first < body.len() => {
                let last = last.min(body.len() - 1);
                let head = format!("bytes {first}-{last}/{}", body.len());
                // Some servers do not say that it is a part.
                let status = if part(heard, 1) == "silent" {
                    "200 OK"
                } else {
                    "206 Partial Content"
                };
                let fields = [("content-range", head.as_str())];
                let fields = if status.starts_with("200") {
                    &[][..]
                } else {
                    &fields[..]
                };
                Reply::head(status, fields, &body.as_bytes()[first..=last])
            }
            _ => Reply::ok(&body),
        }
    })
    .await;
    let value = random_value();
    let keys = Keys::new(
        weak(run, &[Weakness::EncodedPasses, Weakness::GuestOwnsHeaders]),
        &usual(spy.port),
        &Vault::with("KEY", &value),
        authority.roots(),
    )
    .await;
    let mut spoils = Vec::new();
    for path in ["slices", "silent"] {
        let asks: Vec<Ask> = (0..50)
            .map(|at| {
                let ask = Ask::get(format!("https://{GOOD}:{}/{path}", spy.port));
                ask.header("Range", &format!("bytes={at}-{at}"))
                    .header("if-range", "\"x\"")
            })
            .collect();
        let saw = keys.send(&asks).await;
        let together: Vec<u8> = saw.iter().flat_map(Saw::body).collect();
        if let Some(found) = searcher::find_any_piece(&together, &value) {
            spoils.push(format!("{path}: {found}"));
        }
    }
    let ranges = spy.heard().await;
    let ranges = ranges
        .iter()
        .filter(|it| !it.values("range").is_empty() || !it.values("if-range").is_empty());
    spoils.extend(ranges.map(|it| format!("the server was asked for {:?}", it.values("range"))));
    spoils
}

attack! { s5:
    attack_s5_thread = THREAD,
    attack_s5_process = PROCESS,
    attack_s5_is_seen_without_its_defence = UNDEFENDED,
}

/// S6: a credential that is cut at every place it can be cut at, by chunks and by writes, in every form.
async fn s6(run: Run) -> Spoils {
    let authority = Authority::new();
    let spy = Spy::scripted(Some(authority.vouch_for(GOOD)), |heard| {
        let (at, form) = (part(heard, 2), part(heard, 3));
        let form = FORMS[form.parse::<usize>().unwrap_or(0)].1(&sent(heard));
        let body = [b"you sent ", form.as_slice(), b", did you not?"].concat();
        let at = at.parse::<usize>().unwrap_or(0).min(body.len());
        let (one, two) = body.split_at(at);
        match part(heard, 1).as_str() {
            "chunks" => chunked(&[one, two], ""),
            _ => {
                let head = format!("{HEAD}content-length: {}\r\n\r\n", body.len());
                Reply::Send(vec![head.into_bytes(), one.to_vec(), two.to_vec()])
            }
        }
    })
    .await;
    let value = random_value();
    let keys = Keys::new(
        weak(run, &[Weakness::PiecesAlone]),
        &usual(spy.port),
        &Vault::with("KEY", &value),
        authority.roots(),
    )
    .await;
    let mut asks = Vec::new();
    let place = format!("https://{GOOD}:{}", spy.port);
    for at in 1..value.len() + 12 {
        asks.push(Ask::get(format!("{place}/chunks/{at}/0")));
    }
    // The longer forms at some places, in writes of their own.
    for form in 0..FORMS.len() {
        for at in [10, 17, 26, 33, 60] {
            let how = if at % 2 == 0 { "chunks" } else { "writes" };
            asks.push(Ask::get(format!("{place}/{how}/{at}/{form}")));
        }
    }
    let saw = keys.send(&asks).await;
    let mut spoils = Vec::new();
    for (ask, saw) in asks.iter().zip(&saw) {
        if let Some(found) = saw.find(&value) {
            spoils.push(format!("{:?}: {found}", ask.cut().2));
        } else if run.defended && saw.body().len() < 20 {
            spoils.push(format!("{:?}: {:?}", ask.cut().2, saw));
        }
    }
    spoils
}

attack! { s6:
    attack_s6_thread = THREAD,
    attack_s6_process = PROCESS,
    attack_s6_is_seen_without_its_defence = UNDEFENDED,
}

/// S9: a redirect says the credential back that came in the query.
async fn s9(run: Run) -> Spoils {
    let authority = Authority::new();
    let spy = Spy::scripted(Some(authority.vouch_for(GOOD)), |heard| {
        let line = heard.head()[0].clone();
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        if target.starts_with("/landing") {
            return Reply::ok(&format!("you came by {target}"));
        }
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let location = format!("/landing?{query}&from={target}");
        let refresh = format!("0; url={location}");
        let fields = [
            ("location", location.as_str()),
            ("refresh", &refresh),
            ("link", &format!("<{target}>; rel=self")),
            ("set-cookie", &format!("came-by={target}")),
        ];
        Reply::head("302 Found", &fields, location.as_bytes())
    })
    .await;
    let value = random_value();
    let to = format!("https://{GOOD}:{}", spy.port);
    let secret = format!("KEY = {{ from = \"vault:KEY\", to = {to:?}, query = \"api_key\" }}");
    let keys = Keys::new(
        weak(run, &[Weakness::ResponsesAsTheyAre]),
        &bound(&[everything_at(&to)], &[&secret]),
        &Vault::with("KEY", &value),
        authority.roots(),
    )
    .await;
    let ask = Ask::get(format!("{to}/start?q=1"));
    let saw = keys.send(&[ask]).await;
    let mut spoils = Vec::new();
    if let Some(found) = saw[0].find(&value) {
        spoils.push(format!("the guest saw that {found}"));
    }
    if run.defended {
        assert_eq!(saw[0].status(), Some(302), "{saw:?}");
        assert_eq!(
            saw[0].values("location").len(),
            1,
            "the rest of it is there: {saw:?}"
        );
    }
    // The guest goes on with what it was told.
    let location = saw[0].values("location").pop().unwrap_or_default();
    let next = Ask::get(format!("{to}{location}"));
    let found = keys
        .send(&[next])
        .await
        .iter()
        .find_map(|it| it.find(&value));
    if let Some(found) = found {
        spoils.push(format!("the guest saw behind the redirect that {found}"));
    }
    for kept in keys.kept() {
        if let Some(found) = searcher::find(kept.as_bytes(), &value) {
            spoils.push(format!("{found}, on record"));
        }
    }
    let heard = spy.heard().await;
    assert!(
        heard[0].head()[0].contains("api_key="),
        "{:?}",
        heard[0].head()
    );
    spoils
}

attack! { s9:
    attack_s9_thread = THREAD,
    attack_s9_process = PROCESS,
    attack_s9_is_seen_without_its_defence = UNDEFENDED,
}

/// S17: a credential between bytes that are no text; all of the others stay what they are.
async fn s17(run: Run) -> Spoils {
    let authority = Authority::new();
    let noise: Vec<u8> = (0..4096u32)
        .flat_map(|n| [(n % 256) as u8, (n / 3 % 256) as u8, 0xff, 0xfe, 0xc3])
        .collect();
    let shown = noise.clone();
    let spy = Spy::scripted(Some(authority.vouch_for(GOOD)), move |heard| {
        let value = sent(heard).into_bytes();
        let fields = [("content-type", "application/octet-stream")];
        match part(heard, 1).as_str() {
            "noise" => Reply::head("200 OK", &fields, &shown),
            _ => Reply::head(
                "200 OK",
                &fields,
                &[&shown, value.as_slice(), &shown, &value, &shown].concat(),
            ),
        }
    })
    .await;
    let value = random_value();
    let keys = Keys::new(
        weak(run, &[Weakness::ResponsesAsTheyAre]),
        &usual(spy.port),
        &Vault::with("KEY", &value),
        authority.roots(),
    )
    .await;
    let place = format!("https://{GOOD}:{}", spy.port);
    let asks =
        ["noise", "echo"].map(|path| Ask::get(format!("{place}/{path}")).with("keep", 1 << 20));
    let saw = keys.send(&asks).await;
    let mut spoils = Vec::new();
    if saw[0].body() != noise {
        spoils.push("bytes without a credential were changed".to_owned());
    }
    let placed = b"[secret KEY]".as_slice();
    if saw[1].body() != [&noise, placed, &noise, placed, &noise].concat() {
        spoils.push(format!("{} bytes came of it", saw[1].body().len()));
    }
    if let Some(found) = saw[1].find(&value) {
        spoils.push(found);
    }
    spoils
}

attack! { s17:
    attack_s17_thread = THREAD,
    attack_s17_process = PROCESS,
    attack_s17_is_seen_without_its_defence = UNDEFENDED,
}

#[test]
fn an_echo_says_what_it_was_sent() {
    let mut text = String::from("GET /0/0 HTTP/1.1\r\n");
    write!(text, "authorization: Bearer abc\r\n\r\n").unwrap();
    let heard = Heard {
        dialled: std::net::Ipv4Addr::LOCALHOST.into(),
        server_name: None,
        bytes: text.into(),
    };
    let Reply::Send(pieces) = echo(&heard, 1) else {
        panic!("it answers at once")
    };
    assert!(searcher::text(&pieces.concat()).ends_with("you sent abc, did you not?"));
}
