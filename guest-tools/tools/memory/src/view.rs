//! The command `view`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use toolcell_guest::{Error, Result};

use crate::edit::contents;
use crate::limits::{ANSWER_BYTES, DEPTH, ENTRIES, LINE_BYTES};
use crate::place::Place;

/// A directory's entries, or a file's lines with their numbers.
pub(crate) fn view(place: &Place, range: Option<&[i64]>) -> Result<String> {
    if place.path.is_dir() {
        return match range {
            Some(_) => Err(Error::invalid_input("`view_range` is for files alone")),
            None => directory(place),
        };
    }
    let text = contents(place)?;
    let lines: Vec<&str> = text.lines().collect();
    let (first, last) = bounds(range, lines.len())?;
    let mut shown = format!("Here's the content of {} with line numbers:\n", place.name);
    for (number, line) in (1..).zip(&lines).skip(first - 1).take(last + 1 - first) {
        let (line, rest) = line.split_at(line.floor_char_boundary(LINE_BYTES));
        let cut = match rest.len() {
            0 => String::new(),
            more => format!("[… {more} more bytes in this line]"),
        };
        if shown.len() + line.len() > ANSWER_BYTES {
            let _ = writeln!(
                shown,
                "[… there are {} lines; go on with view_range [{number}, -1]]",
                lines.len()
            );
            break;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(shown, "{number:6}\t{line}{cut}");
    }
    Ok(shown)
}

fn bounds(range: Option<&[i64]>, lines: usize) -> Result<(usize, usize)> {
    let Some(range) = range else {
        return Ok((1, lines));
    };
    let wrong = || {
        Error::invalid_input(format!(
            "`view_range` must be two lines from 1 to {lines}, the first not behind the last; -1 stands for the end"
        ))
    };
    let [first, last] = range else {
        return Err(wrong());
    };
    let first = usize::try_from(*first).map_err(|_| wrong())?;
    let last = match last {
        -1 => lines,
        last => usize::try_from(*last).map_err(|_| wrong())?,
    };
    if first == 0 || first > last || last > lines {
        return Err(wrong());
    }
    Ok((first, last))
}

fn directory(place: &Place) -> Result<String> {
    let mut lines = Vec::new();
    list(&place.path, &place.name, DEPTH, &mut lines)?;
    let mut shown = format!(
        "Here're the files and directories up to 2 levels deep in {}:\n",
        place.name
    );
    let more = lines.len().saturating_sub(ENTRIES);
    for line in lines.iter().take(ENTRIES) {
        shown.push_str(line);
        shown.push('\n');
    }
    if lines.is_empty() {
        shown.push_str("[nothing yet]\n");
    }
    if more > 0 {
        let _ = writeln!(shown, "[… and more; view the directories below]");
    }
    Ok(shown)
}

/// Hidden entries are left out.
fn list(path: &Path, name: &str, depth: usize, lines: &mut Vec<String>) -> Result<()> {
    let mut entries = fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let own = entry.file_name();
        let own = own.to_string_lossy();
        if own.starts_with('.') || lines.len() > ENTRIES {
            continue;
        }
        let name = format!("{name}/{}", own.escape_debug());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            lines.push(format!("{name}/"));
            if depth > 1 {
                list(&entry.path(), &name, depth - 1, lines)?;
            }
        } else {
            let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
            lines.push(format!("{name} ({bytes} bytes)"));
        }
    }
    Ok(())
}
