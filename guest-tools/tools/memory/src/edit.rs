//! The commands that change something.

use std::fs::{self, File};
use std::io::{self, Write};

use toolcell_guest::{Error, Result};

use crate::limits::{CONTEXT_LINES, FILE_BYTES};
use crate::place::Place;

/// The text of a file.
pub(crate) fn contents(place: &Place) -> Result<String> {
    let metadata = fs::metadata(&place.path).map_err(|error| failure(place, error))?;
    if metadata.is_dir() {
        return Err(Error::invalid_input(format!(
            "{} is a directory",
            place.name
        )));
    }
    if metadata.len() > FILE_BYTES as u64 {
        return Err(Error::too_large(format!(
            "{} has more than 1 MiB",
            place.name
        )));
    }
    let bytes = fs::read(&place.path).map_err(|error| failure(place, error))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::invalid_input(format!("{} is no UTF-8 text", place.name)))
}

fn failure(place: &Place, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::not_found(format!("{} does not exist", place.name)),
        io::ErrorKind::AlreadyExists => Error::invalid_input(format!(
            "{} exists already; change it with `str_replace` or `insert`, or remove it first",
            place.name
        )),
        _ => Error::from(error).context(&place.name),
    }
}

fn check(place: &Place, text: &str) -> Result<()> {
    if text.len() > FILE_BYTES {
        let what = format!(
            "{} would have {} bytes; 1 MiB is the most",
            place.name,
            text.len()
        );
        return Err(Error::too_large(what));
    }
    Ok(())
}

/// Makes a new file, and the directories above it.
pub(crate) fn create(place: &Place, text: &str) -> Result<String> {
    check(place, text)?;
    let failed = |error| failure(place, error);
    if let Some(above) = place.path.parent() {
        fs::create_dir_all(above).map_err(failed)?;
    }
    let mut file = File::create_new(&place.path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    Ok(format!("File created successfully at: {}", place.name))
}

/// Replaces a piece of text that is in the file exactly once.
pub(crate) fn replace(place: &Place, old: &str, new: &str) -> Result<String> {
    let before = contents(place)?;
    if old.is_empty() {
        return Err(Error::invalid_input("`old_str` is empty"));
    }
    let places: Vec<usize> = before.match_indices(old).map(|(at, _)| at).collect();
    let line = |at: usize| 1 + before.get(..at).unwrap_or_default().matches('\n').count();
    match places.as_slice() {
        [] => Err(Error::invalid_input(format!(
            "No replacement was performed: old_str does not appear in {} letter by letter.",
            place.name
        ))),
        [at] => {
            let after = before.replacen(old, new, 1);
            write(place, &after)?;
            let lines = 1 + new.matches('\n').count();
            Ok(format!(
                "The memory file has been edited. Here is what it looks like now:\n{}",
                around(&after, line(*at), lines)
            ))
        }
        many => {
            let lines: Vec<String> = many
                .iter()
                .take(10)
                .map(|at| line(*at).to_string())
                .collect();
            Err(Error::invalid_input(format!(
                "No replacement was performed: old_str appears {} times, in lines {}. Make it unique.",
                many.len(),
                lines.join(", ")
            )))
        }
    }
}

/// Puts text behind a line.
pub(crate) fn insert(place: &Place, line: usize, text: &str) -> Result<String> {
    let before = contents(place)?;
    let mut lines: Vec<&str> = before.lines().collect();
    if line > lines.len() {
        return Err(Error::invalid_input(format!(
            "`insert_line` is {line}; it must be from 0 to {}",
            lines.len()
        )));
    }
    let new: Vec<&str> = text.lines().collect();
    let count = new.len();
    lines.splice(line..line, new);
    let after: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    write(place, &after)?;
    Ok(format!(
        "The file {} has been edited. Here is what it looks like now:\n{}",
        place.name,
        around(&after, line + 1, count)
    ))
}

fn write(place: &Place, text: &str) -> Result<()> {
    check(place, text)?;
    fs::write(&place.path, text).map_err(|error| failure(place, error))
}

/// The changed lines and those around them, with their numbers.
fn around(text: &str, first: usize, count: usize) -> String {
    let from = first.saturating_sub(CONTEXT_LINES + 1);
    let lines = (1..).zip(text.lines()).skip(from);
    let shown = lines.take(first - from + count + CONTEXT_LINES - 1);
    shown
        .map(|(number, line)| format!("{number:6}\t{line}\n"))
        .collect()
}

/// Removes a file, or a directory with all in it.
pub(crate) fn delete(place: &Place) -> Result<String> {
    if place.is_root() {
        return Err(Error::invalid_input("/memories itself cannot be removed"));
    }
    let metadata = fs::symlink_metadata(&place.path).map_err(|error| failure(place, error))?;
    let removed = match metadata.is_dir() {
        true => fs::remove_dir_all(&place.path),
        false => fs::remove_file(&place.path),
    };
    removed.map_err(|error| failure(place, error))?;
    Ok(format!("Successfully deleted {}", place.name))
}

/// Moves a file or directory to a name that nothing has.
pub(crate) fn rename(from: &Place, to: &Place) -> Result<String> {
    if from.is_root() || to.is_root() {
        return Err(Error::invalid_input("/memories itself cannot be renamed"));
    }
    fs::symlink_metadata(&from.path).map_err(|error| failure(from, error))?;
    if fs::symlink_metadata(&to.path).is_ok() {
        return Err(Error::invalid_input(format!("{} exists already", to.name)));
    }
    if let Some(above) = to.path.parent() {
        fs::create_dir_all(above).map_err(|error| failure(to, error))?;
    }
    fs::rename(&from.path, &to.path).map_err(|error| failure(to, error))?;
    Ok(format!("Successfully renamed {} to {}", from.name, to.name))
}
