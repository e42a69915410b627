//! What is wrong in a file: where, why, and how to fix it. All problems of a file are reported at once.

use std::{fmt, ops::Range, sync::Arc};

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

/// Which kind of file a problem is in; it decides the error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// The operator's `toolcell.toml`.
    Policy,
    /// The author's `tool.toml`.
    Manifest,
    /// The lock file `toolcell.lock`, which belongs to a policy.
    Lock,
}

impl FileKind {
    /// The stable error code: `invalid_policy` or `invalid_manifest`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Policy | Self::Lock => "invalid_policy",
            Self::Manifest => "invalid_manifest",
        }
    }

    /// The word for such a file.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Manifest => "manifest",
            Self::Lock => "lock file",
        }
    }
}

/// A text under its name, shared by all that points into it.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) kind: FileKind,
    pub(crate) name: Arc<str>,
    pub(crate) text: Arc<str>,
}

impl Source {
    pub(crate) fn new(kind: FileKind, name: &str, text: &str) -> Self {
        Self {
            kind,
            name: name.into(),
            text: text.into(),
        }
    }

    /// Line and column of a byte offset, both counted from 1; columns count characters.
    pub(crate) fn position(&self, offset: usize) -> (u32, u32) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (
            u32::try_from(line).unwrap_or(u32::MAX),
            u32::try_from(column).unwrap_or(u32::MAX),
        )
    }

    /// The text of a line without the blanks around it, as a range of bytes.
    pub(crate) fn line_span(&self, line: u32) -> Range<usize> {
        let mut start = 0;
        for (number, text) in (1..).zip(self.text.split('\n')) {
            if number == line {
                let begin = start + (text.len() - text.trim_start().len());
                return begin..begin + text.trim().len();
            }
            start += text.len() + 1;
        }
        0..0
    }
}

/// One thing that is wrong, with the place in the file.
#[derive(Clone)]
pub struct Problem {
    source: Source,
    named: NamedSource<Arc<str>>,
    span: Range<usize>,
    message: String,
    label: Option<String>,
    help: Option<String>,
}

impl Problem {
    pub(crate) fn new(source: &Source, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            source: source.clone(),
            named: NamedSource::new(&source.name, source.text.clone()).with_language("toml"),
            span,
            message: message.into(),
            label: None,
            help: None,
        }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Lets a report show this text of the file, as long as the file's own.
    pub(crate) fn show_instead(&mut self, text: &Arc<str>) {
        self.named = NamedSource::new(&self.source.name, text.clone()).with_language("toml");
    }

    /// The error code: `invalid_policy` or `invalid_manifest`.
    pub fn code(&self) -> &'static str {
        self.source.kind.code()
    }

    /// The file's name as it was given to the parser.
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// The place as a range of bytes in the file.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The line, counted from 1.
    pub fn line(&self) -> u32 {
        self.source.position(self.span.start).0
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> u32 {
        self.source.position(self.span.start).1
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How to fix it.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.file(),
            self.line(),
            self.column(),
            self.message
        )?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.source.kind.code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.named)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_primary_with_span(self.label.clone(), self.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// All problems of one file, in the order of the file; never empty.
#[derive(Clone)]
pub struct Problems {
    kind: FileKind,
    name: Arc<str>,
    list: Vec<Problem>,
    left_out: usize,
}

/// How many problems of a file are kept; what is beyond is counted. A file with more is no file of ours.
pub const MAX_PROBLEMS: usize = 64;

impl Problems {
    /// `Err` when there is any problem, in the order of the file.
    pub(crate) fn check(source: &Source, mut list: Vec<Problem>) -> Result<(), Self> {
        if list.is_empty() {
            return Ok(());
        }
        list.sort_by_key(|problem| (problem.span.start, problem.span.end));
        let left_out = list.len().saturating_sub(MAX_PROBLEMS);
        list.truncate(MAX_PROBLEMS);
        Err(Self {
            kind: source.kind,
            name: source.name.clone(),
            list,
            left_out,
        })
    }

    /// For a reader that gave up without saying why, which would be a mistake of this crate: the file is refused.
    pub(crate) fn internal(source: &Source) -> Self {
        Self {
            kind: source.kind,
            name: source.name.clone(),
            list: vec![Problem::new(source, 0..0, "the file cannot be read")],
            left_out: 0,
        }
    }

    /// The error code: `invalid_policy` or `invalid_manifest`.
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// Which kind of file it is.
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// The file's name as it was given to the parser.
    pub fn file(&self) -> &str {
        &self.name
    }

    /// Every problem, in the order of the file; at most [`MAX_PROBLEMS`].
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// How many problems there are, those beyond [`MAX_PROBLEMS`] included.
    pub fn count(&self) -> usize {
        self.list.len() + self.left_out
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    /// One line that names the file and the first problem, so that it reads well where only a message is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {} is not valid", self.kind.word(), self.name)?;
        if let Some(first) = self.list.first() {
            write!(f, ": line {}: {}", first.line(), first.message)?;
        }
        match self.count() {
            0 | 1 => Ok(()),
            2 => f.write_str(" (and 1 more problem)"),
            count => write!(f, " (and {} more problems)", count - 1),
        }
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}

impl std::error::Error for Problems {}

impl Diagnostic for Problems {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.kind.code()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(
            self.list.iter().map(|problem| problem as &dyn Diagnostic),
        ))
    }
}

#[cfg(test)]
mod tests;
