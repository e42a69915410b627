use super::*;

fn some() -> Counts {
    Counts {
        hits: 3,
        misses: 1,
        saved_micro_usd: 70,
        ..Counts::default()
    }
}

#[test]
fn every_count_has_a_name() {
    let fields: Vec<String> = some()
        .fields()
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let value = serde_json::to_value(some()).unwrap();
    let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    let mut sorted = fields.clone();
    names.sort();
    sorted.sort();
    assert_eq!(names, sorted);
    assert_eq!(Counts::of_fields(some().fields()), some());
    assert_eq!(
        Counts::of_fields([("of_a_later_version", 5)]),
        Counts::default()
    );
    let mut most = Counts::of_fields([("hits", u64::MAX)]);
    most.add(&some());
    assert_eq!((most.hits, most.misses), (u64::MAX, 1));
}

#[test]
fn the_rate_is_of_those_that_were_looked_for() {
    assert_eq!(Counts::default().hit_rate(), None);
    assert_eq!(some().hit_rate(), Some(0.75));
    let shared = Counts {
        shared: 4,
        left_out: 100,
        ..some()
    };
    assert_eq!(shared.hit_rate(), Some(0.875));
}

#[test]
fn counts_are_stored_now_and_then_and_lost_never() {
    let pending = Pending::default();
    for _ in 1..Pending::MOST {
        assert!(!pending.count(|it| it.hits += 1));
    }
    assert!(pending.count(|it| it.hits += 1));
    let taken = pending.take().unwrap();
    assert_eq!(taken.hits, u64::from(Pending::MOST));
    assert_eq!(pending.take(), None);
    pending.count(|it| it.hits += 1);
    pending.put_back(&taken);
    assert_eq!(pending.held().hits, u64::from(Pending::MOST) + 1);
}

#[test]
fn a_file_of_counts_grows_and_is_mine_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/counts.json");
    assert_eq!(
        add_to_file(&path, &Counts::default()).unwrap(),
        Counts::default()
    );
    assert!(!path.exists(), "reading makes no file");
    add_to_file(&path, &some()).unwrap();
    let sum = add_to_file(&path, &some()).unwrap();
    assert_eq!((sum.hits, sum.saved_micro_usd), (6, 140));
    assert_eq!(add_to_file(&path, &Counts::default()).unwrap(), sum);
    // What is no count counts for nothing.
    std::fs::write(&path, "{\"hits\": \"many\"").unwrap();
    assert_eq!(add_to_file(&path, &some()).unwrap(), some());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = add_to_file(&path, &some()).unwrap_err();
        assert_eq!(refused.to_string(), "others may read or write it");
    }
}

#[test]
fn two_who_count_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counts.json");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    add_to_file(&path, &some()).unwrap();
                }
            });
        }
    });
    assert_eq!(add_to_file(&path, &Counts::default()).unwrap().hits, 300);
}
