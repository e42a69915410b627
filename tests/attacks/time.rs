//! Attacks on time: loops, sleeps, host calls that hang, and a clock that does not come through.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    common::{guest, wat_frame, wat_guest, wat_guest_in},
    disk::mkfifo,
    files::write_work,
    stage::{Run, Spoils, Stage, attack},
};

/// The deadline or computing time of the calls below.
const LIMIT: &str = "200ms";

/// How long beyond its limit a call may be seen, on a machine that has other things to do too. Where the attack must
/// succeed, a shorter wait will do.
fn patience(run: Run) -> Duration {
    Duration::from_millis(if run.defended { 60_000 } else { 800 })
}

/// Says so where a call did not end by itself.
async fn ends(run: Run, stage: &Stage, tool: &str, input: Value) -> Option<String> {
    let ended = tokio::time::timeout(patience(run), stage.call(tool, input)).await;
    match ended {
        Ok(result) if result.is_error() => None,
        Ok(result) => Some(format!("{tool} answered: {}", result.text())),
        Err(_) => Some(format!("{tool} still runs after {:?}", patience(run))),
    }
}

/// A component that loops when the host says that it has the answer.
fn returning() -> Vec<u8> {
    let lift = "(realloc (core func $i \"realloc\"))";
    let with = format!("{lift} (post-return (core func $i \"returned\"))");
    let frame = wat_frame();
    assert!(frame.contains(lift));
    wat_guest_in(&frame.replace(lift, &with), "returning")
}

/// R1: endless loops in the call, before it, in what makes room for its input, after it, and while tools are listed.
async fn r1(run: Run) -> Spoils {
    let limit = if run.defended { LIMIT } else { "1m" };
    let mut policy = String::new();
    for name in ["spin", "start", "realloc", "returning"] {
        policy += &format!("[tool.{name}]\nlimits = {{ cpu = \"{limit}\", time = \"2m\" }}\n");
    }
    let stage = Stage::new(run, &policy, &[]);
    let begin = Instant::now();
    stage.host.load_file(guest("spin")).await.unwrap();
    for name in ["start", "realloc"] {
        stage.host.load_bytes(name, wat_guest(name)).await.unwrap();
    }
    stage
        .host
        .load_bytes("returning", returning())
        .await
        .unwrap();
    let listed = stage.host.tools().len();
    let mut spoils = Vec::new();
    if listed != 4 || begin.elapsed() > Duration::from_secs(60) {
        spoils.push(format!("listing {listed} tools took {:?}", begin.elapsed()));
    }
    for name in ["spin", "start", "realloc", "returning"] {
        spoils.extend(ends(run, &stage, name, json!({})).await);
    }
    spoils
}

attack! { r1:
    attack_r1_thread = THREAD,
    attack_r1_process = PROCESS,
    attack_r1_is_seen_without_its_defence = UNDEFENDED,
}

/// R2: a sleep that never ends.
async fn r2(run: Run) -> Spoils {
    let limit = if run.defended { LIMIT } else { "1m" };
    let policy = format!("[tool.sleep]\nlimits = {{ time = \"{limit}\" }}\n");
    let stage = Stage::new(run, &policy, &[]).load(&["sleep"]).await;
    ends(run, &stage, "sleep", json!({}))
        .await
        .into_iter()
        .collect()
}

attack! { r2:
    attack_r2_thread = THREAD,
    attack_r2_process = PROCESS,
    attack_r2_is_seen_without_its_defence = UNDEFENDED,
}

/// R13: a system call that blocks and cannot be cancelled. A file is exchanged for a FIFO between the look at it and
/// the opening, until an opening hangs: then the call must end at its deadline, and calls of others go on.
async fn r13(run: Run) -> Spoils {
    let limit = if run.defended { "2s" } else { "1m" };
    let policy = write_work(
        Run {
            defended: true,
            ..run
        },
        "paths",
    )
    .replace("time = \"100s\"", &format!("time = \"{limit}\""));
    let stage = Stage::new(run, &policy, &["work/"])
        .load(&["paths", "echo"])
        .await;
    std::fs::write(stage.path("work/door"), "x").unwrap();
    mkfifo(&stage.path("work/fifo"));
    let flipping = Flipping::start(stage.path("work"));
    let input = json!({ "path": "/work/door", "times": 4_000_000 });
    let hanging = stage.call("paths_hammer", input);
    let patience = Duration::from_secs(if run.defended { 20 } else { 3 });
    let mut spoils = Vec::new();
    match tokio::time::timeout(patience, hanging).await {
        Ok(result) if result.is_error() => {}
        Ok(result) => spoils.push(format!("it answered: {}", result.text())),
        Err(_) => spoils.push(format!("the call still runs after {patience:?}")),
    }
    let answered =
        tokio::time::timeout(patience, stage.call("echo_back", json!({ "text": "x" }))).await;
    if !answered.is_ok_and(|result| result.text() == "x") {
        spoils.push("another tool no longer answers".to_owned());
    }
    flipping.stop();
    spoils
}

