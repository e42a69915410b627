//! What every attack stands on: how it is run, the host it is run against, and the canaries it looks for.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use tempfile::TempDir;
use toolcell::{
    ErrorKind, Isolation, Policy, ToolCall, ToolFailure, ToolHost, ToolHostBuilder, ToolResult,
    audit::FileAudit, worker::Workers,
};

use crate::common::{cache, guest, wat_guest, worker};

/// One way to run an attack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) isolation: Isolation,
    /// Whether the kernel's own way to stay beneath a directory is there. Without it the engine walks paths by itself.
    pub(crate) openat2: bool,
    /// Whether the defence stands. The twin of every attack runs without it.
    pub(crate) defended: bool,
}

pub(crate) const THREAD: Run = Run {
    isolation: Isolation::Thread,
    openat2: true,
    defended: true,
};
pub(crate) const THREAD_WITHOUT_OPENAT2: Run = Run {
    openat2: false,
    ..THREAD
};
pub(crate) const PROCESS: Run = Run {
    isolation: Isolation::Process,
    ..THREAD
};
pub(crate) const PROCESS_WITHOUT_OPENAT2: Run = Run {
    openat2: false,
    ..PROCESS
};
/// The attack must succeed here.
pub(crate) const UNDEFENDED: Run = Run {
    defended: false,
    ..THREAD
};
/// The same in a worker.
pub(crate) const PROCESS_UNDEFENDED: Run = Run {
    defended: false,
    ..PROCESS
};

/// What an attacker got, one line each. Nothing, where the defence holds.
pub(crate) type Spoils = Vec<String>;

/// The longest that an attack may take as a whole: far more than any needs.
const AT_LAST: Duration = Duration::from_secs(120);

/// Runs an attack and checks what came of it.
pub(crate) fn stage<F, A>(run: Run, attack: A)
where
    F: Future<Output = Spoils>,
    A: FnOnce(Run) -> F + Send,
{
    stage_for(AT_LAST, run, attack);
}

