use std::fs;

use serde_json::json;
use toolcell_guest::serde_json;
use toolcell_guest::{Content, Error, ErrorKind, Tool};

use super::{check, edit, like};

/// Calls the tool on a file with `before`, the way a host does.
fn call(before: &str, old: &str, new: &str, replace_all: bool) -> (Result<String, Error>, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f.txt");
    fs::write(&path, before).unwrap();
    let input = json!({ "path": path, "old": old, "new": new, "replace_all": replace_all });
    let answer = edit::call(&input.to_string()).map(|contents| match contents.as_slice() {
        [Content::Text(text)] => text.replace(path.to_str().unwrap(), "f.txt"),
        other => panic!("{other:?}"),
    });
    (answer, fs::read_to_string(&path).unwrap())
}

#[test]
fn the_answer_is_a_diff_and_the_file_is_changed() {
    let (answer, after) = call("one\ntwo\nthree\n", "two", "2", false);
    assert_eq!(after, "one\n2\nthree\n");
    assert_eq!(
        answer.unwrap(),
        "--- f.txt\n+++ f.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
    );
}

#[test]
fn what_occurs_twice_is_counted_and_left_alone() {
    let (answer, after) = call("a\nb\na\n", "a", "c", false);
    let message = answer.unwrap_err().message;
    assert!(message.contains("occurs 2 times (lines 1, 3)"), "{message}");
    assert_eq!(after, "a\nb\na\n");
    assert_eq!(call("a\nb\na\n", "a", "c", true).1, "c\nb\nc\n");
}

#[test]
fn what_does_not_occur_gets_a_hint() {
    let message = |before, old| check(before, old, "x", false).unwrap_err().message;
    assert!(
        message("fn a() {\n    b();\n}\n", "fn a() {\n  b();\n}").contains("at line 1 it does")
    );
    assert!(message("one\n", "two").contains("read the file again"));
}

#[test]
fn pointless_edits_are_refused() {
    for (old, new) in [("", "x"), ("a", "a")] {
        assert_eq!(
            check("a", old, new, false).unwrap_err().kind,
            ErrorKind::InvalidInput
        );
    }
}

#[test]
fn line_breaks_follow_the_file() {
    assert_eq!(like("a\r\nb\r\n", "x\ny"), "x\r\ny");
    assert_eq!(like("a\nb\n", "x\ny"), "x\ny");
    assert_eq!(call("a\r\nb\r\nc", "a\nb", "A\nB", false).1, "A\r\nB\r\nc");
}

#[test]
fn a_diff_is_bounded() {
    let before = "a line of some length\n".repeat(10_000);
    let (answer, after) = call(&before, "some", "any", true);
    let answer = answer.unwrap();
    assert!(answer.len() < crate::limits::PAGE_BYTES + 100);
    assert!(answer.ends_with("[all is replaced; the rest of the diff is left out]\n"));
    assert_eq!(after, before.replace("some", "any"));
}
