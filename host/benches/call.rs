//! A whole call through the host, in its own process and in a worker, against the floor: the same component, the same
//! engine settings, a fresh store and nothing else. All are measured in one run, so that the ratio means something on a noisy machine.
//!
//! The host adds what the floor leaves away: finding the tool, checking its input, the policy's decision, limits, the
//! record of what was touched, the audit record and the clean result.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark stops where something is wrong, and prints"
)]

#[path = "../../tests/common/mod.rs"]
mod common;

use std::{fs, path::Path, time::Duration};

use criterion::Criterion;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use toolcell::{Isolation, ToolCall, ToolHost, audit::FileAudit, testing, worker::Workers};
use wasmtime::{
    Engine, Store, UpdateDeadline,
    component::{Component, Linker},
};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView, filesystem::FsPerms};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "toolcell:tool/pure-tool",
        imports: { default: async | trappable },
        exports: { default: async },
        require_store_data_send: true,
    });
}

/// What is measured: a name, the package's tool, its public name, and its input.
struct Subject {
    name: &'static str,
    component: Vec<u8>,
    tool: &'static str,
    public: &'static str,
    input: Value,
}

/// The floor's data of a store.
struct Bare {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Bare {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// The engine alone, with the host's settings.
struct Floor {
    engine: Engine,
    tool: bindings::PureToolPre<Bare>,
}

impl Floor {
    fn new(component: &[u8]) -> Self {
        let engine = Engine::new(&testing::engine_config()).unwrap();
        let component = Component::from_binary(&engine, component).unwrap();
        let mut linker = Linker::<Bare>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let tool = bindings::PureToolPre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
        Self { engine, tool }
    }

    async fn call(&self, dir: &Path, tool: &str, input: &String) {
        let wasi = WasiCtx::builder()
            .preopened_dir(dir, "/work", FsPerms::ReadOnly)
            .unwrap()
            .build();
        let mut store = Store::new(
            &self.engine,
            Bare {
                wasi,
                table: ResourceTable::new(),
            },
        );
        store.set_epoch_deadline(u64::MAX / 2);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(5)));
        let instance = self.tool.instantiate_async(&mut store).await.unwrap();
        let answer = instance
            .toolcell_tool_tool()
            .call_call(&mut store, tool, input)
            .await
            .unwrap();
        assert!(answer.is_ok(), "{answer:?}");
    }
}

async fn host(dir: &Path, subject: &Subject, isolation: Isolation) -> ToolHost {
    let policy = format!(
        "[tool.files]\nfiles = [{{ host = {:?}, guest = \"/work\", access = \"read\" }}]\n",
        dir.join("work").display().to_string()
    );
    let log = dir.join(format!("audit-{isolation}.jsonl"));
    let audit = FileAudit::open(&log, std::time::SystemTime::now).unwrap();
    let host = testing::builder(&policy)
        .unwrap()
        .default_isolation(isolation)
        .workers(Workers::program(common::worker()))
        .audit(audit)
        .build()
        .unwrap();
    let package = subject.public.split('_').next().unwrap();
    host.load_bytes(package, subject.component.clone())
        .await
        .unwrap();
    host
}

fn subjects() -> Vec<Subject> {
    let echo = fs::read(common::guest("echo")).unwrap();
    vec![
        Subject {
            name: "no-op",
            component: echo.clone(),
            tool: "noop",
            public: "echo_noop",
            input: json!({}),
        },
        Subject {
            name: "1 KiB echo",
            component: echo,
            tool: "back",
            public: "echo_back",
            input: json!({ "text": "x".repeat(1024) }),
        },
        Subject {
            name: "files_read",
            component: toolcell::builtin("files")
                .expect("the tools are built in")
                .to_vec(),
            tool: "read",
            public: "files_read",
            input: json!({ "path": "/work/note.txt" }),
        },
    ]
}

fn measure(criterion: &mut Criterion, runtime: &Runtime, dir: &Path, subject: &Subject) {
    let mut group = criterion.benchmark_group(subject.name);
    let floor = Floor::new(&subject.component);
    let (work, input) = (dir.join("work"), subject.input.to_string());
    group.bench_function("floor", |bencher| {
        bencher
            .to_async(runtime)
            .iter(|| floor.call(&work, subject.tool, &input));
    });
    for (name, isolation) in [("host", Isolation::Thread), ("worker", Isolation::Process)] {
        let host = runtime.block_on(host(dir, subject, isolation));
        group.bench_function(name, |bencher| {
            bencher.to_async(runtime).iter(async || {
                let result = host
                    .call(ToolCall::new(subject.public, subject.input.clone()))
                    .await
                    .unwrap();
                assert!(!result.is_error(), "{result:?}");
            });
        });
    }
    group.finish();
}

/// The median of a measurement in microseconds, from the file that criterion leaves.
fn median(results: &Path, subject: &str, which: &str) -> Option<f64> {
    let file = results.join(subject).join(which).join("new/estimates.json");
    let estimates: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    Some(estimates.get("median")?.get("point_estimate")?.as_f64()? / 1000.0)
}

fn main() {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(scratch.path().join("work")).unwrap();
    fs::write(
        scratch.path().join("work/note.txt"),
        "A line of text.\n".repeat(20),
    )
    .unwrap();
    let results = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    let runtime = Runtime::new().unwrap();
    let mut criterion = Criterion::default()
        .output_directory(&results)
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    let subjects = subjects();
    for subject in &subjects {
        measure(&mut criterion, &runtime, scratch.path(), subject);
    }
    criterion.final_summary();

    println!(
        "\n{:<12} {:>12} {:>12} {:>8} {:>12}",
        "p50 in µs", "floor", "host", "ratio", "worker"
    );
    for subject in &subjects {
        let floor = median(&results, subject.name, "floor");
        let host = median(&results, subject.name, "host");
        let worker = median(&results, subject.name, "worker");
        if let (Some(floor), Some(host), Some(worker)) = (floor, host, worker) {
            println!(
                "{:<12} {floor:>12.1} {host:>12.1} {:>7.2}x {worker:>12.1}",
                subject.name,
                host / floor
            );
        }
    }
}
