//! Why a model gave no turn.

use std::{fmt, time::Duration};

use toolcell::ErrorKind;

/// Why a model gave no turn. No message holds the API key.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The API key is missing or cannot be one.
    #[error("the API key {0}")]
    Key(&'static str),
    /// The settings make no request possible.
    #[error("{0}")]
    Config(String),
    /// The server could not be reached.
    #[error("cannot reach the model's server: {0}")]
    Connect(String),
    /// The server answered with an error instead of a stream.
    #[error("the model's server answered {status} {kind}: {message}{}", suffix(.request_id))]
    Http {
        /// The HTTP status; 200 when the body was an error nevertheless.
        status: u16,
        /// The server's word for it, for example `rate_limit_error`.
        kind: String,
        /// What the server said.
        message: String,
        /// The server's id of the request.
        request_id: Option<String>,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// Whether the server says that trying again makes sense.
        should_retry: Option<bool>,
    },
    /// The server reported an error in the middle of the stream.
    #[error("the model's server broke off with {kind}: {message}{}", suffix(.request_id))]
    Stream {
        /// The server's word for it, for example `overloaded_error`.
        kind: String,
        /// What the server said.
        message: String,
        /// The server's id of the request.
        request_id: Option<String>,
    },
    /// The stream ended before the turn did.
    #[error("the answer was cut off: the stream ended before the turn did")]
    Truncated,
    /// The connection broke in the middle of the stream.
    #[error("the connection broke in the middle of the answer: {0}")]
    Transport(String),
    /// What arrived is not what the protocol says.
    #[error("the model's server broke the protocol: {0}")]
    Protocol(String),
    /// Nothing came in time.
    #[error("the model's server took too long: {kind} {}", seconds(.after))]
    Timeout {
        /// Which wait.
        kind: TimeoutKind,
        /// Its limit.
        after: Duration,
    },
    /// The answer is larger than any sensible one.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The server failed so often that it is left alone for a while.
    #[error("the model's server failed {failures} times in a row and is not asked again {}", soon(.left))]
    Open {
        /// How many failures in a row there were.
        failures: u32,
        /// How long until a request may try it again; zero while one does.
        left: Duration,
    },
    /// No turn came for the request in time.
    #[error("{0}")]
    Busy(String),
    /// A recorded model's turn does not fit the conversation.
    #[error("{file}:{line}: {message}")]
    Script {
        /// The script's name.
        file: String,
        /// The line of the turn, from 1.
        line: usize,
        /// What does not fit.
        message: String,
    },
}

/// A wait that can take too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutKind {
    /// For the answer to begin.
    Response,
    /// For the next piece.
    Idle,
    /// For the whole turn.
    Total,
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Response => "no answer began within",
            Self::Idle => "nothing came for",
            Self::Total => "the turn was not complete within",
        })
    }
}

fn suffix(request_id: &Option<String>) -> String {
    request_id
        .as_ref()
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default()
}

fn seconds(after: &Duration) -> String {
    format!("{} s", after.as_secs_f64())
}

fn soon(left: &Duration) -> String {
    match left.as_secs_f64().ceil() {
        0.0 => "while another request tries whether it answers".into(),
        seconds => format!("for {seconds} s"),
    }
}

/// Words for a conversation that is too long for the model: OpenAI's, and llama.cpp's.
const TOO_LONG_KINDS: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];

/// What servers say then that have no word for it: the Messages API, Amazon Bedrock, and vLLM and others.
const TOO_LONG: [&str; 6] = [
    "Input is too long",
    "prompt is too long",
    "exceed context limit",
    "maximum context length",
    "context length exceeded",
    "exceeds the available context size",
];

impl ModelError {
    /// The stable code.
    pub fn code(&self) -> ErrorKind {
        match self {
            Self::Key(_) => ErrorKind::AuthRequired,
            Self::Http { status, kind, .. } => match (*status, kind.as_str()) {
                (401 | 403, _) | (_, "authentication_error" | "permission_error") => {
                    ErrorKind::AuthRequired
                }
                (400 | 404 | 413 | 422, _) => ErrorKind::InvalidInput,
                _ => ErrorKind::Unavailable,
            },
            Self::Config(_) | Self::Script { .. } => ErrorKind::InvalidInput,
            // Our own limits; that the server fails is its own.
            Self::Busy(_) => ErrorKind::Busy,
            Self::Connect(_)
            | Self::Stream { .. }
            | Self::Truncated
            | Self::Transport(_)
            | Self::Protocol(_)
            | Self::Open { .. }
            | Self::Timeout { .. }
            | Self::TooLarge { .. } => ErrorKind::Unavailable,
        }
    }

    /// One word of a closed set for figures and spans: the status of an error that servers commonly answer with, what
    /// happened to the connection, or the code.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http { status, .. } => match status {
                400 => "400",
                401 => "401",
                403 => "403",
                404 => "404",
                408 => "408",
                413 => "413",
                429 => "429",
                500 => "500",
                502 => "502",
                503 => "503",
                504 => "504",
                529 => "529",
                400..=499 => "4xx",
                500..=599 => "5xx",
                _ => "http",
            },
            Self::Connect(_) => "connect",
            Self::Stream { .. } => "stream",
            Self::Truncated | Self::Transport(_) => "cut_off",
            Self::Protocol(_) => "protocol",
            Self::Timeout { .. } => "timeout",
            Self::Open { .. } => "breaker_open",
            _ => self.code().code(),
        }
    }

    /// What the server said, if it says that the conversation is too long for the model.
    pub fn context_overflow(&self) -> Option<&str> {
        match self {
            Self::Http {
                status: 400 | 422 | 500,
                kind,
                message,
                ..
            } => (TOO_LONG_KINDS.contains(&kind.as_str())
                || TOO_LONG.iter().any(|words| message.contains(words)))
            .then_some(message),
            // The conversation is too long in bytes rather than in tokens.
            Self::Http {
                status: 413,
                message,
                ..
            } => Some(message),
            _ => None,
        }
    }
}
