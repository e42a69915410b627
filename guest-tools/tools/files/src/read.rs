//! The tool `read`.

use toolcell_guest::{Error, Result, tool};

use crate::limits::{LINE_CHARACTERS, PAGE_LINES};
use crate::page::Page;
use crate::{path, text};

/// Reads a text file and answers its lines as they are, without line numbers.
///
/// A long file comes in pages of up to 2000 lines or 96 KiB: when more remains, the last line of
/// the answer says `[lines 1-2000 of 5321; go on with offset=2001]`. Lines over 2000 characters
/// are cut, which is marked. To find the right place in a large file, use `files_search` first
/// and then read around the line it names. Binary files and files over 16 MiB are refused.
#[tool(read_only, idempotent)]
pub(crate) fn read(
    /// The file, for example `/work/src/main.rs`. A relative path starts in the first granted
    /// directory.
    path: String,
    /// The first line wanted, counted from 1.
    #[arg(default = 1, min = 1)]
    offset: u32,
    /// How many lines at most.
    #[arg(default = PAGE_LINES, min = 1, max = PAGE_LINES)]
    limit: u32,
) -> Result<String> {
    let path = path::resolve(&path);
    let text = text::decode(&path, path::contents(&path)?)?;
    page(&text, offset as usize, limit as usize)
}

/// The lines of `text` from line `offset` (counted from 1) on, and a note where any are left out.
fn page(text: &str, offset: usize, limit: usize) -> Result<String> {
    let total = text.lines().count();
    if total == 0 {
        return Ok("[the file is empty]".to_owned());
    }
    if offset > total {
        let what = format!("the file has {total} lines, so there is none at offset={offset}");
        return Err(Error::invalid_input(what));
    }
    let mut page = Page::new();
    let mut last = offset - 1;
    for line in text.lines().skip(last).take(limit) {
        if !page.line(&text::cut(line, LINE_CHARACTERS)) {
            break;
        }
        last += 1;
    }
    page.extent("lines", offset, last, total);
    Ok(page.into_text())
}

#[cfg(test)]
mod tests;
