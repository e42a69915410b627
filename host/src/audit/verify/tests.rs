use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::audit::SessionRecord;

/// A log of `count` lines and its head.
fn log(count: u64) -> (Vec<Vec<u8>>, Head) {
    let mut head = Head::default();
    let mut lines = Vec::new();
    for n in 1..=count {
        let record = AuditRecord::Session(SessionRecord {
            session: format!("session {n}"),
            version: "0.1.0".into(),
            policy: vec!["project toolcell.toml".into()],
        });
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(n);
        let (line, next) = head.seal(time, &record).unwrap();
        lines.push(line);
        head = next;
    }
    (lines, head)
}

fn check(lines: &[Vec<u8>], head: Head) -> Vec<(u64, String)> {
    let found = verify(lines.concat().as_slice(), Some(head)).unwrap();
    assert_eq!(found.findings_total, found.findings.len() as u64);
    found
        .findings
        .into_iter()
        .map(|finding| (finding.line, finding.what))
        .collect()
}

#[test]
fn an_untouched_log_is_intact() {
    for count in [0, 1, 5] {
        let (lines, head) = log(count);
        let found = verify(lines.concat().as_slice(), Some(head)).unwrap();
        assert!(found.is_intact(), "{found:?}");
        assert_eq!((found.lines, found.last), (count, head.hash));
    }
}

#[test]
fn a_line_reads_as_its_record() {
    let (lines, head) = log(2);
    let entry: Entry = serde_json::from_slice(&lines[1]).unwrap();
    assert_eq!((entry.seq, entry.hash), (2, head.hash));
    assert_eq!(entry.time, "1970-01-01T00:00:02.000000Z");
    assert!(matches!(entry.record, AuditRecord::Session(s) if s.session == "session 2"));
    let text = std::str::from_utf8(&lines[0]).unwrap();
    let start = format!(
        r#"{{"seq":1,"time":"1970-01-01T00:00:01.000000Z","prev":"{}","type":"session","session":"session 1","#,
        "0".repeat(64)
    );
    assert!(text.starts_with(&start), "{text}");
}

#[test]
fn a_changed_line_is_named_and_its_followers_are_not() {
    let (mut lines, head) = log(4);
    let at = lines[1].iter().position(|b| *b == b'2').unwrap();
    lines[1][at] = b'3';
    let what = "the line was changed: its content does not match its hash";
    assert_eq!(check(&lines, head), [(2, what.to_owned())]);
}

#[test]
fn missing_moved_and_repeated_lines_are_named() {
    let (lines, head) = log(5);
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        check(&lines, head)
    };
    let found = |line, what: &str| (line, what.to_owned());
    assert_eq!(
        with(&|lines| drop(lines.remove(1))),
        [found(2, "record 2 is missing before this line")]
    );
    assert_eq!(
        with(&|lines| drop(lines.drain(..2))),
        [found(1, "records 1 to 2 are missing before this line")]
    );
    assert_eq!(
        with(&|lines| lines.truncate(3)),
        [found(4, "records 4 to 5 are missing here")]
    );
    assert_eq!(
        with(&|lines| lines.clear()),
        [found(1, "records 1 to 5 are missing here")]
    );
    assert_eq!(
        with(&|lines| lines.swap(1, 2)),
        [
            found(2, "record 2 is missing before this line"),
            found(3, "record 2 stands where 4 belongs"),
            found(4, "record 3 is missing before this line"),
        ]
    );
    assert_eq!(
        with(&|lines| lines.insert(1, lines[0].clone())),
        [found(2, "record 1 stands where 2 belongs")]
    );
    assert_eq!(
        with(&|lines| lines.push(b"\n".to_vec())),
        [
            found(6, "the line is no audit record"),
            found(
                6,
                "the head file ends at record 5: what follows was added by someone else, or by a writer that was stopped"
            ),
        ]
    );
    assert_eq!(
        with(&|lines| assert!(lines[4].pop().is_some())),
        [found(5, "the line is not finished")]
    );
}

