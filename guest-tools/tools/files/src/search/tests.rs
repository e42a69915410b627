use std::fs;

use serde_json::json;
use toolcell_guest::serde_json;
use toolcell_guest::{Content, ErrorKind, Result, Tool};

use super::search;

fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("b")).unwrap();
    fs::write(
        root.path().join("a.txt"),
        "one\ntwo\nthree two\nfour\nfive\nTwo\n",
    )
    .unwrap();
    fs::write(root.path().join("b/c.rs"), "// two\nfn two() {}\n").unwrap();
    fs::write(root.path().join("b/image.png"), b"\x89PNG\0two").unwrap();
    root
}

fn call(root: &tempfile::TempDir, input: serde_json::Value) -> Result<String> {
    let mut whole = json!({ "path": root.path() });
    whole
        .as_object_mut()
        .unwrap()
        .extend(input.as_object().unwrap().clone());
    let contents = search::call(&whole.to_string())?;
    let [Content::Text(text)] = contents.as_slice() else {
        panic!("{contents:?}")
    };
    Ok(text.replace(root.path().to_str().unwrap(), ""))
}

#[test]
fn a_word_is_found_with_its_line_and_binary_files_are_passed_over() {
    assert_eq!(
        call(&tree(), json!({ "pattern": "two" })).unwrap(),
        "/a.txt:2: two\n/a.txt:3: three two\n/b/c.rs:1: // two\n/b/c.rs:2: fn two() {}\n\
         [matches 1-4 of 4; 2 files searched]\n[1 passed over: not text, too large or not readable]\n"
    );
}

#[test]
fn expressions_case_and_globs() {
    let tree = tree();
    let found = call(&tree, json!({ "pattern": r"^fn \w+\(", "glob": "*.rs" })).unwrap();
    assert_eq!(
        found,
        "/b/c.rs:2: fn two() {}\n[matches 1-1 of 1; 1 file searched]\n"
    );
    let found = call(&tree, json!({ "pattern": "^TWO$", "ignore_case": true })).unwrap();
    assert!(
        found.starts_with("/a.txt:2: two\n/a.txt:6: Two\n[matches 1-2"),
        "{found}"
    );
}

#[test]
fn context_is_shown_once() {
    let found = call(
        &tree(),
        json!({ "pattern": "t?o$|five", "context": 1, "glob": "a.*" }),
    );
    assert_eq!(
        found.unwrap(),
        "/a.txt-1- one\n/a.txt:2: two\n/a.txt:3: three two\n/a.txt-4- four\n/a.txt:5: five\n\
         /a.txt:6: Two\n[matches 1-4 of 4; 1 file searched]\n"
    );
}

#[test]
fn pages_follow_each_other() {
    let tree = tree();
    let first = call(&tree, json!({ "pattern": "two", "limit": 3 })).unwrap();
    assert!(
        first.ends_with("[matches 1-3; go on with offset=4]\n"),
        "{first}"
    );
    let last = call(&tree, json!({ "pattern": "two", "offset": 4 })).unwrap();
    assert!(
        last.starts_with("/b/c.rs:2: fn two() {}\n[matches 4-4 of 4"),
        "{last}"
    );
}

#[test]
fn nothing_found_is_no_error() {
    let found = call(&tree(), json!({ "pattern": "nowhere" })).unwrap();
    assert!(
        found.starts_with("[no match; 2 files searched]\n"),
        "{found}"
    );
}

#[test]
fn a_wrong_pattern_is_explained() {
    for pattern in ["(", "", "a{999999}{999999}"] {
        let error = call(&tree(), json!({ "pattern": pattern })).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{pattern}");
    }
}

#[test]
fn one_file_can_be_searched() {
    let tree = tree();
    let found = call(
        &tree,
        json!({ "pattern": "two", "path": tree.path().join("b/c.rs") }),
    );
    assert!(found.unwrap().starts_with("/b/c.rs:1: // two\n"));
    let error = call(
        &tree,
        json!({ "pattern": "x", "path": tree.path().join("b/image.png") }),
    );
    assert!(error.unwrap_err().message.contains("is a binary file"));
}
