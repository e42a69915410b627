use std::fs;

use serde_json::json;
use toolcell_guest::serde_json;
use toolcell_guest::{Content, Error, ErrorKind, Tool};

use super::write;
use crate::limits::FILE_BYTES;

/// Calls the tool below `root`, the way a host does.
fn call(root: &tempfile::TempDir, path: &str, content: &str, dirs: bool) -> Result<String, Error> {
    let path = root.path().join(path);
    let input = json!({ "path": path, "content": content, "create_dirs": dirs });
    let contents = write::call(&input.to_string())?;
    let [Content::Text(text)] = contents.as_slice() else {
        panic!("{contents:?}")
    };
    Ok(text.replace(root.path().to_str().unwrap(), ""))
}

#[test]
fn a_file_is_created_and_then_replaced() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(
        call(&root, "a", "long text", false).unwrap(),
        "created /a (9 bytes)"
    );
    assert_eq!(
        call(&root, "a", "x", false).unwrap(),
        "replaced /a (1 byte)"
    );
    assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), "x");
}

#[test]
fn directories_are_made_only_where_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let error = call(&root, "a/b/c", "x", false).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(
        error.message.ends_with("create_dirs makes it"),
        "{}",
        error.message
    );
    assert_eq!(
        call(&root, "a/b/c", "x", true).unwrap(),
        "created /a/b/c (1 byte)"
    );
}

#[test]
fn a_directory_is_not_replaced() {
    let root = tempfile::tempdir().unwrap();
    let error = call(&root, "", "x", false).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(
        error.message.contains("is a directory"),
        "{}",
        error.message
    );
}

#[test]
fn a_file_is_bounded() {
    let root = tempfile::tempdir().unwrap();
    let error = call(&root, "a", &"x".repeat(FILE_BYTES as usize + 1), false).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(!root.path().join("a").exists());
}
