//! How a tool says that it could not do what was asked.

use std::{fmt, io};

pub use crate::bindings::toolcell::tool::types::ErrorKind;
use crate::bindings::toolcell::tool::types::ToolError;

/// Why a call failed: a kind for programs, a message for the model.
///
/// A good message says what was wrong and what to do instead, since the model tries again with
/// nothing else to go by. Errors of [`std::io`] convert by themselves, so `?` works on files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The kind, of which the contract knows a closed set.
    pub kind: ErrorKind,
    /// A code of the tool's own, for example `rate-limited`.
    pub code: Option<String>,
    /// What happened, in words.
    pub message: String,
    /// Whether something may already have happened outside, so that trying again is not safe.
    pub request_sent: bool,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            message: message.into(),
            request_sent: false,
        }
    }

    /// The input is well-formed but makes no sense to this tool.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// What was asked for does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// An access was refused.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, message)
    }

    /// Somebody has to sign in, or a credential is missing or no longer valid.
    pub fn auth_required(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::AuthRequired, message)
    }

    /// Something the tool relies on does not answer; a later try may succeed.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// The input or the answer exceeds a size that the tool accepts.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    /// Anything else.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// The same error with a code for programs, for example `http-404`.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The same error, saying that something may already have happened outside.
    #[must_use]
    pub fn with_request_sent(mut self) -> Self {
        self.request_sent = true;
        self
    }

    /// The same error with words in front that say what was tried: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            // What lies outside every granted directory has no directory to be opened from.
            _ if outside_all_grants(&error) => ErrorKind::Denied,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::Denied
            }
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory => ErrorKind::InvalidInput,
            io::ErrorKind::FileTooLarge
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::StorageFull => ErrorKind::TooLarge,
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::TimedOut => ErrorKind::Unavailable,
            _ => ErrorKind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

fn outside_all_grants(error: &io::Error) -> bool {
    error.to_string().contains("pre-opened file descriptor")
}

impl From<Error> for ToolError {
    fn from(error: Error) -> Self {
        let Error {
            kind,
            code,
            message,
            request_sent,
        } = error;
        Self {
            kind,
            code,
            message,
            request_sent,
        }
    }
}

impl From<ToolError> for Error {
    fn from(error: ToolError) -> Self {
        let ToolError {
            kind,
            code,
            message,
            request_sent,
        } = error;
        Self {
            kind,
            code,
            message,
            request_sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Error, ErrorKind};

    #[test]
    fn errors_of_files_keep_their_meaning() {
        for (kind, expected) in [
            (io::ErrorKind::PermissionDenied, ErrorKind::Denied),
            (io::ErrorKind::ReadOnlyFilesystem, ErrorKind::Denied),
            (io::ErrorKind::NotFound, ErrorKind::NotFound),
            (io::ErrorKind::NotADirectory, ErrorKind::InvalidInput),
            (io::ErrorKind::StorageFull, ErrorKind::TooLarge),
            (io::ErrorKind::TimedOut, ErrorKind::Unavailable),
            (io::ErrorKind::BrokenPipe, ErrorKind::Failed),
        ] {
            assert_eq!(
                Error::from(io::Error::from(kind)).kind,
                expected,
                "{kind:?}"
            );
        }
        let outside =
            "failed to find a pre-opened file descriptor through which \"/x\" could be opened";
        assert_eq!(
            Error::from(io::Error::other(outside)).kind,
            ErrorKind::Denied
        );
    }

    #[test]
    fn an_error_carries_all_that_was_said() {
        let error = Error::failed("no")
            .context("sending")
            .with_code("http-500")
            .with_request_sent();
        assert_eq!(error.to_string(), "sending: no");
        assert_eq!(
            (error.code.as_deref(), error.request_sent),
            (Some("http-500"), true)
        );
    }
}
