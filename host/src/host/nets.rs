//! The nets around a call: what leaves it is searched for every known secret, and so is what is written down of it.

use std::{borrow::Cow, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{
    Content, Error, ErrorKind, Result, ToolFailure,
    audit::AuditRecord,
    secrets::{Hits, Redaction, Redactor},
    text::escape_control,
};

/// The longest message of a failure, and the longest code of a tool's own, in characters.
const MAX_MESSAGE_CHARS: usize = 4_096;
const MAX_CODE_CHARS: usize = 128;

/// The search of what one call hands out.
pub(super) struct Net {
    redactor: Arc<Redactor>,
    hits: Hits,
}

impl Net {
    /// A search for everything that is known now.
    pub(super) fn new(redaction: &Redaction) -> Self {
        Self {
            redactor: redaction.current(),
            hits: Hits::default(),
        }
    }

    /// What was found.
    pub(super) fn hits(&self) -> &Hits {
        &self.hits
    }

    /// Takes every secret out of an answer, whatever it is made of.
    pub(super) fn content(&mut self, content: &mut [Content]) {
        if self.redactor.is_empty() {
            return;
        }
        for piece in content {
            match piece {
                Content::Text { text } => self.text(text),
                Content::Json { json } => self.json(json),
                Content::Image { mime_type, data } | Content::Audio { mime_type, data } => {
                    self.text(mime_type);
                    self.base64(data);
                }
                Content::Resource {
                    uri,
                    mime_type,
                    text,
                    blob,
                } => {
                    self.text(uri);
                    mime_type.iter_mut().for_each(|it| self.text(it));
                    text.iter_mut().for_each(|it| self.text(it));
                    blob.iter_mut().for_each(|it| self.base64(it));
                }
            }
        }
    }

    /// Takes every secret out of a failure, whose message may be the tool's own, or quote an input. Then it is cut to what
    /// is told of it.
    pub(super) fn failure(&mut self, failure: &mut ToolFailure) {
        let ToolFailure {
            kind: _,
            message,
            rule,
            help,
            tool_code,
            request_sent: _,
        } = failure;
        self.text(message);
        cut(message, MAX_MESSAGE_CHARS);
        for text in [rule, help].into_iter().flatten() {
            self.text(text);
        }
        if let Some(code) = tool_code {
            self.text(code);
            cut(code, MAX_CODE_CHARS);
            *code = escape_control(code).into_owned();
        }
    }

    /// Takes every secret out of a text.
    pub(super) fn text(&mut self, text: &mut String) {
        if let Cow::Owned(clean) = self.redactor.text(text, &mut self.hits) {
            *text = clean;
        }
    }

    /// Takes every secret out of a value, the names of its members included.
    fn json(&mut self, value: &mut Value) {
        self.redactor.json(value, &mut self.hits);
    }

    /// Takes every secret out of bytes, and leaves the others as they are.
    fn base64(&mut self, data: &mut String) {
        match BASE64_STANDARD.decode(data.as_bytes()) {
            Ok(bytes) => {
                if let Cow::Owned(clean) = self.redactor.bytes(&bytes, &mut self.hits) {
                    *data = BASE64_STANDARD.encode(clean);
                }
            }
            // The host wrote it, so it is base64; were it not, it would be a text.
            Err(_) => self.text(data),
        }
    }
}

fn cut(text: &mut String, max_chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(max_chars) {
        text.truncate(end);
    }
}

/// The secrets whose values a call's input holds.
pub(super) fn found_in(redactor: &Arc<Redactor>, input: &Value) -> Hits {
    let mut net = Net {
        redactor: Arc::clone(redactor),
        hits: Hits::default(),
    };
    if !redactor.is_empty() {
        net.json(&mut input.clone());
    }
    net.hits
}

/// What a record's members are made of that are words of ours and read back as such: nothing from outside gets there.
const OUR_WORDS: [&str; 5] = ["type", "effect", "outcome", "isolation", "confinement"];

/// A record without any secret. It is the last net before the audit log: what goes into a record was searched before.
///
/// # Errors
///
/// `internal` where what is left is no record any more, so that none is kept with a secret in it.
pub(super) fn record(redaction: &Redaction, record: AuditRecord) -> Result<AuditRecord> {
    if redaction.is_empty() {
        return Ok(record);
    }
    let broken = |error| {
        let message = "an audit record cannot be searched for secrets";
        Error::new(ErrorKind::Internal, message).with_source(error)
    };
    let mut value = serde_json::to_value(&record).map_err(broken)?;
    if !texts(redaction, &mut value) {
        return Ok(record);
    }
    serde_json::from_value(value).map_err(broken)
}

/// Cleans the texts of a record, and says whether there was anything to clean. The names of its members are ours, and so
/// are its numbers.
fn texts(redaction: &Redaction, value: &mut Value) -> bool {
    match value {
        Value::String(text) => match redaction.text(text) {
            Cow::Owned(clean) => {
                *text = clean;
                true
            }
            Cow::Borrowed(_) => false,
        },
        Value::Array(items) => any(items.iter_mut(), |item| texts(redaction, item)),
        Value::Object(members) => {
            let theirs = members
                .iter_mut()
                .filter(|(name, _)| !OUR_WORDS.contains(&name.as_str()));
            any(theirs, |(_, member)| texts(redaction, member))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Cleans all of them, and says whether there was anything to clean in one.
fn any<T>(items: impl Iterator<Item = T>, clean: impl FnMut(T) -> bool) -> bool {
    items.map(clean).filter(|found| *found).count() > 0
}

/// An error for the embedder without any secret. What lies underneath it is kept only where that shows none either.
pub(super) fn error(redaction: &Redaction, error: Error) -> Error {
    let redactor = redaction.current();
    if redactor.is_empty() {
        return error;
    }
    error.cleaned(|text| match redactor.text(text, &mut Hits::default()) {
        Cow::Borrowed(_) => None,
        Cow::Owned(clean) => Some(clean),
    })
}

#[cfg(test)]
mod tests;
