//! Attacks on granted directories that need more than one path: from a read grant into a write grant, by racing with
//! the host, and with names that do harm when they are shown.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

mod common;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, symlink},
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::SystemTime,
};

use common::{cache, guest};
use serde_json::{Value, json};
use tempfile::TempDir;
use toolcell::{Policy, ToolCall, ToolHost, ToolResult, audit::FileAudit};

const POLICY: &str = r#"
[tool.paths]
files = [
    { host = "ro", guest = "/ro", access = "read" },
    { host = "rw", guest = "/rw", access = "write" },
]
limits = { time = "60s", cpu = "60s" }
"#;

/// A host whose one guest may read `ro` and write `rw`, beside which `outside` lies.
struct Stage {
    host: ToolHost,
    dir: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ro/sub", "rw/sub", "outside"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        for name in ["ro/a", "ro/sub/b", "rw/c", "outside/secret"] {
            fs::write(dir.path().join(name), "canary of ".to_owned() + name).unwrap();
        }
        let log = dir.path().join("audit.jsonl");
        let host = ToolHost::builder()
            .policy(Policy::parse("policy.toml", POLICY).unwrap())
            .base_dir(dir.path())
            .cache_dir(cache())
            .audit(FileAudit::open(&log, SystemTime::now).unwrap())
            .build()
            .unwrap();
        host.load_file(guest("paths")).await.unwrap();
        Self { host, dir }
    }

    async fn call(&self, tool: &str, input: Value) -> ToolResult {
        let call = ToolCall::new(format!("paths_{tool}"), input);
        self.host.call(call).await.unwrap()
    }
}

/// Everything about a tree that a guest could change: kind and mode, size, time of change and content of each file.
fn tree(dir: &Path) -> BTreeMap<String, (u32, u64, i64, Vec<u8>)> {
    let mut tree = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let content = fs::read(&path).unwrap_or_default();
        let about = (meta.mode(), meta.size(), meta.mtime(), content);
        tree.insert(path.display().to_string(), about);
        if meta.is_dir() {
            tree.extend(self::tree(&path));
        }
    }
    tree
}

#[tokio::test]
async fn a_read_grant_changes_nothing() {
    let stage = Stage::new().await;
    let before = tree(&stage.dir.path().join("ro"));
    for path in [
        "/ro/a",
        "/ro/sub/b",
        "/ro/sub",
        "/ro/new",
        "/ro/",
        "/rw/../ro/a",
    ] {
        for (tool, input) in [
            ("write", json!({ "path": path, "text": "x" })),
            ("append", json!({ "path": path })),
            ("truncate", json!({ "path": path })),
            ("mkdir", json!({ "path": path })),
            ("rmdir", json!({ "path": path })),
            ("remove", json!({ "path": path })),
            ("touch", json!({ "path": path })),
            ("link", json!({ "path": path, "target": "a" })),
            ("rename", json!({ "path": path, "to": "/ro/other" })),
            ("rename", json!({ "path": path, "to": "/rw/stolen" })),
            ("rename", json!({ "path": "/rw/c", "to": path })),
            ("hardlink", json!({ "path": path, "to": "/ro/other" })),
            ("hardlink", json!({ "path": path, "to": "/rw/stolen" })),
            ("hardlink", json!({ "path": "/rw/c", "to": path })),
        ] {
            let result = stage.call(tool, input.clone()).await;
            assert!(result.is_error(), "{tool} {input}: {}", result.text());
            assert_eq!(tree(&stage.dir.path().join("ro")), before, "{tool} {input}");
        }
    }
    assert!(!stage.dir.path().join("rw/stolen").exists());
    assert_eq!(
        fs::read(stage.dir.path().join("rw/c")).unwrap(),
        b"canary of rw/c"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_swapped_in_is_not_followed_out() {
    let stage = Stage::new().await;
    let base = stage.dir.path().to_owned();
    let (inside, door) = (base.join("rw/inside"), base.join("rw/door"));
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("secret"), "harmless").unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let flipping = thread::spawn({
        let (base, done) = (base.clone(), Arc::clone(&done));
        move || {
            let (out, parked) = (base.join("rw/out"), base.join("parked"));
            while !done.load(Ordering::Relaxed) {
                // A directory, then a link to the outside, each put there in one step.
                fs::rename(&inside, &door).unwrap();
                symlink("../outside", &out).unwrap();
                fs::rename(&door, &parked).unwrap();
                fs::rename(&out, &door).unwrap();
                fs::remove_file(&door).unwrap();
                fs::rename(&parked, &inside).unwrap();
            }
        }
    });
    let mut seen = Vec::new();
    for _ in 0..5 {
        let result = stage
            .call("hammer", json!({ "path": "/rw/door/secret", "times": 500 }))
            .await;
        seen.push(result.text());
    }
    done.store(true, Ordering::Relaxed);
    flipping.join().unwrap();
    assert!(!seen.concat().contains("canary"), "{seen:?}");
    assert!(
        seen.concat().contains("harmless"),
        "the door was never open"
    );
}

#[tokio::test]
async fn a_fifo_and_a_device_hold_nobody_up() {
    let stage = Stage::new().await;
    let fifo = stage.dir.path().join("rw/fifo");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    for tool in ["read", "append", "truncate"] {
        let result = stage.call(tool, json!({ "path": "/rw/fifo" })).await;
        assert!(result.is_error(), "{tool}: {}", result.text());
        assert!(result.usage.wall_us < 30_000_000);
    }
}

#[tokio::test]
async fn names_that_do_harm_when_they_are_shown_are_escaped_in_the_log() {
    let stage = Stage::new().await;
    let rw = stage.dir.path().join("rw");
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
        let path = format!("/rw/{name}");
        let written = stage
            .call("write", json!({ "path": path, "text": name }))
            .await;
        assert!(!written.is_error(), "{name:?}: {}", written.text());
        assert_eq!(
            stage.call("read", json!({ "path": path })).await.text(),
            name
        );
        assert_eq!(fs::read_to_string(rw.join(name)).unwrap(), name);
        stage
            .call("read", json!({ "path": format!("/outside/{name}") }))
            .await;
    }
    // What is no UTF-8 cannot be told to a guest; the listing ends in an error, and the host goes on.
    fs::write(rw.join(OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
    stage.call("list", json!({ "path": "/rw" })).await;
    let long = format!("/rw/{}", "x".repeat(5000));
    assert!(stage.call("read", json!({ "path": long })).await.is_error());

    let log = fs::read_to_string(stage.dir.path().join("audit.jsonl")).unwrap();
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
