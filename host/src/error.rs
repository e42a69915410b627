//! The stable error codes, shared by the command line, JSON, telemetry and docs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of failure happened. The set only grows, and a code never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// No tool with that public name is registered.
    UnknownTool,
    /// The input is no JSON, breaks the tool's input schema, or the tool itself refused it.
    InvalidInput,
    /// The tool's answer breaks its output schema or is no valid content.
    InvalidOutput,
    /// The policy refused an access, or a person did.
    Denied,
    /// The tool needs a credential that is missing or no longer valid.
    AuthRequired,
    /// The call took longer than its limit on wall clock time.
    LimitTime,
    /// The guest executed for longer than its limit on CPU time or fuel.
    LimitCpu,
    /// The guest asked for more memory, tables or instances than it may have.
    LimitMemory,
    /// The answer is larger than allowed.
    LimitOutput,
    /// The tool wrote more than allowed to its log, standard output included.
    LimitLog,
    /// The tool sent or received more, or more often, than allowed.
    LimitEgress,
    /// The tool wrote more bytes or more files than allowed.
    LimitFiles,
    /// The guest trapped.
    Trap,
    /// The tool answered with an error of its own.
    ToolError,
    /// Something the call relies on does not answer; a later try may succeed.
    Unavailable,
    /// No place was free for the call in time.
    Busy,
    /// The caller went away or asked to stop.
    Cancelled,
    /// A policy file is wrong.
    InvalidPolicy,
    /// A package's manifest is wrong.
    InvalidManifest,
    /// A component is no component, or asks for what this host does not offer.
    InvalidComponent,
    /// A policy file was not trusted by a person, or changed since.
    Untrusted,
    /// A file differs from the digest that was recorded for it.
    DigestMismatch,
    /// A signature does not match.
    SignatureInvalid,
    /// A budget of the run is used up, or a call's budget of calls of other tools.
    BudgetExceeded,
    /// The host itself failed.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::UnknownTool,
        Self::InvalidInput,
        Self::InvalidOutput,
        Self::Denied,
        Self::AuthRequired,
        Self::LimitTime,
        Self::LimitCpu,
        Self::LimitMemory,
        Self::LimitOutput,
        Self::LimitLog,
        Self::LimitEgress,
        Self::LimitFiles,
        Self::Trap,
        Self::ToolError,
        Self::Unavailable,
        Self::Busy,
        Self::Cancelled,
        Self::InvalidPolicy,
        Self::InvalidManifest,
        Self::InvalidComponent,
        Self::Untrusted,
        Self::DigestMismatch,
        Self::SignatureInvalid,
        Self::BudgetExceeded,
        Self::Internal,
    ];

    /// The stable code, for example `limit_time`.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownTool => "unknown_tool",
            Self::InvalidInput => "invalid_input",
            Self::InvalidOutput => "invalid_output",
            Self::Denied => "denied",
            Self::AuthRequired => "auth_required",
            Self::LimitTime => "limit_time",
            Self::LimitCpu => "limit_cpu",
            Self::LimitMemory => "limit_memory",
            Self::LimitOutput => "limit_output",
            Self::LimitLog => "limit_log",
            Self::LimitEgress => "limit_egress",
            Self::LimitFiles => "limit_files",
            Self::Trap => "trap",
            Self::ToolError => "tool_error",
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::InvalidPolicy => "invalid_policy",
            Self::InvalidManifest => "invalid_manifest",
            Self::InvalidComponent => "invalid_component",
            Self::Untrusted => "untrusted",
            Self::DigestMismatch => "digest_mismatch",
            Self::SignatureInvalid => "signature_invalid",
            Self::BudgetExceeded => "budget_exceeded",
            Self::Internal => "internal",
        }
    }

    /// The kind with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A failure that the embedder must act on. What the *model* should see is a
/// [`ToolResult`](crate::ToolResult) with an [`ToolFailure`](crate::ToolFailure) instead.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    help: Option<String>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of this library's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind, with what happened in plain words.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            help: None,
            source: None,
        }
    }

    /// Adds how to fix it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says where it happened, in front of what happened.
    #[must_use]
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The same with other texts, where `clean` has another one for it. The error underneath goes where it shows such a
    /// text itself.
    #[must_use]
    pub(crate) fn cleaned(mut self, clean: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(message) = clean(&self.message) {
            self.message = message;
        }
        if let Some(help) = self.help.as_deref().and_then(&clean) {
            self.help = Some(help);
        }
        let shows = |error: &(dyn std::error::Error + 'static)| {
            clean(&error.to_string()).is_some() || clean(&format!("{error:?}")).is_some()
        };
        let mut underneath = std::error::Error::source(&self);
        let mut dirty = false;
        while let Some(error) = underneath {
            dirty = dirty || shows(error);
            underneath = error.source();
        }
        if dirty {
            self.source = None;
        }
        self
    }

    /// Which kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How to fix it, where that is known.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}
