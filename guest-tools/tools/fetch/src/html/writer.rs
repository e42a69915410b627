//! Lines of Markdown as they grow.

use crate::limits::{NESTING, TEXT_BYTES};

/// Text that is written word by word, with breaks that never add up.
#[derive(Default)]
pub(super) struct Writer {
    text: String,
    /// The line breaks before the next word: 0, 1 (a line) or 2 (a paragraph).
    breaks: usize,
    /// Whether a space comes before the next word.
    space: bool,
    /// What every line begins with: `> ` and the indentation of lists.
    prefix: Vec<&'static str>,
    /// How many prefixes were left out because they were too many.
    beyond: usize,
}

impl Writer {
    /// Ends the line; with two, the paragraph.
    pub(super) fn break_line(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
        self.space = false;
    }

    /// Text whose spaces and line breaks mean no more than a space.
    pub(super) fn words(&mut self, text: &str) {
        self.space |= text.starts_with(char::is_whitespace);
        for word in text.split_whitespace() {
            self.start();
            self.text.push_str(word);
            self.space = true;
        }
        self.space = self.space && (text.ends_with(char::is_whitespace) || text.is_empty());
    }

    /// Whether there is so much text that nothing more is taken.
    pub(super) fn is_full(&self) -> bool {
        self.text.len() > TEXT_BYTES
    }

    /// Text that keeps its lines and spaces.
    pub(super) fn preformatted(&mut self, text: &str) {
        for (index, line) in text.split('\n').enumerate() {
            if self.is_full() {
                return;
            }
            if index > 0 {
                self.new_line();
            }
            self.text.push_str(line.strip_suffix('\r').unwrap_or(line));
        }
    }

    /// Something that opens, such as `**` or `[`: a space before it stays before it.
    pub(super) fn open(&mut self, mark: &str) {
        self.start();
        self.text.push_str(mark);
    }

    /// Something that closes: a space before it moves behind it.
    pub(super) fn close(&mut self, mark: &str) {
        self.text.push_str(mark);
    }

    /// Where the text ends now.
    pub(super) fn position(&self) -> usize {
        self.text.len()
    }

    /// Takes away what was written since `position`, if that is nothing but `mark`.
    pub(super) fn undo_if_only(&mut self, position: usize, mark: &str) -> bool {
        let only = self
            .text
            .get(position..)
            .is_some_and(|written| written == mark);
        if only {
            self.text.truncate(position);
        }
        only
    }

    /// From now on every line begins with `prefix`.
    pub(super) fn indent(&mut self, prefix: &'static str) {
        if self.prefix.len() < NESTING {
            self.prefix.push(prefix);
        } else {
            self.beyond += 1;
        }
    }

    pub(super) fn dedent(&mut self) {
        if self.beyond > 0 {
            self.beyond -= 1;
        } else {
            self.prefix.pop();
        }
    }

    /// Writes the breaks or the space that are due, so that a word can follow.
    pub(super) fn start(&mut self) {
        if self.text.is_empty() {
            self.text.extend(self.prefix.iter().copied());
        } else if self.breaks > 0 {
            for _ in 0..self.breaks {
                self.new_line();
            }
        } else if self.space && !self.text.ends_with(' ') {
            self.text.push(' ');
        }
        self.breaks = 0;
        self.space = false;
    }

    fn new_line(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
        self.text.extend(self.prefix.iter().copied());
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}
