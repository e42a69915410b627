//! Attacks on what a grant may be, on names, on special files and on space.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;
use toolcell::ErrorKind;

use crate::{
    common::guest,
    files::write_work,
    stage::{Run, Spoils, Stage, THREAD, attack, host, parse, plant},
};

/// The directories of a machine that no policy may grant, under many names.
fn forbidden(dir: &Path) -> Vec<PathBuf> {
    let home = dir.join("home");
    fs::create_dir(&home).unwrap();
    let mut paths: Vec<PathBuf> = [
        "/",
        "//",
        "/.",
        "/..",
        "/tmp/..",
        "/usr/..",
        "/proc",
        "/proc/",
        "/proc/self",
        "/proc/self/fd",
        "/proc/self/ns",
        "/proc/self/root",
        "/proc/self/root/proc",
        "/proc/sys",
        "/proc/sys/kernel",
        "/proc/1",
        "/sys",
        "/sys/",
        "/sys/kernel",
        "/sys/class",
        "/sys/fs/cgroup",
        "/dev",
        "/dev/",
        "/dev/fd",
        "/dev/shm/..",
        "/dev/pts",
        "/dev/../proc",
        "/run",
        "/run/",
        "/var/run",
        "/var/run/..//run",
        "/run/lock",
        "/tmp/../proc",
        "/usr/../sys",
    ]
    .map(PathBuf::from)
    .to_vec();
    for (n, target) in ["/", "/proc", "/sys", "/dev", "/run", "/proc/self", "."]
        .iter()
        .enumerate()
    {
        let link = dir.join(format!("link{n}"));
        symlink(target, &link).unwrap();
        let twice = dir.join(format!("twice{n}"));
        symlink(&link, &twice).unwrap();
        // The last one leads to a directory that holds the home.
        paths.extend([
            link.clone(),
            twice,
            link.join("."),
            link.join("../").join(format!("link{n}")),
        ]);
    }
    paths.extend([
        home.clone(),
        home.join("."),
        home.join(".."),
        dir.to_owned(),
    ]);
    paths
}

/// F9: a grant on what is no directory of files, or holds all of them, under every name.
async fn f9(run: Run) -> Spoils {
    let dir = tempfile::tempdir().unwrap();
    let paths = forbidden(dir.path());
    assert!(paths.len() > 30);
    let home = dir.path().join("home");
    let mut there = 0;
    let mut spoils = Vec::new();
    for path in paths.iter().filter(|path| path.is_dir()) {
        there += 1;
        let grant = json!({ "path": path }).to_string();
        let grant = &grant[8..grant.len() - 1];
        let policy = format!(
            "[tool.paths]\nfiles = [{{ host = {grant}, guest = \"/x\", access = \"read\" }}]\n"
        );
        let builder = host(run).policy(parse(&policy));
        let builder = if run.defended {
            builder.too_wide(&home)
        } else {
            builder
        };
        if builder
            .build()
            .unwrap()
            .load_file(guest("paths"))
            .await
            .is_ok()
        {
            spoils.push(format!("{} was granted", path.display()));
        }
    }
    assert!(
        there > 20,
        "only {there} of these directories are on this machine"
    );
    spoils
}

attack! { f9:
    attack_f9_thread = THREAD,
    attack_f9_process = PROCESS,
    attack_f9_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f9_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f9_is_seen_without_its_defence = UNDEFENDED,
}

/// F10: a grant that holds the host's own state, lies in it, or leads to it.
async fn f10(run: Run) -> Spoils {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for name in [
        "state/audit/log.jsonl",
        "state/policy.toml",
        "state/cache/",
        "beside/",
        "state/other/x",
    ] {
        plant(root, name);
    }
    symlink("state", root.join("link")).unwrap();
    symlink("../state/cache", root.join("beside/cache")).unwrap();
    let mut spoils = Vec::new();
    for path in [
        ".",
        "state",
        "state/",
        "state/audit",
        "state/cache",
        "link",
        "link/audit",
        "beside/cache",
        "beside/../state",
        "link/../state/./audit",
    ] {
        for access in ["read", "write"] {
            let policy = format!(
                "[tool.paths]\nfiles = [{{ host = \"{path}\", guest = \"/x\", access = \"{access}\" }}]\n"
            );
            let mut builder = host(run).policy(parse(&policy)).base_dir(root);
            if run.defended {
                for own in [
                    "state/audit/log.jsonl",
                    "state/policy.toml",
                    "state/cache",
                    "state/secrets-to-be.toml",
                ] {
                    builder = builder.protect(root.join(own));
                }
            }
            if builder
                .build()
                .unwrap()
                .load_file(guest("paths"))
                .await
                .is_ok()
            {
                spoils.push(format!("{path} was granted to {access}"));
            }
        }
    }
    let harmless =
        "[tool.paths]\nfiles = [{ host = \"beside\", guest = \"/x\", access = \"write\" }]\n";
    let builder = host(run)
        .policy(parse(harmless))
        .base_dir(root)
        .protect(root.join("state"));
    builder
        .build()
        .unwrap()
        .load_file(guest("paths"))
        .await
        .expect("what is beside may be granted");
    spoils
}

