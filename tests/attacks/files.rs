//! Attacks on granted directories: paths that lead out, grants that reach too far, changes through a read grant.

use std::{fs, path::Path, time::Duration};

use serde_json::json;
use toolcell::ToolCall;

use crate::{
    common::guest,
    paths,
    stage::{CANARY, Run, Spoils, Stage, attack, changes, host, parse, plant, sightings, tree},
};

/// A policy for a guest that may write `work`, or, where the defence is down, everything beside it too.
pub(crate) fn write_work(run: Run, guest: &str) -> String {
    let (host, at) = match run.defended {
        true => ("work", "/work"),
        false => (".", "/"),
    };
    format!(
        "[tool.{guest}]\nfiles = [{{ host = \"{host}\", guest = \"{at}\", access = \"write\" }}]\n\
         limits = {{ time = \"100s\", cpu = \"100s\", output = \"4MiB\", written = \"1GiB\", created = 100000 }}\n"
    )
}

/// Reads a list of paths, so many in one call that the input stays small.
async fn read_all(stage: &Stage, paths: &[String]) -> Spoils {
    let mut spoils = Vec::new();
    for some in paths.chunks(1000) {
        let (small, large): (Vec<_>, Vec<_>) = some.iter().partition(|path| path.len() < 1000);
        for paths in [small]
            .into_iter()
            .chain(large.chunks(5).map(<[_]>::to_vec))
        {
            let result = stage
                .call("escape_read-all", json!({ "paths": paths }))
                .await;
            assert!(!result.is_error(), "{result:?}");
            spoils.extend(sightings(&result.text()));
        }
    }
    spoils
}

/// F1: thousands of spellings of "up", and a canary on each of nine levels above the grant.
async fn f1(run: Run) -> Spoils {
    let dir = tempfile::tempdir().unwrap();
    // Nine levels down is the grant; at the top is another `work`, which only a grant on everything shows.
    let mut below = String::new();
    plant(dir.path(), "canary");
    plant(dir.path(), "work/sub/");
    for level in 1..=9 {
        below += &format!("{level}/");
        plant(dir.path(), &format!("{below}canary"));
    }
    plant(dir.path(), &format!("{below}work/sub/"));
    let policy = match run.defended {
        true => write_work(run, "escape").replace("\"work\"", &format!("\"{below}work\"")),
        false => write_work(run, "escape"),
    };
    let stage = Stage::over(run, &policy, dir).load(&["escape"]).await;
    let paths = paths::climbing();
    assert!(paths.len() > 5000, "only {} paths", paths.len());
    read_all(&stage, &paths).await
}

attack! { f1:
    attack_f1_thread = THREAD,
    attack_f1_process = PROCESS,
    attack_f1_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f1_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f1_is_seen_without_its_defence = UNDEFENDED,
}

/// F2: the canary's own absolute path, in every disguise.
async fn f2(run: Run) -> Spoils {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path(), "outside/secret");
    plant(dir.path(), "work/sub/");
    let root = dir.path().canonicalize().unwrap();
    let policy = match run.defended {
        true => write_work(run, "escape"),
        // The guest sees the host's directory under its own name.
        false => write_work(run, "escape").replace("\"/\"", &format!("\"{}\"", root.display())),
    };
    let target = root.join("outside/secret");
    let stage = Stage::over(run, &policy, dir).load(&["escape"]).await;
    let paths = paths::absolute(target.to_str().unwrap());
    let mut spoils = read_all(&stage, &paths).await;
    let system: Vec<&String> = paths.iter().filter(|path| path.starts_with('/')).collect();
    let read = stage
        .text("escape_read-all", json!({ "paths": system }))
        .await;
    spoils.extend(read.lines().map(str::to_owned));
    spoils
}

attack! { f2:
    attack_f2_thread = THREAD,
    attack_f2_process = PROCESS,
    attack_f2_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f2_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f2_is_seen_without_its_defence = UNDEFENDED,
}

const TWO_GRANTS: &str = r#"
[tool.paths]
files = [
    { host = "ro", guest = "/ro", access = "ACCESS" },
    { host = "rw", guest = "/rw", access = "write" },
]
limits = { time = "60s", cpu = "60s" }
"#;

