use std::{fs, sync::atomic::AtomicU64};

use super::*;

const WAIT: Duration = Duration::from_millis(200);
const HOUR_MS: u64 = 3_600_000;

fn key(number: u64) -> Key {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Key::from_bytes(bytes)
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("own/replies.redb")
    }

    /// As another process would open it.
    fn disk(&self, size: u64) -> Disk {
        Disk::new(self.path(), size, WAIT)
    }
}

async fn put(disk: &Disk, number: u64, bytes: Vec<u8>) {
    disk.put(key(number), bytes, 0, HOUR_MS).await.unwrap();
}

async fn has(disk: &Disk, number: u64) -> bool {
    disk.get(key(number)).await.unwrap().is_some()
}

#[tokio::test]
async fn what_one_process_keeps_another_finds() {
    let place = Place::new();
    let (one, other) = (place.disk(1 << 20), place.disk(1 << 20));
    assert_eq!(other.get(key(1)).await.unwrap(), None);
    assert_eq!(
        other.holdings().await.unwrap(),
        Holdings {
            entries: Some(0),
            bytes: Some(0)
        }
    );
    assert!(!place.path().exists(), "looking makes no file");
    put(&one, 1, b"answer".to_vec()).await;
    for disk in [&other, &one, &other] {
        assert_eq!(
            disk.get(key(1)).await.unwrap().as_deref(),
            Some(&b"answer"[..])
        );
        assert_eq!(disk.get(key(2)).await.unwrap(), None);
    }
    put(&other, 1, b"newer".to_vec()).await;
    assert_eq!(
        one.get(key(1)).await.unwrap().as_deref(),
        Some(&b"newer"[..])
    );
    assert_eq!(one.holdings().await.unwrap().entries, Some(1));
}

#[tokio::test]
async fn counts_are_of_all_and_go_with_the_rest() {
    let place = Place::new();
    let more = Counts {
        hits: 2,
        saved_micro_usd: 9,
        ..Counts::default()
    };
    assert_eq!(
        place.disk(1 << 20).count(Counts::default()).await.unwrap(),
        Counts::default()
    );
    place.disk(1 << 20).count(more).await.unwrap();
    let sum = place.disk(1 << 20).count(more).await.unwrap();
    assert_eq!((sum.hits, sum.saved_micro_usd), (4, 18));
    let disk = place.disk(1 << 20);
    assert_eq!(disk.count(Counts::default()).await.unwrap(), sum);
    put(&disk, 1, vec![1]).await;
    assert_eq!(disk.clear().await.unwrap(), 1);
    assert_eq!(
        disk.count(Counts::default()).await.unwrap(),
        Counts::default()
    );
    assert!(!has(&disk, 1).await);
}

#[tokio::test]
async fn the_oldest_go_when_there_is_no_room() {
    let place = Place::new();
    let size = 128 << 10;
    let disk = place.disk(size);
    for number in 0..60 {
        put(&disk, number, vec![7; 5_000]).await;
    }
    assert!(has(&disk, 59).await && has(&disk, 50).await);
    assert!(!has(&disk, 0).await && !has(&disk, 40).await);
    let held = disk.holdings().await.unwrap();
    assert_eq!(held.entries, Some(16), "8 KiB each");
    assert!(held.bytes.unwrap() < 2 << 20, "{held:?}");
    // A process that may keep less makes room when it keeps something.
    let less = place.disk(32 << 10);
    put(&less, 1000, vec![7; 5_000]).await;
    assert_eq!(less.holdings().await.unwrap().entries, Some(4));
}

