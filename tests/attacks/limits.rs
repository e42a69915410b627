//! Attacks on what the host has to give: memory, answers, logs, handles, state, calls of calls.

use std::{process::Command, sync::Arc};

use serde_json::json;
use toolcell::{CallContext, CallEvent, CallId, ErrorKind, ToolCall, ToolResult};

use crate::{
    common::{wat_component, wat_frame, wat_guest},
    files::write_work,
    stage::{Run, Spoils, Stage, attack},
};

/// A policy with limits for each of some guests.
fn limits(guests: &[&str], limits: &str) -> String {
    let one = |name: &&str| format!("[tool.{name}]\nlimits = {{ {limits} }}\n");
    guests.iter().map(one).collect()
}

/// Says so where a call did not fail for one of some reasons.
fn unless_failed(what: &str, result: &ToolResult, kinds: &[ErrorKind]) -> Option<String> {
    let kind = result.failure.as_ref().map(|failure| failure.kind);
    let fits = kind.is_some_and(|kind| kinds.contains(&kind));
    (!fits).then(|| format!("{what} ended with {kind:?}"))
}

/// R3: linear memories, one and many, and tables.
async fn r3(run: Run) -> Spoils {
    let memory = if run.defended { "32MiB" } else { "96MiB" };
    let policy = limits(&["memory"], &format!("memory = \"{memory}\""))
        + &limits(&["memories"], "memory = \"256MiB\"");
    let stage = Stage::new(run, &policy, &[]).load(&["memory"]).await;
    let stage = stage.load_wat("memories").await.load_wat("tables").await;
    let mut spoils = Vec::new();
    let result = stage.call("memory", json!({})).await;
    if result.usage.memory_peak_bytes > 32 << 20 {
        spoils.push(format!(
            "{} bytes of memory",
            result.usage.memory_peak_bytes
        ));
    }
    for name in ["memory", "memories", "tables"] {
        let result = stage.call(name, json!({})).await;
        spoils.extend(unless_failed(name, &result, &[ErrorKind::LimitMemory]));
    }
    if stage
        .host
        .load_bytes("instances", wat_guest("instances"))
        .await
        .is_ok()
    {
        spoils.push("a component with forty memories was loaded".to_owned());
    }
    spoils
}

attack! { r3:
    attack_r3_thread = THREAD,
    attack_r3_process = PROCESS,
    attack_r3_is_seen_without_its_defence = UNDEFENDED,
}

/// The files that a call may hold open at once.
const OPEN_FILES: usize = 64;

/// R4: whatever makes the host allocate: answers that share their bytes, answers of very many pieces, random bytes,
/// open files.
async fn r4(run: Run) -> Spoils {
    let most = if run.defended { OPEN_FILES } else { 500 };
    let policy = write_work(run, "hoard")
        .replace("limits = {", &format!("limits = {{ open_files = {most},"));
    let mut stage = Stage::new(run, &policy, &["work/a"]).load(&["hoard"]).await;
    let mut spoils = Vec::new();
    for name in ["repeated", "pieces", "lots"] {
        stage = stage.load_wat(name).await;
        let result = stage.call(name, json!({})).await;
        let kinds = [
            ErrorKind::LimitOutput,
            ErrorKind::LimitMemory,
            ErrorKind::Trap,
        ];
        spoils.extend(unless_failed(name, &result, &kinds));
    }
    let result = stage
        .call("hoard_files", json!({ "path": "/work/a", "times": 400 }))
        .await;
    // A call that holds too many is ended.
    let held = match &result.failure {
        Some(failure) => {
            assert_eq!(failure.kind, ErrorKind::LimitFiles, "{result:?}");
            0
        }
        None => result.text().parse().unwrap(),
    };
    if held > OPEN_FILES {
        spoils.push(format!("{held} files were open at once"));
    }
    spoils
}

attack! { r4:
    attack_r4_thread = THREAD,
    attack_r4_process = PROCESS,
    attack_r4_is_seen_without_its_defence = UNDEFENDED,
}

/// R5: an answer that is far too long.
async fn r5(run: Run) -> Spoils {
    let output = if run.defended { "64KiB" } else { "4MiB" };
    let policy = limits(&["output"], &format!("output = \"{output}\""));
    let stage = Stage::new(run, &policy, &[]).load(&["output"]).await;
    let mut spoils = Vec::new();
    for bytes in [70_000, 1 << 20, 1 << 30] {
        let result = stage.call("output", json!({ "bytes": bytes })).await;
        if result.text().len() > 64 << 10 {
            spoils.push(format!("an answer of {} bytes", result.text().len()));
        }
    }
    spoils
}

attack! { r5:
    attack_r5_thread = THREAD,
    attack_r5_process = PROCESS,
    attack_r5_is_seen_without_its_defence = UNDEFENDED,
}