/// A host whose guest `paths` may read `ro`, or, where the defence is down, write it, and may write `rw`.
async fn two_grants(run: Run) -> Stage {
    let access = if run.defended { "read" } else { "write" };
    let names = ["ro/a", "ro/sub/b", "rw/c", "rw/sub/"];
    Stage::new(run, &TWO_GRANTS.replace("ACCESS", access), &names)
        .load(&["paths"])
        .await
}

/// F6: a file goes from a read grant into a write grant, by a second name or a new one, and back.
async fn f6(run: Run) -> Spoils {
    let stage = two_grants(run).await;
    let before = tree(stage.dir.path().join("ro").as_path());
    for (tool, from, to) in [
        ("hardlink", "/ro/a", "/rw/hard"),
        ("hardlink", "/ro/sub/b", "/rw/sub/hard"),
        ("hardlink", "/rw/c", "/ro/hard"),
        ("rename", "/ro/sub", "/rw/moved"),
        ("rename", "/rw/c", "/ro/moved"),
        ("rename", "/ro/a", "/rw/stolen"),
    ] {
        stage
            .call(&format!("paths_{tool}"), json!({ "path": from, "to": to }))
            .await;
    }
    // Whatever took a second name can now be changed under it.
    for path in ["/rw/hard", "/rw/sub/hard", "/rw/moved/b", "/rw/stolen"] {
        stage.call("paths_append", json!({ "path": path })).await;
        stage.call("paths_truncate", json!({ "path": path })).await;
    }
    let mut spoils = changes(&before, &tree(stage.path("ro").as_path()));
    let stolen = ["hard", "sub/hard", "moved", "stolen"];
    let stolen = stolen
        .iter()
        .filter(|name| stage.path("rw").join(name).exists());
    spoils.extend(stolen.map(|name| format!("rw/{name} came from the read grant")));
    spoils
}

attack! { f6:
    attack_f6_thread = THREAD,
    attack_f6_process = PROCESS,
    attack_f6_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f6_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f6_is_seen_without_its_defence = UNDEFENDED,
}

/// F8: every call that could change something, on everything in a read grant.
async fn f8(run: Run) -> Spoils {
    let stage = two_grants(run).await;
    let ro = stage.path("ro");
    let before = tree(&ro);
    let mut spoils = Vec::new();
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
            ("touch", json!({ "path": path })),
            ("link", json!({ "path": path, "target": "a" })),
            ("rename", json!({ "path": path, "to": "/ro/other" })),
            ("hardlink", json!({ "path": path, "to": "/ro/other" })),
            ("remove", json!({ "path": path })),
        ] {
            let result = stage.call(&format!("paths_{tool}"), input).await;
            if !result.is_error() {
                spoils.push(format!("{tool} {path}: {}", result.text()));
            }
        }
    }
    spoils.extend(changes(&before, &tree(&ro)));
    spoils
}

attack! { f8:
    attack_f8_thread = THREAD,
    attack_f8_process = PROCESS,
    attack_f8_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f8_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f8_is_seen_without_its_defence = UNDEFENDED,
}

/// F16: every error that a path can cause, every link that can be read, and every denial: the host's own paths are in
/// none of them.
async fn f16(run: Run) -> Spoils {
    let dir = tempfile::tempdir().unwrap();
    for name in ["work/a", "work/sub/", "outside/secret"] {
        plant(dir.path(), name);
    }
    let root = dir.path().canonicalize().unwrap();
    std::os::unix::fs::symlink(root.join("outside"), root.join("work/absolute")).unwrap();
    std::os::unix::fs::symlink(root.join("work/a"), root.join("work/within")).unwrap();
    let policy = match run.defended {
        true => write_work(run, "paths") + &write_work(run, "escape"),
        // A policy that shows the directory under the host's own name.
        false => (write_work(run, "paths") + &write_work(run, "escape"))
            .replace("\"/\"", &format!("\"{}\"", root.display())),
    };
    let stage = Stage::over(run, &policy, dir)
        .load(&["paths", "escape"])
        .await;
    let (tmp, name) = (
        root.to_str().unwrap(),
        root.file_name().unwrap().to_str().unwrap(),
    );
    let mut spoils = Vec::new();
    let base = if run.defended { "/work" } else { tmp };
    for end in [
        "",
        "/",
        "/a",
        "/a/",
        "/none",
        "/absolute",
        "/absolute/secret",
        "/within",
        "/../outside",
        "/sub",
    ] {
        let path = format!("{base}{end}");
        let mut results = Vec::new();
        for (tool, input) in [
            ("paths_read", json!({ "path": path })),
            ("paths_list", json!({ "path": path })),
            ("paths_truncate", json!({ "path": path })),
            ("paths_mkdir", json!({ "path": path })),
            ("paths_rmdir", json!({ "path": path })),
            ("paths_link", json!({ "path": path, "target": "/etc" })),
            ("paths_rename", json!({ "path": path, "to": "/outside" })),
            (
                "escape_use-all",
                json!({ "paths": [path], "spare": "/work/spare" }),
            ),
        ] {
            results.push(stage.call(tool, input).await);
        }
        for result in results {
            // All of the result that goes to a model or a guest; the rule and its help are for people.
            let told = format!(
                "{:?} {:?} {:?}",
                result.content, result.denials, result.failure
            );
            if told.contains(name) {
                spoils.push(told);
            }
        }
    }
    spoils
}

