//! The WIT contract: it parses together with the vendored WASI packages, and what was released never changes.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use wit_parser::Resolve;

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")
}

fn wit_files(dir: &Path) -> BTreeMap<String, String> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "wit"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The version after `package toolcell:tool@` in a file.
fn version(text: &str) -> &str {
    let line = text
        .lines()
        .find(|line| line.starts_with("package "))
        .unwrap();
    line.trim_start_matches("package toolcell:tool@")
        .trim_end_matches(';')
}

#[test]
fn the_contract_parses_with_the_vendored_packages() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit()).unwrap();
    let worlds: Vec<&str> = resolve.packages[package]
        .worlds
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        worlds,
        ["pure-tool", "files-tool", "http-tool", "full-tool"]
    );
}

#[test]
fn a_released_version_is_frozen() {
    let current = wit_files(&wit());
    let version = version(&current["tool.wit"]).to_owned();
    let frozen = wit_files(&wit().join("frozen").join(&version));
    assert_eq!(
        current, frozen,
        "wit/ differs from wit/frozen/{version}: a released version never changes. Give the package a new version \
         and copy it to wit/frozen/, or note the wish in wit/PENDING_CHANGES.md"
    );
}

#[test]
fn every_file_of_the_contract_has_the_same_version() {
    for entry in fs::read_dir(wit().join("frozen"))
        .unwrap()
        .map(Result::unwrap)
    {
        let expected = entry.file_name().to_string_lossy().into_owned();
        for (name, text) in wit_files(&entry.path()) {
            assert_eq!(version(&text), expected, "{name} in frozen/{expected}");
        }
    }
}
