//! What becomes part of a path: repositories, branches, files. Nothing here may lead anywhere else.

use toolcell_guest::http::encode;
use toolcell_guest::{Error, Result};

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repo(String);

impl Repo {
    /// Reads `owner/name`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            let text = text.escape_debug();
            Error::invalid_input(format!(
                "`{text}` is no repository: write it as `owner/name`"
            ))
        };
        let (owner, name) = text.trim().split_once('/').ok_or_else(wrong)?;
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        for part in [owner, name] {
            if part.is_empty() || !part.chars().all(letters) || matches!(part, "." | "..") {
                return Err(wrong());
            }
        }
        Ok(Self(format!("{owner}/{name}")))
    }

    /// `owner/name`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of something of this repository, for example `/issues`.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/repos/{}{rest}", self.0)
    }

    /// The path by which a branch is read (`ref`) or moved (`refs`).
    pub(crate) fn head(&self, kind: &str, branch: &Branch) -> String {
        self.path(&format!("/git/{kind}/heads/{}", slashes_kept(&branch.0)))
    }
}

/// The name of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Branch(String);

impl Branch {
    /// Reads a name by the rules of `git check-ref-format`, which leave no way out of a path.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let text = text.escape_debug();
            Error::invalid_input(format!("`{text}` is no name of a branch: {why}"))
        };
        if text.starts_with("refs/") {
            return Err(wrong("write it without `refs/heads/`"));
        }
        let odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\\u{7f}".contains(c);
        if text.contains(odd) || text.contains("@{") || text == "@" {
            return Err(wrong("it has blanks or one of `~^:?*[\\`"));
        }
        let part = |part: &str| {
            part.is_empty()
                || part.starts_with('.')
                || part.ends_with(".lock")
                || part.ends_with('.')
                || part.contains("..")
        };
        if text.split('/').any(part) || text.starts_with('-') {
            return Err(wrong(
                "no part of it may be empty, begin or end with a dot, or hold two",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The path of a file or a directory in a repository, without slashes at its ends; empty for its root.
pub(crate) fn file_path(text: &str) -> Result<String> {
    let path = text.trim_matches('/');
    let wrong = |part: &str| {
        matches!(part, "" | "." | "..") || part.chars().any(|c| c.is_control() || c == '\\')
    };
    if !path.is_empty() && path.split('/').any(wrong) {
        let text = text.escape_debug();
        return Err(Error::invalid_input(format!(
            "`{text}` is no path in a repository: write it like `src/main.rs`, without `.`, `..` and `//`"
        )));
    }
    // Git itself refuses it in a tree.
    if path
        .split('/')
        .any(|part| part.eq_ignore_ascii_case(".git"))
    {
        return Err(Error::invalid_input(
            "`.git` cannot be part of a path in a repository",
        ));
    }
    Ok(path.to_owned())
}

/// Every part between slashes percent-encoded.
pub(crate) fn slashes_kept(path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(encode).collect();
    parts.join("/")
}

/// Whether a text is the whole name of a commit.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::{Branch, Repo, file_path, is_commit, slashes_kept};

    #[test]
    fn a_repository_is_two_plain_names() {
        assert_eq!(
            Repo::parse(" acme/site.rs ").unwrap().path("/x"),
            "/repos/acme/site.rs/x"
        );
        for text in [
            "",
            "acme",
            "acme/",
            "/site",
            "a/b/c",
            "../b",
            "a/..",
            "a/.",
            "a b/c",
            "a/b?c",
            "a/b#c",
            "a/b%2f",
            "a/b\nc",
            "ä/b",
            "https://github.com/a/b",
        ] {
            assert!(Repo::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_branch_stays_beneath_heads() {
        let repo = Repo::parse("a/b").unwrap();
        let head = |branch: &str| repo.head("refs", &Branch::parse(branch).unwrap());
        assert_eq!(head("agent/fix-1"), "/repos/a/b/git/refs/heads/agent/fix-1");
        assert_eq!(head("ä#%2e"), "/repos/a/b/git/refs/heads/%C3%A4%23%252e");
    }

    #[test]
    fn odd_branches_are_refused() {
        for text in [
            "",
            "a/../main",
            "..",
            ".",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a.lock",
            "a/.b",
            "a.",
            "a@{1}",
            "@",
            "refs/heads/main",
            "-a",
            "a\nb",
        ] {
            assert!(Branch::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_path_stays_in_its_repository() {
        assert_eq!(file_path("/src/main.rs/").unwrap(), "src/main.rs");
        assert_eq!(file_path("").unwrap(), "");
        assert_eq!(
            file_path(".github/workflows/ci.yml").unwrap(),
            ".github/workflows/ci.yml"
        );
        for text in [
            "..",
            "a/../b",
            "a//b",
            "./a",
            "a/.",
            "a\\b",
            "a\nb",
            ".git/config",
            "a/.GIT",
        ] {
            assert!(file_path(text).is_err(), "{text:?}");
        }
        assert_eq!(slashes_kept("a b/ä?.rs"), "a%20b/%C3%A4%3F.rs");
    }

    #[test]
    fn a_commit_has_forty_digits() {
        assert!(is_commit(&"a1".repeat(20)));
        assert!(!is_commit("a1") && !is_commit(&"g".repeat(40)));
    }
}
