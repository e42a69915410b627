//! The sample project, in a scratch copy.

use std::{fs, path::PathBuf};

use tempfile::TempDir;
use toolcell::ErrorKind;

use crate::failure::Failure;

/// Every file of the project, by its path below the project's directory.
const FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("../../../demo/project/README.md")),
    (
        SOUND,
        include_str!("../../../demo/project/invoices/2026-041.csv"),
    ),
    (
        WRONG,
        include_str!("../../../demo/project/invoices/2026-042.csv"),
    ),
];

/// The invoice without a mistake.
pub(super) const SOUND: &str = "invoices/2026-041.csv";
/// The invoice with a wrong total.
pub(super) const WRONG: &str = "invoices/2026-042.csv";

/// A directory with a copy of the project, removed at the end.
pub(super) struct Scratch(TempDir);

impl Scratch {
    pub(super) fn new(keep: bool) -> Result<Self, Failure> {
        let base = std::env::temp_dir();
        let mut dir = tempfile::Builder::new()
            .prefix("toolcell-demo-")
            .tempdir()
            .map_err(|error| Failure::io("create a directory in", &base, &error))?;
        dir.disable_cleanup(keep);
        let scratch = Self(dir);
        for (name, text) in FILES {
            let path = scratch.project().join(name);
            let parent = path.parent().unwrap_or(&path);
            fs::create_dir_all(parent).map_err(|error| Failure::io("create", parent, &error))?;
            fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))?;
        }
        Ok(scratch)
    }

    /// The scratch directory, which relative paths of the policy start from.
    pub(super) fn root(&self) -> Result<&str, Failure> {
        self.0.path().to_str().ok_or_else(|| {
            Failure::new(
                ErrorKind::Unavailable,
                "the directory for temporary files has a name that is no UTF-8",
            )
            .help("name another in TMPDIR")
        })
    }

    fn project(&self) -> PathBuf {
        self.0.path().join("project")
    }

    /// A file of the project as it is now; empty where it cannot be read.
    pub(super) fn now(&self, name: &str) -> String {
        fs::read_to_string(self.project().join(name)).unwrap_or_default()
    }

    /// A file of the project as it was.
    pub(super) fn before(name: &str) -> &'static str {
        FILES
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, text)| *text)
    }
}
