//! `toolcell doctor`: checks this machine and this installation, and says what to do about what it finds.

mod grants;

use std::{fs, path::Path};

use serde::Serialize;
use serde_json::{Value, json};
use toolcell::{
    ConfinementLevel, ConfinementReport, ConfinementStep, ErrorKind, Kernel, ToolHost, audit,
    text::escape_control,
};

use crate::{
    app::Outcome,
    dirs::{self, Dirs},
    env, exit,
    failure::{self, Failure},
    locks, output, policies, process,
    style::{self, paint},
};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    /// All is well.
    Ok,
    /// It works, and something is worth knowing.
    Note,
    /// It does not work.
    Fail,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    level: Level,
    what: String,
    help: Option<String>,
}

impl Check {
    fn new(name: &'static str, level: Level, what: impl Into<String>) -> Self {
        Self {
            name,
            level,
            what: what.into(),
            help: None,
        }
    }

    fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Level::Ok, what)
    }

    fn failed(name: &'static str, failure: Failure) -> Self {
        let mut check = Self::new(name, Level::Fail, failure.message);
        check.help = failure.help;
        check
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

pub(crate) async fn doctor() -> Outcome {
    let offered = Kernel::probe();
    let worker = try_worker().await;
    let mut checks = vec![
        Check::ok("version", format!("toolcell {}", env!("CARGO_PKG_VERSION"))),
        kernel(&offered),
    ];
    // What the kernel offers is what a worker gets, or something is wrong with it.
    let reached = match worker {
        Ok(reached) => {
            checks.push(workers(&offered));
            reached
        }
        Err(failure) => {
            checks.push(Check::failed("workers", failure));
            None
        }
    };
    let dirs = Dirs::find();
    if let Err(failure) = &dirs {
        checks.push(Check::new(
            "directories",
            Level::Fail,
            failure.message.clone(),
        ));
    }
    let dirs = dirs.ok();
    checks.push(engine(dirs.as_ref()));
    checks.push(builtins());
    if let Some(dirs) = &dirs {
        checks.push(directory("state", &dirs.state, env::STATE_DIR));
        checks.push(directory("cache", &dirs.cache, env::CACHE_DIR));
        checks.push(policy(dirs));
        // A policy that cannot be read was told.
        if let Ok(in_force) = policies::load(&policies::from_environment(), dirs) {
            checks.extend(grants::check(&in_force.layers));
        }
        checks.extend(lock(dirs));
        checks.push(audit_log());
    }
    checks.push(own_process());
    checks.push(key());
    report(&checks, &offered, reached.as_ref())
}

/// Whether what this process knows can be read by others.
fn own_process() -> Check {
    let closed = process::closed();
    let mut open = Vec::new();
    if !closed.no_core {
        open.push("a crash may write its memory to disk");
    }
    if !closed.not_dumpable {
        open.push("other programs of yours may read its memory");
    }
    if open.is_empty() {
        return Check::ok(
            "process",
            "closed: no core dumps, and no other program of yours reads its memory",
        );
    }
    Check::new("process", Level::Note, open.join("; "))
        .help("keep secrets in files or a keyring rather than in the environment; docs/secrets.md says more")
}

/// Starts a worker that does nothing, and asks how it is confined.
async fn try_worker() -> Result<Option<ConfinementReport>, Failure> {
    Ok(ToolHost::builder().build()?.try_worker().await?)
}

fn report(checks: &[Check], kernel: &Kernel, worker: Option<&ConfinementReport>) -> Outcome {
    let failed = checks
        .iter()
        .filter(|check| check.level == Level::Fail)
        .count();
    let environment = environment();
    let value = json!({
        "checks": checks,
        "failed": failed,
        "process": process::closed(),
        "confinement": {
            "level": worker.map_or(ConfinementLevel::None, ConfinementReport::level),
            "kernel": kernel,
            "worker": worker,
        },
        "environment": environment,
    });
    if failed == 0 {
        output::answer(value, |_| human(checks, &environment));
        return Ok(exit::OK);
    }
    if !output::json() {
        output::piece(&human(checks, &environment));
    }
    let message = format!("{} failed", style::count(failed, "check"));
    Err(Failure::check(ErrorKind::Unavailable, message).data(value))
}

fn human(checks: &[Check], environment: &Value) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = match check.level {
            Level::Ok => paint(style::GOOD, "✓"),
            Level::Note => paint(style::NOTE, "!"),
            Level::Fail => paint(style::BAD, "✗"),
        };
        text.push_str(&format!(
            "{mark} {:<9} {}\n",
            check.name,
            output::column(&escape_control(&check.what), 12)
        ));
        if let Some(help) = &check.help {
            text.push_str(&format!(
                "            {}\n",
                paint(style::DIM, output::column(&escape_control(help), 12))
            ));
        }
    }
    text.push_str(&format!(
        "\n{}\n",
        paint(style::BOLD, "Environment variables")
    ));
    let names = env::ALL.iter().map(|variable| variable.name.len());
    let width = names.max().unwrap_or_default();
    for variable in env::ALL {
        let set = environment
            .get(variable.name)
            .and_then(Value::as_str)
            .unwrap_or_default();
        let name = format!("{:<width$}", variable.name);
        let about = paint(style::DIM, output::column(variable.about, width + 3));
        text.push_str(&format!("  {name} {about}\n"));
        if !set.is_empty() {
            text.push_str(&format!("  {:<width$} = {}\n", "", escape_control(set)));
        }
    }
    text
}

