//! Several files in one commit, on top of a branch that is not the default one.
//!
//! A commit is made of what git is made of: blobs, a tree, a commit, and at last the branch is moved to
//! it, never by force. Only that last request changes anything that people see, and the branch stands in
//! its path. GitHub's simpler way (`PUT /contents`) has the branch in its body, where no policy sees it.

use toolcell_guest::serde_json::{Value, json};
use toolcell_guest::{Error, Json, Result, base64, data, tool};

use crate::api::Api;
use crate::branches::{default_branch, head};
use crate::issues::fields;
use crate::limits::{COMMIT_FILES, NAME_CHARACTERS, SENT_CHARACTERS};
use crate::names::{Branch, Repo, file_path};
use crate::view;

/// A change of one file. Exactly one of `content`, `base64` and `delete` is given.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    /// Its path, for example `src/main.rs`. Directories come by themselves.
    #[arg(max_length = NAME_CHARACTERS)]
    pub(crate) path: String,
    /// The whole new text.
    pub(crate) content: Option<String>,
    /// The whole new bytes in base64, for what is no text.
    pub base64: Option<String>,
    /// Removes the file.
    pub(crate) delete: Option<bool>,
    /// Whether it is a program. A file that was one and is written without this is none any more.
    pub(crate) executable: Option<bool>,
}

/// What was committed.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Committed {
    /// The new commit.
    pub(crate) commit: String,
    /// The branch, which ends there now.
    pub(crate) branch: String,
    /// Where people see it.
    pub(crate) url: String,
    /// How many files it changes.
    pub(crate) files: usize,
}

/// Writes, replaces and removes files in one commit on top of a branch.
///
/// Create the branch first, with `branch-create`. The default branch is refused: open a pull request. If somebody
/// else moved the branch in between, nothing happens and the error says so.
#[tool(open_world, destructive)]
pub(crate) fn commit(
    /// The repository as `owner/name`.
    #[arg(pattern = "^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", max_length = 140)]
    repo: String,
    /// The branch, for example `agent/fix-typo`.
    #[arg(max_length = NAME_CHARACTERS)]
    branch: String,
    /// What the commit is for: a line, and more behind an empty line if needed.
    #[arg(max_length = SENT_CHARACTERS)]
    message: String,
    /// The files.
    #[arg(max_items = COMMIT_FILES)]
    files: Vec<Change>,
    /// The commit that the branch must end at, so that nothing of others is replaced unseen.
    #[arg(pattern = "^[0-9a-fA-F]{40}$")]
    parent: Option<String>,
) -> Result<Json<Committed>> {
    let repo = Repo::parse(&repo)?;
    let branch = Branch::parse(&branch)?;
    let changes = changes(&files)?;
    if message.trim().is_empty() {
        return Err(Error::invalid_input("a commit needs a message"));
    }
    let api = Api::open()?;
    if default_branch(&api, &repo)? == branch.as_str() {
        return Err(Error::denied(format!(
            "`{}` is the default branch of {}, which this tool does not change: commit to another branch and \
             open a pull request",
            branch.as_str(),
            repo.as_str()
        )));
    }
    let last = head(&api, &repo, &branch)?;
    if let Some(parent) = parent.filter(|parent| !parent.eq_ignore_ascii_case(&last)) {
        return Err(Error::failed(format!(
            "the branch ends at {last} and no longer at {parent}: look at what changed, and try again"
        ))
        .with_code("moved"));
    }
    // What exists before the branch is moved is seen by nobody, so trying again is safe until then.
    let made = make(&api, &repo, &last, &changes, &message).map_err(|mut error| {
        error.request_sent = false;
        error
    })?;
    let body = json!({ "sha": made.sha, "force": false });
    api.change("PATCH", &repo.head("refs", &branch), &body)
        .map_err(|error| error.context("the branch was not moved"))?;
    Ok(Json(Committed {
        commit: made.sha,
        branch: branch.as_str().to_owned(),
        url: made.url,
        files: changes.len(),
    }))
}

/// A commit that no branch leads to yet.
struct Made {
    sha: String,
    url: String,
}

