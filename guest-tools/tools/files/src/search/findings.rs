//! What was found, as it is shown.

use std::path::Path;

use crate::limits::MATCH_CHARACTERS;
use crate::page::Page;
use crate::path;
use crate::text::cut;

use super::Pattern;

/// Matches counted and shown, from the first one wanted to the last one that fits.
pub(super) struct Findings {
    context: usize,
    offset: usize,
    limit: usize,
    page: Page,
    /// Matches seen so far, shown or not.
    seen: usize,
    /// Whether one more match exists than was shown.
    more: bool,
    files: usize,
}

impl Findings {
    pub(super) fn new(context: usize, offset: usize, limit: usize) -> Self {
        Self {
            context,
            offset,
            limit,
            page: Page::new(),
            seen: 0,
            more: false,
            files: 0,
        }
    }

    /// Adds the matches of one file. `false` once the page is full.
    pub(super) fn file(&mut self, path: &Path, text: &str, pattern: &Pattern) -> bool {
        self.files += 1;
        if !pattern.may_match(text) {
            return true;
        }
        if self.context == 0 {
            return self.matches(path, text, pattern);
        }
        self.matches_in_context(path, text, pattern)
    }

    fn matches(&mut self, path: &Path, text: &str, pattern: &Pattern) -> bool {
        for (index, line) in text.lines().enumerate() {
            if pattern.matches(line) && !self.one(|page| page.line(&shown(path, index, ':', line)))
            {
                return false;
            }
        }
        true
    }

    fn matches_in_context(&mut self, path: &Path, text: &str, pattern: &Pattern) -> bool {
        let lines: Vec<&str> = text.lines().collect();
        let matching: Vec<bool> = lines.iter().map(|line| pattern.matches(line)).collect();
        let mut shown_to = 0;
        for (index, _) in matching.iter().enumerate().filter(|(_, matches)| **matches) {
            let first = index.saturating_sub(self.context).max(shown_to);
            let next = matching.iter().skip(index + 1).position(|matches| *matches);
            let after = next.map_or(self.context, |gap| gap.min(self.context));
            let end = (index + 1 + after).min(lines.len());
            let block = |page: &mut Page| {
                let gap = first > shown_to && !page.is_empty();
                (!gap || page.line("--"))
                    && lines
                        .iter()
                        .enumerate()
                        .take(end)
                        .skip(first)
                        .all(|(line, text)| {
                            page.line(&shown(
                                path,
                                line,
                                if line == index { ':' } else { '-' },
                                text,
                            ))
                        })
            };
            let before = self.seen;
            if !self.one(block) {
                return false;
            }
            if before + 1 >= self.offset {
                shown_to = end;
            }
        }
        true
    }

    /// Counts a match and shows it with `show`, if it is among those wanted.
    fn one(&mut self, show: impl FnOnce(&mut Page) -> bool) -> bool {
        if self.seen + 1 < self.offset {
            self.seen += 1;
            return true;
        }
        if self.seen + 1 >= self.offset + self.limit || !show(&mut self.page) {
            self.more = true;
            return false;
        }
        self.seen += 1;
        true
    }

    /// The answer. `skipped` counts what was passed over, `note` says why the search ended early.
    pub(super) fn into_text(mut self, skipped: usize, note: Option<String>) -> String {
        let (first, last, files) = (self.offset, self.seen, self.files);
        let searched = if files == 1 {
            "1 file"
        } else {
            &format!("{files} files")
        };
        self.page.note(&if self.more {
            format!("matches {first}-{last}; go on with offset={}", last + 1)
        } else if last == 0 {
            format!("no match; {searched} searched")
        } else if first > last {
            format!("there are {last} matches, so none at offset={first}")
        } else {
            format!("matches {first}-{last} of {last}; {searched} searched")
        });
        if let Some(note) = note {
            self.page
                .note(&format!("{note}: narrow it with `path` or `glob`"));
        }
        if skipped > 0 {
            self.page.note(&format!(
                "{skipped} passed over: not text, too large or not readable"
            ));
        }
        self.page.into_text()
    }
}

fn shown(path: &Path, index: usize, mark: char, line: &str) -> String {
    let line = cut(line, MATCH_CHARACTERS);
    format!("{}{mark}{}{mark} {line}", path::shown(path), index + 1)
}
