//! From HTML to tokens, forgiving like a browser.

use std::borrow::Cow;

use super::entities::decode;

/// One piece of a page.
#[derive(Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// Text with its entities resolved.
    Text(Cow<'a, str>),
    /// `<name attributes>`; the name is in lower case.
    Start(String, Attributes<'a>),
    /// `</name>`.
    End(String),
}

/// What stands behind the name in a tag, not looked at before it is asked for.
#[derive(Debug, PartialEq, Clone, Copy)]
pub(super) struct Attributes<'a>(&'a str);

/// Elements whose content is no markup.
const RAW: [&str; 6] = ["script", "style", "textarea", "title", "xmp", "noscript"];

/// The tokens of a page.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    /// The raw element whose content comes next.
    raw: Option<String>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(html: &'a str) -> Self {
        Self {
            rest: html,
            raw: None,
        }
    }

    /// Takes the next `length` bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Takes everything up to and including `end`, or all that is left.
    fn take_past(&mut self, end: &str) {
        let length = self
            .rest
            .find(end)
            .map_or(self.rest.len(), |at| at + end.len());
        self.take(length);
    }

    /// The content of a raw element.
    fn raw_text(&mut self, name: &str) -> Token<'a> {
        let mut from = 0;
        let end = loop {
            let Some(at) = self.rest.get(from..).and_then(|rest| rest.find("</")) else {
                break self.rest.len();
            };
            let at = from + at;
            let after = self.rest.get(at + 2..).unwrap_or_default();
            if after
                .get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
            {
                break at;
            }
            from = at + 2;
        };
        Token::Text(decode(self.take(end)))
    }

    /// A tag, if there is one here.
    fn tag(&mut self) -> Option<Token<'a>> {
        let inner = self.rest.strip_prefix('<')?;
        let (end, inner) = match inner.strip_prefix('/') {
            Some(inner) => (true, inner),
            None => (false, inner),
        };
        if !inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let name_end = inner.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'));
        let (name, attributes) = inner.split_at(name_end.unwrap_or(inner.len()));
        let close = tag_end(attributes);
        let before = self.rest.len() - attributes.len();
        let attributes = attributes.get(..close).unwrap_or(attributes);
        self.take(before + close + 1);
        let name = name.to_ascii_lowercase();
        if end {
            return Some(Token::End(name));
        }
        if RAW.contains(&name.as_str()) {
            self.raw = Some(name.clone());
        }
        Some(Token::Start(name, Attributes(attributes)))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            if let Some(name) = self.raw.take() {
                return Some(self.raw_text(&name));
            }
            if self.rest.is_empty() {
                return None;
            }
            if self.rest.starts_with("<!--") {
                self.take_past("-->");
            } else if self.rest.starts_with("<!") || self.rest.starts_with("<?") {
                self.take_past(">");
            } else if let Some(tag) = self.tag() {
                return Some(tag);
            } else {
                // A `<` that starts no tag is text.
                let length = self.rest.char_indices().skip(1).find(|(_, c)| *c == '<');
                let length = length.map_or(self.rest.len(), |(at, _)| at);
                return Some(Token::Text(decode(self.take(length))));
            }
        }
    }
}

/// Where the `>` of a tag is, which quoted values may hold as well.
fn tag_end(attributes: &str) -> usize {
    let mut quote = None;
    let mut before = ' ';
    for (at, character) in attributes.char_indices() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character == '>' => return at,
            // A quote opens only behind `=`; elsewhere it is a slip.
            None if matches!(character, '"' | '\'') && before == '=' => quote = Some(character),
            None => {}
        }
        if !character.is_whitespace() {
            before = character;
        }
    }
    attributes.len()
}

impl<'a> Attributes<'a> {
    /// The value of an attribute with its entities resolved.
    pub(super) fn get(self, wanted: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.0;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '/'));
            // A stray `=` is skipped, so that every round takes something.
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()).max(1).min(rest.len()));
            let after_space = after.trim_start();
            let (value, after) = match after_space.strip_prefix('=') {
                Some(value) => value_of(value.trim_start()),
                None => ("", after),
            };
            if name.eq_ignore_ascii_case(wanted) {
                return Some(decode(value));
            }
            rest = after;
        }
    }
}

fn value_of(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}
