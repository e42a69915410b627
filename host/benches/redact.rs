//! The search for secrets in a stream of 16 KiB pieces, against two floors of the same run: copying the pieces, and a plain
//! automaton, one step a byte, that knows the values as they are and nothing else. The table at the end counts the time of
//! the processor, and its ratio means something on a noisy machine.
//!
//! The search adds all forms of every value, every way to read the text, and the pieces.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark stops where something is wrong, and prints"
)]

use std::{hint::black_box, path::Path, time::Duration};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use criterion::{BenchmarkId, Criterion, Throughput};
use toolcell::{Redaction, Secret, testing};

const TEXT_BYTES: usize = 4 * 1024 * 1024;
const PIECE_BYTES: usize = 16 * 1024;
const COUNTS: [usize; 4] = [1, 10, 50, 500];
/// How often each is measured for the table; the fastest counts.
const ROUNDS: usize = 5;

/// What API answers look like at their worst: escapes everywhere.
const JSON: &str = r#"{"id":12345,"name":"a \"x\"","url":"https:\/\/api.example.com\/v1?q=a%20b&r=1","list":[1,2,3],"ok":true,"text":"one\ntwo\n"},"#;

/// Values that services hand out: a common beginning, then letters and digits by chance.
fn values(count: usize) -> Vec<String> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(*letters.get((state % 62) as usize).unwrap())
    };
    let starts = ["", "ghp_", "sk-ant-", "xoxb-"];
    let starts = starts.iter().cycle().take(count);
    starts
        .map(|start| format!("{start}{}", (0..36).map(|_| letter()).collect::<String>()))
        .collect()
}

fn redaction(values: &[String]) -> Redaction {
    let redaction = Redaction::new();
    for (n, value) in values.iter().enumerate() {
        redaction.register(&format!("KEY{n}"), Secret::new(value.as_bytes()).unwrap());
    }
    redaction
}

fn repeated(text: &str) -> Vec<u8> {
    text.bytes().cycle().take(TEXT_BYTES).collect()
}

fn copy(text: &[u8]) -> usize {
    let mut copy = vec![0; PIECE_BYTES];
    for piece in text.chunks(PIECE_BYTES) {
        copy.get_mut(..piece.len()).unwrap().copy_from_slice(piece);
        black_box(&copy);
    }
    text.len()
}

/// How long this thread ran so far.
fn ran() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

fn fastest(mut run: impl FnMut() -> usize) -> Duration {
    let time = |_| {
        let start = ran();
        black_box(run());
        ran() - start
    };
    (0..ROUNDS).map(time).min().unwrap()
}

fn speed(time: Duration) -> f64 {
    TEXT_BYTES as f64 / 1_048_576.0 / time.as_secs_f64()
}

fn main() {
    let texts = [
        ("prose", repeated(include_str!("../../ARCHITECTURE.md"))),
        ("json", repeated(JSON)),
    ];
    let results = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    let mut criterion = Criterion::default()
        .output_directory(&results)
        .sample_size(10)
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(300))
        .configure_from_args();
    let mut table = Vec::new();
    for (name, text) in &texts {
        let mut group = criterion.benchmark_group(format!("redact {name}"));
        group.throughput(Throughput::Bytes(TEXT_BYTES as u64));
        for count in COUNTS {
            let values = values(count);
            let redaction = redaction(&values);
            let all = || testing::redact_in_pieces(&redaction, text, PIECE_BYTES);
            group.bench_function(BenchmarkId::from_parameter(count), |bench| bench.iter(all));

            let automaton = AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::DFA))
                .prefilter(false)
                .build(&values)
                .unwrap();
            let floor = fastest(|| automaton.find_iter(text).count());
            table.push((*name, count, fastest(all), floor, fastest(|| copy(text))));
        }
        group.finish();
    }
    criterion.final_summary();
    println!("text   secrets     MiB/s   plain automaton    copy   ratio to the automaton");
    for (name, count, all, floor, copy) in table {
        println!(
            "{name:<6} {count:>7} {:>9.0} {:>17.0} {:>7.0} {:>24.2}",
            speed(all),
            speed(floor),
            speed(copy),
            floor.as_secs_f64() / all.as_secs_f64(),
        );
    }
}
