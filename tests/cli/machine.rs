//! `doctor`, and machines on which something is missing.

use std::{fs, process::Stdio};

use crate::cell::{Cell, golden};

#[test]
fn doctor_reports_what_it_finds() {
    let cell = Cell::new().env("ANTHROPIC_API_KEY", "sk-test-not-shown");
    let shown = cell.run(&["doctor"]).exits(0);
    for says in [
        "wasmtime 48.",
        "calc, fetch, files, github, http, memory, search, time",
        "ANTHROPIC_API_KEY is set",
        "[DIR]/state",
    ] {
        assert!(shown.stdout.contains(says), "{says}: {shown}");
    }
    assert!(!shown.to_string().contains("sk-test"), "{shown}");
    let json = cell.run(&["doctor", "--json"]).exits(0).json();
    assert_eq!(json["data"]["environment"]["ANTHROPIC_API_KEY"], "(set)");
    assert_eq!(json["data"]["failed"], 0);
    let confinement = &json["data"]["confinement"];
    let level = confinement["level"].as_str().unwrap();
    assert!(shown.stdout.contains(&format!("confinement {level}: ")));
    // Every part is there, or the reason why not.
    for part in ["landlock", "seccomp", "openat2", "memory_cgroup"] {
        let part = &confinement["kernel"][part];
        assert!(part == "reached" || part["missing"].is_string(), "{part}");
    }
    // And so it is in a worker that was started for it.
    for part in ["landlock", "seccomp", "rlimits", "no_new_privs"] {
        let part = &confinement["worker"][part];
        assert!(part == "reached" || part["missing"].is_string(), "{part}");
    }
    if cfg!(not(target_os = "linux")) {
        assert_eq!(level, "none");
    }
}

#[test]
fn a_state_directory_that_cannot_be_written_is_one_clear_line() {
    let cell = Cell::new();
    cell.file("plain", "no directory");
    let state = cell.path("plain/state").display().to_string();
    let cell = cell.env("TOOLCELL_STATE_DIR", &state);
    let calc = r#"{"expression":"1"}"#;
    golden!(
        "no_state",
        cell.run(&["call", "--policy", "policy.toml", "calc", calc])
            .exits(1),
        cell.run(&["demo"]).exits(1),
        cell.run(&["trust", "policy.toml", "--yes"]).exits(1),
    );
    let shown = cell.run(&["doctor"]).exits(1);
    assert!(shown.stdout.contains("✗ state"), "{shown}");
}

#[test]
fn a_cache_that_cannot_be_written_is_no_obstacle() {
    let cell = Cell::new();
    cell.file("plain", "no directory");
    let cache = cell.path("plain/cache").display().to_string();
    let cell = cell.env("TOOLCELL_CACHE_DIR", &cache);
    let shown = cell
        .run(&[
            "call",
            "--policy",
            "policy.toml",
            "calc",
            r#"{"expression":"6*7"}"#,
        ])
        .exits(0);
    assert_eq!(shown.stdout, "42\n");
    cell.run(&["doctor"]).exits(1);
}

#[test]
fn a_full_disk_behind_standard_output_is_no_success() {
    let cell = Cell::new();
    for arguments in [
        &["explain"][..],
        &["explain", "denied"],
        &["explain", "--json"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let child = cell.start_into(arguments, Stdio::from(full));
        let shown = cell
            .shown(arguments, &child.wait_with_output().unwrap())
            .exits(1);
        assert_eq!(
            shown.stderr.lines().next(),
            Some("unavailable: cannot write standard output: no space left on device")
        );
    }
}

#[test]
fn files_without_an_end_are_refused() {
    let cell = Cell::new();
    golden!(
        "endless_files",
        cell.run(&["policy", "check", "/dev/zero"]).exits(2),
        cell.run(&["inspect", "/dev/zero"]).exits(2),
        cell.run(&["run", "x", "--model", "scripted:/dev/zero"])
            .exits(1),
        cell.run(&["call", "calc", "@/dev/zero"]).exits(1),
        cell.run(&["wasi-run", "/dev/zero"]).exits(2),
        cell.run(&["policy", "check", "."]).exits(2),
    );
}

#[test]
fn a_home_that_is_no_absolute_path_is_told() {
    let cell = Cell::new()
        .env("HOME", "somewhere")
        .env("TOOLCELL_STATE_DIR", "");
    let shown = cell.run(&["tools"]).exits(1);
    assert!(shown.stderr.contains("HOME is no absolute path"), "{shown}");
    assert!(!cell.path("somewhere").exists());
}

#[test]
fn doctor_warns_of_hard_links_in_granted_directories() {
    let cell = Cell::new();
    cell.file("secret/key", "CANARY");
    cell.file("work/plain.txt", "plain");
    cell.file(
        "linked.toml",
        "[tool.files]\nfrom = \"builtin:files\"\nfiles = [{ host = \"work\", guest = \"/work\", access = \"read\" }]\n",
    );
    let policy = cell.path("linked.toml").display().to_string();
    let work = cell.path("work");
    let key = cell.path("secret/key");
    let cell = cell.env("TOOLCELL_POLICY", &policy);
    let shown = cell.run(&["doctor"]).exits(0);
    assert!(shown.stdout.contains("no hard links, no mounts"), "{shown}");

    fs::hard_link(key, work.join("innocent.txt")).unwrap();
    let json = cell.run(&["doctor", "--json"]).exits(0).json();
    let checks = json["data"]["checks"].as_array().unwrap();
    let check = checks.iter().find(|it| it["name"] == "grants").unwrap();
    assert_eq!(check["level"], "note");
    let what = check["what"].as_str().unwrap();
    assert!(what.contains("linked.toml:3 tool.files.files[0]"), "{what}");
    assert!(
        what.ends_with("1 file with a second name: innocent.txt"),
        "{what}"
    );
    assert!(check["help"].as_str().unwrap().contains("hard link"));
}
