//! Components that ask for something else than they say, and damaged ones.

use std::fs;

use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::Package;

/// Why a component with these imports is refused. Nothing of it was compiled: the cache of compiled components is empty.
async fn refused(imports: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let host = builder("").cache_dir(&cache).build().unwrap();
    let error = host
        .load_bytes("t", tool_with(imports, "", ECHO))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidComponent, "{error}");
    let kept = fs::read_dir(&cache).unwrap().count();
    assert_eq!(kept, 1, "only the key of the cache: {error}");
    error.message().to_owned()
}

#[tokio::test]
async fn an_interface_with_a_function_that_it_does_not_have_is_refused_before_it_is_compiled() {
    for (imports, words) in [
        (
            "(import \"toolcell:tool/log@0.1.0\" (instance (export \"steal\" (func))))",
            ["toolcell:tool/log@0.1.0", "steal"],
        ),
        (
            "(import \"wasi:cli/environment@0.2.0\" (instance (export \"set-environment\" (func))))",
            ["wasi:cli/environment@0.2.0", "set-environment"],
        ),
        (
            "(import \"wasi:random/random@0.2.3\" (instance (export \"get-random-u64\" (func (result u32)))))",
            ["wasi:random/random@0.2.3", "get-random-u64"],
        ),
        (
            "(import \"wasi:random/random@0.2.3\" (instance (export \"get-random-u64\" (func (param \"seed\" u64) (result u64)))))",
            ["wasi:random/random@0.2.3", "get-random-u64"],
        ),
        (
            "(type $x u8) (import \"wasi:random/random@0.2.3\" (func))",
            ["wasi:random/random@0.2.3", ""],
        ),
        (
            "(import \"wasi:random/random@0.2.3\" (component))",
            ["component imports", ""],
        ),
    ] {
        let message = refused(imports).await;
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
}

#[tokio::test]
async fn a_part_of_an_interface_is_enough() {
    let imports = "(import \"wasi:random/random@0.2.3\" (instance (export \"get-random-u64\" (func (result u64)))))";
    let host = builder("").build().unwrap();
    host.load_bytes("t", tool_with(imports, "", ECHO))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_component_inside_gets_only_what_is_outside() {
    // What it imports is given by the component around it, or not at all.
    let nested = "(component $inner (import \"wasi:evil/host@0.2.0\" (instance)))";
    let host = builder("").build().unwrap();
    // Never instantiated: it imports nothing from the host.
    let package = Package::parse("t", tool_with(nested, "", ECHO)).unwrap();
    assert_eq!(package.inspection().imports, ["toolcell:tool/types@0.1.0"]);
    host.load_bytes("t", package.bytes().to_vec())
        .await
        .unwrap();
    let error = Package::parse(
        "t",
        tool_with(
            &format!("{nested} (instance (instantiate $inner))"),
            "",
            ECHO,
        ),
    )
    .unwrap_err();
    assert!(error.message().contains("missing"), "{error}");
    // Handed through, it is an import of the whole, and refused by its name.
    let through = format!(
        "(import \"wasi:evil/host@0.2.0\" (instance $evil)) {nested}
         (instance (instantiate $inner (with \"wasi:evil/host@0.2.0\" (instance $evil))))"
    );
    assert!(refused(&through).await.contains("wasi:evil/host@0.2.0"));
}

/// Changes some bytes of a component, at places and in ways that only `seed` decides.
fn damaged(good: &[u8], seed: u64) -> Vec<u8> {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut bytes = good.to_vec();
    for _ in 0..random.random_range(1..=4) {
        // Half of the damage goes where the structure is: to the beginning.
        let end = if random.random() {
            bytes.len().min(4_096)
        } else {
            bytes.len()
        };
        let at = random.random_range(0..end);
        match random.random_range(0..4) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = random.random(),
            2 => bytes.insert(at, random.random()),
            _ => {
                bytes.remove(at);
            }
        }
    }
    bytes
}

#[test]
fn damage_never_panics_and_never_gets_around_the_checks() {
    let Some((name, good)) = crate::builtins().next() else {
        return;
    };
    let whole = Package::parse(name, good).unwrap();
    let (mut refused, mut changed) = (0, 0);
    for seed in 0..600 {
        let bytes = damaged(good, seed);
        match Package::parse(name, bytes) {
            Err(error) => {
                refused += 1;
                assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::InvalidComponent | ErrorKind::InvalidManifest
                    ),
                    "seed {seed}: {error}"
                );
                assert!(error.message().len() < 4_096, "seed {seed}");
            }
            Ok(package) => {
                changed += 1;
                // Whatever it is now, its imports were checked, and a lock tells it apart.
                let known = |import: &String| {
                    import.starts_with("wasi:") || import.starts_with("toolcell:")
                };
                assert!(
                    package.inspection().imports.iter().all(known),
                    "seed {seed}"
                );
                assert_ne!(package.digest(), whole.digest(), "seed {seed}");
            }
        }
    }
    // Damage inside functions is the compiler's to find, and all else is found here.
    assert!(
        refused > 100 && changed > 20,
        "{refused} refused, {changed} taken"
    );
}