fn make(
    api: &Api,
    repo: &Repo,
    last: &str,
    changes: &[(String, Source, &str)],
    message: &str,
) -> Result<Made> {
    let parent = api.get(&repo.path(&format!("/git/commits/{last}")))?;
    let mut entries = Vec::new();
    for (path, source, mode) in changes {
        let (text, blob) = match source {
            Source::Text(text) => (Some(json!(text)), None),
            Source::Nothing => (None, Some(Value::Null)),
            Source::Bytes(text) => {
                let blob = json!({ "content": text, "encoding": "base64" });
                let blob = api.change("POST", &repo.path("/git/blobs"), &blob)?;
                (None, Some(json!(view::text(&blob, "/sha"))))
            }
        };
        let entry = fields([
            ("path", Some(json!(path))),
            ("mode", Some(json!(mode))),
            ("type", Some(json!("blob"))),
            ("content", text),
            ("sha", blob),
        ]);
        entries.push(entry);
    }
    let tree = json!({ "base_tree": view::text(&parent, "/tree/sha"), "tree": entries });
    let tree = api.change("POST", &repo.path("/git/trees"), &tree)?;
    let tree = view::text(&tree, "/sha");
    if tree == view::text(&parent, "/tree/sha") {
        return Err(Error::invalid_input(
            "the files are so already: there is nothing to commit",
        ));
    }
    let commit = json!({ "message": message, "tree": tree, "parents": [last] });
    let commit = api.change("POST", &repo.path("/git/commits"), &commit)?;
    Ok(Made {
        sha: view::text(&commit, "/sha"),
        url: view::text(&commit, "/html_url"),
    })
}

/// What becomes of a file.
#[derive(Debug, PartialEq)]
enum Source<'a> {
    Text(&'a str),
    /// In base64.
    Bytes(&'a str),
    Nothing,
}

/// The changes with their paths checked: path, what becomes of it, and git's mode.
fn changes(files: &[Change]) -> Result<Vec<(String, Source<'_>, &'static str)>> {
    if files.is_empty() || files.len() > COMMIT_FILES as usize {
        let what = format!("a commit changes between 1 and {COMMIT_FILES} files");
        return Err(Error::invalid_input(what));
    }
    let mut changes: Vec<(String, Source<'_>, &'static str)> = Vec::new();
    for file in files {
        let path = file_path(&file.path)?;
        let wrong = |why: &str| Error::invalid_input(format!("`{path}`: {why}"));
        if path.is_empty() || changes.iter().any(|(known, ..)| *known == path) {
            return Err(wrong("each file needs a path of its own"));
        }
        let delete = file.delete.unwrap_or_default();
        let source = match (&file.content, &file.base64, delete) {
            (Some(text), None, false) => Source::Text(text),
            (None, Some(text), false) => match base64::decode(text) {
                Some(_) => Source::Bytes(text.trim()),
                None => return Err(wrong("`base64` is not in standard base64")),
            },
            (None, None, true) => Source::Nothing,
            _ => {
                return Err(wrong(
                    "exactly one of `content`, `base64` and `delete` is needed",
                ));
            }
        };
        let executable = file.executable.unwrap_or_default();
        changes.push((path, source, if executable { "100755" } else { "100644" }));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use toolcell_guest::ErrorKind;

    use super::{Change, Source, changes};

    fn change(path: &str, content: Option<&str>, base64: Option<&str>, delete: bool) -> Change {
        Change {
            path: path.to_owned(),
            content: content.map(str::to_owned),
            base64: base64.map(str::to_owned),
            delete: delete.then_some(true),
            executable: None,
        }
    }

    #[test]
    fn a_change_is_one_of_three() {
        let mut files = vec![
            change("/a/b.rs", Some("x"), None, false),
            change("c.png", None, Some("AP8="), false),
            change("d", None, None, true),
        ];
        files[0].executable = Some(true);
        let found = changes(&files).unwrap();
        assert_eq!(found[0], ("a/b.rs".to_owned(), Source::Text("x"), "100755"));
        assert_eq!(
            found[1],
            ("c.png".to_owned(), Source::Bytes("AP8="), "100644")
        );
        assert_eq!(found[2].1, Source::Nothing);
        for wrong in [
            vec![],
            vec![change("a", None, None, false)],
            vec![change("a", Some("x"), None, true)],
            vec![change("a", Some("x"), Some("AP8="), false)],
            vec![change("a", None, Some("x"), false)],
            vec![change("", Some("x"), None, false)],
            vec![change("../a", Some("x"), None, false)],
            vec![change(".git/config", Some("x"), None, false)],
            vec![
                change("a", Some("x"), None, false),
                change("/a", None, None, true),
            ],
            vec![change("a", Some("x"), None, false); 51],
        ] {
            assert_eq!(changes(&wrong).unwrap_err().kind, ErrorKind::InvalidInput);
        }
    }
}
