use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use super::*;
use crate::engine::config::config;

fn engine() -> Engine {
    Engine::new(&config(1, false)).unwrap()
}

fn component(engine: &Engine) -> Component {
    Component::from_binary(engine, &wat::parse_str("(component)").unwrap()).unwrap()
}

struct Fixture {
    _dir: tempfile::TempDir,
    path: PathBuf,
    engine: Engine,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            path: dir.path().join("deep/cache"),
            _dir: dir,
            engine: engine(),
        }
    }

    fn filled(&self) -> Cache {
        let cache = Cache::open(&self.path);
        assert_eq!(cache.state(), "ready");
        cache.store(&self.engine, &[7; 32], &component(&self.engine));
        assert!(self.loads(&cache));
        cache
    }

    fn loads(&self, cache: &Cache) -> bool {
        cache.load(&self.engine, &[7; 32]).is_some()
    }

    fn entry(&self) -> PathBuf {
        self.path.join(entry_name(&self.engine, &[7; 32]))
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_entry_is_found_by_the_next_process() {
    let fixture = Fixture::new();
    fixture.filled();
    assert!(fixture.loads(&Cache::open(&fixture.path)));
    assert!(
        Cache::open(&fixture.path)
            .load(&fixture.engine, &[8; 32])
            .is_none()
    );
}

#[test]
fn it_is_private() {
    let fixture = Fixture::new();
    fixture.filled();
    assert_eq!(mode(&fixture.path), 0o700);
    assert_eq!(mode(&fixture.path.join(KEY_FILE)), 0o600);
    assert_eq!(mode(&fixture.entry()), 0o600);
    let left: Vec<_> = fs::read_dir(&fixture.path).unwrap().collect();
    assert_eq!(left.len(), 2, "only the key and one entry: {left:?}");
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let fixture = Fixture::new();
    let cache = fixture.filled();
    let good = fs::read(fixture.entry()).unwrap();
    for at in (0..good.len())
        .step_by(good.len() / 50)
        .chain([good.len() - 1])
    {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(fixture.entry(), &bad).unwrap();
        assert!(!fixture.loads(&cache), "byte {at}");
    }
    for length in [0, 1, MAC_BYTES, good.len() - 1] {
        fs::write(fixture.entry(), &good[..length]).unwrap();
        assert!(!fixture.loads(&cache), "cut to {length}");
    }
    fs::write(fixture.entry(), &good).unwrap();
    assert!(fixture.loads(&cache));
}

#[test]
fn an_entry_under_another_name_or_key_is_refused() {
    let fixture = Fixture::new();
    let cache = fixture.filled();
    fs::rename(
        fixture.entry(),
        fixture.path.join(entry_name(&fixture.engine, &[9; 32])),
    )
    .unwrap();
    assert!(cache.load(&fixture.engine, &[9; 32]).is_none());

    let fixture = Fixture::new();
    fixture.filled();
    fs::write(fixture.path.join(KEY_FILE), [1; KEY_BYTES]).unwrap();
    assert!(!fixture.loads(&Cache::open(&fixture.path)));
}

#[test]
fn an_engine_with_other_settings_does_not_share_entries() {
    let fixture = Fixture::new();
    let cache = fixture.filled();
    let other = Engine::new(&config(1, true)).unwrap();
    assert!(cache.load(&other, &[7; 32]).is_none());
}

#[test]
fn links_and_open_modes_are_refused() {
    let fixture = Fixture::new();
    let cache = fixture.filled();
    let elsewhere = fixture.path.join("elsewhere");
    fs::rename(fixture.entry(), &elsewhere).unwrap();
    symlink("elsewhere", fixture.entry()).unwrap();
    assert!(!fixture.loads(&cache));
    fs::remove_file(fixture.entry()).unwrap();
    fs::rename(&elsewhere, fixture.entry()).unwrap();
    assert!(fixture.loads(&cache));
    fs::set_permissions(fixture.entry(), fs::Permissions::from_mode(0o620)).unwrap();
    assert!(!fixture.loads(&cache));

    fs::set_permissions(&fixture.path, fs::Permissions::from_mode(0o755)).unwrap();
    let open = Cache::open(&fixture.path);
    assert!(
        open.state().contains("other users may use it"),
        "{}",
        open.state()
    );
    assert!(!fixture.loads(&open));
}

#[test]
fn what_cannot_be_used_is_said_and_nothing_fails() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.path.parent().unwrap()).unwrap();
    fs::write(&fixture.path, "a file").unwrap();
    let cache = Cache::open(&fixture.path);
    assert!(cache.state().starts_with("not used: "), "{}", cache.state());
    cache.store(&fixture.engine, &[7; 32], &component(&fixture.engine));
    assert!(!fixture.loads(&cache));
    assert_eq!(Cache::off().state(), "off");
    assert!(
        Cache::open(Path::new("/proc/nowhere/cache"))
            .state()
            .starts_with("not used: ")
    );
}

#[test]
fn writing_an_entry_removes_what_nobody_used_for_long() {
    let fixture = Fixture::new();
    let cache = fixture.filled();
    let old = fixture.path.join("old.cwasm");
    let file = fs::File::create(&old).unwrap();
    let long_ago = fs::metadata(fixture.entry()).unwrap().modified().unwrap()
        - limits::CACHE_AGE
        - std::time::Duration::from_secs(60);
    file.set_modified(long_ago).unwrap();
    cache.store(&fixture.engine, &[8; 32], &component(&fixture.engine));
    assert!(!old.exists() && fixture.loads(&cache));
}

#[test]
fn those_who_open_a_new_cache_at_the_same_time_share_its_key() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let begin = std::sync::Barrier::new(8);
        let keys: Vec<[u8; KEY_BYTES]> = std::thread::scope(|scope| {
            let openers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        begin.wait();
                        open_private(&path).unwrap().1
                    })
                })
                .collect();
            openers.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }
}
