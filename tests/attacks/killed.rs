//! What hangs where nobody can interrupt it: in a sleep, in an opening, in the compiler, or because the whole worker
//! stands still. Its process is killed at the deadline, and nobody else notices.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;
use tokio::sync::mpsc;
use toolcell::{CallContext, CallEvent, CallId, ToolCall, ToolHost};

use crate::{
    bomb::bomb,
    disk::mkfifo,
    stage::{PROCESS, Run, Spoils, Stage, attack, stage_for, workers},
    time::Flipping,
};

/// The deadline of the calls below.
const DEADLINE: Duration = Duration::from_millis(200);

/// How long beyond it a call may be seen on a machine that has other things to do too. A worker that compiles may take ten
/// seconds to start before its time begins.
const BEYOND: Duration = Duration::from_secs(15);

/// What keeps a compiler busy for seconds.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| bomb("values", 20));

/// The ways to hang.
const WAYS: &[&str] = &["sleeping", "opening a FIFO", "standing still", "compiling"];

const POLICY: &str = r#"
[tool.sleep]
limits = { time = "200ms" }
[tool.progress]
limits = { time = "200ms" }
[tool.paths]
files = [{ host = "work", guest = "/work", access = "write" }]
limits = { time = "200ms", cpu = "100s" }
"#;

/// The workers of this process: whatever it started and has not yet buried.
fn children() -> BTreeSet<i32> {
    let own = std::process::id().to_string();
    let parent = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may hold anything: state, parent.
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_whitespace().nth(1).map(str::to_owned)
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| parent(pid).is_some_and(|parent| parent == own))
        .map(|pid| pid.parse().unwrap())
        .collect()
}

