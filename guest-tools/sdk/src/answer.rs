//! What a tool may return.

use serde::Serialize;

use crate::schema::Schema;
use crate::{Blob, Content, Data, EmbeddedResource, Error, ResourceBody, Result};

/// A type that a tool can return.
#[diagnostic::on_unimplemented(
    message = "a tool cannot answer with `{Self}`",
    label = "this is no answer",
    note = "answer with String, Json<T>, Content, Vec<Content>, or a Result of one of them"
)]
pub trait Answer {
    /// What the answer looks like, where it is an object whose shape is known.
    const SCHEMA: Option<Schema> = None;

    /// The answer as the host takes it.
    fn answer(self) -> Result<Vec<Content>>;
}

/// An answer in JSON. Where `T` is a struct with [`data`](crate::data), its shape becomes the
/// tool's output schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize + Data> Answer for Json<T> {
    const SCHEMA: Option<Schema> = match T::SCHEMA {
        Schema::Object(properties) => Some(Schema::Object(properties)),
        _ => None,
    };

    fn answer(self) -> Result<Vec<Content>> {
        let text = serde_json::to_string(&self.0)
            .map_err(|error| Error::failed(format!("the answer is no JSON: {error}")))?;
        Ok(vec![Content::Json(text)])
    }
}

impl Answer for String {
    fn answer(self) -> Result<Vec<Content>> {
        Ok(vec![Content::Text(self)])
    }
}

impl Answer for &str {
    fn answer(self) -> Result<Vec<Content>> {
        self.to_owned().answer()
    }
}

impl Answer for Content {
    fn answer(self) -> Result<Vec<Content>> {
        Ok(vec![self])
    }
}

impl Answer for Vec<Content> {
    fn answer(self) -> Result<Vec<Content>> {
        Ok(self)
    }
}

impl<T: Answer, E: Into<Error>> Answer for Result<T, E> {
    const SCHEMA: Option<Schema> = T::SCHEMA;

    fn answer(self) -> Result<Vec<Content>> {
        self.map_err(Into::into)?.answer()
    }
}

impl Content {
    /// A piece of text.
    pub fn text(text: impl Into<String>) -> Self {
        Content::Text(text.into())
    }

    /// An image, for example of the media type `image/png`.
    pub fn image(mime_type: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Content::Image(Blob {
            mime_type: mime_type.into(),
            data: data.into(),
        })
    }

    /// A sound, for example of the media type `audio/wav`.
    pub fn audio(mime_type: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Content::Audio(Blob {
            mime_type: mime_type.into(),
            data: data.into(),
        })
    }

    /// A text with a name of its own, for example a page.
    pub fn resource(uri: impl Into<String>, text: impl Into<String>) -> Self {
        let body = ResourceBody::Text(text.into());
        Content::Resource(EmbeddedResource {
            uri: uri.into(),
            mime_type: None,
            body,
        })
    }
}
