//! The one structure check of the library: lower rooms never name higher ones, and rooms of one level never name
//! each other. What must be different is in `EXCEPTIONS`, with the reason.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The rooms of `host/src`, lowest first.
const LEVELS: &[&[&str]] = &[
    &["builtin", "call", "error", "text"],
    &[
        "admission",
        "confine",
        "engine",
        "egress",
        "schema",
        "secrets",
        "audit",
        "telemetry",
        "values",
    ],
    &["capability"],
    &["package", "sandbox", "registry", "worker"],
    &["host"],
    &["testing", "lib", "bin"],
];

/// Who may name whom all the same, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "registry",
        "package",
        "a registered tool is a package that was prepared",
    ),
    (
        "registry",
        "sandbox",
        "preparing links the imports that the sandbox serves",
    ),
    (
        "values",
        "schema",
        "what must hold for all types is checked with their schemas",
    ),
    ("sandbox", "registry", "a call runs a prepared tool"),
    (
        "worker",
        "sandbox",
        "a worker process runs the same sandbox, and its host judges the end of a call in the same way",
    ),
];

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The rooms that `text` names as `crate::room` or `crate::{room, other::..}`, comments left out, with their lines.
fn named(text: &str) -> Vec<(usize, String)> {
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + prefix.len()..];
        // `inside` after a `::` that follows a name: what comes then lies in that room.
        let (mut depth, mut inside, mut name) = (0, false, String::new());
        for c in rest.chars() {
            if c.is_alphanumeric() || c == '_' {
                name.push(c);
                continue;
            }
            let ended = std::mem::take(&mut name);
            if !ended.is_empty() && depth < 2 && !inside {
                found.push((line, ended));
            }
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ':' => inside = true,
                ',' if depth == 1 => inside = false,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

#[test]
fn rooms_only_name_lower_rooms() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut problems = Vec::new();
    // A room's tests may use what others prepare for tests.
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let inside = file.strip_prefix(&root).unwrap();
        let first = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let room = first.trim_end_matches(".rs");
        let Some(own) = level(room) else {
            problems.push(format!("{}: room `{room}` has no level", inside.display()));
            continue;
        };
        for (line, other) in named(&fs::read_to_string(file).unwrap()) {
            let Some(its) = level(&other).filter(|_| other != room) else {
                continue;
            };
            let excepted = EXCEPTIONS.iter().any(|(a, b, _)| *a == room && *b == other);
            if its >= own && !excepted {
                problems.push(format!(
                    "{}:{line}: `{room}` names `{other}`",
                    inside.display()
                ));
            }
        }
    }
    assert!(
        problems.is_empty(),
        "rooms reach where they must not:\n{}",
        problems.join("\n")
    );
}
