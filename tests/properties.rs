//! The properties that the fuzz targets look for counterexamples of, on seeds, on seeds that were damaged, and on bytes
//! made up at random. `make fuzz` goes on for longer.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

#[path = "properties/mod.rs"]
mod properties;

use std::{fs, path::PathBuf};

use proptest::{prelude::*, sample::Index};

/// How often each property is tried with damaged seeds, and with random bytes.
const TRIES: u32 = 2_000;

/// What is in a folder of the repository, sorted.
fn listed(folder: &str) -> Vec<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let dir = here
        .ancestors()
        .map(|dir| dir.join(folder))
        .find(|dir| dir.is_dir())
        .unwrap_or_else(|| panic!("there is no folder {folder}"));
    let entries = fs::read_dir(dir).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let files = listed(&format!("tests/properties/seeds/{name}"));
    assert!(!files.is_empty(), "`{name}` has no seeds");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// What happens to a seed.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, u8),
    Repeat(Index, u8),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, len)| Damage::Remove(at, len)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, len)| Damage::Repeat(at, len)),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        let range = |at: &Index, by: u8| {
            let from = at.index(len);
            from..(from + usize::from(by)).min(len)
        };
        match damage {
            Damage::Set(at, byte) => bytes[at.index(len)] = *byte,
            Damage::Insert(at, new) => {
                drop(bytes.splice(at.index(len)..at.index(len), new.clone()))
            }
            Damage::Remove(at, by) => drop(bytes.drain(range(at, *by))),
            Damage::Repeat(at, by) => {
                let again = bytes[range(at, *by)].to_vec();
                drop(bytes.splice(at.index(len)..at.index(len), again));
            }
            Damage::Cut(at) => bytes.truncate(at.index(len)),
        }
    }
    bytes
}

fn holds(name: &str) {
    let (_, property) = properties::ALL
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("there is no property `{name}`"));
    let seeds = seeds(name);
    for seed in &seeds {
        property(seed);
    }
    let config = ProptestConfig {
        cases: TRIES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config.clone());
    let broken = (any::<Index>(), prop::collection::vec(damage(), 1..6));
    runner
        .run(&broken, |(which, damages)| {
            let seed = seeds[which.index(seeds.len())].clone();
            property(&damaged(seed, &damages));
            Ok(())
        })
        .unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&prop::collection::vec(any::<u8>(), 0..512), |bytes| {
            property(&bytes);
            Ok(())
        })
        .unwrap();
}

macro_rules! properties {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })*

        /// Every property has a test and a fuzz target.
        #[test]
        fn none_is_left_out() {
            let tested = [$(stringify!($name)),*];
            let known: Vec<&str> = properties::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(tested.as_slice(), known);
            let names = |folder: &str| -> Vec<String> {
                let stem = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
                listed(folder).iter().map(stem).collect()
            };
            let mut sorted = known.clone();
            sorted.sort_unstable();
            assert_eq!(names("tests/properties/seeds"), sorted);
            assert_eq!(names("fuzz/fuzz_targets"), sorted);
        }
    };
}

properties!(
    policy, manifest, lock, inspect, values, frames, sse, openai, redact
);
