//! Walks over a parsed TOML document and gathers every problem on the way, instead of stopping at the first.
//!
//! A getter that answers `None` has already reported why, so callers go on with what is left.

mod values;

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Problem, Problems, Rule, names, problem::Source};

/// The problems of one document so far.
pub(crate) struct Reader<'s> {
    pub(crate) source: &'s Source,
    problems: Vec<Problem>,
    hidden: Vec<Range<usize>>,
}

/// One value of the document with its place.
#[derive(Clone, Copy)]
pub(crate) struct Node<'d> {
    pub(crate) value: &'d DeValue<'d>,
    start: usize,
    end: usize,
}

/// One table of the document, read by key.
#[derive(Clone)]
pub(crate) struct Section<'d> {
    pub(crate) path: String,
    pub(crate) span: Range<usize>,
    table: &'d DeTable<'d>,
}

/// One entry of a table: its key, its value, and its full path such as `tool.files.approve`.
#[derive(Clone)]
pub(crate) struct Entry<'d> {
    pub(crate) key: &'d str,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node<'d>,
    pub(crate) path: String,
}

impl Node<'_> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.start..self.end
    }
}

fn node<'d>(value: &'d Spanned<DeValue<'d>>) -> Node<'d> {
    let span = value.span();
    Node {
        value: value.get_ref(),
        start: span.start,
        end: span.end,
    }
}

impl<'s> Reader<'s> {
    pub(crate) fn new(source: &'s Source) -> Self {
        Self {
            source,
            problems: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// Parses the text; syntax errors are all reported, and then nothing else is looked at.
    pub(crate) fn document<'d>(&mut self, text: &'d str) -> Option<Spanned<DeTable<'d>>> {
        let (document, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Some(document);
        }
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let problem = Problem::new(self.source, span, error.message().trim_end());
            self.add(problem.label("not valid TOML").with_help(
                "strings stand in quotes, commas between entries, and each key once in a table",
            ));
        }
        None
    }

    pub(crate) fn finish(mut self) -> Result<(), Problems> {
        if !self.hidden.is_empty() {
            let text = starred(&self.source.text, &self.hidden);
            for problem in &mut self.problems {
                problem.show_instead(&text);
            }
        }
        Problems::check(self.source, self.problems)
    }

    /// From now on no problem of the file shows what stands there: it may be the value of a credential, written where
    /// the name of one belongs.
    pub(crate) fn hide(&mut self, span: Range<usize>) {
        self.hidden.push(span);
    }

    pub(crate) fn add(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// A problem with how to fix it.
    pub(crate) fn report(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Problem::new(self.source, span, message).with_help(help));
    }

    /// The rule that stands at this place.
    pub(crate) fn rule(&self, span: &Range<usize>, key: &str) -> Rule {
        Rule {
            layer: None,
            file: self.source.name.clone(),
            line: self.source.position(span.start).0,
            key: key.into(),
        }
    }

    /// The table behind a value, with its keys checked against those that exist.
    pub(crate) fn section<'d>(
        &mut self,
        node: Node<'d>,
        path: &str,
        keys: &[&str],
    ) -> Option<Section<'d>> {
        let section = self.any_section(node, path)?;
        self.check_keys(&section, keys);
        Some(section)
    }

    /// The table behind a value, whose keys are names of the user's own.
    pub(crate) fn any_section<'d>(&mut self, node: Node<'d>, path: &str) -> Option<Section<'d>> {
        match node.value.as_table() {
            Some(table) => Some(Section {
                path: path.to_owned(),
                span: node.span(),
                table,
            }),
            None => {
                self.wrong_type(node, path, "a table");
                None
            }
        }
    }

    pub(crate) fn check_keys(&mut self, section: &Section<'_>, keys: &[&str]) {
        self.check_keys_but(section, keys, &[]);
    }

    /// Checks keys, and says of some that they are known but not enforced by this version: what is parsed is enforced.
    pub(crate) fn check_keys_but(&mut self, section: &Section<'_>, keys: &[&str], later: &[&str]) {
        for entry in section.entries() {
            if keys.contains(&entry.key) {
                continue;
            }
            if later.contains(&entry.key) {
                self.report(
                    entry.key_span.clone(),
                    format!("`{}` is not supported by this version", entry.path),
                    "remove it: what a policy says must be enforced",
                );
                continue;
            }
            let place = match section.path.as_str() {
                "" => format!("at the top of a {}", self.source.kind.word()),
                path => format!("in `{path}`"),
            };
            let help = match names::nearest(entry.key, keys.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys here are {}", listed(keys)),
            };
            let problem = Problem::new(
                self.source,
                entry.key_span.clone(),
                format!("there is no key `{}` {place}", shown(entry.key)),
            );
            self.add(problem.label("unknown key").with_help(help));
        }
    }

    pub(crate) fn wrong_type(&mut self, node: Node<'_>, path: &str, wanted: &str) {
        let found = match node.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let help = match wanted {
            "a string" => "put it in quotes",
            "a list" => "write it in brackets: [ … ]",
            "a table" => "write it in braces, { … }, or as a table of its own",
            "a whole number" => "write it in digits, without quotes, unit or fraction",
            _ => "write true or false, without quotes",
        };
        let message = format!("`{path}` must be {wanted}, and is {found}");
        let problem = Problem::new(self.source, node.span(), message);
        self.add(problem.label(format!("expected {wanted}")).with_help(help));
    }
}

impl<'d> Section<'d> {
    pub(crate) fn root(document: &'d Spanned<DeTable<'d>>) -> Self {
        Self {
            path: String::new(),
            span: document.span(),
            table: document.get_ref(),
        }
    }

    /// The full path of a key of this table.
    pub(crate) fn path_of(&self, key: &str) -> String {
        let plain = !key.is_empty()
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let key = if plain {
            key.to_owned()
        } else {
            format!("\"{}\"", shown(key))
        };
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Every entry in the order of the file.
    pub(crate) fn entries(&self) -> Vec<Entry<'d>> {
        let mut entries: Vec<Entry<'d>> = self
            .table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().as_ref(),
                key_span: key.span(),
                node: node(value),
                path: self.path_of(key.get_ref()),
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        entries
    }

    pub(crate) fn get(&self, key: &str) -> Option<Entry<'d>> {
        let (found, value) = self.table.get_key_value(key)?;
        Some(Entry {
            key: found.get_ref().as_ref(),
            key_span: found.span(),
            node: node(value),
            path: self.path_of(key),
        })
    }
}

/// A text with stars over what must not be shown, as long as it was, so that places stay where they are.
fn starred(text: &str, hidden: &[Range<usize>]) -> std::sync::Arc<str> {
    let covered = |at: usize| hidden.iter().any(|span| span.contains(&at));
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if c != '\n' && covered(at) {
            shown.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            shown.push(c);
        }
    }
    shown.into()
}

/// `a`, `b` and `c`, for messages.
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A text of the file as it can stand in a message: escaped and not too long.
pub(crate) fn shown(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    let mut shown: String = text
        .chars()
        .take(MAX_CHARS)
        .flat_map(|c| {
            let escape =
                c.is_control() || names::hidden_character(c.encode_utf8(&mut [0; 4])).is_some();
            let escaped: Vec<char> = if escape {
                c.escape_unicode().collect()
            } else {
                vec![c]
            };
            escaped
        })
        .collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
