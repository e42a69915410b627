//! What a call's end means: an answer, or a failure with one of the stable codes and words of our own. No text of the
//! engine leaves this file, since a guest can put its words into it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use toolcell_policy::Limits;
use wasmtime::{PoolConcurrencyLimitError, Trap, component::ResourceTableError};
use wasmtime_wasi::I32Exit;

use super::bindings::{self, ResourceBody, ToolError};
use crate::{
    Content, ErrorKind, ToolFailure,
    capability::{
        LimitExceeded,
        answer::{Answer, Blob, Body, OwnError, OwnErrorKind, Piece},
        recorder::Record,
    },
    engine::{limiter::Exceeded, limits, one_line},
};

/// How much is heard of the message and the code of a tool's own error, in characters. It is cut to what is told of it
/// once it was searched for secrets, of which half of one would not be found.
const MAX_MESSAGE_CHARS: usize = 16_384;
const MAX_CODE_CHARS: usize = 4_096;

/// The longest name of a resource, in bytes, and of a media type.
const MAX_URI_BYTES: usize = 8_192;
const MAX_MIME_BYTES: usize = 127;

/// How a call came to its end.
#[derive(Debug)]
pub(super) enum Ended<T> {
    Answered(T),
    Failed(wasmtime::Error),
    Cancelled,
    OutOfTime,
    Panicked,
}

/// An answer that may be handed out.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) content: Vec<Content>,
    /// The size of its texts and data in bytes.
    pub(super) bytes: u64,
}

type Judged<T> = Result<T, ToolFailure>;

fn fail<T>(kind: ErrorKind, message: impl Into<String>) -> Judged<T> {
    Err(ToolFailure::new(kind, message))
}

/// Turns the end of a call into its outcome. A limit that a capability recorded counts first, whatever the guest made
/// of it.
pub(super) fn judge<T>(
    ended: Ended<T>,
    record: &Record,
    memory: Option<Exceeded>,
    limits: &Limits,
) -> Judged<T> {
    if let Some(limit) = &record.limit {
        return fail(limit.kind, limit.message.clone());
    }
    match ended {
        Ended::Answered(answer) => Ok(answer),
        Ended::Failed(error) => Err(stopped(&error, memory, limits)),
        Ended::Cancelled => fail(ErrorKind::Cancelled, "the caller cancelled the call"),
        Ended::OutOfTime => fail(ErrorKind::LimitTime, "the call took too long"),
        Ended::Panicked => {
            tracing::error!("a host function panicked during a call");
            fail(ErrorKind::Internal, "the host failed during the call")
        }
    }
}

/// A tool's own error. It counts as a denial only where the host denied something.
fn refused(error: OwnError, record: &Record) -> ToolFailure {
    let denial = record.denials.last();
    let kind = match error.kind {
        OwnErrorKind::Denied if denial.is_some() => ErrorKind::Denied,
        OwnErrorKind::AuthRequired => ErrorKind::AuthRequired,
        OwnErrorKind::Unavailable => ErrorKind::Unavailable,
        OwnErrorKind::InvalidInput => ErrorKind::InvalidInput,
        _ => ErrorKind::ToolError,
    };
    let mut failure = ToolFailure::new(kind, cut(&error.message, MAX_MESSAGE_CHARS));
    failure.rule = denial
        .filter(|_| kind == ErrorKind::Denied)
        .map(|denial| denial.rule.clone());
    failure.tool_code = error.code.map(|code| cut(&code, MAX_CODE_CHARS));
    failure.request_sent = error.request_sent;
    failure
}

/// A call that ended without an answer.
fn stopped(error: &wasmtime::Error, memory: Option<Exceeded>, limits: &Limits) -> ToolFailure {
    tracing::debug!(error = one_line(error), "a call ended without an answer");
    if let Some(LimitExceeded(kind)) = error.downcast_ref::<LimitExceeded>() {
        return ToolFailure::new(*kind, "the call reached a limit");
    }
    match memory {
        Some(Exceeded::Memory {
            wanted_bytes,
            limit_bytes,
        }) => {
            return ToolFailure::new(
                ErrorKind::LimitMemory,
                format!(
                    "the tool asked for {wanted_bytes} bytes of memory; {limit_bytes} are allowed"
                ),
            );
        }
        Some(Exceeded::Table { wanted }) => {
            let what = format!("the tool asked for tables of {wanted} elements");
            return over(ErrorKind::LimitMemory, &what, "table_elements", limits);
        }
        None => {}
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        let what = "the tool holds more open resources than it may";
        return over(ErrorKind::LimitMemory, what, "resources", limits);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return ToolFailure::new(ErrorKind::Busy, "no place was free for the call");
    }
    if let Some(I32Exit(status)) = error.downcast_ref() {
        let message = format!("the tool exited with status {status} instead of answering");
        return ToolFailure::new(ErrorKind::Trap, message);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            let what = "the tool recursed too deeply";
            over(ErrorKind::Trap, what, "stack", limits)
        }
        Some(trap) => trapped(*trap),
        None => by_message(error, limits),
    }
}

