use proptest::prelude::*;

use super::*;

fn key(seed: u8) -> Key {
    Zeroizing::new([seed; KEY_BYTES])
}

fn recipe() -> Recipe {
    Recipe {
        source: KeySource::Passphrase(Cost::NEW),
        salt: *b"0123456789abcdef",
    }
}

fn entries(of: &[(&str, &str)]) -> Entries {
    let entry = |(name, value): &(&str, &str)| {
        let value = Zeroizing::new(value.as_bytes().to_vec());
        (
            (*name).to_owned(),
            Entry {
                since: 1_700_000_000,
                value,
            },
        )
    };
    of.iter().map(entry).collect()
}

fn plain(entries: &Entries) -> Vec<(&str, u64, &[u8])> {
    entries
        .iter()
        .map(|(name, it)| (name.as_str(), it.since, it.value.as_slice()))
        .collect()
}

fn sample() -> Vec<u8> {
    seal(
        &recipe(),
        &key(1),
        &entries(&[("A", "v4lue-0n3"), ("B.c-d", ""), ("Z_9", "v4lue-tw0")]),
    )
    .unwrap()
}

#[test]
fn what_was_sealed_is_opened_with_the_same_key_alone() {
    let file = sample();
    let (read, opened) = open(&file, &key(1)).unwrap();
    assert_eq!(read, recipe());
    let expected = entries(&[("A", "v4lue-0n3"), ("B.c-d", ""), ("Z_9", "v4lue-tw0")]);
    assert_eq!(plain(&opened), plain(&expected));
    assert_eq!(
        header(&file).unwrap().names.keys().collect::<Vec<_>>(),
        ["A", "B.c-d", "Z_9"]
    );
    assert_eq!(open(&file, &key(2)).err(), Some(Wrong::Key));
    for value in ["v4lue-0n3", "v4lue-tw0"] {
        assert!(
            !file
                .windows(value.len())
                .any(|window| window == value.as_bytes())
        );
    }
}

#[test]
fn no_nonce_is_used_twice() {
    assert_ne!(sample(), sample());
}

#[test]
fn a_file_without_values_is_one() {
    let keyring = Recipe {
        source: KeySource::Keyring,
        ..recipe()
    };
    let file = seal(&keyring, &key(1), &Entries::new()).unwrap();
    let (read, opened) = open(&file, &key(1)).unwrap();
    assert!(read == keyring && opened.is_empty());
    assert_eq!(open(&file, &key(2)).err(), Some(Wrong::Key));
}

/// Whatever one bit is changed to, the file is not opened; nor is one that ends at any byte.
#[test]
fn a_changed_or_truncated_file_is_refused() {
    let file = sample();
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            assert!(open(&changed, &key(1)).is_err(), "byte {at}, bit {bit}");
        }
        assert!(open(&file[..at], &key(1)).is_err(), "{at} bytes");
        let at_most_header = header(&file[..at]).is_ok();
        assert!(!at_most_header || at >= file.len() - 30, "{at} bytes");
    }
    let mut longer = file;
    longer.push(0);
    assert_eq!(open(&longer, &key(1)).err(), Some(Wrong::Key));
}

#[test]
fn what_is_wrong_is_told() {
    let file = sample();
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = file.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    for (file, wrong) in [
        (Vec::new(), Wrong::Magic),
        (b"-----BEGIN".to_vec(), Wrong::Magic),
        (vec![0; FILE_BYTES_MAX + 1], Wrong::TooLarge),
        (changed(15, &[2]), Wrong::Version(2)),
        (changed(16, &[7]), Wrong::Damaged),
        // A file that asks for 4 TiB, or for years.
        (changed(17, &u32::MAX.to_le_bytes()), Wrong::Cost),
        (
            changed(17, &(256 * 1024 + 1_u32).to_le_bytes()),
            Wrong::Cost,
        ),
        (changed(21, &11_u32.to_le_bytes()), Wrong::Cost),
        (changed(21, &0_u32.to_le_bytes()), Wrong::Cost),
        (changed(25, &5_u32.to_le_bytes()), Wrong::Cost),
        (changed(25, &0_u32.to_le_bytes()), Wrong::Cost),
        (changed(17, &7_u32.to_le_bytes()), Wrong::Cost),
        (changed(45, &1001_u32.to_le_bytes()), Wrong::TooMany),
        (changed(45, &u32::MAX.to_le_bytes()), Wrong::TooMany),
        // The second name before the first one, and twice the same.
        (changed(68, b"A.c-d"), Wrong::Key),
        (changed(68, b"0.c-d"), Wrong::Damaged),
        (changed(68, b"../.."), Wrong::Damaged),
        (file[..60].to_vec(), Wrong::Truncated),
    ] {
        assert_eq!(open(&file, &key(1)).err(), Some(wrong), "{wrong}");
    }
    assert!(Cost::MAX.is_allowed() && Cost::NEW.is_allowed());
}

#[test]
fn as_many_values_and_bytes_as_allowed_and_no_more() {
    let many = |count: usize| -> Entries {
        let entry = |at| {
            (
                format!("N{at}"),
                Entry {
                    since: 0,
                    value: Zeroizing::new(vec![7; 8]),
                },
            )
        };
        (0..count).map(entry).collect()
    };
    let file = seal(&recipe(), &key(1), &many(VALUES_MAX)).unwrap();
    assert_eq!(open(&file, &key(1)).unwrap().1.len(), VALUES_MAX);
    assert_eq!(
        seal(&recipe(), &key(1), &many(VALUES_MAX + 1)).err(),
        Some(Wrong::TooMany)
    );
    let large = |count: usize, length: usize| -> Entries {
        let entry = |at| {
            (
                format!("N{at}"),
                Entry {
                    since: 0,
                    value: Zeroizing::new(vec![7; length]),
                },
            )
        };
        (0..count).map(entry).collect()
    };
    assert!(seal(&recipe(), &key(1), &large(63, SECRET_BYTES_MAX)).is_ok());
    assert_eq!(
        seal(&recipe(), &key(1), &large(64, SECRET_BYTES_MAX)).err(),
        Some(Wrong::TooLarge)
    );
    assert_eq!(
        seal(&recipe(), &key(1), &large(1, SECRET_BYTES_MAX + 1)).err(),
        Some(Wrong::Damaged)
    );
}

#[test]
fn names_are_plain() {
    for name in ["A", "a.b-c_9", &"x".repeat(128)] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", ".a", "-a", "a b", "a/b", "ä", "a\n", &"x".repeat(129)] {
        assert!(!is_name(name), "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300), whole in any::<bool>()) {
        let mut file = Vec::new();
        if whole {
            file.extend_from_slice(MAGIC);
            file.push(VERSION);
        }
        file.extend_from_slice(&bytes);
        prop_assert!(open(&file, &key(1)).is_err());
        let _ = header(&file);
    }

    #[test]
    fn any_values_come_back(
        values in proptest::collection::btree_map("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", (any::<u64>(), proptest::collection::vec(any::<u8>(), 0..80)), 0..9)
    ) {
        let entries: Entries = values
            .into_iter()
            .map(|(name, (since, value))| (name, Entry { since, value: Zeroizing::new(value) }))
            .collect();
        let file = seal(&recipe(), &key(3), &entries).unwrap();
        let (_, opened) = open(&file, &key(3)).unwrap();
        prop_assert_eq!(plain(&opened), plain(&entries));
    }
}