attack! { f16:
    attack_f16_thread = THREAD,
    attack_f16_process = PROCESS,
    attack_f16_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f16_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f16_is_seen_without_its_defence = UNDEFENDED,
}

/// F17: times and permissions are changed to hide what was done: in a read grant not at all, and in a write grant not
/// without a record.
async fn f17(run: Run) -> Spoils {
    let access = if run.defended { "read" } else { "write" };
    let policy = TWO_GRANTS.replace("ACCESS", access)
        + &TWO_GRANTS
            .replace("ACCESS", access)
            .replace("paths", "escape");
    let names = ["ro/a", "ro/sub/b", "rw/c", "rw/sub/"];
    let stage = Stage::new(run, &policy, &names)
        .load(&["paths", "escape"])
        .await;
    let before = tree(&stage.path("ro"));
    let paths = ["/ro/a", "/ro/sub", "/ro/sub/b", "/ro", "/rw/../ro/a"];
    stage
        .call(
            "escape_use-all",
            json!({ "paths": paths, "spare": "/rw/none" }),
        )
        .await;
    for path in paths {
        stage.call("paths_touch", json!({ "path": path })).await;
    }
    let mut spoils = changes(&before, &tree(&stage.path("ro")));
    stage
        .call("paths_write", json!({ "path": "/rw/c", "text": "changed" }))
        .await;
    stage.call("paths_touch", json!({ "path": "/rw/c" })).await;
    let log = fs::read_to_string(stage.path("audit.jsonl")).unwrap();
    let recorded = log.lines().filter(|line| line.contains("/rw/c")).count();
    if recorded < 2 {
        spoils.push(format!(
            "/rw/c was changed twice, and {recorded} records say so"
        ));
    }
    spoils
}

attack! { f17:
    attack_f17_thread = THREAD,
    attack_f17_process = PROCESS,
    attack_f17_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f17_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f17_is_seen_without_its_defence = UNDEFENDED,
}

/// Names that are one for some file systems, or none.
const NAUGHTY: &[&str] = &[
    ".ENV",
    ".Env",
    ".env",
    "caf\u{e9}",
    "cafe\u{301}",
    "\u{212a}",
    "k",
    "K",
    "\u{130}",
    "i\u{307}",
    "stra\u{df}e",
    "STRASSE",
    "con",
    "CON",
    "nul",
    "NUL.txt",
    "aux",
    "COM1",
    "lpt1.txt",
    "a:b",
    "a::$DATA",
    "trailing.",
    "trailing ",
    "trailing",
    "a\\b",
    "..\\outside\\.env",
    "%2e%2e",
    "...",
    "~",
    "~1",
    "ENV~1",
    "\u{202e}vne.",
    "\u{200b}.env",
    "-rf",
    "*",
    "?",
    "<",
    "|",
    "\"",
    "'",
    "$(x)",
    "`x`",
    "a\nb",
    "\u{7f}",
    "\u{1b}[2J",
];