fn trapped(trap: Trap) -> ToolFailure {
    let (kind, message) = match trap {
        Trap::OutOfFuel => (ErrorKind::LimitCpu, "the tool used up its fuel"),
        Trap::Interrupt => (ErrorKind::LimitCpu, "the tool was interrupted"),
        Trap::MemoryOutOfBounds => (ErrorKind::Trap, "the tool went outside its memory"),
        Trap::UnreachableCodeReached => (ErrorKind::Trap, "the tool aborted"),
        Trap::IntegerDivisionByZero => (ErrorKind::Trap, "the tool divided by zero"),
        Trap::IntegerOverflow | Trap::BadConversionToInteger => {
            (ErrorKind::Trap, "the tool computed a number out of range")
        }
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => (
            ErrorKind::Trap,
            "the tool called a function that does not exist",
        ),
        _ => (ErrorKind::Trap, "the tool broke a rule of its runtime"),
    };
    ToolFailure::new(kind, message)
}

/// A limit that was reached, with its name, its number and its unit.
fn over(kind: ErrorKind, what: &str, key: &str, limits: &Limits) -> ToolFailure {
    let number = limits.show(key).unwrap_or_default();
    ToolFailure::new(kind, format!("{what}: its limit `{key}` is {number}"))
}

/// Errors for which wasmtime has no type: part of the message, the limit that was reached, and what to say.
const BY_MESSAGE: [(&str, ErrorKind, &str, &str); 7] = [
    (
        "too much data is being copied",
        ErrorKind::LimitOutput,
        "hostcall",
        "the tool handed over more bytes at once than it may",
    ),
    (
        "store handle limit exceeded",
        ErrorKind::LimitMemory,
        "handles",
        "the tool holds more handles than it may",
    ),
    (
        "instance count too high",
        ErrorKind::LimitMemory,
        "instances",
        "the tool has more core instances than it may",
    ),
    (
        "memory count too high",
        ErrorKind::LimitMemory,
        "memories",
        "the tool has more linear memories than it may",
    ),
    (
        "table count too high",
        ErrorKind::LimitMemory,
        "tables",
        "the tool has more tables than it may",
    ),
    (
        "requested len",
        ErrorKind::LimitMemory,
        "random",
        "the tool asked for more random bytes at once than it may",
    ),
    (
        "total size of fields exceeds limit",
        ErrorKind::LimitEgress,
        "headers",
        "the tool made larger header fields than it may",
    ),
];

fn by_message(error: &wasmtime::Error, limits: &Limits) -> ToolFailure {
    let text = one_line(error);
    BY_MESSAGE
        .iter()
        .find(|(part, ..)| text.contains(part))
        .map_or_else(
            || ToolFailure::new(ErrorKind::Trap, "the tool broke a rule of its runtime"),
            |(_, kind, key, what)| over(*kind, what, key, limits),
        )
}

/// Checks what a tool returned and turns it into the words of the data path.
pub(super) fn accept(answer: Answer, record: &Record, max_output: u64) -> Judged<Accepted> {
    let pieces = answer.map_err(|error| refused(error, record))?;
    if pieces.len() > limits::OUTPUT_PIECES {
        return fail(
            ErrorKind::LimitOutput,
            format!("the answer has more than {} pieces", limits::OUTPUT_PIECES),
        );
    }
    let bytes = pieces.iter().map(size).sum();
    if bytes > max_output {
        return fail(
            ErrorKind::LimitOutput,
            format!("the answer has {bytes} bytes; {max_output} are allowed"),
        );
    }
    let content = pieces.into_iter().map(piece_of).collect::<Judged<_>>()?;
    Ok(Accepted { content, bytes })
}

