mod requests;

use std::{
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    task::JoinHandle,
};

use super::*;
use crate::{
    CallEvent, Content, Stdio,
    capability::{answer::Piece, fixtures::bearer, recorder::PathUse},
    engine::{EngineOptions, Engines},
    sandbox::{
        Setup,
        fixtures::{ECHO, SPIN, asks_for_secret, tool},
    },
    secrets::{CallSecrets, Secret},
    worker::{
        fixtures::{PLENTY, listening, setup},
        outside::{self, Ended},
        wire::{Ask, Reply},
    },
};

fn engine(fuel: bool) -> Arc<crate::engine::Engine> {
    let options = EngineOptions {
        concurrency: 2,
        ..EngineOptions::default()
    };
    let engines = Engines::new(options).unwrap();
    if fuel {
        Arc::clone(engines.fuel().unwrap())
    } else {
        Arc::clone(engines.fast())
    }
}

fn prepare(bytes: &[u8], fuel: bool) -> Runnable {
    let engine = engine(fuel);
    let component = engine
        .compile(bytes, &Sha256::digest(bytes).into())
        .unwrap();
    Runnable::Tool(Prepared::new(&engine, &component).unwrap())
}

/// A worker in this process, at the other end of a stream.
struct Worker {
    stream: DuplexStream,
    serving: JoinHandle<Result<(), WireError>>,
}

impl Worker {
    fn start(runnable: Runnable, setup: &Setup) -> Self {
        let holdings = setup.roots.held().holdings().clone();
        let handles = setup.roots.held().handles();
        let handles = handles.map(|fd| fd.try_clone_to_owned().unwrap()).collect();
        let roots = Arc::new(HeldRoots::received(holdings, handles, None).unwrap());
        let (stream, far) = duplex(64 << 10);
        Self {
            stream,
            serving: tokio::spawn(async move { serve(&runnable, roots, far).await }),
        }
    }

    async fn call(&mut self, setup: Setup) -> Ended<Vec<Content>> {
        self.cancellable(setup, &CancellationToken::new()).await
    }

    async fn cancellable(
        &mut self,
        setup: Setup,
        cancel: &CancellationToken,
    ) -> Ended<Vec<Content>> {
        let input = r#"{"a":1}"#.to_owned();
        outside::call(&mut self.stream, setup, "t", input, cancel).await
    }
}

fn plain(limits: &str, time: Duration) -> Setup {
    let policy = format!("limits = {{ {limits} }}");
    setup(&policy, Path::new("/"), time)
}

async fn run(bytes: &[u8], limits: &str) -> Ended<Vec<Content>> {
    let setup = plain(limits, PLENTY);
    let mut worker = Worker::start(prepare(bytes, limits.contains("fuel")), &setup);
    worker.call(setup).await
}

