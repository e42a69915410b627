use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use super::*;

/// A home and the directory that it lies in, with a canary beside it.
fn home() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("secret")).unwrap();
    fs::write(dir.path().join("secret/canary"), "CANARY").unwrap();
    let path = dir.path().join("home");
    (dir, path)
}

fn count(path: &Path) -> usize {
    fs::read_dir(path).map_or(0, Iterator::count)
}

/// Where the directory of a call is.
fn place(home: &Path, scratch: &Scratch) -> PathBuf {
    let host = fs::read_dir(home).unwrap().next().unwrap().unwrap();
    host.path().join(&scratch.name)
}

#[test]
fn every_call_has_its_own_and_nothing_stays() {
    let (_dir, path) = home();
    let home = ScratchHome::new(path.clone());
    assert!(!path.exists(), "nothing is made before it is needed");
    let base = home.base().unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let (a, b) = (base.call().unwrap(), base.call().unwrap());
    let (at_a, at_b) = (place(&path, &a), place(&path, &b));
    assert_ne!(at_a, at_b);
    assert_eq!(
        fs::metadata(&at_a).unwrap().permissions().mode() & 0o777,
        0o700
    );
    fs::write(at_a.join("canary"), "A").unwrap();
    assert_eq!(count(&at_b), 0);
    drop(a);
    assert!(!at_a.exists() && at_b.exists());
    drop(b);
    assert!(!at_b.exists());
    drop(base);
    drop(home);
    assert_eq!(count(&path), 0, "the host's own directory goes with it");
}

#[test]
fn what_a_dead_host_left_is_deleted_and_what_a_living_one_has_is_not() {
    let (_dir, path) = home();
    fs::create_dir_all(path.join("host-1-0/77-3/deep/er")).unwrap();
    fs::write(path.join("host-1-0/77-3/deep/file"), "x").unwrap();
    fs::write(path.join("mine"), "not a host's").unwrap();
    let living = ScratchHome::new(path.clone());
    assert!(!path.join("host-1-0").exists());
    let base = living.base().unwrap();
    let call = base.call().unwrap();
    let at = place_of_host(&path).join(&call.name);
    fs::write(at.join("x"), "x").unwrap();
    let second = ScratchHome::new(path.clone());
    assert!(at.join("x").exists());
    second.base().unwrap();
    assert!(path.join("mine").exists());
}

fn place_of_host(home: &Path) -> PathBuf {
    let mut entries = fs::read_dir(home).unwrap().map(|it| it.unwrap().path());
    entries.find(|it| it.is_dir()).unwrap()
}

#[test]
fn a_worker_has_a_part_that_is_deleted_after_it() {
    let (_dir, path) = home();
    let home = ScratchHome::new(path.clone());
    let base = home.base().unwrap();
    let host = place_of_host(&path);
    let (part, other) = (base.part().unwrap(), base.part().unwrap());
    let worker = ScratchBase::received(part.as_fd().try_clone_to_owned().unwrap());
    let call = worker.call().unwrap();
    let at = host.join(&part.own.as_ref().unwrap().1).join(&call.name);
    assert!(at.exists());
    drop(call);
    assert!(!at.exists());
    // A worker that is killed deletes nothing.
    fs::create_dir_all(at.join("left/over")).unwrap();
    drop(worker);
    assert_eq!(count(&host), 2);
    drop(part);
    assert_eq!(count(&host), 1);
    drop(other);
    assert_eq!(count(&host), 0);
}

#[test]
fn trees_that_resist_are_deleted() {
    let (dir, path) = home();
    let home = ScratchHome::new(path.clone());
    let base = home.base().unwrap();
    let call = base.call().unwrap();
    let at = place(&path, &call);
    let secret = dir.path().join("secret");

    // Links out, to a directory and a file and nowhere, at the top and deeper.
    fs::create_dir_all(at.join("a/b")).unwrap();
    for inside in ["", "a", "a/b"] {
        symlink(&secret, at.join(inside).join("dir")).unwrap();
        symlink(secret.join("canary"), at.join(inside).join("file")).unwrap();
        symlink("nowhere", at.join(inside).join("none")).unwrap();
    }
    // Names that the deletion itself gives.
    fs::create_dir_all(at.join(".1/x/y")).unwrap();
    fs::write(at.join(".2"), "").unwrap();
    // More files than one batch.
    fs::create_dir_all(at.join("many/one")).unwrap();
    for n in 0..1100 {
        fs::write(at.join(format!("many/{n}")), "").unwrap();
    }
    // Directories that refuse their owner.
    fs::create_dir_all(at.join("closed/in/side")).unwrap();
    fs::write(at.join("closed/in/file"), "").unwrap();
    for (name, mode) in [("closed/in", 0o000), ("closed", 0o500), ("a/b", 0o100)] {
        fs::set_permissions(at.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    // Deeper than any path can say.
    let mut deep = base_handle(&at);
    let name = "d".repeat(200);
    for _ in 0..100 {
        mkdirat(&deep, &name, Mode::RWXU).unwrap();
        deep = openat(&deep, &name, DIRECTORY, Mode::empty()).unwrap();
    }
    drop(deep);

    drop(call);
    assert!(!at.exists());
    assert_eq!(fs::read(secret.join("canary")).unwrap(), b"CANARY");
    assert_eq!(count(&secret), 1);
}

fn base_handle(at: &Path) -> OwnedFd {
    fs::File::open(at).unwrap().into()
}