fn is_there(pid: i32) -> bool {
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

/// Ends in one of the ways, and tells how long that took beyond the deadline, and what is left of it.
async fn hang(stage: &Stage, way: &str) -> (Duration, Spoils) {
    let before = children();
    let _ = BOMB.len();
    let begin = Instant::now();
    let mut spoils = Vec::new();
    let ended = match way {
        "sleeping" => stage.call("sleep", json!({})).await.is_error(),
        "opening a FIFO" => {
            let input = json!({ "path": "/work/door", "times": 100_000_000 });
            stage.call("paths_hammer", input).await.is_error()
        }
        "standing still" => standing_still(&stage.host, &before).await,
        _ => stage
            .host
            .load_bytes("bomb", bomb("values", 20))
            .await
            .is_err(),
    };
    let beyond = begin.elapsed().saturating_sub(DEADLINE);
    if !ended {
        spoils.push(format!("{way}: it was answered"));
    }
    // A worker is buried soon after it was killed.
    let patience = Instant::now() + BEYOND;
    loop {
        let left: Vec<i32> = children()
            .difference(&before)
            .copied()
            .filter(|pid| is_there(*pid))
            .collect();
        if left.is_empty() {
            break;
        }
        if Instant::now() > patience {
            spoils.push(format!("{way}: the processes {left:?} are still there"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (beyond, spoils)
}

/// Stops the worker of a call, as a system call does that never returns. Gives whether the call ended in an error.
async fn standing_still(host: &ToolHost, before: &BTreeSet<i32>) -> bool {
    let (sender, mut running) = mpsc::unbounded_channel();
    let events = move |_: &CallId, event: CallEvent| drop(sender.send(event));
    let context = CallContext {
        events: Some(Arc::new(events)),
        ..CallContext::default()
    };
    let call = ToolCall::new("progress", json!({ "steps": 1, "wait": 3_600_000 }));
    let calling = async {
        let result = host.call_with(call, &context).await;
        // Whoever waits for a report that was never made waits no longer.
        drop(context);
        result
    };
    let stop = async {
        // The first report says that the call runs.
        if running.recv().await.is_some() {
            for pid in children().difference(before) {
                kill_process(Pid::from_raw(*pid).unwrap(), Signal::STOP).unwrap();
            }
        }
    };
    let (result, ()) = tokio::join!(calling, stop);
    result.unwrap().is_error()
}

/// A host with tools that hang, and one that is honest.
async fn hanging_stage(policy: &str) -> Stage {
    const GUESTS: [&str; 4] = ["sleep", "progress", "paths", "echo"];
    // The time for compiling below is one for bombs. What is honest is compiled before, and kept.
    let patient = Stage::with_workers(PROCESS, policy, &["work/"], workers(PROCESS));
    drop(patient.load(&GUESTS).await);
    // An honest worker is kept, so that every new process is one that hangs.
    let host = workers(PROCESS)
        .compile_time(DEADLINE)
        .calls_each(1_000_000);
    let stage = Stage::with_workers(PROCESS, policy, &["work/"], host);
    let stage = stage.load(&GUESTS).await;
    fs::write(stage.path("work/door"), "x").unwrap();
    mkfifo(&stage.path("work/fifo"));
    stage
}

/// Calls hang one after the other, and somebody else's calls go on between and beside them.
async fn again_and_again(times: usize) -> Spoils {
    let stage = hanging_stage(POLICY).await;
    let flipping = Flipping::start(stage.path("work"));
    let honest = async || {
        let begin = Instant::now();
        let answer = stage.text("echo_back", json!({ "text": "x" })).await;
        (begin.elapsed(), answer)
    };
    let mut alone = Vec::new();
    for _ in 0..20 {
        alone.push(honest().await.0);
    }
    let (mut beyond, mut beside, mut spoils) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..times {
        let way = WAYS[n % WAYS.len()];
        let done = AtomicBool::new(false);
        let hanging = async {
            let ended = hang(&stage, way).await;
            done.store(true, Ordering::Relaxed);
            ended
        };
        let others = async {
            let mut times = Vec::new();
            while !done.load(Ordering::Relaxed) {
                times.push(honest().await);
            }
            times
        };
        let ((late, more), others) = tokio::join!(hanging, others);
        beyond.push((late, way));
        spoils.extend(more);
        for (took, answer) in others {
            if answer != "x" || took > BEYOND {
                spoils.push(format!(
                    "while another tool was {way}, echo answered {answer:?} after {took:?}"
                ));
            }
            beside.push(took);
        }
    }
    flipping.stop();
    let late = beyond.iter().filter(|(late, _)| *late > BEYOND);
    spoils.extend(late.map(|(late, way)| format!("{way} ended {late:?} beyond its deadline")));
    tell(&beyond, alone, beside);
    spoils
}

/// Prints how the times are distributed; `--nocapture` shows it.
fn tell(beyond: &[(Duration, &str)], mut alone: Vec<Duration>, mut beside: Vec<Duration>) {
    let spread = |times: &mut Vec<Duration>| {
        times.sort();
        let at =
            |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1)));
        format!(
            "median {:?}, 99 % {:?}, most {:?}",
            at(50),
            at(99),
            times.last()
        )
    };
    for way in WAYS {
        let mut times: Vec<Duration> = beyond
            .iter()
            .filter(|(_, its)| its == way)
            .map(|(late, _)| *late)
            .collect();
        println!(
            "{way}: {} calls, beyond the deadline: {}",
            times.len(),
            spread(&mut times)
        );
    }
    println!("honest calls alone: {}", spread(&mut alone));
    println!("honest calls beside: {}", spread(&mut beside));
}

/// R13 in a worker: it stands still, and is killed at the deadline. Without the defence: a deadline that never comes.
async fn r13_of_a_worker(run: Run) -> Spoils {
    let policy = match run.defended {
        true => POLICY.to_owned(),
        false => POLICY.replace("200ms", "1h"),
    };
    let stage = hanging_stage(&policy).await;
    let before = children();
    let patience = if run.defended {
        BEYOND * 2
    } else {
        Duration::from_secs(2)
    };
    let mut spoils = Vec::new();
    match tokio::time::timeout(patience, hang(&stage, "standing still")).await {
        Ok((late, more)) => {
            spoils.extend(more);
            spoils
                .extend((late > BEYOND).then(|| format!("it ended {late:?} beyond its deadline")));
        }
        Err(_) => spoils.push("it stands still for ever".to_owned()),
    }
    let answer = stage.text("echo_back", json!({ "text": "x" })).await;
    spoils.extend((answer != "x").then_some(answer));
    for pid in children().difference(&before) {
        // Whatever is left of the twin.
        let _ = kill_process(Pid::from_raw(*pid).unwrap(), Signal::KILL);
    }
    spoils
}

/// Runs an ignored test of this file in a process of its own, whose children are its own workers alone.
fn in_a_process_of_its_own(test: &str) {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stdout).into_owned()
        + &String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success() && told.contains("1 passed"),
        "{told}"
    );
    println!("{told}");
}

#[test]
fn attack_r13_process() {
    in_a_process_of_its_own("killed::a_worker_that_stands_still");
}

#[test]
fn attack_r13_process_is_seen_without_its_defence() {
    in_a_process_of_its_own("killed::a_worker_that_nobody_kills");
}

#[test]
fn attack_r13_process_again_and_again() {
    in_a_process_of_its_own("killed::workers_that_hang");
}

attack! { r13_of_a_worker:
    #[ignore = "it is run in a process of its own"]
    a_worker_that_stands_still = PROCESS,
    #[ignore = "it is run in a process of its own"]
    a_worker_that_nobody_kills = PROCESS_UNDEFENDED,
}

async fn some(_run: Run) -> Spoils {
    again_and_again(40).await
}

attack! { some:
    #[ignore = "it is run in a process of its own"]
    workers_that_hang = PROCESS,
}

/// The full measure, with its figures on standard output.
#[test]
#[ignore = "it takes minutes: cargo nextest run -p toolcell --run-ignored only --no-capture -E 'test(six_hundred)'"]
fn six_hundred_workers_that_hang() {
    let within = Duration::from_secs(1800);
    stage_for(within, PROCESS, |_run| again_and_again(600));
}