/// Every variable that is set, secrets without their value.
fn environment() -> Value {
    let mut set = serde_json::Map::new();
    for variable in env::ALL {
        if let Some(value) = env::get(variable.name) {
            let value = match variable.secret {
                true => "(set)".to_owned(),
                false => value.to_string_lossy().into_owned(),
            };
            set.insert(variable.name.to_owned(), value.into());
        }
    }
    set.into()
}

/// The kernel, and what it offers to confine a worker.
fn kernel(offered: &Kernel) -> Check {
    let mut what = std::env::consts::OS.to_owned();
    if let Ok(release) = fs::read_to_string("/proc/sys/kernel/osrelease") {
        what = format!("{what} {}", release.trim());
    }
    let landlock = format!("Landlock {}", offered.landlock_abi);
    let features = [
        (landlock.as_str(), &offered.landlock),
        ("seccomp", &offered.seccomp),
        ("openat2", &offered.openat2),
        ("pagemap scan", &offered.pagemap_scan),
        ("memory control group", &offered.memory_cgroup),
    ];
    let there: Vec<&str> = features
        .iter()
        .filter(|(_, step)| step.is_reached())
        .map(|(name, _)| *name)
        .collect();
    match there.as_slice() {
        [] => Check::new("kernel", Level::Note, what),
        there => Check::ok("kernel", format!("{what}: {}", there.join(", "))),
    }
}

/// How far the worker of a tool is confined here, and what it means where that is not all the way.
fn workers(offered: &Kernel) -> Check {
    let level = offered.level();
    if level == ConfinementLevel::Full {
        let what =
            "confinement full: granted files, a short list of system calls, limited resources";
        return Check::ok("workers", what);
    }
    let mut lacks = Vec::new();
    if let ConfinementStep::Missing(why) = &offered.landlock {
        lacks.push(format!(
            "its files are not confined ({why}), so a tool that broke out of the engine could open every file that \
             you can"
        ));
    } else if offered.landlock_abi < 3 {
        lacks.push(format!(
            "Landlock is of version {} and not of 3 or later, so a tool that broke out of the engine could truncate \
             files that it may only read",
            offered.landlock_abi
        ));
    }
    if let ConfinementStep::Missing(why) = &offered.seccomp {
        lacks.push(format!(
            "its system calls are not confined ({why}), so a tool that broke out of the engine could use the network \
             and start programs"
        ));
    }
    let what = format!("confinement {level}: {}", lacks.join("; "));
    let help = "a tool still runs in a process of its own that holds no secrets and is killed at the deadline; for \
                the whole wall run it on Linux 6.2 or later with `landlock` in the boot option `lsm=`";
    Check::new("workers", Level::Note, what).help(help)
}

fn engine(dirs: Option<&Dirs>) -> Check {
    let mut builder = ToolHost::builder();
    if let Some(dirs) = dirs {
        builder = builder.cache_dir(&dirs.cache);
    }
    let report = match builder.build() {
        Ok(host) => host.engine_report(),
        Err(error) => return Check::failed("engine", error.into()),
    };
    let pages = if report.pagemap_scan {
        "with"
    } else {
        "without"
    };
    let what = format!(
        "wasmtime {}, {} calls at a time, {pages} pagemap scan, compile cache {}",
        report.wasmtime, report.concurrency, report.cache
    );
    if report.pagemap_scan {
        Check::ok("engine", what)
    } else {
        Check::new("engine", Level::Note, what)
            .help("a Linux kernel from 6.7 on makes calls about three times as fast")
    }
}

fn builtins() -> Check {
    let names: Vec<&str> = toolcell::builtins().map(|(name, _)| name).collect();
    match names.as_slice() {
        [] => Check::new("built-in", Level::Note, "no built-in tools in this build"),
        names => Check::ok("built-in", names.join(", ")),
    }
}

/// Whether files can be created there, tried out.
fn directory(name: &'static str, path: &Path, variable: &str) -> Check {
    let tried = dirs::create_private(path).and_then(|()| {
        tempfile::tempfile_in(path).map_err(|error| Failure::io("write to", path, &error))
    });
    match tried {
        Ok(_) => Check::ok(name, path.display().to_string()),
        Err(failure) => {
            let help = format!("make it writable, or name another place in {variable}");
            Check::failed(name, failure.help(help))
        }
    }
}

