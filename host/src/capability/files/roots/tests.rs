use std::{fs, os::unix::fs::symlink};

use super::*;
use crate::capability::fixtures::{ALL_FILES, granted};

fn open(base: &Path, hosts: &[&str], rules: &RootRules) -> Result<FileRoots> {
    let files: Vec<String> = hosts
        .iter()
        .enumerate()
        .map(|(n, host)| format!("{{ host = {host:?}, guest = \"/{n}\", access = \"read\" }}"))
        .collect();
    let grants = granted(&format!("files = [{}]", files.join(", ")), ALL_FILES);
    FileRoots::open(&grants, base, rules)
}

fn refused(base: &Path, host: &str, rules: &RootRules) -> String {
    let error = open(base, &[host], rules)
        .err()
        .unwrap_or_else(|| panic!("{host} was granted"));
    assert_eq!(error.kind(), ErrorKind::InvalidPolicy, "{host}");
    assert!(error.help().is_some());
    let rule = "toolcell.toml:3 tool.t.files[0]: the directory ";
    assert!(error.message().starts_with(rule), "{}", error.message());
    error.message().to_owned()
}

#[test]
fn system_directories_are_refused_under_every_name() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    symlink("/proc/self", base.join("innocent")).unwrap();
    symlink("/", base.join("top")).unwrap();
    symlink("innocent", base.join("twice")).unwrap();
    let climb = "../".repeat(40);
    let rules = RootRules::default();
    for (host, why) in [
        ("/", "root of the whole"),
        ("//", "root of the whole"),
        ("/tmp/..", "root of the whole"),
        ("top", "root of the whole"),
        (&climb, "root of the whole"),
        ("/proc", "/proc"),
        ("/proc/", "/proc"),
        ("/proc/self", "/proc"),
        ("/proc/1", "/proc"),
        ("/proc/self/fd", "/proc"),
        ("/tmp/../proc/self/task", "/proc"),
        ("innocent", "/proc"),
        ("twice", "/proc"),
        ("innocent/task", "/proc"),
        ("top/proc", "/proc"),
        ("/sys", "/sys"),
        ("/sys/kernel", "/sys"),
        ("/dev", "/dev"),
        ("/dev/shm", "/dev"),
        ("/dev/fd", "/proc"),
        ("/proc/self/root", "root of the whole"),
        ("/proc/self/root/proc", "/proc"),
        ("/proc/thread-self", "/proc"),
        ("/proc/sys/kernel", "/proc"),
        ("/./proc//self", "/proc"),
        ("top/dev/../proc", "/proc"),
        ("/sys/fs", "/sys"),
        ("/sys/fs/cgroup", "/sys"),
        ("/sys/devices", "/sys"),
        ("top/sys", "/sys"),
        ("/dev/pts", "/dev"),
        ("/dev/mqueue", "/dev"),
        ("top/dev/pts", "/dev"),
        ("/run", "/run"),
        ("/run/lock", "/run"),
        ("/run/user", "/run"),
        ("/var/run", "/run"),
    ] {
        if !base.join(host).exists() {
            continue;
        }
        let message = refused(base, host, &rules);
        assert!(message.contains(why), "{host}: {message}");
    }
}

/// A mount of a part of `/dev` somewhere else has another path, and its parents are others; its device is the same.
#[test]
fn a_part_of_a_system_directory_that_is_mounted_elsewhere_is_known_by_its_device() {
    let guard = Guard::new(&RootRules::default());
    let of = |path: &str| identity(super::open(Path::new(path)).unwrap()).unwrap();
    let (top, dev) = (of("/"), of("/dev"));
    let elsewhere = [dev.other_on_the_device(), of("/usr"), top];
    let separate = dev.other_on_the_device() != top.other_on_the_device();
    assert_eq!(guard.system_part(&elsewhere).is_some(), separate);
    assert_eq!(guard.system_part(&[of("/usr"), top]), None);
}

#[cfg(target_os = "linux")]
#[test]
fn kernel_file_systems_are_known_by_their_number() {
    for (path, system) in [
        ("/proc", true),
        ("/sys", true),
        ("/usr", false),
        ("/", false),
    ] {
        if let Ok(dir) = super::open(Path::new(path)) {
            assert_eq!(is_system(&dir).unwrap(), system, "{path}");
        }
    }
}

#[test]
fn what_overlaps_the_host_s_own_state_is_refused_in_both_directions() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    for made in ["state/cache/deep", "project/work", "elsewhere", "later"] {
        fs::create_dir_all(base.join(made)).unwrap();
    }
    fs::write(base.join("project/toolcell.toml"), "").unwrap();
    fs::write(base.join("elsewhere/audit.jsonl"), "").unwrap();
    symlink("state", base.join("alias")).unwrap();
    symlink("state/cache/deep", base.join("deep-alias")).unwrap();
    symlink("../elsewhere/audit.jsonl", base.join("project/audit.jsonl")).unwrap();
    let rules = RootRules {
        protected: [
            "state/cache",
            "project/toolcell.toml",
            "project/audit.jsonl",
            "later/not/yet/there",
        ]
        .map(|path| base.join(path))
        .into(),
        too_wide: Vec::new(),
        scratch: None,
    };
    for host in [
        ".",
        "state",
        "state/",
        "state/cache",
        "state/cache/deep",
        "state/../state",
        "alias",
        "alias/cache",
        "deep-alias",
        "project",
        "elsewhere",
        "later",
    ] {
        let message = refused(base, host, &rules);
        assert!(message.contains("own state in"), "{host}: {message}");
    }
    assert!(open(base, &["project/work"], &rules).is_ok());
}

#[test]
fn a_home_may_hold_grants_but_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    fs::create_dir_all(base.join("home/me/project")).unwrap();
    let rules = RootRules {
        protected: Vec::new(),
        too_wide: vec![base.join("home/me")],
        scratch: None,
    };
    for host in ["home/me", "home", "."] {
        let message = refused(base, host, &rules);
        assert!(message.contains("inside it"), "{host}: {message}");
    }
    assert!(open(base, &["home/me/project"], &rules).is_ok());
}

#[test]
fn what_is_no_directory_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    fs::write(base.join("file"), "").unwrap();
    symlink("nowhere", base.join("dangling")).unwrap();
    symlink("loop", base.join("loop")).unwrap();
    let rules = RootRules::default();
    let missing = refused(base, "missing", &rules);
    let path = base.join("missing");
    assert!(
        missing.contains(&format!("mkdir -p {}", path.display())),
        "{missing}"
    );
    assert!(refused(base, "file", &rules).contains("not a directory"));
    refused(base, "dangling", &rules);
    refused(base, "loop", &rules);
}

#[test]
fn all_problems_are_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = ["/proc", ".", "missing"];
    let error = open(dir.path(), &hosts, &RootRules::default())
        .err()
        .unwrap();
    let lines: Vec<&str> = error.message().lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("files[0]") && lines[1].contains("files[2]"));
}

#[test]
fn what_was_opened_stays_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    fs::create_dir(base.join("work")).unwrap();
    let roots = open(base, &["work"], &RootRules::default()).unwrap();
    fs::rename(base.join("work"), base.join("moved")).unwrap();
    symlink("/proc", base.join("work")).unwrap();
    let (_, opened, _) = roots.held().directories().next().unwrap();
    let moved = super::open(&base.join("moved")).unwrap();
    assert_eq!(identity(&*opened.dir).unwrap(), identity(&moved).unwrap());
    assert_eq!(roots.grants().package(), "t");
}
