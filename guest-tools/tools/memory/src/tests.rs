use std::fs;

use tempfile::TempDir;
use toolcell_guest::serde_json::{Value, json};
use toolcell_guest::{Content, Error, ErrorKind, Tool};

use super::memory;
use crate::limits::FILE_BYTES;
use crate::place::tests::ROOT_HERE;

fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    ROOT_HERE.with(|root| *root.borrow_mut() = dir.path().to_owned());
    dir
}

fn call(input: Value) -> Result<String, Error> {
    let contents = memory::call(&input.to_string())?;
    let [Content::Text(text)] = contents.as_slice() else {
        panic!("{contents:?}")
    };
    Ok(text.clone())
}

fn create(path: &str, text: &str) {
    call(json!({ "command": "create", "path": path, "file_text": text })).unwrap();
}

fn refused(input: Value) -> String {
    call(input).unwrap_err().message
}

#[test]
fn notes_are_made_seen_changed_moved_and_removed() {
    let dir = place();
    let empty = call(json!({ "command": "view", "path": "/memories" })).unwrap();
    assert!(empty.ends_with("[nothing yet]\n"), "{empty}");
    create("/memories/people/ada.md", "Ada\nlikes tea\n");
    assert_eq!(
        fs::read_to_string(dir.path().join("people/ada.md")).unwrap(),
        "Ada\nlikes tea\n"
    );
    let list = call(json!({ "command": "view", "path": "/memories" })).unwrap();
    assert_eq!(
        list,
        "Here're the files and directories up to 2 levels deep in /memories:\n/memories/people/\n\
         /memories/people/ada.md (14 bytes)\n"
    );
    let file = call(
        json!({ "command": "view", "path": "/memories/people/ada.md", "view_range": [2, -1] }),
    )
    .unwrap();
    assert!(file.ends_with(":\n     2\tlikes tea\n"), "{file}");
    let path = "/memories/people/ada.md";
    call(json!({ "command": "str_replace", "path": path, "old_str": "tea", "new_str": "coffee" }))
        .unwrap();
    let shown = call(
        json!({ "command": "insert", "path": path, "insert_line": 1, "insert_text": "of London" }),
    )
    .unwrap();
    assert!(
        shown.ends_with(":\n     1\tAda\n     2\tof London\n     3\tlikes coffee\n"),
        "{shown}"
    );
    call(json!({ "command": "rename", "old_path": path, "new_path": "/memories/old/a.md" }))
        .unwrap();
    call(json!({ "command": "delete", "path": "/memories/people" })).unwrap();
    let left = call(json!({ "command": "view", "path": "/memories" })).unwrap();
    assert!(
        left.ends_with("/memories/old/\n/memories/old/a.md (27 bytes)\n"),
        "{left}"
    );
}

#[test]
fn a_file_is_never_overwritten_by_mistake() {
    let _dir = place();
    create("/memories/a", "one");
    create("/memories/b", "two");
    let told = refused(json!({ "command": "create", "path": "/memories/a", "file_text": "x" }));
    assert!(told.contains("exists already"), "{told}");
    let told = refused(
        json!({ "command": "rename", "old_path": "/memories/a", "new_path": "/memories/b" }),
    );
    assert!(told.contains("/memories/b exists already"), "{told}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let _dir = place();
    create("/memories/a", "one\none\n");
    say(&[
        (json!({ "command": "view" }), "`view` needs `path`"),
        (
            json!({ "command": "create", "path": "/memories/c" }),
            "`create` needs `file_text`",
        ),
        (
            json!({ "command": "rename", "old_path": "/memories/a" }),
            "`rename` needs `new_path`",
        ),
        (
            json!({ "command": "view", "path": "/etc/passwd" }),
            "is not below /memories",
        ),
        (
            json!({ "command": "view", "path": "/memories/../etc" }),
            "goes up",
        ),
        (
            json!({ "command": "view", "path": "/memories/none" }),
            "/memories/none does not exist",
        ),
        (
            json!({ "command": "view", "path": "/memories", "view_range": [1, 2] }),
            "for files alone",
        ),
        (
            json!({ "command": "view", "path": "/memories/a", "view_range": [2, 1] }),
            "from 1 to 2",
        ),
        (
            json!({ "command": "view", "path": "/memories/a", "view_range": [1] }),
            "from 1 to 2",
        ),
        (
            json!({ "command": "view", "path": "/memories/a", "view_range": [1, 3] }),
            "from 1 to 2",
        ),
    ]);
}

#[test]
fn a_change_that_cannot_be_made_is_said() {
    let _dir = place();
    create("/memories/a", "one\none\n");
    say(&[
        (
            json!({ "command": "str_replace", "path": "/memories/a", "old_str": "x" }),
            "does not appear",
        ),
        (
            json!({ "command": "str_replace", "path": "/memories/a", "old_str": "one" }),
            "appears 2 times, in lines 1, 2",
        ),
        (
            json!({ "command": "str_replace", "path": "/memories/a", "old_str": "" }),
            "`old_str` is empty",
        ),
        (
            json!({ "command": "insert", "path": "/memories/a", "insert_line": 3, "insert_text": "x" }),
            "from 0 to 2",
        ),
        (
            json!({ "command": "delete", "path": "/memories/" }),
            "itself cannot be removed",
        ),
        (
            json!({ "command": "delete", "path": "/memories/none" }),
            "does not exist",
        ),
        (
            json!({ "command": "rename", "old_path": "/memories/none", "new_path": "/memories/c" }),
            "/memories/none does not exist",
        ),
        (
            json!({ "command": "rename", "old_path": "/memories", "new_path": "/memories/c" }),
            "cannot be renamed",
        ),
    ]);
}

/// Each of these is refused with these words.
fn say(cases: &[(Value, &str)]) {
    for (input, words) in cases {
        let told = refused(input.clone());
        assert!(told.contains(words), "{input}: {told}");
    }
}

#[test]
fn no_file_gets_larger_than_the_limit() {
    let _dir = place();
    create("/memories/a", &"x".repeat(FILE_BYTES));
    let grow =
        json!({ "command": "insert", "path": "/memories/a", "insert_line": 0, "insert_text": "x" });
    assert_eq!(call(grow).unwrap_err().kind, ErrorKind::TooLarge);
    let text = "x".repeat(FILE_BYTES + 1);
    let error =
        call(json!({ "command": "create", "path": "/memories/b", "file_text": text })).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    let long = call(json!({ "command": "view", "path": "/memories/a" })).unwrap();
    assert!(
        long.ends_with("x[… 1040384 more bytes in this line]\n"),
        "{}",
        long.len()
    );
    create(
        "/memories/c",
        &"y".repeat(1_000)
            .replace('y', &format!("{}\n", "y".repeat(1_000))),
    );
    let long = call(json!({ "command": "view", "path": "/memories/c" })).unwrap();
    assert!(
        long.ends_with("[… there are 1000 lines; go on with view_range [98, -1]]\n"),
        "{}",
        &long[90_000..]
    );
}
