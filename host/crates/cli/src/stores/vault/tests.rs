use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

fn dirs(dir: &Path) -> Dirs {
    Dirs {
        state: dir.join("state"),
        cache: dir.join("cache"),
        config: dir.join("config"),
    }
}

fn keyring() -> (Recipe, Key) {
    let recipe = Recipe {
        source: KeySource::Keyring,
        salt: [7; SALT_BYTES],
    };
    (recipe, Key::new([1; KEY_BYTES]))
}

fn entry(value: &str) -> Entry {
    Entry {
        since: 1,
        value: Bytes::new(value.as_bytes().to_vec()),
    }
}

fn set(vault: &Vault, key: &(Recipe, Key), name: &str, value: &str) -> Result<(), Failure> {
    vault.change(&key.0, &key.1, |entries| {
        entries.insert(name.to_owned(), entry(value));
    })
}

#[test]
fn values_are_kept_privately_and_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::new(&dirs(dir.path()));
    assert!(vault.read().unwrap().is_none());
    let key = keyring();
    set(&vault, &key, "A", "vZq8w-1").unwrap();
    set(&vault, &key, "B", "vZq8w-2").unwrap();
    let mode = fs::metadata(vault.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let sealed = vault.read().unwrap().unwrap();
    let names = vault.header(&sealed).unwrap().names;
    assert_eq!(names.keys().collect::<Vec<_>>(), ["A", "B"]);
    let (_, entries) = vault.open(&sealed, &key.1).unwrap();
    assert_eq!(entries["B"].value.as_slice(), b"vZq8w-2");
}

#[test]
fn another_key_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::new(&dirs(dir.path()));
    let key = keyring();
    set(&vault, &key, "A", "vZq8w-1").unwrap();
    let before = fs::read(vault.path()).unwrap();
    let other = (key.0, Key::new([2; KEY_BYTES]));
    let failure = set(&vault, &other, "A", "vZq8w-2").unwrap_err();
    assert!(
        failure.message.contains("the key does not open it"),
        "{failure}"
    );
    // Nor does one of a file that was made anew meanwhile.
    let renewed = Recipe {
        salt: [8; SALT_BYTES],
        ..key.0
    };
    assert!(set(&vault, &(renewed, key.1.clone()), "A", "vZq8w-2").is_err());
    assert_eq!(fs::read(vault.path()).unwrap(), before);
}

#[test]
fn what_cannot_be_written_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::new(&dirs(dir.path()));
    let key = keyring();
    set(&vault, &key, "A", "vZq8w-1").unwrap();
    let before = fs::read(vault.path()).unwrap();
    let failed = vault.change(&key.0, &key.1, |entries| {
        for at in 0..100 {
            entries.insert(format!("N{at}"), entry(&"x".repeat(60_000)));
        }
    });
    let failure = failed.unwrap_err();
    assert!(failure.message.contains("more than"), "{failure}");
    assert_eq!(fs::read(vault.path()).unwrap(), before);
}

#[test]
fn a_file_that_others_can_read_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::new(&dirs(dir.path()));
    set(&vault, &keyring(), "A", "vZq8w-1").unwrap();
    fs::set_permissions(vault.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let trouble = vault.read().err().unwrap();
    assert_eq!(trouble.what, What::Unsafe);
    assert!(trouble.help.contains("chmod 600"), "{trouble:?}");
}