/// R6: recursion without end.
async fn r6(run: Run) -> Spoils {
    if !run.defended {
        // The same recursion on a stack that nobody watches ends the whole process.
        let ended = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "limits::recursion_ends_this_process",
                "--ignored",
            ])
            .output()
            .unwrap();
        let died = ended.status.code().is_none();
        return died
            .then(|| format!("the process died: {}", ended.status))
            .into_iter()
            .collect();
    }
    let stage = Stage::new(run, "", &[])
        .load(&["recursion"])
        .await
        .load_wat("stack")
        .await;
    let mut spoils = Vec::new();
    for name in ["recursion", "stack", "recursion", "stack"] {
        let result = stage.call(name, json!({})).await;
        spoils.extend(unless_failed(name, &result, &[ErrorKind::Trap]));
    }
    spoils
}

attack! { r6:
    attack_r6_thread = THREAD,
    attack_r6_process = PROCESS,
    attack_r6_is_seen_without_its_defence = UNDEFENDED,
}

#[test]
#[ignore = "it is run in a process of its own, which it ends"]
fn recursion_ends_this_process() {
    fn deeper(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 64]);
        match std::hint::black_box(depth) {
            u64::MAX => 0,
            _ => deeper(depth + 1) + frame[(depth % 64) as usize],
        }
    }
    deeper(0);
}

/// R7: lines of log and of standard output without end.
async fn r7(run: Run) -> Spoils {
    let log = if run.defended { "16KiB" } else { "1MiB" };
    let policy = limits(&["log", "stdout"], &format!("log = \"{log}\""));
    let stage = Stage::new(run, &policy, &[]).load(&["log", "stdout"]).await;
    let mut spoils = Vec::new();
    for (tool, input) in [
        ("log", json!({ "kib": 512 })),
        ("stdout", json!({ "times": 512 })),
    ] {
        let result = stage.call(tool, input).await;
        if result.usage.log_bytes > 17 << 10 {
            spoils.push(format!("{tool} kept {} bytes", result.usage.log_bytes));
        }
    }
    let record = std::fs::metadata(stage.path("audit.jsonl")).unwrap().len();
    if record > 64 << 10 {
        spoils.push(format!("{record} bytes are in the audit log"));
    }
    spoils
}

attack! { r7:
    attack_r7_thread = THREAD,
    attack_r7_process = PROCESS,
    attack_r7_is_seen_without_its_defence = UNDEFENDED,
}

/// R10: a component counts its calls in its own memory; also after a call that ended in a trap.
async fn r10(run: Run) -> Spoils {
    let stage = Stage::new(run, "", &[])
        .load_wat("counter")
        .await
        .load_wat("stack")
        .await;
    let mut answers = Vec::new();
    if run.defended {
        for _ in 0..5 {
            answers.push(stage.text("counter", json!({})).await);
            stage.call("stack", json!({})).await;
        }
    } else {
        answers = in_one_store();
    }
    assert!(
        answers.len() == 5 && answers.iter().all(|answer| answer.len() == 1),
        "{answers:?}"
    );
    answers.retain(|answer| answer != "1");
    answers
}

/// What a host hears that keeps a store.
fn in_one_store() -> Vec<String> {
    let engine = wasmtime::Engine::default();
    let module = "(module (global $n (mut i32) (i32.const 0)) (func (export \"call\") (result i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))";
    let module = wasmtime::Module::new(&engine, wat::parse_str(module).unwrap()).unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
    let call = instance
        .get_typed_func::<(), i32>(&mut store, "call")
        .unwrap();
    (0..5)
        .map(|_| call.call(&mut store, ()).unwrap().to_string())
        .collect()
}

attack! { r10:
    attack_r10_thread = THREAD,
    attack_r10_process = PROCESS,
    attack_r10_is_seen_without_its_defence = UNDEFENDED,
}

/// R11: calls of calls, in a circle and side by side.
async fn r11(run: Run) -> Spoils {
    let (depth, number) = if run.defended { (4, 256) } else { (16, 1000) };
    let policy = format!(
        "[default.limits]\ncall_depth = {depth}\nnested_calls = {number}\n\
         [tool.calls]\ncalls = [\"calls\"]\n[tool.fanout]\ncalls = [\"echo_noop\"]\n"
    );
    let stage = Stage::new(run, &policy, &[])
        .load(&["calls", "echo", "fanout"])
        .await;
    let mut spoils = Vec::new();
    let mut input = json!({ "tool": "calls", "input": "{}" });
    for _ in 0..9 {
        input = json!({ "tool": "calls", "input": input.to_string() });
    }
    let result = stage.call("calls", input).await;
    if !result.text().contains("deep") {
        spoils.push(format!("ten calls deep: {}", result.text()));
    }
    let answered = stage.text("fanout", json!({ "times": 2_000 })).await;
    let answered: u32 = answered.parse().unwrap_or(0);
    if answered > 256 {
        spoils.push(format!("{answered} calls below one"));
    }
    spoils
}