attack! { r13:
    attack_r13_thread = THREAD,
    attack_r13_is_seen_without_its_defence = UNDEFENDED,
}

/// Exchanges `door`, a file, and `fifo` in a directory, and in the end lets go whoever hangs in one.
pub(crate) struct Flipping {
    dir: PathBuf,
    done: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Flipping {
    pub(crate) fn start(dir: PathBuf) -> Self {
        let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let thread = thread::spawn({
            let (dir, done) = (std::fs::File::open(&dir).unwrap(), done.clone());
            move || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    crate::links::exchange(&dir, "door", "fifo");
                }
            }
        });
        Self { dir, done, thread }
    }

    /// Ends it. Opening a FIFO for both ends never blocks, and frees a reader that waits for a writer.
    pub(crate) fn stop(self) {
        self.done.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.join().unwrap();
        for name in ["door", "fifo"] {
            drop(
                std::fs::OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(self.dir.join(name)),
            );
        }
    }
}

/// R15: more threads that compute than there are processors, so that the clock that interrupts guests is starved.
async fn r15(run: Run) -> Spoils {
    if !run.defended {
        return without_a_clock();
    }
    let policy = format!("[tool.spin]\nlimits = {{ cpu = \"{LIMIT}\", time = \"1m\" }}\n");
    let stage = Stage::new(run, &policy, &[]).load(&["spin"]).await;
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let crowd: Vec<_> = (0..4)
        .map(|_| {
            let done = done.clone();
            thread::spawn(move || while !done.load(std::sync::atomic::Ordering::Relaxed) {})
        })
        .collect();
    let spoils = ends(run, &stage, "spin", json!({})).await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    for thread in crowd {
        thread.join().unwrap();
    }
    spoils.into_iter().collect()
}

/// An engine whose clock nobody moves.
fn without_a_clock() -> Spoils {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let engine = wasmtime::Engine::new(&config).unwrap();
    let module =
        wat::parse_str("(module (func (export \"spin\") (loop $again (br $again))))").unwrap();
    let module = wasmtime::Module::new(&engine, module).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let spinning = thread::spawn({
        let engine = engine.clone();
        move || {
            let mut store = wasmtime::Store::new(&engine, ());
            store.set_epoch_deadline(1);
            let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
            let spin = instance
                .get_typed_func::<(), ()>(&mut store, "spin")
                .unwrap();
            let _ = sender.send(spin.call(&mut store, ()).is_err());
        }
    });
    let ended = receiver.recv_timeout(Duration::from_millis(800)).is_ok();
    for _ in 0..3 {
        engine.increment_epoch();
    }
    spinning.join().unwrap();
    (!ended)
        .then(|| "a loop without a clock still runs".to_owned())
        .into_iter()
        .collect()
}

attack! { r15:
    attack_r15_thread = THREAD,
    attack_r15_process = PROCESS,
    attack_r15_is_seen_without_its_defence = UNDEFENDED,
}

/// R12: a tool takes every place that it gets and never gives one back, and another tool is called meanwhile.
async fn r12(run: Run) -> Spoils {
    // Without the defence: a host with one place, which a flood can take whole.
    let places = if run.defended { 64 } else { 1 };
    let policy = format!(
        "[tool.sleep]\nlimits = {{ time = \"30s\", concurrency = 64 }}\n[host]\nconcurrency = {places}\n"
    );
    let stage = Stage::over(run, &policy, tempfile::tempdir().unwrap())
        .load(&["sleep", "echo"])
        .await;
    let floods: Vec<_> = (0..64)
        .map(|_| {
            let host = stage.host.clone();
            tokio::spawn(
                async move { host.call(toolcell::ToolCall::new("sleep", json!({}))).await },
            )
        })
        .collect();
    let mut spoils = Vec::new();
    // While these are answered, the flood takes its places.
    for n in 0..50 {
        let begin = Instant::now();
        let honest = stage.call("echo_back", json!({ "text": "x" })).await;
        if honest.text() != "x" {
            spoils.push(format!("honest call {n} was answered {:?}", honest.text()));
        } else if begin.elapsed() > Duration::from_secs(4) {
            spoils.push(format!("honest call {n} took {:?}", begin.elapsed()));
        }
        if !spoils.is_empty() {
            break;
        }
    }
    for flood in floods {
        flood.abort();
    }
    spoils
}

attack! { r12:
    attack_r12_thread = THREAD,
    attack_r12_process = PROCESS,
    attack_r12_is_seen_without_its_defence = UNDEFENDED,
}
