//! Attacks with symbolic links: planted, made by the guest itself, and exchanged while a call runs.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::json;

use crate::{
    files::write_work,
    stage::{Run, Spoils, Stage, attack, changes, plant, sightings, tree},
};

/// Canaries in `outside`, beside a grant on `work` with something harmless in it.
async fn yard(run: Run, guest: &str) -> Stage {
    let names = [
        "outside/secret",
        "outside/sub/secret",
        "work/sub/",
        "work/deep/er/",
    ];
    let stage = Stage::new(run, &write_work(run, guest), &names)
        .load(&[guest])
        .await;
    fs::write(stage.path("work/spare"), "harmless").unwrap();
    stage
}

/// F3: every operation through links that the guest made and links that were there.
async fn f3(run: Run) -> Spoils {
    let dir = tempfile::tempdir().unwrap();
    for name in ["outside/secret", "outside/sub/secret", "work/sub/"] {
        plant(dir.path(), name);
    }
    fs::write(dir.path().join("work/spare"), "harmless").unwrap();
    symlink("../outside", dir.path().join("work/planted")).unwrap();
    symlink("../../outside", dir.path().join("work/sub/up")).unwrap();
    let policy = write_work(run, "escape") + &write_work(run, "paths");
    let stage = Stage::over(run, &policy, dir)
        .load(&["escape", "paths"])
        .await;
    let mut doors = vec!["/work/planted".to_owned(), "/work/sub/up".to_owned()];
    for (n, target) in [
        "../outside",
        "./../outside/",
        "..",
        "sub/../../outside",
        "sub/up",
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/work/made{n}");
        stage
            .call("paths_link", json!({ "target": target, "path": path }))
            .await;
        doors.push(path);
    }
    let before = tree(&stage.path("outside"));
    let mut paths = Vec::new();
    for door in &doors {
        for end in [
            "",
            "/",
            "/.",
            "/sub",
            "/secret",
            "/outside",
            "/outside/secret",
            "/sub/..",
        ] {
            paths.push(format!("{door}{end}"));
        }
    }
    let mut spoils = Vec::new();
    for tool in ["escape_read-all", "escape_open-all"] {
        spoils.extend(sightings(
            &stage.text(tool, json!({ "paths": paths })).await,
        ));
    }
    let input = json!({ "paths": paths, "spare": "/work/spare" });
    let answer = stage.text("escape_use-all", input).await;
    spoils.extend(sightings(&answer));
    // Reading a link itself, or its own attributes, is no way through it.
    let through = answer
        .lines()
        .filter(|line| line.contains("stat \"") && line.contains("/secret\""));
    spoils.extend(through.map(str::to_owned));
    spoils.extend(changes(&before, &tree(&stage.path("outside"))));
    spoils
}

attack! { f3:
    attack_f3_thread = THREAD,
    attack_f3_process = PROCESS,
    attack_f3_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f3_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f3_is_seen_without_its_defence = UNDEFENDED,
}

/// Ways through the links of F4.
const LINKS: &[&str] = &[
    "dir",
    "file",
    "twice",
    "sub/up",
    "sub/up/dir",
    "sub/up/../outside",
    "slashed",
    "dangling",
    "self/../outside",
    "self/dir",
    "winding",
    "absolute",
    "./dir",
    "sub/../dir",
    "deep/er/../../dir",
];

/// What may stand behind a link.
const SLASHES: &[&str] = &[
    "",
    "/",
    "//",
    "///",
    "/.",
    "/./",
    "/./.",
    "/..",
    "/../",
    "/../outside/",
    "/../outside/secret",
    "/secret",
    "/secret/",
    "//secret",
    "/./secret",
    "/./secret/",
    "/sub/../secret",
    "/sub/secret",
    "/sub//secret/.",
];

/// F4: links in every arrangement, with slashes behind them, opened with every kind of flags.
async fn f4(run: Run) -> Spoils {
    let stage = yard(run, "escape").await;
    let work = stage.path("work");
    let absolute = stage.dir.path().canonicalize().unwrap().join("outside");
    for (target, link) in [
        ("../outside", "dir"),
        ("../outside/secret", "file"),
        ("dir", "twice"),
        ("..", "sub/up"),
        ("../outside/", "slashed"),
        ("../outside/new", "dangling"),
        (".", "self"),
        ("deep/er/../../../outside", "winding"),
        (absolute.to_str().unwrap(), "absolute"),
    ] {
        symlink(target, work.join(link)).unwrap();
    }
    let before = tree(&stage.path("outside"));
    let mut paths = Vec::new();
    for link in LINKS {
        for slash in SLASHES {
            paths.push(format!("/work/{link}{slash}"));
        }
    }
    let mut spoils = Vec::new();
    for some in paths.chunks(100) {
        let answer = stage
            .call("escape_open-all", json!({ "paths": some }))
            .await;
        assert!(!answer.is_error(), "{answer:?}");
        spoils.extend(sightings(&answer.text()));
    }
    spoils.extend(changes(&before, &tree(&stage.path("outside"))));
    spoils
}

attack! { f4:
    attack_f4_thread = THREAD,
    attack_f4_process = PROCESS,
    attack_f4_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f4_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f4_is_seen_without_its_defence = UNDEFENDED,
}

/// F5: somebody else turns a directory into a link and back while the tool opens files through it.
async fn f5(run: Run) -> Spoils {
    let stage = yard(run, "paths").await;
    let work = stage.path("work");
    fs::create_dir(work.join("door")).unwrap();
    fs::write(work.join("door/secret"), "harmless").unwrap();
    symlink("../outside", work.join("link")).unwrap();
    let done = AtomicBool::new(false);
    let mut seen = String::new();
    thread::scope(|scope| {
        scope.spawn(|| flip(&work, &done));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for _ in 0..6 {
                    for path in ["/work/door/secret", "/work/door/../door/secret"] {
                        let input = json!({ "path": path, "times": 400 });
                        seen += &stage.text("paths_hammer", input).await;
                    }
                }
            });
        });
        done.store(true, Ordering::Relaxed);
    });
    assert!(
        seen.contains("harmless"),
        "the door was never open: {seen:?}"
    );
    let canary = seen.contains(crate::stage::CANARY);
    canary.then_some(seen).into_iter().collect()
}

/// Exchanges the door for the link, each time in one step, until it is done.
fn flip(dir: &std::path::Path, done: &AtomicBool) {
    let dir = fs::File::open(dir).unwrap();
    while !done.load(Ordering::Relaxed) {
        exchange(&dir, "door", "link");
    }
}

#[cfg(target_os = "linux")]
pub(crate) fn exchange(dir: &fs::File, one: &str, other: &str) {
    let flags = rustix::fs::RenameFlags::EXCHANGE;
    rustix::fs::renameat_with(dir, one, dir, other, flags).unwrap();
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn exchange(dir: &fs::File, one: &str, other: &str) {
    rustix::fs::renameat(dir, one, dir, "parked").unwrap();
    rustix::fs::renameat(dir, other, dir, one).unwrap();
    rustix::fs::renameat(dir, "parked", dir, other).unwrap();
}

attack! { f5:
    attack_f5_thread = THREAD,
    attack_f5_process = PROCESS,
    attack_f5_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f5_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f5_is_seen_without_its_defence = UNDEFENDED,
}