fn policy(dirs: &Dirs) -> Check {
    match policies::load(&policies::from_environment(), dirs) {
        Ok(in_force) if in_force.files.is_empty() => Check::new(
            "policy",
            Level::Note,
            "none is in force here, so nothing is granted",
        ),
        Ok(in_force) => {
            let files: Vec<String> = in_force
                .files
                .iter()
                .map(|(layer, file)| format!("{layer} {}", file.display()))
                .collect();
            match in_force.layers.problems().as_slice() {
                [] => Check::ok("policy", files.join(", ")),
                problems => {
                    let count = style::count(problems.len(), "rule");
                    Check::new(
                        "policy",
                        Level::Note,
                        format!("{}; {count} without effect", files.join(", ")),
                    )
                    .help("`toolcell policy check` shows them")
                }
            }
        }
        // A file that is not trusted holds back what is done here and says nothing against the installation.
        Err(failure) if failure.kind == ErrorKind::Untrusted => {
            let check = Check::new("policy", Level::Note, failure.message);
            Check {
                help: failure.help,
                ..check
            }
        }
        Err(failure) => Check::failed("policy", failure),
    }
}

/// Whether the packages in force are pinned, where there is any that could be. A policy that cannot be read was told.
fn lock(dirs: &Dirs) -> Option<Check> {
    let in_force = policies::load(&policies::from_environment(), dirs).ok()?;
    let differing = match locks::differing(&in_force.layers) {
        Ok(differing) => differing,
        Err(failure) => return Some(Check::failed("lock", failure)),
    };
    if !differing.is_empty() {
        let what = format!("not as locked: {}", differing.join(", "));
        let help = "`toolcell lock --check` says what changed";
        return Some(Check::new("lock", Level::Fail, what).help(help));
    }
    if let Some(note) = locks::unpinned(&in_force.layers) {
        return Some(Check::new("lock", Level::Note, note));
    }
    let policies = in_force.layers.iter();
    let pinned: usize = policies
        .filter_map(|(_, policy)| policy.lock())
        .map(|lock| lock.packages().count())
        .sum();
    (pinned > 0).then(|| {
        Check::ok(
            "lock",
            format!("{} as locked", style::count(pinned, "package")),
        )
    })
}

fn audit_log() -> Check {
    let path = match policies::audit_in_force() {
        Ok(path) => path,
        Err(failure) => return Check::failed("audit", failure),
    };
    match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Check::ok("audit", format!("{} (not begun yet)", path.display()));
        }
        Err(error) => return Check::failed("audit", Failure::io("read", &path, &error)),
        Ok(_) => {}
    }
    match audit::verify_file(&path) {
        Ok(found) if found.is_intact() => {
            let records =
                style::count(usize::try_from(found.lines).unwrap_or(usize::MAX), "record");
            Check::ok(
                "audit",
                format!("{}: {records}, last hash {}", path.display(), found.last),
            )
        }
        Ok(_) => Check::new(
            "audit",
            Level::Fail,
            format!("{} was changed", path.display()),
        )
        .help("`toolcell audit verify` names the lines"),
        Err(error) => Check::failed("audit", failure::audit(&error)),
    }
}

/// Whether there is a key; never what it is.
fn key() -> Check {
    let url = env::text(env::ANTHROPIC_BASE_URL).unwrap_or("https://api.anthropic.com".to_owned());
    match env::get(env::ANTHROPIC_API_KEY) {
        Some(_) => Check::ok("model", format!("ANTHROPIC_API_KEY is set, for {url}")),
        None => Check::new("model", Level::Note, "ANTHROPIC_API_KEY is not set")
            .help("needed for `--model anthropic:…`; `--model scripted:FILE` and `toolcell demo` do without"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(landlock: u32, seccomp: bool) -> Kernel {
        let step = |there: bool| match there {
            true => json!("reached"),
            false => json!({ "missing": "it is too old" }),
        };
        let value = json!({
            "landlock_abi": landlock,
            "landlock": step(landlock > 0),
            "seccomp": step(seccomp),
            "openat2": step(true),
            "pagemap_scan": step(false),
            "memory_cgroup": step(false),
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_kernel_that_confines_less_is_a_note_that_says_what_it_means() {
        let full = workers(&kernel(3, true));
        assert_eq!((full.level, full.help), (Level::Ok, None));
        for (landlock, seccomp, says) in [
            (
                0,
                true,
                "confinement partial: its files are not confined (it is too old)",
            ),
            (2, true, "confinement partial: Landlock is of version 2"),
            (
                7,
                false,
                "confinement partial: its system calls are not confined",
            ),
            (0, false, "confinement none: its files are not confined"),
        ] {
            let check = workers(&kernel(landlock, seccomp));
            assert_eq!(check.level, Level::Note);
            assert!(check.what.starts_with(says), "{}", check.what);
            assert!(check.help.unwrap().contains("Linux 6.2"));
        }
    }
}