fn kind<T: std::fmt::Debug>(ended: &Ended<T>) -> ErrorKind {
    ended.finished.outcome.as_ref().unwrap_err().kind
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_answers_one_call_after_the_other() {
    let counter = tool(
        "(global $n (mut i32) (i32.const 48))",
        "(global.set $n (i32.add (global.get $n) (i32.const 1)))
         (i32.store8 (i32.const 0) (global.get $n))
         (call $text (i32.const 0) (i32.const 1))",
    );
    let mut worker = Worker::start(prepare(&counter, false), &plain("", PLENTY));
    for _ in 0..3 {
        let ended = worker.call(plain("", PLENTY)).await;
        assert_eq!(ended.finished.outcome.unwrap(), [Content::text("1")]);
        assert!(ended.reusable && !ended.gone);
        let usage = ended.finished.usage;
        assert_eq!((usage.output_bytes, usage.memory_peak_bytes), (1, 65_536));
        assert!(usage.cpu_us > 0 && usage.wall_us >= usage.cpu_us);
    }
    drop(worker.stream);
    worker.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_input_and_the_answer_come_through() {
    let ended = run(&tool("", ECHO), "").await;
    let expected = Content::Json {
        json: json!({ "a": 1 }),
    };
    assert_eq!(ended.finished.outcome.unwrap(), [expected]);
}

#[tokio::test]
async fn a_tools_own_error_is_no_reason_to_end_its_worker() {
    let body = "(i32.store16 (i32.const 0) (i32.const 26984))
                (call $error (i32.const 4) (i32.const 0) (i32.const 2))";
    let ended = run(&tool("", body), "").await;
    assert!(ended.reusable);
    let failure = ended.finished.outcome.unwrap_err();
    assert_eq!(
        (failure.kind, &*failure.message),
        (ErrorKind::Unavailable, "hi")
    );
    assert!(failure.request_sent);
}

#[tokio::test]
async fn after_a_trap_a_worker_is_not_used_again() {
    let ended = run(&tool("", "(unreachable)"), "").await;
    assert!(!ended.reusable && !ended.gone);
    let failure = ended.finished.outcome.unwrap_err();
    assert_eq!(
        (failure.kind, &*failure.message),
        (ErrorKind::Trap, "the tool aborted")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_end_a_call_as_they_do_without_a_worker() {
    let spin = tool("", SPIN);
    let ended = run(&spin, "cpu = '20ms'").await;
    assert_eq!(kind(&ended), ErrorKind::LimitCpu);
    assert!(!ended.reusable && ended.finished.usage.cpu_us >= 20_000);
    let ended = run(&spin, "fuel = 100000").await;
    assert_eq!(kind(&ended), ErrorKind::LimitCpu);
    assert_eq!(ended.finished.usage.fuel, Some(100_000));
    let greedy = tool(
        "",
        "(if (i32.eq (memory.grow (i32.const 1024)) (i32.const -1)) (then (unreachable)))
         (call $text (i32.const 0) (i32.const 0))",
    );
    assert_eq!(
        kind(&run(&greedy, "memory = '1MiB'").await),
        ErrorKind::LimitMemory
    );
    let large = tool("", "(call $text (i32.const 0) (i32.const 1001))");
    assert_eq!(
        kind(&run(&large, "output = '1000B'").await),
        ErrorKind::LimitOutput
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_ends_a_call_in_the_hosts_words() {
    let setup = plain("", Duration::from_millis(50));
    let mut worker = Worker::start(prepare(&tool("", SPIN), false), &setup);
    let begin = Instant::now();
    let ended = worker.call(setup).await;
    let failure = ended.finished.outcome.unwrap_err();
    assert_eq!(
        (failure.kind, &*failure.message),
        (ErrorKind::LimitTime, "too late")
    );
    assert!(!ended.reusable && begin.elapsed() < PLENTY);
    worker.serving.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_call_ends_at_once() {
    let setup = plain("", PLENTY);
    let mut worker = Worker::start(prepare(&tool("", SPIN), false), &setup);
    let cancel = CancellationToken::new();
    let canceller = cancel.clone();
    let (ended, ()) = tokio::join!(worker.cancellable(setup, &cancel), async {
        tokio::task::yield_now().await;
        canceller.cancel();
    });
    assert_eq!(kind(&ended), ErrorKind::Cancelled);
    assert!(!ended.reusable);
    // Its host lets go of the stream, and the worker ends though its guest still spins.
    drop(worker.stream);
    worker.serving.await.unwrap().unwrap();
}

/// A guest in Rust: what its host functions would do on a worker's link.
async fn as_guest<F>(setup: Setup, guest: impl FnOnce(Link) -> F) -> Ended<Vec<Content>>
where
    F: Future<Output = Done> + Send + 'static,
{
    as_sandbox(setup, |link| {
        let guest = guest(link);
        async { ended_with(guest.await) }
    })
    .await
}

async fn as_sandbox<F>(setup: Setup, guest: impl FnOnce(Link) -> F) -> Ended<Vec<Content>>
where
    F: Future<Output = sandbox::Finished<Done>> + Send + 'static,
{
    let (mut stream, far) = duplex(64 << 10);
    let mut connection = Connection::open(far);
    let link = connection.link();
    let guest = guest(link.clone());
    let working = tokio::spawn(async move {
        let number = connection.next_call().await.unwrap().unwrap().number;
        link.finish(finish(number, guest.await, |done| done));
        connection.ended().await
    });
    let cancel = CancellationToken::new();
    let ended = outside::call(&mut stream, setup, "t", "{}".into(), &cancel).await;
    drop(stream);
    let _ = working.await.unwrap();
    ended
}

fn ended_with(done: Done) -> sandbox::Finished<Done> {
    sandbox::Finished {
        outcome: Ok(done),
        usage: Usage::default(),
        record: Record::default(),
    }
}

fn text(text: impl Into<String>) -> Done {
    Done::Answer(Few(vec![Piece::Text(text.into())]))
}

#[tokio::test]
async fn what_happens_is_told_in_its_order_and_recorded_by_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, heard) = listening();
    let mut setup = setup(
        r#"files = [{ host = ".", guest = "/work", access = "read" }]"#,
        dir.path(),
        PLENTY,
    );
    let rule = setup.roots.held().holdings().dirs[0].rule.clone();
    setup.recorder = recorder;
    let its = rule.clone();
    let ended = as_guest(setup, |link| async move {
        let telling = link.clone();
        let recorder = Recorder::relaying(Arc::new(move |notice| telling.tell(notice)), true);
        let log = |message: &str| CallEvent::Log {
            level: "info".into(),
            message: message.into(),
        };
        let denial = |rule: &str| crate::Denial {
            capability: "net".into(),
            access: "write /work/a\n".into(),
            rule: rule.into(),
            reason: "no".into(),
        };
        recorder.emit(log("one"));
        recorder.deny(denial(&its));
        recorder.deny_outside("/etc/passwd", PathUse::Read);
        recorder.emit(log("two\u{1b}[2J"));
        recorder.deny(denial("toolcell.toml:1 made.up"));
        recorder.touch("/work/b", PathUse::Read);
        recorder.touch("/work/b", PathUse::Read);
        text("")
    })
    .await;
    let record = ended.finished.record;
    let rules: Vec<&str> = record.denials.iter().map(|it| &*it.rule).collect();
    assert_eq!(
        rules,
        [
            &*rule,
            "default: denied until written",
            "default: refused by the tool's process"
        ]
    );
    assert!(record.denials.iter().all(|it| it.capability == "files"));
    assert_eq!(record.denials[0].access, "write /work/a\\n");
    assert_eq!(record.denials[1].access, "read /etc/passwd");
    assert_eq!((record.denials_total, record.paths.len()), (3, 1));
    let order: Vec<String> = heard
        .lock()
        .unwrap()
        .iter()
        .map(|event| match event {
            CallEvent::Log { message, .. } => message.clone(),
            CallEvent::Denied(denial) => denial.access.clone(),
            CallEvent::Progress { .. } => "progress".into(),
            CallEvent::Asked { .. } | CallEvent::Answered { .. } => "a question".into(),
            CallEvent::LikelySecret { .. } => "a likely secret".into(),
        })
        .collect();
    assert_eq!(
        order,
        [
            "one",
            "write /work/a\\n",
            "read /etc/passwd",
            "two\\u{1b}[2J",
            "write /work/a\\n"
        ]
    );
}

#[tokio::test]
async fn what_is_too_much_to_tell_is_counted() {
    let ended = as_sandbox(plain("", PLENTY), |link| async move {
        let recorder = Recorder::relaying(Arc::new(move |notice| link.tell(notice)), false);
        for n in 0..300 {
            recorder.deny_outside(&format!("/{n}"), PathUse::Read);
            recorder.touch(&format!("/{n}"), PathUse::Read);
        }
        sandbox::Finished {
            record: recorder.take(),
            ..ended_with(text("counted"))
        }
    })
    .await;
    let record = ended.finished.record;
    assert_eq!(ended.finished.outcome.unwrap(), [Content::text("counted")]);
    assert_eq!((record.denials.len(), record.denials_total), (64, 300));
    assert_eq!((record.paths.len(), record.paths_dropped), (256, 44));
}

#[tokio::test]
async fn a_limit_that_was_told_is_known_even_when_the_worker_is_gone() {
    let setup = plain("", PLENTY);
    let (mut stream, far) = duplex(64 << 10);
    let worker = tokio::spawn(async move {
        let mut connection = Connection::open(far);
        connection.next_call().await.unwrap().unwrap();
        let link = connection.link();
        let telling = link.clone();
        let recorder = Recorder::relaying(Arc::new(move |notice| telling.tell(notice)), false);
        recorder.exceed(ErrorKind::LimitFiles, "too many\nfiles");
        recorder.exceed(ErrorKind::LimitLog, "not the first");
        // Answered, so everything before it has arrived.
        let tool = Ask::Tool {
            name: "other".into(),
            input: "{}".into(),
        };
        assert!(matches!(link.ask(tool).await, Some(Reply::Refused(_))));
    });
    let cancel = CancellationToken::new();
    let ended = outside::call(&mut stream, setup, "t", "{}".into(), &cancel).await;
    worker.await.unwrap();
    assert!(ended.gone && !ended.reusable);
    let failure = ended.finished.outcome.unwrap_err();
    assert_eq!(
        (failure.kind, &*failure.message),
        (ErrorKind::LimitFiles, "too many\\nfiles")
    );
}

#[tokio::test]
async fn the_host_decides_on_calls_of_other_tools() {
    let setup = setup(r#"calls = ["time_now"]"#, Path::new("/"), PLENTY);
    let ended = as_guest(setup, |link| async move {
        use crate::capability::tools::CallTools as _;
        let tools = RemoteTools(link);
        let answer = tools.call("time_now".into(), r#"{"zone":1}"#.into()).await;
        assert_eq!(
            answer.unwrap().unwrap(),
            [Piece::Text(r#"time_now {"zone":1}"#.into())]
        );
        let refused = tools.call("other".into(), "{}".into()).await.unwrap();
        text(refused.unwrap_err().message)
    })
    .await;
    let denial = &ended.finished.record.denials[0];
    assert_eq!(
        (&*denial.capability, &*denial.access),
        ("tools", "call other")
    );
    assert_eq!(ended.finished.outcome.unwrap().len(), 1);
}

#[tokio::test]
async fn a_budget_of_calls_ends_the_guest_with_the_hosts_limit() {
    let setup = setup(r#"calls = ["time_now"]"#, Path::new("/"), PLENTY);
    let ended = as_guest(setup, |link| async move {
        use crate::capability::tools::CallTools as _;
        let tools = RemoteTools(link);
        loop {
            if let Err(limit) = tools.call("time_now".into(), "{}".into()).await {
                return Done::Failed(Fault {
                    kind: limit.0,
                    message: String::new(),
                });
            }
        }
    })
    .await;
    assert_eq!(kind(&ended), ErrorKind::BudgetExceeded);
    assert!(!ended.reusable);
}

/// Keeps what is written, and whether that was told.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Copies standard input to standard output and exits with a status.
const CAT: &str = r#"(component
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $e))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "input-stream" (type $in (sub resource)))
    (export "output-stream" (type $out (sub resource)))
    (alias outer 1 $e (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (type $stream-error0 (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error0)))
    (export "[method]input-stream.blocking-read" (func
      (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $stream-error)))))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "input-stream" (type $input))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin
    (alias outer 1 $input (type $i)) (export "input-stream" (type $in (eq $i)))
    (export "get-stdin" (func (result (own $in))))))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output (type $o)) (export "output-stream" (type $out (eq $o)))
    (export "get-stdout" (func (result (own $out))))))
  (core module $libc
    (memory (export "memory") 4)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $libc (instantiate $libc))
  (core func $get-in (canon lower (func $stdin "get-stdin")))
  (core func $get-out (canon lower (func $stdout "get-stdout")))
  (core func $read (canon lower (func $streams "[method]input-stream.blocking-read")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $libc "memory"))))
  (core module $m
    (import "l" "memory" (memory 4))
    (import "h" "in" (func $in (result i32)))
    (import "h" "out" (func $out (result i32)))
    (import "h" "read" (func $read (param i32 i64 i32)))
    (import "h" "write" (func $write (param i32 i32 i32 i32)))
    (func (export "run") (result i32)
      (local $i i32) (local $o i32)
      (local.set $i (call $in)) (local.set $o (call $out))
      (loop $more
        (call $read (local.get $i) (i64.const 1000) (i32.const 0))
        (if (i32.eqz (i32.load8_u (i32.const 0)))
          (then
            (call $write (local.get $o) (i32.load (i32.const 4)) (i32.load (i32.const 8)) (i32.const 16))
            (br $more))))
      (i32.const 1)))
  (core instance $i (instantiate $m
    (with "l" (instance (export "memory" (memory $libc "memory"))))
    (with "h" (instance
      (export "in" (func $get-in)) (export "out" (func $get-out))
      (export "read" (func $read)) (export "write" (func $write))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $r (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $r)))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_reads_and_writes_through_its_host() {
    let engine = engine(false);
    let bytes = wat::parse_str(CAT).unwrap();
    let component = engine
        .compile(&bytes, &Sha256::digest(&bytes).into())
        .unwrap();
    let program = Program::new(&engine, &component).unwrap();
    let setup = plain("", PLENTY);
    let mut worker = Worker::start(Runnable::Program(program), &setup);
    let (stdin, mut writer) = duplex(512);
    let typed: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let paper = Paper::default();
    let stdio = Stdio {
        stdin: Box::new(stdin),
        stdout: Box::new(paper.clone()),
        stderr: Box::new(Paper::default()),
    };
    let cancel = CancellationToken::new();
    let args = vec!["cat".to_owned()];
    let (ended, ()) = tokio::join!(
        outside::program(&mut worker.stream, setup, stdio, args, &cancel),
        async {
            writer.write_all(&typed).await.unwrap();
            drop(writer);
        }
    );
    assert_eq!(ended.finished.outcome.unwrap(), 1);
    assert!(ended.reusable);
    assert_eq!(*paper.0.lock().unwrap(), typed);
}

#[tokio::test]
async fn a_tool_has_no_standard_streams() {
    let ended = as_guest(plain("", PLENTY), |link| async move {
        let _ = link.ask(Ask::Input(1)).await;
        text("never")
    })
    .await;
    assert_eq!(kind(&ended), ErrorKind::Trap);
}

#[tokio::test]
async fn a_worker_knows_the_names_of_secrets() {
    let with_secrets = || {
        let value = Secret::new("a value that stays in the host").unwrap();
        let secrets = CallSecrets::of(vec![
            (bearer("TOKEN", "https://a.test"), Some(value)),
            (bearer("ABSENT", "https://a.test"), None),
        ]);
        Setup {
            secrets: Arc::new(secrets),
            ..plain("", PLENTY)
        }
    };
    let runnable = prepare(&asks_for_secret(), false);
    let mut worker = Worker::start(runnable, &with_secrets());
    let never = CancellationToken::new();
    for (setup, input, answer) in [
        (with_secrets(), "\"TOKEN\"", "1"),
        (with_secrets(), "\"ABSENT\"", "0"),
        (with_secrets(), "\"OTHER\"", "0"),
        // The next call knows what it was told itself.
        (plain("", PLENTY), "\"TOKEN\"", "0"),
    ] {
        let input = input.to_owned();
        let ended = outside::call(&mut worker.stream, setup, "t", input, &never).await;
        assert_eq!(ended.finished.outcome.unwrap(), [Content::text(answer)]);
    }
}
