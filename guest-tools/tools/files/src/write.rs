//! The tool `write`.

use std::fs;
use std::path::Path;

use toolcell_guest::{Error, Result, tool};

use crate::limits::FILE_BYTES;
use crate::path;

/// Writes a whole text file, replacing what was there, and answers what it did.
///
/// Use it for new files. To change a part of a file that exists, use `files_edit`: it is
/// shorter and cannot lose the rest. At most 16 MiB.
#[tool(idempotent, destructive)]
pub(crate) fn write(
    /// The file, for example `/work/notes.md`. A relative path starts in the first granted
    /// directory.
    path: String,
    /// The whole new content.
    content: String,
    /// Whether to make the directories above the file where they are missing.
    #[arg(default = false)]
    create_dirs: bool,
) -> Result<String> {
    let path = path::resolve(&path);
    if create_dirs && let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| path::failure("create", parent, error))?;
    }
    let existed = fs::symlink_metadata(&path).is_ok();
    store(&path, &content)?;
    let (place, size) = (path.display(), path::size(content.len() as u64));
    Ok(match existed {
        true => format!("replaced {place} ({size})"),
        false => format!("created {place} ({size})"),
    })
}

/// Writes `content` to the file at `path`.
pub(crate) fn store(path: &Path, content: &str) -> Result<()> {
    let place = path.display();
    if content.len() as u64 > FILE_BYTES {
        let (size, most) = (path::size(content.len() as u64), path::size(FILE_BYTES));
        let what = format!("{place} would have {size}; files of up to {most} can be written");
        return Err(Error::too_large(what));
    }
    if path.is_dir() {
        return Err(Error::invalid_input(format!(
            "{place} is a directory, not a file"
        )));
    }
    let missing = path.parent().is_some_and(|parent| !parent.exists());
    fs::write(path, content).map_err(|error| {
        let error = path::failure("write", path, error);
        if missing && error.kind == toolcell_guest::ErrorKind::NotFound {
            let what =
                format!("the directory of {place} does not exist; create_dirs=true makes it");
            return Error::not_found(what);
        }
        error
    })
}
