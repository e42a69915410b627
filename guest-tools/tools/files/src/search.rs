//! The tool `search`.

use std::io;
use std::path::Path;

use toolcell_guest::{Error, Result, files, tool};

use crate::glob::Glob;
use crate::limits::{
    CONTEXT_LINES, DEFAULT_MATCHES, FILE_BYTES, PAGE_MATCHES, SEARCH_BYTES, WALK_ENTRIES,
};
use crate::path::{contents, failure, resolve, size};
use crate::walk::Walk;

mod findings;
mod pattern;
#[cfg(test)]
mod tests;

use findings::Findings;
use pattern::Pattern;

/// Searches the lines of text files with a regular expression.
///
/// Answers one line for each match, `path:line: text`; lines of context have `-` for `:`. Every
/// line is searched on its own, so a pattern cannot span lines. When there are more matches than
/// `limit`, the last line says how to go on. Use `files_read` with `offset` to see more around a
/// match.
///
/// Binary files, files over 16 MiB and links are passed over, and so are `.git`, `.venv`,
/// `__pycache__`, `node_modules` and `target` unless `path` leads into them. Lines are cut at 300
/// characters. A search ends after 32 MiB: narrow it with `path` and `glob`.
#[tool(read_only, idempotent)]
pub(crate) fn search(
    /// A regular expression, for example `fn \w+\(`; put `\` before `. * + ? ( ) [ ] { } | ^ $`
    /// to search for the character itself. `\w`, `\d`, `\b` know ASCII letters and digits.
    pattern: String,
    /// The directory or file to search, for example `/work/src`. Without it: all that was granted.
    path: Option<String>,
    /// Which files, for example `*.rs` (a name at any depth) or `src/**/*.rs` (a path below the
    /// directory).
    glob: Option<String>,
    /// Whether `a` and `A` are the same.
    #[arg(default = false)]
    ignore_case: bool,
    /// How many lines to show before and after each match.
    #[arg(default = 0, min = 0, max = CONTEXT_LINES)]
    context: u32,
    /// The first match wanted, counted from 1.
    #[arg(default = 1, min = 1)]
    offset: u32,
    /// How many matches at most.
    #[arg(default = DEFAULT_MATCHES, min = 1, max = PAGE_MATCHES)]
    limit: u32,
) -> Result<String> {
    let pattern = Pattern::new(&pattern, ignore_case)?;
    let glob = glob.as_deref().map(Glob::new).transpose()?;
    let roots = path.map_or_else(files::granted, |path| vec![path]);
    if roots.is_empty() {
        return Err(Error::denied(
            "no directory was granted, so there is nothing to search",
        ));
    }
    let findings = Findings::new(context as usize, offset as usize, limit as usize);
    let mut search = Search {
        pattern,
        glob,
        findings,
        bytes: 0,
        skipped: 0,
        note: None,
    };
    for root in roots {
        if !search.below(&resolve(&root))? {
            break;
        }
    }
    Ok(search.findings.into_text(search.skipped, search.note))
}

struct Search {
    pattern: Pattern,
    glob: Option<Glob>,
    findings: Findings,
    /// What was read so far.
    bytes: u64,
    /// Files that are no text or too large, and directories that could not be listed.
    skipped: usize,
    /// Why the search ended early, if it did.
    note: Option<String>,
}

impl Search {
    /// Searches `root` and all below it. `false` ends the search: enough was found or read.
    fn below(&mut self, root: &Path) -> Result<bool> {
        let mut walk = match Walk::new(root) {
            Ok(walk) => walk,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let text = crate::text::decode(root, contents(root)?)?;
                return Ok(self.findings.file(root, &text, &self.pattern));
            }
            Err(error) => return Err(failure("search", root, error)),
        };
        for entry in walk.by_ref() {
            let wanted = self
                .glob
                .as_ref()
                .is_none_or(|glob| glob.matches(&entry.below(root)));
            if wanted && entry.kind.is_file() && !self.file(&entry.path) {
                return Ok(false);
            }
        }
        if walk.stopped_early() {
            self.note = Some(format!("looked at {WALK_ENTRIES} entries and stopped"));
        }
        self.skipped += walk.unreadable;
        Ok(!walk.stopped_early())
    }

    fn file(&mut self, path: &Path) -> bool {
        let length = path
            .symlink_metadata()
            .map_or(u64::MAX, |metadata| metadata.len());
        if length > FILE_BYTES {
            self.skipped += 1;
            return true;
        }
        if self.bytes + length > SEARCH_BYTES {
            self.note = Some(format!("read {} and stopped", size(self.bytes)));
            return false;
        }
        self.bytes += length;
        match contents(path).and_then(|bytes| crate::text::decode(path, bytes)) {
            Ok(text) => self.findings.file(path, &text, &self.pattern),
            Err(_) => {
                self.skipped += 1;
                true
            }
        }
    }
}
