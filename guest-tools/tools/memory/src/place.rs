//! From what a model writes to what is opened.

use std::path::{Component, Path, PathBuf};

use toolcell_guest::{Error, Result};

use crate::limits::PATH_BYTES;

/// The directory that holds everything.
pub(crate) const ROOT: &str = "/memories";

/// A file or directory below [`ROOT`], or that one itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// What is opened.
    pub(crate) path: PathBuf,
    /// What is shown.
    pub(crate) name: String,
}

impl Place {
    /// Whether it is the whole memory.
    pub(crate) fn is_root(&self) -> bool {
        self.name == ROOT
    }
}

/// The place that a path means.
pub(crate) fn of(path: &str) -> Result<Place> {
    let wrong = |why: &str| {
        Err(Error::invalid_input(format!(
            "`{}` {why}",
            path.escape_debug()
        )))
    };
    let below = Path::new(path);
    if path.len() > PATH_BYTES {
        return Err(Error::invalid_input("the path is longer than 1,024 bytes"));
    }
    if path.chars().any(char::is_control) {
        return wrong("holds a control character");
    }
    let inside = below.strip_prefix(ROOT);
    let Ok(inside) = inside else {
        return wrong("is not below /memories; write for example `/memories/notes.md`");
    };
    if inside
        .components()
        .any(|part| !matches!(part, Component::Normal(_)))
    {
        return wrong("goes up with `..`; name the file itself");
    }
    let inside: PathBuf = inside.components().collect(); // without `.` and double slashes
    let name = Path::new(ROOT).join(&inside);
    Ok(Place {
        path: root().join(inside),
        name: name.to_string_lossy().trim_end_matches('/').to_owned(),
    })
}

#[cfg(not(test))]
fn root() -> PathBuf {
    PathBuf::from(ROOT)
}

#[cfg(test)]
pub(crate) fn root() -> PathBuf {
    tests::ROOT_HERE.with(|root| root.borrow().clone())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    thread_local! {
        /// What stands for the directory in a test.
        pub(crate) static ROOT_HERE: std::cell::RefCell<PathBuf> = const { std::cell::RefCell::new(PathBuf::new()) };
    }

    #[test]
    fn only_what_lies_in_the_memory_is_a_place() {
        for (path, name) in [
            ("/memories", "/memories"),
            ("/memories/", "/memories"),
            ("/memories/a//b.md", "/memories/a/b.md"),
            ("/memories/./a", "/memories/a"),
        ] {
            assert_eq!(of(path).unwrap().name, name);
        }
        assert!(of("/memories/").unwrap().is_root());
        for path in [
            "",
            "a",
            "memories/a",
            "/memoriesx/a",
            "/",
            "/memories/../etc",
            "/memories/a/..",
            "/memories/a\n",
        ] {
            assert!(of(path).is_err(), "{path:?}");
        }
        assert!(of(&format!("/memories/{}", "a".repeat(1_014))).is_ok());
        assert!(of(&format!("/memories/{}", "a".repeat(1_015))).is_err());
    }
}
