//! Pages: a part of something long, with a note that says how to get the rest.

use crate::limits::PAGE_BYTES;

/// An answer that grows line by line until it is full.
pub(crate) struct Page {
    text: String,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self {
            text: String::new(),
        }
    }

    /// Adds `line`, or says `false` where it does not fit any more. The first line always fits.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        let fits = self.text.is_empty() || self.text.len() + line.len() < PAGE_BYTES;
        if fits {
            self.text.push_str(line);
            self.text.push('\n');
        }
        fits
    }

    /// Adds a remark in brackets, which always fits.
    pub(crate) fn note(&mut self, note: &str) {
        self.text.push('[');
        self.text.push_str(note);
        self.text.push_str("]\n");
    }

    /// Says that of `total` `things` those from `first` to `last` are shown, unless it is all.
    pub(crate) fn extent(&mut self, things: &str, first: usize, last: usize, total: usize) {
        if last < total {
            let next = last + 1;
            self.note(&format!(
                "{things} {first}-{last} of {total}; go on with offset={next}"
            ));
        } else if first > 1 {
            self.note(&format!("{things} {first}-{last} of {total}"));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}
