//! What must hold for any bytes at all: one function for each thing that reads hostile input. The fuzz targets in `fuzz/`
//! and the test `tests/properties.rs` call the same functions, so that a machine without a fuzzer checks them too.
//!
//! A function panics where its property does not hold, and that is all it does.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "a property that does not hold panics, and each fuzz target calls one of them"
)]

use std::fmt::Write as _;

use futures_util::{FutureExt, StreamExt, stream};
use sse_stream::SseByteStream;
use toolcell_agent::model::{Assembler, ChatAssembler, ModelError};
use toolcell_agent::wire::Reply;
use toolcell_policy::{Lock, Manifest, Policy, Problems};

/// Reads some bytes. It panics where it finds what must not be.
pub(crate) type Property = fn(&[u8]);

/// Every property with its name, which is also the name of its fuzz target and of the folder with its seeds.
pub(crate) const ALL: &[(&str, Property)] = &[
    ("policy", policy),
    ("manifest", manifest),
    ("lock", lock),
    ("inspect", inspect),
    ("values", values),
    ("frames", frames),
    ("sse", sse),
    ("openai", openai),
    ("redact", redact),
];

/// A policy is read, or all that is wrong with it is told with its place. What was read is the same after it was
/// written and read again.
pub(crate) fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Policy::from_toml(text) {
        Ok(policy) => {
            let written = policy.to_toml();
            let again = Policy::from_toml(&written)
                .unwrap_or_else(|problems| panic!("{written}\nis not read again: {problems}"));
            assert_eq!(again.to_toml(), written);
        }
        Err(problems) => told(text, &problems),
    }
}

/// As [`policy`], for the manifest of a package.
pub(crate) fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Manifest::from_toml(text) {
        Ok(manifest) => {
            let written = manifest.to_toml();
            let again = Manifest::from_toml(&written)
                .unwrap_or_else(|problems| panic!("{written}\nis not read again: {problems}"));
            assert_eq!(again, manifest);
        }
        Err(problems) => told(text, &problems),
    }
}

/// As [`policy`], for a lock file.
pub(crate) fn lock(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Lock::parse("toolcell.lock", text) {
        Ok(lock) => {
            let written = lock.to_toml();
            let again = Lock::parse("toolcell.lock", &written)
                .unwrap_or_else(|problems| panic!("{written}\nis not read again: {problems}"));
            assert_eq!(again.to_toml(), written);
            for package in lock.packages() {
                assert!(package.matches(package) && package.changes_to(package).is_empty());
            }
        }
        Err(problems) => told(text, &problems),
    }
}

/// Every problem lies within the text, and can be shown.
fn told(text: &str, problems: &Problems) {
    let mut shown = String::new();
    write!(shown, "{problems}{problems:?}").unwrap();
    assert!(problems.iter().next().is_some(), "refused without a reason");
    for problem in problems.iter() {
        let span = problem.span();
        assert!(
            text.get(span.clone()).is_some() || span.start >= text.len(),
            "{span:?} is no part of {text:?}"
        );
        assert!(problem.line() >= 1);
    }
}

/// A component is refused with a reason, or what is known of it afterwards is fit to be shown and to be called.
pub(crate) fn inspect(bytes: &[u8]) {
    let package = match toolcell::Package::parse("seed", bytes) {
        Ok(package) => package,
        Err(error) => {
            assert!(!error.message().is_empty());
            return;
        }
    };
    let manifest = package.manifest();
    for tool in &manifest.tools {
        let name = manifest.public_name(tool);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        assert!(
            (1..=64).contains(&name.len()) && name.chars().all(plain),
            "{name:?}"
        );
    }
}

/// A value of a type that some of the bytes make is the same after its way through JSON, and JSON that other bytes are
/// is refused or understood, whatever the type.
pub(crate) fn values(bytes: &[u8]) {
    let (made, json) = bytes.split_at(bytes.len() / 2);
    toolcell::testing::check_values(made, &String::from_utf8_lossy(json));
}

/// What a worker may send is refused or understood, and what was understood is the same after it was sent again.
pub(crate) fn frames(bytes: &[u8]) {
    toolcell::worker::fuzzing::messages(bytes);
}

/// A stream of events gives the same turn, or the same error, however the network cuts it. The first byte says where.
pub(crate) fn sse(bytes: &[u8]) {
    cut_anywhere(bytes, |pieces| {
        let mut assembler = Assembler::default();
        events(pieces, |name, data| {
            assembler.on_event(name, data)?;
            Ok(assembler.is_done())
        })?;
        assembler.finish().map_err(|error| error.to_string())
    });
}

/// As [`sse`], for the chunks of chat completions. Besides, calls can be told apart and each has an object as its input.
pub(crate) fn openai(bytes: &[u8]) {
    cut_anywhere(bytes, |pieces| {
        let mut assembler = ChatAssembler::default();
        events(pieces, |name, data| {
            assembler.on_event(name, data, &mut |_| {})?;
            Ok(assembler.is_done())
        })?;
        let reply = assembler.finish().map_err(|error| error.to_string())?;
        let mut ids: Vec<&str> = reply.tool_uses().map(|call| call.id.as_str()).collect();
        assert!(ids.iter().all(|id| !id.is_empty()));
        ids.sort_unstable();
        assert!(ids.windows(2).all(|two| two[0] != two[1]), "{ids:?}");
        assert!(reply.tool_uses().all(|call| call.input.is_object()));
        let written = serde_json::to_string(&reply).expect("a turn is JSON");
        serde_json::from_str::<Reply>(&written).expect("a turn is read again");
        Ok(reply)
    });
}

fn cut_anywhere(bytes: &[u8], turn: impl Fn(&[&[u8]]) -> Result<Reply, String>) {
    let Some((cut, stream)) = bytes.split_first() else {
        return;
    };
    let content = |pieces: &[&[u8]]| {
        let reply = turn(pieces)?;
        Ok::<_, String>(serde_json::to_string(&reply.content).expect("a turn is JSON"))
    };
    let whole = content(&[stream]);
    let (first, second) = stream.split_at(usize::from(*cut).min(stream.len()));
    assert_eq!(content(&[first, second]), whole);
}

/// Gives the events of a stream to `take`, until that has enough.
fn events(
    pieces: &[&[u8]],
    mut take: impl FnMut(Option<&str>, &str) -> Result<bool, ModelError>,
) -> Result<(), String> {
    let pieces: Vec<Result<bytes::Bytes, std::io::Error>> = pieces
        .iter()
        .map(|piece| Ok(bytes::Bytes::copy_from_slice(piece)))
        .collect();
    let mut events = SseByteStream::new(stream::iter(pieces));
    while let Some(event) = events.next().now_or_never().expect("nothing is waited for") {
        let event = event.map_err(|error| error.to_string())?;
        let data = event.data.as_deref().unwrap_or("");
        if take(event.event.as_deref(), data).map_err(|error| error.to_string())? {
            break;
        }
    }
    Ok(())
}

/// No form of a secret is left in a text, nothing else is changed, and the text comes out the same in pieces.
pub(crate) fn redact(bytes: &[u8]) {
    toolcell::testing::check_redaction(bytes);
}
