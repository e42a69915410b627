//! The last net before the collector: every span passes the search for secrets, and is cut to a size.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::Status};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use toolcell::{
    Redaction,
    telemetry::{TOOL_ARGUMENTS, TOOL_RESULT},
};
use toolcell_agent::metrics::{FINISH_REASONS, INPUT_MESSAGES, INSTRUCTIONS, OUTPUT_MESSAGES};

use crate::net;

/// The longest text of an attribute, in bytes. What a model and its tools said may be longer.
const MAX_TEXT_BYTES: usize = 4 << 10;
/// The longest attribute that holds content.
const MAX_CONTENT_BYTES: usize = 64 << 10;

/// Attributes that are lists by the conventions, and that spans carry as words with commas between them.
const LISTS: &[&str] = &[FINISH_REASONS];

/// Attributes that hold what people, models and tools said.
pub(crate) const CONTENT: &[&str] = &[
    INSTRUCTIONS,
    INPUT_MESSAGES,
    OUTPUT_MESSAGES,
    TOOL_ARGUMENTS,
    TOOL_RESULT,
];

/// Takes secrets out of spans before an exporter has them.
pub(crate) struct Clean<E> {
    inner: E,
    way: Arc<OnceLock<Redaction>>,
}

impl<E> Clean<E> {
    /// Spans pass what `way` holds, and the search of this process before it holds anything.
    pub(crate) fn new(inner: E, way: Arc<OnceLock<Redaction>>) -> Self {
        Self { inner, way }
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
        let text = self.way.get().unwrap_or(net::redaction()).text(text);
        match text.get(..text.floor_char_boundary(limit)) {
            Some(head) if head.len() < text.len() => format!("{head}…"),
            _ => text.into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::SystemTime};

    use opentelemetry::{
        InstrumentationScope,
        trace::{Event, Link, SpanContext, SpanId, SpanKind},
    };
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use toolcell::Secret;

    use super::*;

    /// Keeps what it is given.
    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<SpanData>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    const VALUE: &str = "q7Rk2mXw9TbZv4Lp";

    /// A span that says it wherever a span can say anything.
    fn telling(text: &str) -> SpanData {
        let attributes = || vec![KeyValue::new("a", format!("a {text} b"))];
        let mut events = SpanEvents::default();
        events.events = vec![Event::new(
            text.to_owned(),
            SystemTime::UNIX_EPOCH,
            attributes(),
            0,
        )];
        let mut links = SpanLinks::default();
        links.links = vec![Link::new(SpanContext::empty_context(), attributes(), 0)];
        let list = Array::String(vec![StringValue::from(text.to_owned())]);
        let mut all = attributes();
        all.push(KeyValue::new("b", Value::Array(list)));
        all.push(KeyValue::new(FINISH_REASONS, format!("stop,{text}")));
        SpanData {
            span_context: SpanContext::empty_context(),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: text.to_owned().into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: all,
            dropped_attributes_count: 0,
            events,
            links,
            status: Status::error(text.to_owned()),
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    fn exported(redaction: Redaction, span: SpanData) -> SpanData {
        let way = Arc::new(OnceLock::from(redaction));
        let clean = Clean::new(Kept::default(), way);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(clean.export(vec![span])).unwrap();
        clean.inner.0.into_inner().unwrap().remove(0)
    }

    #[test]
    fn no_place_of_a_span_says_a_secret() {
        let redaction = Redaction::new();
        redaction.register("KEY", Secret::new(VALUE).unwrap());
        let clean = format!("{:?}", exported(redaction, telling(VALUE)));
        assert!(!clean.contains(VALUE), "{clean}");
        assert_eq!(clean.matches("[secret KEY]").count(), 8, "{clean}");
        let known_to_nobody = format!("{:?}", exported(Redaction::new(), telling(VALUE)));
        assert_eq!(known_to_nobody.matches(VALUE).count(), 8);
    }

    #[test]
    fn long_texts_are_cut_after_they_were_searched() {
        let redaction = Redaction::new();
        redaction.register("KEY", Secret::new(VALUE).unwrap());
        // The limit lies in the middle of the value.
        let mut span = telling("x");
        let text = "x".repeat(MAX_TEXT_BYTES - 5) + VALUE;
        span.attributes = vec![
            KeyValue::new("a", text.clone()),
            KeyValue::new(INPUT_MESSAGES, text),
        ];
        let span = exported(redaction, span);
        let of = |at: usize| span.attributes[at].value.as_str().into_owned();
        assert!(
            of(0).len() < MAX_TEXT_BYTES + 5 && !of(0).contains("q7Rk"),
            "{}",
            of(0).len()
        );
        assert!(of(1).ends_with("[secret KEY]"));
    }

    #[test]
    fn reasons_to_stop_are_a_list() {
        let span = exported(Redaction::new(), telling("x"));
        let reasons = span
            .attributes
            .iter()
            .find(|it| it.key.as_str() == FINISH_REASONS);
        assert_eq!(reasons.unwrap().value.to_string(), "[\"stop\",\"x\"]");
    }
}
