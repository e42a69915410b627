//! The last net before the collector: every span passes the search for secrets, and is cut to a size.

use std::{fmt, time::Duration};

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::Status};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use toolcell::Redaction;

/// The longest text of an attribute, in bytes. What a model and its tools said may be longer.
const MAX_TEXT_BYTES: usize = 4 << 10;
/// The longest attribute that holds content.
const MAX_CONTENT_BYTES: usize = 64 << 10;

/// Attributes that are lists by the conventions, and that spans carry as words with commas between them.
const LISTS: &[&str] = &[toolcell_agent::metrics::FINISH_REASONS];

/// Attributes that hold what people, models and tools said.
const CONTENT: &[&str] = &[];

/// Takes secrets out of spans before an exporter has them.
pub(crate) struct Clean<E> {
    inner: E,
    redaction: Redaction,
}

impl<E> Clean<E> {
    pub(crate) fn new(inner: E, redaction: Redaction) -> Self {
        Self { inner, redaction }
    }
}

impl<E> fmt::Debug for Clean<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clean").finish_non_exhaustive()
    }
}

impl<E: SpanExporter> SpanExporter for Clean<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            self.span(span);
        }
        self.inner.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E> Clean<E> {
    fn span(&self, span: &mut SpanData) {
        span.name = self.text(&span.name, MAX_TEXT_BYTES).into();
        self.attributes(&mut span.attributes);
        for event in &mut span.events.events {
            event.name = self.text(&event.name, MAX_TEXT_BYTES).into();
            self.attributes(&mut event.attributes);
        }
        for link in &mut span.links.links {
            self.attributes(&mut link.attributes);
        }
        if let Status::Error { description } = &mut span.status {
            *description = self.text(description, MAX_TEXT_BYTES).into();
        }
    }

    fn attributes(&self, attributes: &mut [KeyValue]) {
        for KeyValue { key, value, .. } in attributes {
            let limit = match CONTENT.contains(&key.as_str()) {
                true => MAX_CONTENT_BYTES,
                false => MAX_TEXT_BYTES,
            };
            let clean = |text: &StringValue| StringValue::from(self.text(text.as_str(), limit));
            match value {
                Value::String(text) if LISTS.contains(&key.as_str()) => {
                    let words = text
                        .as_str()
                        .split(',')
                        .map(|word| self.text(word, limit).into());
                    *value = Value::Array(Array::String(words.collect()));
                }
                Value::String(text) => *text = clean(text),
                Value::Array(Array::String(texts)) => {
                    texts.iter_mut().for_each(|it| *it = clean(it))
                }
                _ => {}
            }
        }
    }

    /// The text without any secret, and then cut: half of a secret would not be found.
    fn text(&self, text: &str, limit: usize) -> String {
        let text = self.redaction.text(text);
        match text.get(..text.floor_char_boundary(limit)) {
            Some(head) if head.len() < text.len() => format!("{head}…"),
            _ => text.into_owned(),
        }
    }
}
