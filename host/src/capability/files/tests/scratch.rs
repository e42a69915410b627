use std::path::Path;

use super::*;

const TMP: &str = "scratch = \"/tmp\"\nlimits = { written = \"1KiB\", created = 10 }";

/// Open roots with a scratch directory in a directory of their own.
fn roots() -> (TempDir, FileRoots) {
    let dir = tempfile::tempdir().unwrap();
    let rules = RootRules {
        scratch: Some(Arc::new(ScratchHome::new(dir.path().join("scratch")))),
        ..RootRules::default()
    };
    let roots = FileRoots::open(&granted(TMP, ALL_FILES), dir.path(), &rules).unwrap();
    (dir, roots)
}

/// The directories of calls that there are now.
fn calls(dir: &Path) -> usize {
    let home = fs::read_dir(dir.join("scratch")).unwrap();
    let hosts = home.map(|host| fs::read_dir(host.unwrap().path()).unwrap().count());
    hosts.sum()
}

fn tmp(call: &mut Call) -> Fd {
    let mut roots = call.view().get_directories().unwrap();
    let names: Vec<&str> = roots.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["/", "/tmp"]);
    roots.pop().unwrap().0
}

#[tokio::test]
async fn a_scratch_directory_is_empty_and_one_call_s_own_and_deleted() {
    let (dir, roots) = roots();
    assert_eq!(calls(dir.path()), 0);
    let mut a = Call::with(tempfile::tempdir().unwrap(), &roots);
    let in_a = tmp(&mut a);
    for name in ["canary", ".bashrc"] {
        // Nobody's programs look here, so nothing is guarded.
        let fd = a.open(&in_a, name, OpenFlags::CREATE, WRITE).await.unwrap();
        a.view().write(fd, b"A".into(), 0).await.unwrap();
    }
    // Asking for the directories once more gives the same one.
    let again = tmp(&mut a);
    a.open(&again, "canary", OpenFlags::empty(), READ)
        .await
        .unwrap();
    assert_eq!(calls(dir.path()), 1);

    let mut b = Call::with(tempfile::tempdir().unwrap(), &roots);
    let in_b = tmp(&mut b);
    assert_eq!(calls(dir.path()), 2);
    for path in ["canary", "../canary", "..", "../../canary"] {
        let opened = b.open(&in_b, path, OpenFlags::empty(), READ).await;
        assert!(opened.is_err(), "{path}");
    }
    let listing = b.view().read_directory(in_b).await.unwrap();
    let entry = b.view().read_directory_entry(listing).await.unwrap();
    assert!(entry.is_none(), "{entry:?}");
    assert_eq!(
        b.denials(),
        [
            "read /tmp/../canary",
            "read /tmp/..",
            "read /tmp/../../canary"
        ]
    );
    assert!(b.record().denials[0].rule.contains("tool.t.scratch"));
    assert!(!format!("{:?}", b.record()).contains(dir.path().to_str().unwrap()));

    drop(b);
    assert_eq!(calls(dir.path()), 1);
    discard(a.state.take_scratch()).await;
    assert_eq!(calls(dir.path()), 0);
    // What the ended call still holds open leads nowhere.
    assert!(
        a.open(&in_a, "late", OpenFlags::CREATE, WRITE)
            .await
            .is_err()
    );
    drop(a);
    drop(roots);
    assert_eq!(fs::read_dir(dir.path().join("scratch")).unwrap().count(), 0);
}

#[tokio::test]
async fn quotas_hold_in_a_scratch_directory() {
    let (dir, roots) = roots();
    let mut call = Call::with(tempfile::tempdir().unwrap(), &roots);
    let at = tmp(&mut call);
    let fd = call.open(&at, "f", OpenFlags::CREATE, WRITE).await.unwrap();
    let full = call.view().write(fd, vec![0; 1025], 0).await;
    call.assert_limit(limit(full).as_ref(), "1024 bytes");
    drop(call);
    assert_eq!(calls(dir.path()), 0);
}

#[tokio::test]
async fn what_cannot_be_made_ends_the_call() {
    let (dir, roots) = roots();
    let mut call = Call::with(tempfile::tempdir().unwrap(), &roots);
    fs::remove_dir_all(dir.path().join("scratch")).unwrap();
    let error = call.view().get_directories().unwrap_err();
    let kind = error.downcast_ref::<LimitExceeded>();
    assert_eq!(kind, Some(&LimitExceeded(ErrorKind::Unavailable)));
}

#[test]
fn a_host_without_a_place_refuses_the_policy() {
    let refused = FileRoots::open(
        &granted(TMP, ALL_FILES),
        Path::new("/"),
        &RootRules::default(),
    );
    let error = refused.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidPolicy);
    assert!(error.message().contains("tool.t.scratch"), "{error}");
}
