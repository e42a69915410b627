//! A tool's answer as plain data: what its function returned, before anybody has checked or limited it. It is the same
//! for the tool that a host runs, for one that a tool calls, and on the way out of a worker process.

use serde::{Deserialize, Serialize};

/// What a tool's function returned.
pub(crate) type Answer = Result<Vec<Piece>, OwnError>;

/// One piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Piece {
    /// Text for the model.
    Text(String),
    /// JSON as text; nobody has read it yet.
    Json(String),
    /// A picture.
    Image(Blob),
    /// A sound.
    Audio(Blob),
    /// Something with a name of its own.
    Resource {
        /// Its name.
        uri: String,
        /// Its media type, where known.
        mime_type: Option<String>,
        /// What it holds.
        body: Body,
    },
}

/// Bytes with their media type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blob {
    /// For example `image/png`.
    pub(crate) mime_type: String,
    /// The bytes themselves.
    #[serde(with = "as_bytes")]
    pub(crate) data: Vec<u8>,
}

/// What a resource holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(#[serde(with = "as_bytes")] Vec<u8>),
}

/// An error in the tool's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnError {
    /// What the tool says it is.
    pub(crate) kind: OwnErrorKind,
    /// The tool's own code.
    pub(crate) code: Option<String>,
    /// What happened.
    pub(crate) message: String,
    /// Whether something may already have happened outside.
    pub(crate) request_sent: bool,
}

/// The kinds of errors that the contract knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OwnErrorKind {
    /// The input makes no sense.
    InvalidInput,
    /// There is no such thing.
    NotFound,
    /// It may not.
    Denied,
    /// A credential is missing.
    AuthRequired,
    /// What it needs does not answer.
    Unavailable,
    /// More than can be handed out.
    TooLarge,
    /// Everything else.
    Failed,
}

/// Bytes as one piece: serde takes a `Vec<u8>` apart otherwise, number by number.
pub(crate) mod as_bytes {
    use std::fmt;

    use serde::{Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_bytes(Bytes)
    }

    struct Bytes;

    impl de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}