fn size(piece: &Piece) -> u64 {
    let len = match piece {
        Piece::Text(text) | Piece::Json(text) => text.len(),
        Piece::Image(blob) | Piece::Audio(blob) => blob.data.len() + blob.mime_type.len(),
        Piece::Resource {
            uri,
            mime_type,
            body,
        } => {
            let body = match body {
                Body::Text(text) => text.len(),
                Body::Bytes(bytes) => bytes.len(),
            };
            body + uri.len() + mime_type.as_ref().map_or(0, String::len)
        }
    };
    len as u64
}

fn piece_of(piece: Piece) -> Judged<Content> {
    Ok(match piece {
        Piece::Text(text) => Content::Text { text },
        Piece::Json(text) => match serde_json::from_str(&text) {
            Ok(json) => Content::Json { json },
            Err(error) => {
                return fail(
                    ErrorKind::InvalidOutput,
                    format!(
                        "the answer is no valid JSON: line {} column {}",
                        error.line(),
                        error.column()
                    ),
                );
            }
        },
        Piece::Image(blob) => Content::Image {
            mime_type: mime(blob.mime_type)?,
            data: STANDARD.encode(blob.data),
        },
        Piece::Audio(blob) => Content::Audio {
            mime_type: mime(blob.mime_type)?,
            data: STANDARD.encode(blob.data),
        },
        Piece::Resource {
            uri: name,
            mime_type,
            body,
        } => {
            let (text, blob) = match body {
                Body::Text(text) => (Some(text), None),
                Body::Bytes(bytes) => (None, Some(STANDARD.encode(bytes))),
            };
            Content::Resource {
                uri: uri(name)?,
                mime_type: mime_type.map(mime).transpose()?,
                text,
                blob,
            }
        }
    })
}

/// What a tool's function returned, as plain data.
pub(super) fn plain(answer: Result<Vec<bindings::Content>, ToolError>) -> Answer {
    match answer {
        Ok(pieces) => Ok(pieces.into_iter().map(plain_piece).collect()),
        Err(error) => Err(OwnError {
            kind: match error.kind {
                bindings::ErrorKind::InvalidInput => OwnErrorKind::InvalidInput,
                bindings::ErrorKind::NotFound => OwnErrorKind::NotFound,
                bindings::ErrorKind::Denied => OwnErrorKind::Denied,
                bindings::ErrorKind::AuthRequired => OwnErrorKind::AuthRequired,
                bindings::ErrorKind::Unavailable => OwnErrorKind::Unavailable,
                bindings::ErrorKind::TooLarge => OwnErrorKind::TooLarge,
                bindings::ErrorKind::Failed => OwnErrorKind::Failed,
            },
            code: error.code,
            message: error.message,
            request_sent: error.request_sent,
        }),
    }
}

fn plain_piece(piece: bindings::Content) -> Piece {
    let blob = |mime_type, data| Blob { mime_type, data };
    match piece {
        bindings::Content::Text(text) => Piece::Text(text),
        bindings::Content::Json(text) => Piece::Json(text),
        bindings::Content::Image(image) => Piece::Image(blob(image.mime_type, image.data)),
        bindings::Content::Audio(audio) => Piece::Audio(blob(audio.mime_type, audio.data)),
        bindings::Content::Resource(resource) => Piece::Resource {
            uri: resource.uri,
            mime_type: resource.mime_type,
            body: match resource.body {
                ResourceBody::Text(text) => Body::Text(text),
                ResourceBody::Bytes(bytes) => Body::Bytes(bytes),
            },
        },
    }
}

/// A media type is `type/subtype`, maybe with parameters, in visible ASCII.
fn mime(text: String) -> Judged<String> {
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let fits = text.len() <= MAX_MIME_BYTES
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && essence
            .split_once('/')
            .is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    if fits {
        Ok(text)
    } else {
        fail(
            ErrorKind::InvalidOutput,
            "the answer has a media type that is none, such as `image/png`",
        )
    }
}

fn uri(text: String) -> Judged<String> {
    if text.is_empty() || text.len() > MAX_URI_BYTES || text.chars().any(char::is_control) {
        return fail(
            ErrorKind::InvalidOutput,
            format!(
                "the answer names a resource with an empty name, control characters, or more than {MAX_URI_BYTES} bytes"
            ),
        );
    }
    Ok(text)
}

fn cut(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).collect()
}
