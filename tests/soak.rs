//! A long run of good and hostile calls in both isolations, after which the host holds no more memory, descriptors,
//! threads and workers than at its start. `make soak` runs it; `SOAK_CALLS` says how many calls (default 200,000), and
//! the figures and a plot of them are written into the directory `SOAK_DIR`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that fails may panic, and this one is watched by a person"
)]

mod common;

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use common::{guest, wat_guest};
use serde_json::{Value, json};
use toolcell::{Isolation, Policy, ToolCall, ToolHost};

/// One kind of call.
struct Kind {
    /// The package, which is also the guest's name in `tests/guests`.
    package: &'static str,
    tool: &'static str,
    input: fn() -> Value,
    /// The code it ends with; `ok` where it answers.
    ends: &'static str,
    /// How many of 1,000 calls are of this kind.
    share: u64,
    /// Whether the package runs in a worker.
    process: bool,
    /// Whether the guest is one of those written as text.
    wat: bool,
}

const fn kind(
    package: &'static str,
    tool: &'static str,
    input: fn() -> Value,
    ends: &'static str,
    share: u64,
) -> Kind {
    Kind {
        package,
        tool,
        input,
        ends,
        share,
        process: false,
        wat: false,
    }
}

const fn wat(package: &'static str, ends: &'static str, share: u64) -> Kind {
    Kind {
        wat: true,
        ..kind(package, package, none, ends, share)
    }
}

const fn worker(kind: Kind) -> Kind {
    Kind {
        process: true,
        ..kind
    }
}

fn none() -> Value {
    json!({})
}

fn text() -> Value {
    json!({ "text": "0123456789".repeat(100) })
}

fn inside() -> Value {
    json!({ "path": "/work/file" })
}

fn outside() -> Value {
    json!({ "path": "/work/../../../etc/passwd" })
}

fn change() -> Value {
    json!({ "path": "/work/new", "text": "changed" })
}

fn big() -> Value {
    json!({ "bytes": 1_u64 << 30 })
}

fn much() -> Value {
    json!({ "kib": 1_u64 << 20 })
}

fn small() -> Value {
    json!({ "bytes": 1000 })
}

/// The mix. Each package is of one isolation, so a guest that runs in both is loaded under two hosts.
const MIX: &[Kind] = &[
    kind("echo", "echo_noop", none, "ok", 380),
    kind("echo", "echo_back", text, "ok", 200),
    kind("paths", "paths_read", inside, "ok", 100),
    kind("paths", "paths_write", change, "ok", 60),
    kind("paths", "paths_read", outside, "denied", 40),
    kind("spin", "spin", none, "limit_cpu", 8),
    kind("sleep", "sleep", none, "limit_time", 12),
    kind("memory", "memory", none, "limit_memory", 10),
    kind("recursion", "recursion", none, "trap", 15),
    kind("log", "log", much, "limit_log", 15),
    wat("tables", "limit_memory", 15),
    wat("stack", "trap", 15),
    worker(kind("output", "output", small, "ok", 90)),
    worker(kind("output", "output", big, "limit_memory", 2)),
    worker(kind("env", "env", none, "ok", 30)),
    worker(kind("stdout", "stdout", shouting, "limit_log", 3)),
    worker(wat("start", "limit_cpu", 3)),
    worker(wat("memories", "limit_memory", 2)),
];

fn shouting() -> Value {
    json!({ "times": 1_u64 << 20 })
}

const POLICY: &str = r#"
[default.limits]
cpu = "20ms"
memory = "32MiB"
log = "16KiB"
output = "64KiB"
concurrency = 4

[tool.paths]
files = [{ host = "work", guest = "/work", access = "write" }]
limits = { cpu = "10s" }

[tool.sleep]
limits = { time = "5ms" }
"#;

/// What the host holds at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    calls: u64,
    seconds: f64,
    resident_kib: u64,
    descriptors: u64,
    threads: u64,
    workers: u64,
}

/// One of the figures of a sample.
type Figure = fn(&Sample) -> u64;

fn sample(calls: u64, begin: Instant) -> Sample {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let number = |key: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let entries = |dir: &str| fs::read_dir(dir).unwrap().count() as u64;
    let children = fs::read_dir("/proc/self/task").unwrap().map(|task| {
        let list = task.unwrap().path().join("children");
        let list = fs::read_to_string(list).unwrap_or_default();
        list.split_whitespace().count() as u64
    });
    Sample {
        calls,
        seconds: begin.elapsed().as_secs_f64(),
        resident_kib: number("VmRSS:"),
        descriptors: entries("/proc/self/fd"),
        threads: number("Threads:"),
        workers: children.sum(),
    }
}

async fn host(dir: &Path, process: bool) -> ToolHost {
    let isolation = if process {
        Isolation::Process
    } else {
        Isolation::Thread
    };
    let host = common::builder(isolation)
        .policy(Policy::parse("policy.toml", POLICY).unwrap())
        .base_dir(dir)
        .build()
        .unwrap();
    let mut loaded: Vec<&str> = Vec::new();
    for kind in MIX.iter().filter(|kind| kind.process == process) {
        if loaded.contains(&kind.package) {
            continue;
        }
        loaded.push(kind.package);
        if kind.wat {
            let component = wat_guest(kind.package);
            host.load_bytes(kind.package, component).await.unwrap();
        } else {
            host.load_file(guest(kind.package)).await.unwrap();
        }
    }
    host
}

/// The kind of a call by its number: an order that looks random and is always the same.
fn chosen(number: u64) -> &'static Kind {
    let total: u64 = MIX.iter().map(|kind| kind.share).sum();
    let mut at = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) % total;
    MIX.iter()
        .find(|kind| match at.checked_sub(kind.share) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        })
        .unwrap()
}

