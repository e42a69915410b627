//! The tool `write`.

use std::fs::{self, File};
use std::io::{self, Write};
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
    let (place, size) = (path::shown(&path), check_size(&path, &content)?);
    match create(&path, &content, create_dirs) {
        Ok(()) => Ok(format!("created {place} ({size})")),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            replace(&path, &content)?;
            Ok(format!("replaced {place} ({size})"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = format!("the directory of {place} does not exist; create_dirs makes it");
            Err(Error::not_found(what))
        }
        Err(error) => Err(path::failure("write", &path, error)),
    }
}

/// Puts `content` in place of what the file at `path` holds.
pub(crate) fn replace(path: &Path, content: &str) -> Result<()> {
    check_size(path, content)?;
    fs::write(path, content).map_err(|error| path::failure("write", path, error))
}

/// Makes a new file. It does not look first whether there is one: every look at a path that was
/// not granted is recorded, and one attempt should leave one record.
fn create(path: &Path, content: &str, create_dirs: bool) -> io::Result<()> {
    let open = || File::create_new(path);
    let file = match (open(), path.parent()) {
        (Err(error), Some(parent)) if create_dirs && error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(parent)?;
            open()
        }
        (file, _) => file,
    };
    file?.write_all(content.as_bytes())
}

fn check_size(path: &Path, content: &str) -> Result<String> {
    let (place, bytes) = (path::shown(path), content.len() as u64);
    if bytes > FILE_BYTES {
        let (size, most) = (path::size(bytes), path::size(FILE_BYTES));
        let what = format!("{place} would have {size}; files of up to {most} can be written");
        return Err(Error::too_large(what));
    }
    Ok(path::size(bytes))
}

#[cfg(test)]
mod tests;
