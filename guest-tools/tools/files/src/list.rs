//! The tool `list`.

use std::fs;
use std::path::Path;

use toolcell_guest::{Error, Result, files, tool};

use crate::glob::Glob;
use crate::limits::{PAGE_ENTRIES, WALK_ENTRIES};
use crate::page::Page;
use crate::path::{failure, resolve, shown, size};
use crate::walk::{Entry, Walk, entries};

/// Lists a directory, or finds files by name at any depth.
///
/// Without `glob` it answers what is directly in the directory; with `glob` all files below it
/// that match. One full path to a line, sorted: a file with its size, a directory with a slash at
/// its end, a link as such. Call it without arguments to see what was granted.
///
/// With `glob`, links are not followed, and `.git`, `.venv`, `__pycache__`, `node_modules` and
/// `target` are passed over unless `path` leads into them.
#[tool(read_only, idempotent)]
pub(crate) fn list(
    /// The directory, for example `/work/src`. Without it: what was granted.
    path: Option<String>,
    /// Which files, for example `*.rs` (a name at any depth), `src/**/*.rs` (a path below the
    /// directory) or `*.{png,svg}`.
    glob: Option<String>,
    /// The first entry wanted, counted from 1.
    #[arg(default = 1, min = 1)]
    offset: u32,
    /// How many entries at most.
    #[arg(default = PAGE_ENTRIES, min = 1, max = PAGE_ENTRIES)]
    limit: u32,
) -> Result<String> {
    let (offset, limit) = (offset as usize, limit as usize);
    let root = match (path, files::granted().as_slice()) {
        (Some(path), _) => resolve(&path),
        (None, [only]) => resolve(only),
        (None, granted) => return Ok(roots(granted)),
    };
    match glob {
        None => {
            let entries = entries(&root).map_err(|error| failure("list", &root, error))?;
            Ok(page(&entries, offset, limit)?.into_text())
        }
        Some(glob) => find(&root, &glob, offset, limit),
    }
}

fn roots(granted: &[String]) -> String {
    if granted.is_empty() {
        return "[no directory was granted]".to_owned();
    }
    granted
        .iter()
        .map(|root| format!("{}/\n", root.trim_end_matches('/')))
        .collect()
}

fn find(root: &Path, glob: &str, offset: usize, limit: usize) -> Result<String> {
    let glob = Glob::new(glob)?;
    let mut walk = Walk::new(root).map_err(|error| failure("list", root, error))?;
    let found: Vec<_> = walk
        .by_ref()
        .filter(|entry| glob.matches(&entry.below(root)))
        .collect();
    let mut page = page(&found, offset, limit)?;
    if walk.stopped_early() {
        page.note(&format!(
            "looked at {WALK_ENTRIES} entries and stopped: name a deeper `path`"
        ));
    }
    if walk.unreadable > 0 {
        page.note(&format!(
            "{} directories could not be listed",
            walk.unreadable
        ));
    }
    Ok(page.into_text())
}

fn page(entries: &[Entry], offset: usize, limit: usize) -> Result<Page> {
    let mut page = Page::new();
    let total = entries.len();
    if total == 0 {
        page.note("nothing found");
        return Ok(page);
    }
    if offset > total {
        let what = format!("there are {total} entries, so there is none at offset={offset}");
        return Err(Error::invalid_input(what));
    }
    let mut last = offset - 1;
    for entry in entries.iter().skip(last).take(limit) {
        if !page.line(&line(entry)) {
            break;
        }
        last += 1;
    }
    page.extent("entries", offset, last, total);
    Ok(page)
}

fn line(entry: &Entry) -> String {
    let place = shown(&entry.path);
    if entry.kind.is_dir() {
        return format!("{place}/");
    }
    if entry.kind.is_symlink() {
        // Where it leads is not asked: outside the granted directory that would be refused.
        return format!("{place}  link");
    }
    match fs::symlink_metadata(&entry.path) {
        Ok(metadata) => format!("{place}  {}", size(metadata.len())),
        Err(_) => format!("{place}  size unknown"),
    }
}

#[cfg(test)]
mod tests;
