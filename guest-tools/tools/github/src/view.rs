//! GitHub's long answers, made short.

use toolcell_guest::serde_json::Value;
use toolcell_guest::{Error, Result, data};

use crate::limits::{BODY_CHARACTERS, COMMENT_CHARACTERS};
use crate::page::cut;

/// The text at a JSON pointer; empty where there is none.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The same where there may be none.
pub(crate) fn some_text(value: &Value, pointer: &str) -> Option<String> {
    Some(text(value, pointer)).filter(|text| !text.is_empty())
}

/// The number at a JSON pointer; 0 where there is none.
pub(crate) fn number(value: &Value, pointer: &str) -> u64 {
    value
        .pointer(pointer)
        .and_then(Value::as_u64)
        .unwrap_or_default()
}

/// Whether it says yes at a JSON pointer.
pub(crate) fn flag(value: &Value, pointer: &str) -> bool {
    value
        .pointer(pointer)
        .and_then(Value::as_bool)
        .unwrap_or_default()
}

/// The list that an answer has to be.
pub(crate) fn list(value: &Value) -> Result<&[Value]> {
    let list = value.as_array().map(Vec::as_slice);
    list.ok_or_else(|| Error::failed("GitHub answered something else than a list"))
}

/// The texts of that name in a list.
pub(crate) fn names(value: &Value, pointer: &str, name: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    let each = list.into_iter().flatten();
    each.map(|it| text(it, name))
        .filter(|it| !it.is_empty())
        .collect()
}

/// An issue in a list.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IssueLine {
    /// Its number.
    pub(crate) number: u64,
    /// Its title.
    pub(crate) title: String,
    /// `open` or `closed`.
    pub(crate) state: String,
    /// Who opened it.
    pub(crate) author: String,
    /// Its labels.
    pub(crate) labels: Vec<String>,
    /// How many comments it has.
    pub(crate) comments: u64,
    /// When it changed last.
    pub(crate) updated: String,
}

/// Makes a line of an issue.
pub(crate) fn issue_line(value: &Value) -> IssueLine {
    IssueLine {
        number: number(value, "/number"),
        title: text(value, "/title"),
        state: text(value, "/state"),
        author: text(value, "/user/login"),
        labels: names(value, "/labels", "/name"),
        comments: number(value, "/comments"),
        updated: text(value, "/updated_at"),
    }
}

/// A comment.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comment {
    /// Who wrote it.
    pub(crate) author: String,
    /// When.
    pub(crate) created: String,
    /// The file it is about, where it is about one.
    pub(crate) path: Option<String>,
    /// The line of that file.
    pub(crate) line: Option<u64>,
    /// What it says.
    pub(crate) body: String,
}

/// Makes a comment of a comment.
pub(crate) fn comment(value: &Value) -> Comment {
    Comment {
        author: text(value, "/user/login"),
        created: text(value, "/created_at"),
        path: some_text(value, "/path"),
        line: Some(number(value, "/line")).filter(|line| *line > 0),
        body: cut(&text(value, "/body"), COMMENT_CHARACTERS),
    }
}

/// What was written down, and where people see it.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// The number of the issue or pull request.
    pub(crate) number: u64,
    /// Where people see it.
    pub(crate) url: String,
    /// `open` or `closed`.
    pub(crate) state: String,
}

/// What an answer says of an issue or a pull request that was created or changed.
pub(crate) fn written(value: &Value) -> Written {
    Written {
        number: number(value, "/number"),
        url: text(value, "/html_url"),
        state: text(value, "/state"),
    }
}

/// The text of an issue or a pull request.
pub(crate) fn body(value: &Value) -> String {
    cut(&text(value, "/body"), BODY_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use toolcell_guest::serde_json::json;

    use super::{comment, issue_line, list, names};

    #[test]
    fn what_is_missing_is_empty() {
        let line =
            issue_line(&json!({ "number": 1, "user": null, "labels": ["x", { "name": "bug" }] }));
        assert_eq!((line.author.as_str(), line.title.as_str()), ("", ""));
        assert_eq!(line.labels, ["bug"]);
        assert_eq!(names(&json!({}), "/labels", "/name"), [""; 0]);
        let comment = comment(&json!({ "body": "b", "line": null }));
        assert_eq!((comment.path, comment.line), (None, None));
        assert!(list(&json!({ "message": "x" })).is_err());
    }
}