attack! { f10:
    attack_f10_thread = THREAD,
    attack_f10_process = PROCESS,
    attack_f10_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f10_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f10_is_seen_without_its_defence = UNDEFENDED,
}

/// F12: names with NUL, too long, too deep, and no text at all: an error, always the same, and nothing that was cut.
async fn f12(run: Run) -> Spoils {
    let stage = Stage::new(run, &write_work(run, "paths"), &["work/"])
        .load(&["paths"])
        .await;
    let names = [
        "nul\0byte".to_owned(),
        "\0".to_owned(),
        "cut\0".to_owned(),
        "x".repeat(256),
        "x".repeat(4096),
        "x".repeat(100_000),
        "y/".repeat(3000),
        "\u{1f600}".repeat(64),
        "z".repeat(255) + "/../" + &"z".repeat(256),
    ];
    let mut spoils = Vec::new();
    for name in &names {
        let path = format!("/work/{name}");
        let short: String = name.chars().take(20).collect();
        let mut kinds = Vec::new();
        for _ in 0..2 {
            for tool in ["read", "write", "mkdir", "remove", "list", "touch"] {
                let input = match tool {
                    "write" => json!({ "path": path, "text": "x" }),
                    _ => json!({ "path": path }),
                };
                let result = stage.call(&format!("paths_{tool}"), input).await;
                match result.failure {
                    Some(failure) => kinds.push((tool, failure.kind)),
                    None => spoils.push(format!("{tool} {short:?} worked")),
                }
            }
        }
        let (first, second) = kinds.split_at(kinds.len() / 2);
        if first != second
            || kinds
                .iter()
                .any(|(_, kind)| matches!(kind, ErrorKind::Internal | ErrorKind::Trap))
        {
            spoils.push(format!("{short:?} ended in {kinds:?}"));
        }
        if !run.defended {
            // What a host does that hands names to C as they are, or cuts them to what fits.
            let cut = name.split('\0').next().unwrap_or_default();
            let cut: String = cut.chars().filter(|c| *c != '/').take(60).collect();
            let _ = fs::write(stage.path("work").join(cut), "x");
        }
    }
    let made = fs::read_dir(stage.path("work")).unwrap();
    spoils.extend(made.map(|entry| format!("{:?} was made", entry.unwrap().file_name())));
    fs::write(stage.path("work").join(OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
    stage.call("paths_list", json!({ "path": "/work" })).await;
    let write = stage
        .call("paths_write", json!({ "path": "/work/good", "text": "x" }))
        .await;
    assert!(!write.is_error(), "the host is well: {write:?}");
    spoils
}

attack! { f12:
    attack_f12_thread = THREAD,
    attack_f12_process = PROCESS,
    attack_f12_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f12_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f12_is_seen_without_its_defence = UNDEFENDED,
}

/// How long opening a special file may hold its caller up.
const HELD_UP: Duration = Duration::from_secs(10);

/// F13: FIFOs and sockets, and links to them, wait for whoever opens them.
async fn f13(run: Run) -> Spoils {
    let stage = Stage::new(run, &write_work(run, "paths"), &["work/sub/"])
        .load(&["paths"])
        .await;
    let fifo = stage.path("work/fifo");
    mkfifo(&fifo);
    symlink("fifo", stage.path("work/to-fifo")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(stage.path("work/socket")).unwrap();
    if !run.defended {
        return open_by_ourselves(&fifo);
    }
    let mut spoils = Vec::new();
    for path in [
        "/work/fifo",
        "/work/to-fifo",
        "/work/socket",
        "/work/fifo/",
        "/work/sub/../fifo",
    ] {
        for tool in ["read", "write", "append", "truncate", "list", "touch"] {
            let input = match tool {
                "write" => json!({ "path": path, "text": "x" }),
                _ => json!({ "path": path }),
            };
            let begin = Instant::now();
            let result = stage.call(&format!("paths_{tool}"), input).await;
            if !result.is_error() {
                spoils.push(format!("{tool} {path} worked"));
            }
            if begin.elapsed() > HELD_UP {
                spoils.push(format!("{tool} {path} took {:?}", begin.elapsed()));
            }
        }
    }
    spoils
}

/// What opening a FIFO does to a host that just opens it.
fn open_by_ourselves(fifo: &Path) -> Spoils {
    let (sender, receiver) = std::sync::mpsc::channel();
    let path = fifo.to_owned();
    let reader = std::thread::spawn(move || {
        let opened = fs::File::open(path);
        let _ = sender.send(());
        opened.map(drop)
    });
    let held = receiver.recv_timeout(Duration::from_millis(300)).is_err();
    // Whoever opens the other end lets the reader go.
    fs::OpenOptions::new().write(true).open(fifo).unwrap();
    reader.join().unwrap().unwrap();
    held.then(|| "opening the FIFO blocks".to_owned())
        .into_iter()
        .collect()
}

pub(crate) fn mkfifo(path: &Path) {
    let made = std::process::Command::new("mkfifo")
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
}

attack! { f13:
    attack_f13_thread = THREAD,
    attack_f13_process = PROCESS,
    attack_f13_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f13_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f13_is_seen_without_its_defence = UNDEFENDED,
}

/// F14: bytes, files and holes without end.
async fn f14(run: Run) -> Spoils {
    let limits = match run.defended {
        true => "written = \"1MiB\", created = 10",
        false => "written = \"8MiB\", created = 1000",
    };
    let policy = format!(
        "[tool.disk]\nfiles = [{{ host = \"work\", guest = \"/work\", access = \"write\" }}]\nlimits = {{ {limits} }}\n"
    );
    let stage = Stage::new(run, &policy, &["work/"]).load(&["disk"]).await;
    let mut spoils = Vec::new();
    stage.call("disk_bytes", json!({ "kib": 4096 })).await;
    let size = fs::metadata(stage.path("work/full")).unwrap().len();
    if size > 1 << 20 {
        spoils.push(format!("{size} bytes are on the disk"));
    }
    stage.call("disk_files", json!({ "count": 500 })).await;
    let count = fs::read_dir(stage.path("work")).unwrap().count();
    if count > 11 {
        spoils.push(format!("{count} files are on the disk"));
    }
    spoils
}

attack! { f14:
    attack_f14_thread = THREAD,
    attack_f14_process = PROCESS,
    attack_f14_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f14_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f14_is_seen_without_its_defence = UNDEFENDED,
}

/// The most listings that a call may hold open at once, each with all names of its directory.
const LISTINGS: usize = 64;

/// F18: a large directory and a deep one, listed again and again, with every listing kept.
async fn f18(run: Run) -> Spoils {
    let dir = large_tree();
    let most = if run.defended { LISTINGS } else { 200 };
    let policy = (write_work(run, "hoard") + &write_work(run, "paths")).replace(
        "limits = {",
        &format!("limits = {{ listings = {most}, open_files = 200,"),
    );
    let stage = Stage::over(run, &policy, dir)
        .load(&["hoard", "paths"])
        .await;
    let mut spoils = Vec::new();
    for path in ["/work/many", "/work/few"] {
        let input = json!({ "path": path, "times": 150 });
        let result = stage.call("hoard_listings", input).await;
        // A call that holds too many listings, or too many names in them, is ended.
        let held: usize = match &result.failure {
            Some(failure) => {
                assert_eq!(failure.kind, ErrorKind::LimitFiles, "{result:?}");
                0
            }
            None => result.text().parse().unwrap(),
        };
        if held > LISTINGS {
            spoils.push(format!("{held} listings of {path} were open at once"));
        }
    }
    let deep = format!("/work/{}", "d/".repeat(300));
    let begin = Instant::now();
    stage.call("paths_list", json!({ "path": deep })).await;
    stage
        .call("paths_list", json!({ "path": "/work/many" }))
        .await;
    if begin.elapsed() > HELD_UP * 2 {
        spoils.push(format!("two listings took {:?}", begin.elapsed()));
    }
    spoils
}

fn large_tree() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let many = dir.path().join("work/many");
    fs::create_dir_all(&many).unwrap();
    plant(dir.path(), "work/few/one");
    for n in 0..500 {
        fs::File::create(many.join(format!("{n:0>100}"))).unwrap();
    }
    fs::create_dir_all(dir.path().join("work").join("d/".repeat(300))).unwrap();
    dir
}

attack! { f18:
    attack_f18_thread = THREAD,
    attack_f18_process = PROCESS,
    attack_f18_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f18_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f18_is_seen_without_its_defence = UNDEFENDED,
}

/// Names that do harm when they are shown: they are kept as they are, and escaped in the audit log.
#[tokio::test]
async fn names_that_do_harm_when_they_are_shown_are_escaped_in_the_log() {
    let policy = write_work(THREAD, "paths");
    let stage = Stage::new(THREAD, &policy, &["work/"])
        .load(&["paths"])
        .await;
    let rw = stage.path("work");
    let names = [
        "a\nb",
        "\u{1b}[2J",
        "\u{202e}gnp.exe",
        "\u{e0041}",
        "tab\there",
        "\u{7f}",
        "\u{9b}31m",
    ];
    for name in names {
        let path = format!("/work/{name}");
        let written = stage
            .call("paths_write", json!({ "path": path, "text": name }))
            .await;
        assert!(!written.is_error(), "{name:?}: {}", written.text());
        assert_eq!(
            stage
                .call("paths_read", json!({ "path": path }))
                .await
                .text(),
            name
        );
        assert_eq!(fs::read_to_string(rw.join(name)).unwrap(), name);
        stage
            .call("paths_read", json!({ "path": format!("/outside/{name}") }))
            .await;
    }
    // What is no UTF-8 cannot be told to a guest; the listing ends in an error, and the host goes on.
    fs::write(rw.join(OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
    stage.call("paths_list", json!({ "path": "/work" })).await;
    let long = format!("/work/{}", "x".repeat(5000));
    assert!(
        stage
            .call("paths_read", json!({ "path": long }))
            .await
            .is_error()
    );

    let log = fs::read_to_string(stage.path("audit.jsonl")).unwrap();
    for shown in log.chars() {
        let harmless = shown == '\n' || !shown.is_control();
        assert!(
            harmless && !('\u{202a}'..='\u{202e}').contains(&shown),
            "{shown:?} is in the log"
        );
        assert!(
            !('\u{e0000}'..='\u{e007f}').contains(&shown),
            "{shown:?} is in the log"
        );
    }
    assert!(
        log.lines()
            .all(|line| line.starts_with('{') && line.ends_with('}'))
    );
}

/// F9, behind a mount: a file system of the kernel that is mounted inside a directory, by whoever may mount.
async fn f9_behind_a_mount(run: Run) -> Spoils {
    let dir = PathBuf::from(std::env::var_os(MOUNTED).expect("it is run by the test for it"));
    let shown = fs::read_to_string(dir.join("work/mounted/version"));
    shown.expect("whoever opens it without a check reads it");
    let mut spoils = Vec::new();
    for path in ["work/mounted", "work/mounted/self", "work/bound"] {
        let policy = format!(
            "[tool.paths]\nfiles = [{{ host = \"{path}\", guest = \"/x\", access = \"read\" }}]\n"
        );
        let builder = host(run).policy(parse(&policy)).base_dir(&dir);
        if builder
            .build()
            .unwrap()
            .load_file(guest("paths"))
            .await
            .is_ok()
        {
            spoils.push(format!("{path} was granted"));
        }
    }
    let policy = parse(&write_work(run, "escape"));
    let host = host(run).policy(policy).base_dir(&dir).build().unwrap();
    host.load_file(guest("escape")).await.unwrap();
    let paths = [
        "version",
        "self/status",
        "self/environ",
        "1/comm",
        "sys/kernel/ostype",
    ];
    let paths = paths.iter().flat_map(|path| {
        [
            format!("/work/mounted/{path}"),
            format!("/work/bound/{path}"),
        ]
    });
    let input = json!({ "paths": paths.collect::<Vec<_>>() });
    let read = host
        .call(toolcell::ToolCall::new("escape_read-all", input))
        .await
        .unwrap();
    assert!(!read.is_error(), "{read:?}");
    spoils.extend(read.text().lines().map(str::to_owned));
    spoils
}

/// Names the directory in which something was mounted.
const MOUNTED: &str = "TOOLCELL_TEST_MOUNTED";

/// Mounts in a name space of its own and runs an ignored test there. Where nobody may mount, it says so.
fn behind_a_mount(test: &str) {
    guest("escape");
    let dir = tempfile::tempdir().unwrap();
    for name in ["work/mounted/", "work/bound/"] {
        plant(dir.path(), name);
    }
    let mount = "mount -t proc proc \"$0/work/mounted\" && mount --bind /proc \"$0/work/bound\" && echo mounted && \
                 exec \"$@\" --ignored --exact --nocapture";
    let ended = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", mount])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(MOUNTED, dir.path())
        .output();
    let told = match ended {
        Ok(ended) if ended.stdout.starts_with(b"mounted") => {
            let told = String::from_utf8_lossy(&ended.stdout).into_owned()
                + &String::from_utf8_lossy(&ended.stderr);
            assert!(
                ended.status.success() && told.contains("1 passed"),
                "{told}"
            );
            told
        }
        other => format!("skipped: nothing can be mounted here: {other:?}"),
    };
    println!("{told}");
}

#[test]
fn attack_f9_thread_behind_a_mount() {
    behind_a_mount("disk::mounts_in_a_thread");
}

#[test]
fn attack_f9_process_behind_a_mount() {
    behind_a_mount("disk::mounts_in_a_process");
}

attack! { f9_behind_a_mount:
    #[ignore = "it is run where something is mounted"]
    mounts_in_a_thread = THREAD,
    #[ignore = "it is run where something is mounted"]
    mounts_in_a_process = PROCESS,
}