#[tokio::test]
async fn what_has_ended_goes_first() {
    let place = Place::new();
    let disk = place.disk(1 << 20);
    disk.put(key(1), vec![1], 0, 10).await.unwrap();
    disk.put(key(2), vec![2], 20, 30).await.unwrap();
    assert!(!has(&disk, 1).await && has(&disk, 2).await);
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_waited_for_and_then_done_without() {
    let place = Place::new();
    let disk = place.disk(1 << 20);
    put(&disk, 1, vec![1]).await;
    let held = Database::open(place.path()).unwrap();
    for error in [
        disk.get(key(1)).await.map(|_| ()),
        disk.put(key(2), vec![2], 0, HOUR_MS).await,
    ] {
        assert!(matches!(error, Err(CacheError::Busy { .. })), "{error:?}");
    }
    drop(held);
    assert!(has(&disk, 1).await && !has(&disk, 2).await);
}

#[tokio::test]
async fn many_at_once_lose_nothing() {
    let place = Place::new();
    let patient = || Arc::new(Disk::new(place.path(), 1 << 20, Duration::from_secs(60)));
    let (one, other) = (patient(), patient());
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let disk = Arc::clone(if number % 2 == 0 { &one } else { &other });
            tokio::spawn(async move { put(&disk, number, vec![1; 100]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(one.holdings().await.unwrap().entries, Some(20));
}

#[tokio::test]
async fn a_file_that_is_none_is_put_aside_and_told() {
    let place = Place::new();
    for content in [
        &b"this is no database"[..],
        &[0xff; 5000],
        b"redb\x1a\x0a\xa9\x0d\x0a",
    ] {
        let disk = place.disk(1 << 20);
        put(&disk, 1, vec![1]).await;
        fs::write(place.path(), content).unwrap();
        let disk = place.disk(1 << 20);
        assert_eq!(disk.get(key(1)).await.unwrap(), None, "{content:?}");
        let aside = disk.put_aside().unwrap();
        assert!(aside.ends_with("own/replies.redb.damaged"), "{aside:?}");
        assert_eq!(fs::read(&aside).unwrap(), content);
        assert_eq!(disk.put_aside(), None, "it is told once");
        put(&disk, 2, vec![2]).await;
        assert!(has(&disk, 2).await);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_others_may_touch_is_not_used() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let place = Place::new();
    put(&place.disk(1 << 20), 1, vec![1]).await;
    let mode = place.path().metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o660)).unwrap();
    let refused = place.disk(1 << 20).get(key(1)).await.unwrap_err();
    assert!(
        refused.to_string().contains("others may read or write it"),
        "{refused}"
    );
    // Nor is one that is elsewhere.
    let elsewhere = place.dir.path().join("elsewhere");
    fs::rename(place.path(), &elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&elsewhere, place.path()).unwrap();
    let refused = place.disk(1 << 20).get(key(1)).await.unwrap_err();
    assert!(refused.to_string().contains("no regular file"), "{refused}");
}

/// Whatever became of the file, there is an answer or none, and never a panic.
#[tokio::test]
async fn a_damaged_file_is_never_a_panic() {
    static SEED: AtomicU64 = AtomicU64::new(0x2545_f491_4f6c_dd1d);
    let random = |below: usize| {
        let mut seed = SEED.load(Ordering::Relaxed);
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        SEED.store(seed, Ordering::Relaxed);
        usize::try_from(seed % below as u64).unwrap()
    };
    let place = Place::new();
    let disk = place.disk(1 << 20);
    for number in 0..40 {
        put(
            &disk,
            number,
            vec![1; 100 + 97 * usize::try_from(number).unwrap()],
        )
        .await;
    }
    let good = fs::read(place.path()).unwrap();
    // Most of the file is empty, so damage is done where something is.
    let used: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    for round in 0..60 {
        let mut bad = good.clone();
        for _ in 0..=random(8) {
            bad[used[random(used.len())]] ^= 1 << random(8);
        }
        if round % 5 == 0 {
            bad.truncate(random(bad.len()));
        }
        fs::write(place.path(), &bad).unwrap();
        let disk = place.disk(1 << 20);
        for number in 0..3 {
            let _ = disk.get(key(number)).await.unwrap();
        }
        put(&disk, 1, vec![9]).await;
        assert_eq!(disk.get(key(1)).await.unwrap(), Some(vec![9]));
        let _ = disk.holdings().await.unwrap();
    }
}