/// F11: names that another file system takes for the same, or for a device. Each is its own file, and a file outside
/// that one of them could mean stays as it is.
async fn f11(run: Run) -> Spoils {
    let stage = Stage::new(run, &write_work(run, "paths"), &["outside/.env", "work/"])
        .load(&["paths"])
        .await;
    let base = if run.defended { "/work" } else { "/outside" };
    let root = stage.path(base.trim_start_matches('/'));
    let mut spoils = Vec::new();
    for name in NAUGHTY {
        let path = format!("{base}/{name}");
        let written = stage
            .call("paths_write", json!({ "path": path, "text": name }))
            .await;
        if !written.is_error() && fs::read_to_string(root.join(name)).ok().as_deref() != Some(*name)
        {
            spoils.push(format!("{name:?} was written to another file"));
        }
    }
    for name in NAUGHTY {
        let read = stage
            .text("paths_read", json!({ "path": format!("{base}/{name}") }))
            .await;
        if read != *name {
            spoils.push(format!("{name:?} holds {read:?}"));
        }
    }
    let secret = fs::read_to_string(stage.path("outside/.env")).unwrap_or_default();
    if !secret.contains(CANARY) {
        spoils.push(format!("outside/.env holds {secret:?}"));
    }
    spoils
}

attack! { f11:
    attack_f11_thread = THREAD,
    attack_f11_process = PROCESS,
    attack_f11_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f11_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f11_is_seen_without_its_defence = UNDEFENDED,
}

/// What calls left behind. Each host has a directory there, and each worker one in it, in which calls get theirs. A
/// worker deletes such a directory when it has answered, so this waits a moment until nothing is left.
async fn left(home: &Path) -> Spoils {
    for _ in 0..500 {
        if below(home, 0).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    below(home, 0)
}

/// Everything that is deeper than the directories of hosts and workers. What vanishes meanwhile is not there.
fn below(dir: &Path, depth: usize) -> Spoils {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let of_one = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let own = depth == 0 || (depth == 1 && name.starts_with("worker-"));
        let found = (!own).then(|| format!("{} was left behind", path.display()));
        found.into_iter().chain(below(&path, depth + 1))
    };
    entries
        .map(|entry| entry.path())
        .flat_map(|path| of_one(path).collect::<Spoils>())
        .collect()
}

/// F19: calls look for what others left in the directory that each gets for itself, afterwards and at the same time.
async fn f19(run: Run) -> Spoils {
    let one = |guest: &str| {
        let space = match run.defended {
            true => "scratch = \"/tmp\"",
            // One directory for all.
            false => "files = [{ host = \"shared\", guest = \"/tmp\", access = \"write\" }]",
        };
        format!("[tool.{guest}]\n{space}\n")
    };
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path(), "scratch/");
    plant(dir.path(), "shared/");
    let host = host(run)
        .policy(parse(&(one("paths") + &one("escape"))))
        .base_dir(dir.path())
        .scratch_dir(dir.path().join("scratch"))
        .build()
        .unwrap();
    for name in ["paths", "escape"] {
        host.load_file(guest(name)).await.unwrap();
    }
    let call = async |tool: &str, input| host.call(ToolCall::new(tool, input)).await.unwrap();
    let text = format!("{CANARY} of a call");
    let written = call(
        "paths_write",
        json!({ "path": "/tmp/secret", "text": text }),
    )
    .await;
    assert!(!written.is_error(), "{written:?}");
    let mut spoils = Vec::new();
    for (tool, input) in [
        ("paths_list", json!({ "path": "/tmp" })),
        ("paths_read", json!({ "path": "/tmp/secret" })),
        (
            "escape_read-all",
            json!({ "paths": ["/tmp/secret", "/tmp/../secret", "/tmp/../scratch/secret"] }),
        ),
    ] {
        let seen = call(tool, input).await.text();
        spoils.extend((seen.contains(CANARY) || seen == "secret").then_some(seen));
    }
    // Side by side: each call makes a file and lists what is there.
    let beside = (0..12).map(|n| {
        let call = ToolCall::new(
            "escape_open-all",
            json!({ "paths": [format!("/tmp/own{n}"), "/tmp", "/tmp/.."] }),
        );
        let host = host.clone();
        tokio::spawn(async move { (n, host.call(call).await.unwrap().text()) })
    });
    for task in beside.collect::<Vec<_>>() {
        let (n, seen) = task.await.unwrap();
        assert!(seen.contains(&format!("own{n}")), "{seen}");
        let others = seen
            .lines()
            .filter(|line| line.starts_with("list") && line.matches("own").count() > 1);
        spoils.extend(others.map(str::to_owned));
    }
    spoils.extend(left(&dir.path().join("scratch")).await);
    spoils
}

attack! { f19:
    attack_f19_thread = THREAD,
    attack_f19_process = PROCESS,
    attack_f19_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f19_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f19_is_seen_without_its_defence = UNDEFENDED,
}
