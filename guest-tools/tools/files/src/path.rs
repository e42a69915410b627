//! From what a model writes to what is opened, and from what went wrong to what a model reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toolcell_guest::{Error, ErrorKind, Result, files};

use crate::limits::FILE_BYTES;

/// The path to open. A relative one starts in the first granted directory, since a model seldom
/// knows that its directory is called `/work`.
pub(crate) fn resolve(path: &str) -> PathBuf {
    let path = match files::granted().into_iter().next() {
        Some(root) if !path.starts_with('/') => Path::new(&root).join(path),
        _ => PathBuf::from(path),
    };
    path.components().collect() // without `.` and double slashes, for the eye alone
}

/// The bytes of the file at `path`, if it is a file and not larger than [`FILE_BYTES`].
pub(crate) fn contents(path: &Path) -> Result<Vec<u8>> {
    let refused = |error| failure("read", path, error);
    let metadata = fs::metadata(path).map_err(refused)?;
    let place = shown(path);
    if metadata.is_dir() {
        return Err(is_a_directory(path));
    }
    if metadata.len() > FILE_BYTES {
        let (size, most) = (size(metadata.len()), size(FILE_BYTES));
        let what = format!("{place} has {size}; files of up to {most} can be read");
        return Err(Error::too_large(what));
    }
    fs::read(path).map_err(refused)
}

/// What a failed attempt to `action` (read, write, list) the file or directory at `path` means,
/// in words that help to do better.
pub(crate) fn failure(action: &str, path: &Path, error: io::Error) -> Error {
    let place = shown(path);
    match (error.kind(), Error::from(error)) {
        (io::ErrorKind::IsADirectory, _) => is_a_directory(path),
        (io::ErrorKind::NotADirectory, _) => {
            Error::invalid_input(format!("{place} is not a directory or not in one"))
        }
        (_, error) if error.kind == ErrorKind::Denied => {
            Error::denied(format!("no permission to {action} {place}{}", grants(path)))
        }
        (_, error) if error.kind == ErrorKind::NotFound => {
            Error::not_found(format!("{place} does not exist"))
        }
        (_, error) => error.context(format!("cannot {action} {place}")),
    }
}

fn is_a_directory(path: &Path) -> Error {
    let place = shown(path);
    Error::invalid_input(format!(
        "{place} is a directory: see what it holds with `files_list`"
    ))
}

/// What was granted instead. Below a granted directory that would only puzzle: there the thing itself was refused, such
/// as a pipe, a link that leads outside, or a file in a directory that may only be read.
fn grants(path: &Path) -> String {
    let granted = files::granted();
    if granted.iter().any(|root| path.starts_with(root)) {
        return String::new();
    }
    match granted.is_empty() {
        true => "; no directory was granted".to_owned(),
        false => format!("; granted: {}", granted.join(", ")),
    }
}

/// A path for an answer. What would break its line is escaped, so that no file can be given a name that
/// reads like further lines of the answer.
pub(crate) fn shown(path: &Path) -> String {
    let mut shown = String::new();
    for c in path.to_string_lossy().chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A size for people: `512 bytes`, `1.5 KiB`, `16 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        1 => return "1 byte".to_owned(),
        0..1024 => return format!("{bytes} bytes"),
        1024..0x10_0000 => (1024, "KiB"),
        0x10_0000..0x4000_0000 => (1024 * 1024, "MiB"),
        _ => (1024 * 1024 * 1024, "GiB"),
    };
    let tenths = u128::from(bytes) * 10 / unit;
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        tenth => format!("{}.{tenth} {name}", tenths / 10),
    }
}
