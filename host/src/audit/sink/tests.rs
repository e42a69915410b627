use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc, thread, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::audit::{Entry, SessionRecord, read_file, verify_file};

fn clock() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_255_380)
}

fn record(session: &str) -> AuditRecord {
    AuditRecord::Session(SessionRecord {
        session: session.to_owned(),
        version: "0.1.0".to_owned(),
        policy: Vec::new(),
    })
}

/// A directory with a log of the given sessions.
fn log_of(sessions: &[&str]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/audit.jsonl");
    let audit = FileAudit::open(&path, clock).unwrap();
    for session in sessions {
        audit.append(&record(session)).unwrap();
    }
    (dir, path)
}

fn entries(path: &Path) -> Vec<Entry> {
    read_file(path).unwrap().map(Result::unwrap).collect()
}

fn assert_intact(path: &Path, lines: u64) {
    let found = verify_file(path).unwrap();
    assert!(found.is_intact(), "{found:?}");
    assert_eq!(found.lines, lines);
}

#[test]
fn records_are_written_for_their_owner_alone() {
    let (_dir, path) = log_of(&["a", "b\u{1b}[31m"]);
    assert_intact(&path, 2);
    let entries = entries(&path);
    assert_eq!(entries[1].record, record("b\u{1b}[31m"));
    assert_eq!(entries[1].time, "2026-11-21T10:03:00.000000Z");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains('\u{1b}') && text.lines().count() == 2);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_extension("jsonl.head")), 0o600);
}

#[test]
fn several_writers_share_one_log() {
    let (_dir, path) = log_of(&[]);
    let path = Arc::new(path);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let path = path.clone();
            thread::spawn(move || {
                let audit = FileAudit::open(&path, clock).unwrap();
                for n in 0..25 {
                    audit.append(&record(&format!("{writer}.{n}"))).unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    assert_intact(&path, 100);
}

#[test]
fn a_torn_line_is_kept_in_a_record() {
    let (_dir, path) = log_of(&["a"]);
    let mut bytes = fs::read(&path).unwrap();
    let torn = br#"{"seq":2,"time":"2026-"#;
    bytes.extend(torn);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(verify_file(&path).unwrap().findings[0].line, 2);

    let audit = FileAudit::open(&path, clock).unwrap();
    audit.append(&record("b")).unwrap();
    assert_intact(&path, 3);
    match &entries(&path)[1].record {
        AuditRecord::Recovered(recovered) => {
            assert_eq!(recovered.bytes, torn.len() as u64);
            assert_eq!(recovered.text.as_bytes(), torn);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_torn_line_longer_than_its_record_leaves_nothing_behind() {
    let (_dir, path) = log_of(&["a"]);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend("x".repeat(100_000).as_bytes());
    fs::write(&path, &bytes).unwrap();
    FileAudit::open(&path, clock).unwrap();
    assert_intact(&path, 2);
}

#[test]
fn a_line_without_its_head_is_taken_over() {
    let (_dir, path) = log_of(&["a"]);
    let head = path.with_extension("jsonl.head");
    let old = fs::read(&head).unwrap();
    let audit = FileAudit::open(&path, clock).unwrap();
    audit.append(&record("b")).unwrap();
    fs::write(&head, old).unwrap();
    assert!(!verify_file(&path).unwrap().is_intact());
    // The writer that is still there takes it over too.
    audit.append(&record("c")).unwrap();
    assert_intact(&path, 3);
}

#[test]
fn a_log_that_lost_lines_is_not_written_to() {
    type Harm = fn(&Path, &Path);
    let harms: [(&str, Harm); 5] = [
        ("lines are missing at its end", |log, _| {
            fs::write(log, "").unwrap();
        }),
        ("its head file is missing or was changed", |_, head| {
            fs::remove_file(head).unwrap();
        }),
        ("its head file is missing or was changed", |_, head| {
            fs::write(head, "{}").unwrap();
        }),
        ("the line is no audit record", |log, _| {
            let text = fs::read_to_string(log).unwrap();
            fs::write(log, text + "{}\n").unwrap();
        }),
        ("a line follows that does not belong there", |log, _| {
            let text = fs::read_to_string(log).unwrap();
            fs::write(log, text.clone() + &text).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let (_dir, path) = log_of(&["a"]);
        harm(&path, &path.with_extension("jsonl.head"));
        let error = FileAudit::open(&path, clock).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.help().contains("audit verify"));
        assert!(!verify_file(&path).unwrap().is_intact());
    }
}

#[test]
fn a_log_that_was_removed_while_in_use_is_noticed() {
    let (_dir, path) = log_of(&["a"]);
    let audit = FileAudit::open(&path, clock).unwrap();
    fs::remove_file(&path).unwrap();
    let error = audit.append(&record("b")).unwrap_err();
    assert!(error.to_string().contains("removed while it was in use"));
}

#[test]
fn links_and_devices_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    fs::write(&target, "").unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    for path in [link.as_path(), &fifo, dir.path(), Path::new("/dev/full")] {
        let error = FileAudit::open(path, clock).unwrap_err();
        let start = format!("cannot open the audit log {}", path.display());
        assert!(error.to_string().starts_with(&start), "{error}");
    }
    assert_eq!(fs::read(&target).unwrap(), b"");
}

#[test]
fn a_failed_write_says_so_and_the_log_stays_in_order() {
    let (_dir, path) = log_of(&["a"]);
    let audit = FileAudit::open(&path, clock).unwrap();
    // A log that may only be read stands for every write that the system refuses.
    let log = File::open(&path).unwrap();
    let writable = std::mem::replace(&mut audit.files.lock().unwrap().log, log);
    let error = audit.append(&record("b")).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot write the audit log"),
        "{error}"
    );
    let error = crate::Error::from(error);
    assert_eq!(error.kind(), crate::ErrorKind::Internal);
    assert!(error.help().unwrap().contains("make room"));
    audit.files.lock().unwrap().log = writable;
    audit.append(&record("c")).unwrap();
    assert_intact(&path, 2);
}