struct Soak {
    hosts: [ToolHost; 2],
    next: AtomicU64,
    done: AtomicU64,
    wanted: u64,
    every: u64,
    begin: Instant,
    samples: Mutex<Vec<Sample>>,
    ends: Mutex<BTreeMap<(&'static str, String), u64>>,
}

impl Soak {
    async fn work(self: Arc<Self>) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.wanted {
                return;
            }
            let kind = chosen(number);
            let host = &self.hosts[usize::from(kind.process)];
            let call = ToolCall::new(kind.tool, (kind.input)());
            let result = host.call(call).await.unwrap();
            let end = result
                .failure
                .map_or("ok", |failure| failure.kind.code())
                .to_owned();
            // On a busy machine another limit may be reached before the one that a guest aims at.
            let busy = end == "busy" || end == "limit_time";
            let hostile = kind.ends != "ok" && end == "limit_cpu";
            let expected = end == kind.ends || busy || hostile;
            assert!(expected, "{} of {}: {end}", kind.tool, kind.package);
            *self
                .ends
                .lock()
                .unwrap()
                .entry((kind.tool, end))
                .or_default() += 1;
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(self.every) {
                let sample = sample(done, self.begin);
                println!("{sample:?}");
                self.samples.lock().unwrap().push(sample);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes: make soak"]
async fn memory_and_descriptors_stay_flat() {
    let wanted: u64 = env::var("SOAK_CALLS").map_or(200_000, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("work")).unwrap();
    fs::write(dir.path().join("work/file"), "content").unwrap();
    let soak = Arc::new(Soak {
        hosts: [host(dir.path(), false).await, host(dir.path(), true).await],
        next: AtomicU64::new(0),
        done: AtomicU64::new(0),
        wanted,
        every: (wanted / 50).max(1),
        begin: Instant::now(),
        samples: Mutex::default(),
        ends: Mutex::default(),
    });
    let workers: Vec<_> = (0..8)
        .map(|_| tokio::spawn(Arc::clone(&soak).work()))
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let samples = soak.samples.lock().unwrap().clone();
    write(&samples, &soak.ends.lock().unwrap());
    flat(&samples);
}

/// After the first tenth everything is warm; from there on nothing may grow.
fn flat(samples: &[Sample]) {
    let warm = samples[samples.len() / 10];
    let (first, second) = samples[samples.len() / 10..].split_at(samples.len() * 9 / 20);
    let peak = |part: &[Sample], what: Figure| part.iter().map(what).max().unwrap();
    for (name, what, slack) in [
        (
            "KiB of memory",
            (|it: &Sample| it.resident_kib) as Figure,
            warm.resident_kib / 10,
        ),
        ("descriptors", |it| it.descriptors, 16),
        ("threads", |it| it.threads, 8),
        ("workers", |it| it.workers, 4),
    ] {
        let (before, after) = (peak(first, what), peak(second, what));
        println!("{name}: at most {before} in the first half, {after} in the second");
        assert!(
            after <= before + slack,
            "{name} grow: {before} in the first half and {after} in the second"
        );
    }
}

fn write(samples: &[Sample], ends: &BTreeMap<(&'static str, String), u64>) {
    let Ok(dir) = env::var("SOAK_DIR").map(PathBuf::from) else {
        return;
    };
    fs::create_dir_all(&dir).unwrap();
    let mut csv = "calls,seconds,resident_kib,descriptors,threads,workers\n".to_owned();
    for it in samples {
        let Sample {
            calls,
            seconds,
            resident_kib,
            descriptors,
            threads,
            workers,
        } = it;
        writeln!(
            csv,
            "{calls},{seconds:.1},{resident_kib},{descriptors},{threads},{workers}"
        )
        .unwrap();
    }
    fs::write(dir.join("soak.csv"), csv).unwrap();
    let mut table = "tool,end,calls\n".to_owned();
    for ((tool, end), calls) in ends {
        writeln!(table, "{tool},{end},{calls}").unwrap();
    }
    fs::write(dir.join("ends.csv"), table).unwrap();
    fs::write(dir.join("soak.svg"), plot(samples)).unwrap();
}

/// Memory in MiB, descriptors, threads and workers over the number of calls, each from 0 to its own highest value.
fn plot(samples: &[Sample]) -> String {
    let lines: [(&str, &str, Figure); 4] = [
        ("MiB resident", "#0072b2", |it| it.resident_kib / 1024),
        ("descriptors", "#d55e00", |it| it.descriptors),
        ("threads", "#009e73", |it| it.threads),
        ("workers", "#cc79a7", |it| it.workers),
    ];
    let last = samples.last().unwrap().calls;
    let mut svg = String::from(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 320" font-family="sans-serif" font-size="12"><rect width="720" height="320" fill="#fff"/><path d="M50 20V260H540" fill="none" stroke="#444"/>"##,
    );
    for (row, (name, colour, what)) in lines.into_iter().enumerate() {
        let top = samples.iter().map(what).max().unwrap().max(1);
        let mut path = String::new();
        for it in samples {
            let x = 50.0 + 490.0 * it.calls as f64 / last as f64;
            let y = 260.0 - 200.0 * what(it) as f64 / top as f64;
            write!(
                path,
                "{}{x:.1} {y:.1}",
                if path.is_empty() { "M" } else { "L" }
            )
            .unwrap();
        }
        let y = 40 + 24 * row;
        write!(
            svg,
            r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/><path d="M556 {y}h20" stroke="{colour}" stroke-width="2"/><text x="582" y="{}">{name}, at most {top}</text>"#,
            y + 4
        )
        .unwrap();
    }
    write!(svg, r#"<text x="50" y="280">0</text><text x="540" y="280" text-anchor="end">{last} calls</text></svg>"#).unwrap();
    svg.push('\n');
    svg
}
