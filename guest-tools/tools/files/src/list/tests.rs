use std::fs;

use serde_json::json;
use toolcell_guest::serde_json;
use toolcell_guest::{Content, ErrorKind, Result, Tool};

use super::list;

fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("src/deep")).unwrap();
    for (file, size) in [("README.md", 1), ("src/a.rs", 1536), ("src/deep/b.rs", 0)] {
        fs::write(root.path().join(file), "x".repeat(size)).unwrap();
    }
    root
}

fn call(root: &tempfile::TempDir, more: serde_json::Value) -> Result<String> {
    let mut input = json!({ "path": root.path() });
    input
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let contents = list::call(&input.to_string())?;
    let [Content::Text(text)] = contents.as_slice() else {
        panic!("{contents:?}")
    };
    Ok(text.replace(root.path().to_str().unwrap(), ""))
}

#[test]
fn a_directory_shows_what_is_directly_in_it() {
    assert_eq!(
        call(&tree(), json!({})).unwrap(),
        "/README.md  1 byte\n/src/\n"
    );
}

#[test]
fn a_glob_finds_files_at_any_depth() {
    let found = call(&tree(), json!({ "glob": "*.rs" })).unwrap();
    assert_eq!(found, "/src/a.rs  1.5 KiB\n/src/deep/b.rs  0 bytes\n");
    assert_eq!(
        call(&tree(), json!({ "glob": "*.py" })).unwrap(),
        "[nothing found]\n"
    );
}

#[test]
fn pages_follow_each_other() {
    let tree = tree();
    let first = call(&tree, json!({ "glob": "**", "limit": 2 })).unwrap();
    assert!(
        first.ends_with("[entries 1-2 of 3; go on with offset=3]\n"),
        "{first}"
    );
    let last = call(&tree, json!({ "glob": "**", "offset": 3 })).unwrap();
    assert_eq!(last, "/src/deep/b.rs  0 bytes\n[entries 3-3 of 3]\n");
    let error = call(&tree, json!({ "offset": 9 })).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
}

#[cfg(unix)]
#[test]
fn a_link_is_named_and_not_followed() {
    let tree = tree();
    std::os::unix::fs::symlink("/etc", tree.path().join("out")).unwrap();
    assert!(call(&tree, json!({})).unwrap().contains("/out  link\n"));
}

#[test]
fn nothing_granted_is_said() {
    let answer = list::call("{}").unwrap();
    let [Content::Text(text)] = answer.as_slice() else {
        panic!("{answer:?}")
    };
    assert_eq!(text, "[no directory was granted]");
}

#[test]
fn what_is_no_directory_is_named() {
    let tree = tree();
    for (path, message) in [
        ("README.md", "/README.md is not a directory or not in one"),
        ("none", "/none does not exist"),
    ] {
        for glob in [json!({}), json!({ "glob": "*" })] {
            let mut input = json!({ "path": tree.path().join(path) });
            input
                .as_object_mut()
                .unwrap()
                .extend(glob.as_object().unwrap().clone());
            let error = call(&tree, input).unwrap_err();
            assert_eq!(
                error.message.replace(tree.path().to_str().unwrap(), ""),
                message
            );
        }
    }
}

#[test]
fn a_name_cannot_pretend_to_be_another_entry() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a\nb.txt  1 byte"), "").unwrap();
    assert_eq!(
        call(&root, json!({})).unwrap(),
        "/a\\nb.txt  1 byte  0 bytes\n"
    );
}