attack! { r11:
    attack_r11_thread = THREAD,
    attack_r11_process = PROCESS,
    attack_r11_is_seen_without_its_defence = UNDEFENDED,
}

/// Core code that answers with `bytes` as its result area, with texts and lists of its choice behind it.
fn answering(bytes: &[u32]) -> Vec<u8> {
    let data: String = bytes
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    let guest = format!(
        "(core module $m (memory (export \"memory\") 1) (data (i32.const 1024) \"{data}\")
          (data (i32.const 2048) \"\\ff\\fe\\00\\ed\\a0\\80\\f0\\9f\\98\")
          (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
          (func (export \"call\") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
        (core instance $i (instantiate $m))"
    );
    wat_component(&wat_frame(), &guest)
}

/// R14: values at the boundary that no honest compiler makes: wrong cases, wrong UTF-8, pieces outside the memory.
async fn r14(run: Run) -> Spoils {
    let stage = Stage::new(run, "", &[]).load(&["progress"]).await;
    let high = u32::MAX;
    let mut odd = vec![
        vec![2, 0, 0],
        vec![high, 0, 0],
        vec![0x100, 0, 0],
        vec![0, high, 1],
        vec![0, 1024, high],
        vec![0, 65_532, 4],
        vec![0, 3, 1],
        vec![0, 0, 0x1000_0000],
        vec![0, 0x8000_0000, 0x8000_0000],
        vec![1, 7, 0, 0, 0, 0, 0, 0],
        vec![1, high, 0, 0, 0, 0, 0, 0],
        vec![1, 0, 5, 0, 0, 2048, 3, 0],
        vec![1, 0, 0, 0, 0, 2048, 9, 77],
        vec![1, 0, 1, 2051, 3, 2048, 9, 2],
        vec![1, 0, 0, 0, 0, 2051, 3, 0],
    ];
    // One piece at 1040, of every case and some that are none, with a text that is none.
    for case in [0, 1, 2, 3, 4, 5, 255, high] {
        for (at, len) in [
            (2048, 9),
            (2051, 3),
            (2054, 3),
            (high, 1),
            (65_535, 2),
            (0, high),
            (2048, 0),
        ] {
            odd.push(vec![0, 1040, 1, 0, case, at, len, at, len, 1, at, len, 3]);
        }
    }
    let mut spoils = Vec::new();
    for (n, bytes) in odd.iter().enumerate() {
        let name = format!("odd{n}");
        stage
            .host
            .load_bytes(name.clone(), answering(bytes))
            .await
            .unwrap();
        let result = stage.call(&name, json!({})).await;
        let text = result.text();
        let broken = result
            .failure
            .as_ref()
            .is_some_and(|failure| failure.kind == ErrorKind::Internal);
        if broken || text.contains('\u{fffd}') || text.len() > 8192 {
            spoils.push(format!("{bytes:?} ended in {result:?}"));
        }
    }
    // A host function that panics: what an embedder hands in is code too.
    let sink = |_: &CallId, _: CallEvent| panic!("a careless host");
    let context = match run.defended {
        true => CallContext::default(),
        false => CallContext {
            events: Some(Arc::new(sink)),
            ..CallContext::default()
        },
    };
    let call = ToolCall::new("progress", json!({ "steps": 3, "wait": 0 }));
    let result = stage.host.call_with(call, &context).await.unwrap();
    if let Some(failure) = result
        .failure
        .filter(|failure| failure.kind == ErrorKind::Internal)
    {
        spoils.push(format!("the host panicked: {}", failure.message));
    }
    spoils
}

attack! { r14:
    attack_r14_thread = THREAD,
    attack_r14_process = PROCESS,
    attack_r14_is_seen_without_its_defence = UNDEFENDED,
}

/// R16: what a call costs in fuel tells a guest nothing about others: the same input costs the same, whatever else runs.
async fn r16(run: Run) -> Spoils {
    let policy = limits(&["echo", "spin"], "fuel = 1000000000, cpu = \"1s\"");
    let stage = Stage::new(run, &policy, &[]).load(&["echo", "spin"]).await;
    let noise = tokio::spawn({
        let host = stage.host.clone();
        async move {
            for _ in 0..3 {
                let _ = host.call(ToolCall::new("spin", json!({}))).await;
            }
        }
    });
    let mut costs = std::collections::BTreeSet::new();
    for n in 0..20 {
        // Without the defence: inputs that differ.
        let text = if run.defended {
            "same".to_owned()
        } else {
            "x".repeat(n)
        };
        let result = stage.call("echo_back", json!({ "text": text })).await;
        costs.insert(result.usage.fuel.expect("fuel is counted"));
    }
    noise.abort();
    let differ = costs.len() > 1;
    differ
        .then(|| format!("one input cost {costs:?}"))
        .into_iter()
        .collect()
}

attack! { r16:
    attack_r16_thread = THREAD,
    attack_r16_process = PROCESS,
    attack_r16_is_seen_without_its_defence = UNDEFENDED,
}