#[test]
fn a_line_that_was_written_anew_does_not_fit() {
    let (mut lines, head) = log(3);
    let first: Link = Link::read(lines[0].strip_suffix(b"\n").unwrap()).unwrap();
    let end = Head {
        count: 1,
        bytes: lines[0].len() as u64,
        hash: first.hash,
    };
    let record = AuditRecord::Session(SessionRecord {
        session: "another".into(),
        version: "0.1.0".into(),
        policy: Vec::new(),
    });
    let (forged, forged_head) = end.seal(SystemTime::UNIX_EPOCH, &record).unwrap();
    lines[1] = forged;
    let what = "the line does not follow the one before it";
    assert_eq!(check(&lines, head), [(3, what.to_owned())]);
    // The same for the last line, which only the head knows.
    lines.pop();
    let (_, two) = log(2);
    let what = "the last line is not the one that the head file names";
    assert_eq!(check(&lines, two), [(2, what.to_owned())]);
    assert_ne!(two.hash, forged_head.hash);
}

#[test]
fn a_missing_head_is_a_finding_unless_the_log_is_empty() {
    let (lines, _) = log(1);
    let found = verify(lines.concat().as_slice(), None).unwrap();
    assert_eq!(found.findings[0].line, 2);
    assert!(verify(&b""[..], None).unwrap().is_intact());
}

#[test]
fn findings_are_bounded_and_counted() {
    let noise = "x\n".repeat(MAX_FINDINGS * 2);
    let found = verify(noise.as_bytes(), Some(Head::default())).unwrap();
    assert_eq!(found.findings.len(), MAX_FINDINGS);
    assert!(found.findings_total >= MAX_FINDINGS as u64 * 2);
}

#[test]
fn a_line_with_the_highest_number_is_only_a_finding() {
    let end = Head {
        count: u64::MAX - 1,
        ..Head::default()
    };
    let record = AuditRecord::Session(SessionRecord {
        session: "s".into(),
        version: "v".into(),
        policy: Vec::new(),
    });
    let (line, _) = end.seal(SystemTime::UNIX_EPOCH, &record).unwrap();
    let (good, head) = log(1);
    let found = check(&[line.clone(), line, good.concat()], head);
    assert_eq!(
        found.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        [1, 3]
    );
}

#[test]
fn heads_have_one_size_and_one_form() {
    let (_, head) = log(3);
    let highest = Head {
        count: u64::MAX,
        bytes: u64::MAX,
        hash: head.hash,
    };
    for head in [Head::default(), head, highest] {
        let file = head.to_file();
        assert_eq!(file.len(), Head::FILE_BYTES);
        assert_eq!(Head::from_file(&file), Some(head));
    }
    assert_eq!(Head::from_file(b""), None);
}

proptest! {
    #[test]
    fn any_changed_byte_is_found(
        count in 1_u64..6,
        at in any::<prop::sample::Index>(),
        mask in 1_u8..,
    ) {
        let (lines, head) = log(count);
        let mut bytes = lines.concat();
        let at = at.index(bytes.len());
        let line = bytes[..at].iter().filter(|b| **b == b'\n').count() as u64 + 1;
        bytes[at] ^= mask;
        let found = verify(bytes.as_slice(), Some(head)).unwrap();
        prop_assert_eq!(found.findings[0].line, line);
    }

    #[test]
    fn any_changed_byte_of_the_head_is_found(
        at in any::<prop::sample::Index>(),
        mask in 1_u8..,
    ) {
        let (lines, head) = log(2);
        let mut file = head.to_file();
        let at = at.index(file.len());
        file[at] ^= mask;
        let found = verify(lines.concat().as_slice(), Head::from_file(&file)).unwrap();
        prop_assert!(!found.is_intact());
    }

    #[test]
    fn any_other_order_or_choice_of_lines_is_found(
        count in 1_u64..8,
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let (lines, head) = log(count);
        let other: Vec<Vec<u8>> = chosen
            .iter()
            .map(|index| lines[index.index(lines.len())].clone())
            .collect();
        let found = verify(other.concat().as_slice(), Some(head)).unwrap();
        prop_assert_eq!(found.is_intact(), other == lines);
    }

    #[test]
    fn any_cut_is_found(count in 1_u64..5, at in any::<prop::sample::Index>()) {
        let (lines, head) = log(count);
        let bytes = lines.concat();
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert!(!verify(cut, Some(head)).unwrap().is_intact());
    }

    #[test]
    fn noise_is_never_intact_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 1..600)) {
        prop_assert!(!verify(bytes.as_slice(), None).unwrap().is_intact());
        prop_assert!(!verify(bytes.as_slice(), Some(Head::default())).unwrap().is_intact());
    }
}
