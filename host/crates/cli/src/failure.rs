//! What a verb fails with: one clear line, the rule that decided, how to fix it, and where.

use std::{fmt, io, path::Path};

use serde::Serialize;
use serde_json::{Value, json};
use toolcell::{Error, ErrorKind, ToolFailure, audit::AuditError};
use toolcell_policy::{Problem, Problems};

use crate::exit;

/// The failure of a verb.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Decides the code and, unless said otherwise, the exit status.
    pub(crate) kind: ErrorKind,
    /// What happened.
    pub(crate) message: String,
    /// The policy rule that decided.
    pub(crate) rule: Option<String>,
    /// How to fix it.
    pub(crate) help: Option<String>,
    /// More lines for people, where one does not tell all.
    pub(crate) details: Box<[String]>,
    /// Everything that is wrong in a file of the user.
    pub(crate) problems: Box<[Problem]>,
    /// What there is to say besides, in JSON only.
    pub(crate) data: Option<Box<Value>>,
    /// Another exit status than that of the kind.
    pub(crate) status: Option<u8>,
}

/// A place in a file, as JSON shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Span<'a> {
    file: &'a str,
    /// Counted from 1.
    line: u32,
    /// In characters, counted from 1.
    column: u32,
    /// In bytes, counted from 0.
    offset: usize,
    /// In bytes.
    len: usize,
}

impl<'a> Span<'a> {
    pub(crate) fn of(problem: &'a Problem) -> Self {
        Self {
            file: problem.file(),
            line: problem.line(),
            column: problem.column(),
            offset: problem.span().start,
            len: problem.span().len(),
        }
    }
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            rule: None,
            help: None,
            details: Box::default(),
            problems: Box::default(),
            data: None,
            status: None,
        }
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// A check found something.
    pub(crate) fn check(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut failure = Self::new(kind, message);
        failure.status = Some(exit::FAILED);
        failure
    }

    /// The system refused: `cannot {doing} {path}: {why}`.
    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let help = match error.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "allow access to it, or name another place",
            io::ErrorKind::ReadOnlyFilesystem => "name a place that can be written to",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk",
            io::ErrorKind::FileTooLarge => "name a smaller file",
            _ => "check the path and what is there",
        };
        Self::new(
            ErrorKind::Unavailable,
            format!("cannot {doing} {}: {}", path.display(), reason(error)),
        )
        .help(help)
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub(crate) fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    #[must_use]
    pub(crate) fn data(mut self, data: Value) -> Self {
        self.data = Some(Box::new(data));
        self
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        self.status.unwrap_or_else(|| exit::status(self.kind))
    }

    /// The `error` of the JSON envelope. `span` is where the first problem is; `problems` has all of them.
    pub(crate) fn to_json(&self) -> Value {
        let span = self.problems.first().map(Span::of);
        let mut error = json!({
            "code": self.kind.code(),
            "message": self.message,
            "rule": self.rule,
            "help": self.help,
            "span": span,
        });
        if let Some(error) = error.as_object_mut() {
            if !self.problems.is_empty() {
                error.insert("problems".to_owned(), problems_json(self.problems.iter()));
            }
            if !self.details.is_empty() {
                error.insert("details".to_owned(), json!(self.details));
            }
        }
        error
    }
}

/// Problems as a JSON array.
pub(crate) fn problems_json<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> Value {
    let one = |problem: &Problem| {
        json!({
            "code": problem.code(),
            "message": problem.message(),
            "help": problem.help(),
            "span": Span::of(problem),
        })
    };
    problems.into_iter().map(one).collect()
}

/// What the system said, without its `(os error 2)`.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = without_number(&error.to_string());
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text,
    }
}

/// A message without the numbers of the system's errors, which the words before them say already.
pub(crate) fn without_number(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        short.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    short
}

/// The audit log cannot be used.
pub(crate) fn audit(error: &AuditError) -> Failure {
    Failure::new(ErrorKind::Unavailable, without_number(&error.to_string())).help(error.help())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let source = std::error::Error::source(&error);
        // A log that cannot be written is the disk's doing and no mistake of toolcell.
        if let Some(error) = source.and_then(|it| it.downcast_ref::<AuditError>()) {
            return audit(error);
        }
        let mut failure = Self::new(error.kind(), without_number(error.message()));
        failure.help = error.help().map(str::to_owned);
        if let Some(problems) = source.and_then(|it| it.downcast_ref::<Problems>()) {
            failure.problems = problems.iter().cloned().collect();
        }
        failure
    }
}

impl From<&ToolFailure> for Failure {
    fn from(failure: &ToolFailure) -> Self {
        Self {
            rule: failure.rule.clone(),
            help: failure.help.clone(),
            ..Self::new(failure.kind, &failure.message)
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let kind = ErrorKind::from_code(problems.code()).unwrap_or(ErrorKind::InvalidPolicy);
        let mut failure = Self::new(kind, problems.to_string());
        failure.problems = problems.iter().cloned().collect();
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_system_are_left_out() {
        for (text, short) in [
            ("plain", "plain"),
            ("a: No such file (os error 2)", "a: No such file"),
            ("a (os error 2); b (os error 13)!", "a; b!"),
        ] {
            assert_eq!(without_number(text), short);
        }
    }
}