/// The same for an attack that takes its time.
pub(crate) fn stage_for<F, A>(at_last: Duration, run: Run, attack: A)
where
    F: Future<Output = Spoils>,
    A: FnOnce(Run) -> F + Send,
{
    // A thread of its own: a filter of system calls can never be taken off again, and whatever the runtime starts
    // inherits it.
    let spoils = thread::scope(|scope| {
        let staged = scope.spawn(move || {
            if !run.openat2 && run.isolation == Isolation::Thread {
                forbid_openat2();
            }
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let spoils = runtime.block_on(async {
                tokio::time::timeout(at_last, attack(run))
                    .await
                    .expect("an attack ends")
            });
            // What is still blocked in a system call must not hold up the test.
            runtime.shutdown_background();
            spoils
        });
        staged
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    if run.defended {
        assert!(
            spoils.is_empty(),
            "the attack succeeded:\n{}",
            spoils.join("\n")
        );
    } else {
        assert!(
            !spoils.is_empty(),
            "the attack was not seen, so this oracle is blind"
        );
    }
}

/// Names the tests of one attack, and the way in which each runs it.
macro_rules! attack {
    ($attack:path: $($(#[$about:meta])* $name:ident = $run:ident),+ $(,)?) => {
        $(
            #[test]
            $(#[$about])*
            fn $name() {
                crate::stage::stage(crate::stage::$run, $attack);
            }
        )+
    };
}
pub(crate) use attack;

/// Makes openat2 answer that this kernel has none, for this thread and all that it starts.
#[cfg(target_os = "linux")]
fn forbid_openat2() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    /// The number of openat2, which is the same on every architecture.
    const OPENAT2: i64 = 437;
    let filter = SeccompFilter::new(
        [(OPENAT2, Vec::new())].into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(rustix::io::Errno::NOSYS.raw_os_error().cast_unsigned()),
        std::env::consts::ARCH.try_into().unwrap(),
    )
    .unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
    let opened = rustix::fs::openat2(
        rustix::fs::CWD,
        ".",
        rustix::fs::OFlags::RDONLY,
        rustix::fs::Mode::empty(),
        rustix::fs::ResolveFlags::BENEATH,
    );
    assert_eq!(opened.err(), Some(rustix::io::Errno::NOSYS));
}

#[cfg(not(target_os = "linux"))]
fn forbid_openat2() {}

/// A host and the directory that its policy is about.
pub(crate) struct Stage {
    pub(crate) host: ToolHost,
    pub(crate) dir: TempDir,
}

impl Stage {
    /// A host under a policy whose relative paths start in a directory, which may hold the names given, each a file
    /// with a canary, or a directory where it ends in `/`.
    pub(crate) fn new(run: Run, policy: &str, names: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            plant(dir.path(), name);
        }
        Self::over(run, policy, dir)
    }

    /// A host over a directory that is there.
    pub(crate) fn over(run: Run, policy: &str, dir: TempDir) -> Self {
        Self::of(host(run), policy, dir)
    }

    /// A host whose workers are started in a way of the attack's own.
    pub(crate) fn with_workers(run: Run, policy: &str, names: &[&str], workers: Workers) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            plant(dir.path(), name);
        }
        Self::of(host(run).workers(workers), policy, dir)
    }

    fn of(builder: ToolHostBuilder, policy: &str, dir: TempDir) -> Self {
        let host = builder
            .policy(parse(policy))
            .base_dir(dir.path())
            .audit(FileAudit::open(&dir.path().join("audit.jsonl"), SystemTime::now).unwrap())
            .build()
            .unwrap();
        Self { host, dir }
    }

    /// The same with guests that are loaded by their names.
    pub(crate) async fn load(self, guests: &[&str]) -> Self {
        for name in guests {
            self.host.load_file(guest(name)).await.unwrap();
        }
        self
    }

    /// The same with a guest that is written as text.
    pub(crate) async fn load_wat(self, name: &str) -> Self {
        self.host.load_bytes(name, wat_guest(name)).await.unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) async fn call(&self, tool: &str, input: Value) -> ToolResult {
        let result = self.host.call(ToolCall::new(tool, input)).await.unwrap();
        let known = |failure: &ToolFailure| failure.kind != ErrorKind::UnknownTool;
        assert!(result.failure.as_ref().is_none_or(known), "{result:?}");
        result
    }

    pub(crate) async fn text(&self, tool: &str, input: Value) -> String {
        self.call(tool, input).await.text()
    }
}

pub(crate) fn parse(policy: &str) -> Policy {
    Policy::parse("policy.toml", policy).unwrap()
}

/// How the workers of an attack are started.
pub(crate) fn workers(run: Run) -> Workers {
    let workers = Workers::program(worker());
    if run.openat2 {
        workers
    } else {
        workers.without_openat2()
    }
}

/// A host in the making that runs its tools as the attack wants them.
pub(crate) fn host(run: Run) -> ToolHostBuilder {
    ToolHost::builder()
        .cache_dir(cache())
        .default_isolation(run.isolation)
        .workers(workers(run))
}

/// What is in every file that nobody may read.
pub(crate) const CANARY: &str = "CANARY";

/// Makes a file with a canary, or a directory where the name ends in `/`.
pub(crate) fn plant(dir: &Path, name: &str) {
    let path = dir.join(name);
    if name.ends_with('/') {
        fs::create_dir_all(path).unwrap();
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("{CANARY} {name}")).unwrap();
}

/// What a tree looks like from the outside: of every entry its mode, size, time of change, and content or target.
pub(crate) type Tree = BTreeMap<String, (u32, u64, i64, i64, Vec<u8>)>;

/// Everything about a tree that a guest could change.
pub(crate) fn tree(dir: &Path) -> Tree {
    let mut tree = Tree::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_file() {
            fs::read(&path).unwrap()
        } else {
            fs::read_link(&path)
                .map(|target| target.into_os_string().into_encoded_bytes())
                .unwrap_or_default()
        };
        let size = if meta.is_dir() { 0 } else { meta.size() };
        let about = (meta.mode(), size, meta.mtime(), meta.mtime_nsec(), content);
        tree.insert(path.display().to_string(), about);
        if meta.is_dir() {
            tree.extend(self::tree(&path));
        }
    }
    tree
}

/// The lines of an answer that hold a canary, or the name of a file that holds one.
pub(crate) fn sightings(answer: &str) -> Spoils {
    answer
        .lines()
        .filter(|line| {
            let detail = line.rsplit(" \"").next().unwrap_or_default();
            detail.contains(CANARY) || (line.starts_with("list") && detail.contains("secret"))
        })
        .map(str::to_owned)
        .collect()
}

/// What changed in a tree, in words.
pub(crate) fn changes(before: &Tree, after: &Tree) -> Spoils {
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let other = after
        .iter()
        .filter(|(path, about)| before.get(*path) != Some(*about));
    gone.map(|path| format!("{path} is gone"))
        .chain(other.map(|(path, _)| format!("{path} is new or changed")))
        .collect()
}
