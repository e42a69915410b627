use proptest::prelude::*;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * 20_000
}

fn kept(id: &str, days: u32, bytes: u64) -> Kept {
    Kept {
        id: id.to_owned(),
        path: PathBuf::from(id),
        bytes,
        changed: now() - DAY * days,
    }
}

fn gone(kept: &[Kept], age: Option<u32>, size: Option<u64>) -> Vec<String> {
    let rule = Retention {
        age: age.map(|days| DAY * days),
        size,
    };
    expired(kept, rule, now())
        .iter()
        .map(|it| it.id.clone())
        .collect()
}

#[test]
fn the_old_go_and_then_the_oldest_until_the_rest_fits() {
    let all = [
        kept("new", 0, 10),
        kept("mid", 5, 20),
        kept("old", 40, 30),
        kept("older", 50, 40),
    ];
    assert!(gone(&all, None, None).is_empty());
    assert_eq!(gone(&all, Some(30), None), ["older", "old"]);
    assert!(
        gone(&all, Some(50), None).is_empty(),
        "an age that is reached is not passed"
    );
    assert_eq!(gone(&all, None, Some(60)), ["older"]);
    assert_eq!(gone(&all, None, Some(59)), ["older", "old"]);
    assert_eq!(gone(&all, Some(45), Some(30)), ["older", "old"]);
    assert_eq!(gone(&all, None, Some(0)), ["older", "old", "mid", "new"]);
    // A clock that was set back makes nothing old.
    let later = Kept {
        changed: now() + DAY,
        ..kept("later", 0, 1)
    };
    assert!(gone(&[later], Some(1), None).is_empty());
}

#[test]
fn ids_lead_nowhere_else() {
    assert!(is_id("r1a2b3c4d"));
    for word in ["", "..", "../x", "a/b", "a.b", "a b", "ä"] {
        assert!(!is_id(word), "{word}");
    }
}

proptest! {
    #[test]
    fn what_stays_fits_and_is_newer(
        ages in prop::collection::vec((0..100_u32, 0..50_u64), 0..20),
        age in prop::option::of(0..100_u32),
        size in prop::option::of(0..500_u64),
    ) {
        let all: Vec<Kept> = ages.iter().enumerate().map(|(n, (days, bytes))| kept(&n.to_string(), *days, *bytes)).collect();
        let gone = gone(&all, age, size);
        let stays: Vec<&Kept> = all.iter().filter(|it| !gone.contains(&it.id)).collect();
        let bytes: u64 = stays.iter().map(|it| it.bytes).sum();
        prop_assert!(size.is_none_or(|most| bytes <= most));
        prop_assert!(stays.iter().all(|it| age.is_none_or(|days| it.changed >= now() - DAY * days)));
        let newest_gone = all.iter().filter(|it| gone.contains(&it.id)).map(|it| it.changed).max();
        prop_assert!(stays.iter().all(|it| newest_gone.is_none_or(|gone| it.changed >= gone)));
    }
}

#[test]
fn a_run_that_waits_for_a_person_stays() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = Dirs {
        state: dir.path().to_owned(),
        cache: dir.path().to_owned(),
        config: dir.path().to_owned(),
    };
    fs::create_dir(dirs.runs()).unwrap();
    let write = |id: &str, outcome: &str| {
        let header = r#"{"type":"header","run":{"settings":{"model":"m"},"messages":[]}}"#;
        let end = format!(r#"{{"type":"end","time_ms":1,"outcome":"{outcome}"}}"#);
        let path = dirs.runs().join(format!("{id}.jsonl"));
        fs::write(path, format!("{header}\n{end}\n")).unwrap();
    };
    write("rwaits", "waiting");
    write("rdone", "finished");
    let settings = RetentionSettings {
        runs: Retention {
            age: None,
            size: Some(0),
        },
        ..RetentionSettings::default()
    };
    let reach = Reach {
        dry_run: false,
        most: 10,
    };
    let pruned = prune(&dirs, &settings, None, reach, SystemTime::now()).unwrap();
    let ids = |kept: &[Kept]| kept.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
    assert_eq!(
        (ids(&pruned.runs), ids(&pruned.held)),
        (vec!["rdone".to_owned()], vec!["rwaits".to_owned()])
    );
    assert!(dirs.runs().join("rwaits.jsonl").exists());
}
