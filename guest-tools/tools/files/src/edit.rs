//! The tool `edit`.

use std::borrow::Cow;
use std::iter;

use toolcell_guest::{Error, Result, tool};

use crate::limits::{OCCURRENCES_SHOWN, PAGE_BYTES};
use crate::write::replace;
use crate::{diff, path, text};

/// Changes a part of a text file: replaces one exact piece of text by another, and answers the
/// change as a unified diff.
///
/// `old` has to be in the file exactly once, letter by letter with all spaces and line breaks: read
/// the file first, copy from what you read, and take as many lines around as make it unique. Set
/// `replace_all` to replace every occurrence instead. Nothing is written when it does not fit.
#[tool]
pub(crate) fn edit(
    /// The file, for example `/work/src/main.rs`. A relative path starts in the first granted
    /// directory.
    path: String,
    /// The text to replace, exactly as it is in the file.
    old: String,
    /// The text to put there; empty to remove `old`.
    new: String,
    /// Whether to replace every occurrence and not a single one.
    #[arg(default = false)]
    replace_all: bool,
) -> Result<String> {
    let path = path::resolve(&path);
    let before = text::decode(&path, path::contents(&path)?)?;
    let (old, new) = (like(&before, &old), like(&before, &new));
    let name = path::shown(&path);
    check(&before, &old, &new, replace_all).map_err(|error| error.context(&name))?;
    let (after, diff) = diff::replace(&name, &before, &old, &new);
    replace(&path, &after)?;
    Ok(bounded(diff))
}

/// Says why `old` cannot be replaced, if it cannot.
fn check(before: &str, old: &str, new: &str, replace_all: bool) -> Result<()> {
    if old.is_empty() {
        let what = "`old` is empty; to write a whole file use `files_write`";
        return Err(Error::invalid_input(what));
    }
    if old == new {
        return Err(Error::invalid_input(
            "`old` and `new` are the same, so nothing would change",
        ));
    }
    let mut places = before.match_indices(old).map(|(place, _)| place);
    let Some(first) = places.next() else {
        return Err(Error::invalid_input(format!(
            "`old` does not occur{}",
            hint(before, old)
        )));
    };
    let others: Vec<usize> = places.collect();
    if others.is_empty() || replace_all {
        return Ok(());
    }
    let shown = others.iter().take(OCCURRENCES_SHOWN - 1);
    let lines: Vec<_> = iter::once(&first)
        .chain(shown)
        .map(|at| line(before, *at))
        .collect();
    let more = if others.len() < OCCURRENCES_SHOWN {
        ""
    } else {
        ", …"
    };
    Err(Error::invalid_input(format!(
        "`old` occurs {} times (lines {}{more}); add lines around it until it is unique, or set \
         replace_all",
        others.len() + 1,
        lines.join(", "),
    )))
}

/// The number of the line of byte `at`, counted from 1.
fn line(text: &str, at: usize) -> String {
    (1 + text.get(..at).unwrap_or_default().matches('\n').count()).to_string()
}

/// Where the text would be if spaces at both ends of its lines did not matter.
fn hint(before: &str, old: &str) -> String {
    let wanted: Vec<&str> = old.trim().lines().map(str::trim).collect();
    let lines: Vec<&str> = before.lines().map(str::trim).collect();
    let found = lines
        .windows(wanted.len().max(1))
        .position(|window| window == wanted);
    match found {
        Some(index) => {
            format!(
                ", but at line {} it does apart from spaces or indentation",
                index + 1
            )
        }
        None => "; read the file again and copy the text exactly".to_owned(),
    }
}

/// `text` with the line breaks of `before`: a model writes `\n`, a file of Windows has `\r\n`.
fn like<'a>(before: &str, text: &'a str) -> Cow<'a, str> {
    if before.contains("\r\n") && !text.contains('\r') {
        return Cow::Owned(text.replace('\n', "\r\n"));
    }
    Cow::Borrowed(text)
}

fn bounded(mut diff: String) -> String {
    if diff.len() > PAGE_BYTES {
        diff.truncate(diff.floor_char_boundary(PAGE_BYTES));
        diff.push_str("\n[all is replaced; the rest of the diff is left out]\n");
    }
    diff
}

#[cfg(test)]
mod tests;
