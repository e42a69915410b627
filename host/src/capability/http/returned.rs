//! What comes back to a call that holds secrets: every header, every trailer and the body are searched while they pass.
//!
//! From the destination of a secret nothing is handed on that cannot be searched: an answer that is encoded, that is a part
//! of a larger one, or whose letters are written in an unknown way, is withheld. To a request that carried a secret that
//! also goes for compressed files, which begin in a way of their own.

mod withheld;

use std::{
    borrow::Cow,
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::{
    capability::recorder::Recorder,
    secrets::{CallSecrets, Hits, RedactStream, Redactor, Weakness},
};

use super::credentials::{Hears, Refusal};
use withheld::Beginning;

/// How a response is looked at.
pub(super) struct Searching {
    pub(super) secrets: Arc<CallSecrets>,
    pub(super) recorder: Recorder,
    /// The rule of a secret whose destination answered; without one the answer is of another host.
    pub(super) destination: Option<String>,
    /// Whether the request carried a secret.
    pub(super) credentialed: bool,
}

impl Searching {
    /// The response as it may be handed on. `refused` hears of a body that turns out not to be searchable.
    ///
    /// # Errors
    ///
    /// Where that shows in its head.
    pub(super) fn clean(
        self,
        mut response: Response<WasiBody>,
        refused: Hears,
    ) -> Result<Response<WasiBody>, Refusal> {
        // A reason phrase is the server's text, and nobody needs it.
        response.extensions_mut().clear();
        if self.secrets.bound().is_empty() || self.secrets.lacks(Weakness::ResponsesAsTheyAre) {
            return Ok(response);
        }
        let closed = self
            .destination
            .filter(|_| !self.secrets.lacks(Weakness::EncodedPasses));
        if let Some(rule) = &closed
            && !response.body().is_end_stream()
            && let Some(why) = withheld::by_head(&response, self.credentialed)
        {
            return Err(withheld::refusal(rule, why));
        }
        let redactor = self.secrets.redactor();
        let mut hits = Hits::default();
        redact(response.headers_mut(), &redactor, &mut hits);
        tell(&self.recorder, &hits);
        // It is the length with the secrets in it.
        response.headers_mut().remove(CONTENT_LENGTH);
        if response.body().is_end_stream() {
            return Ok(response);
        }
        let beginning = closed
            .filter(|_| self.credentialed)
            .map(|rule| (rule, Beginning::default()));
        let alone = self.secrets.lacks(Weakness::PiecesAlone);
        Ok(response.map(|body| {
            Searched {
                body,
                stream: redactor.stream(),
                redactor,
                secrets: self.secrets,
                alone,
                told: Hits::default(),
                recorder: self.recorder,
                beginning,
                refused,
                ready: VecDeque::new(),
                ended: false,
            }
            .boxed_unsync()
        }))
    }
}

/// Takes every secret out of header fields. A field whose very name holds one is left out.
fn redact(headers: &mut HeaderMap, redactor: &Redactor, hits: &mut Hits) {
    let named: Vec<_> = headers
        .keys()
        .filter(|name| {
            matches!(
                redactor.bytes(name.as_str().as_bytes(), hits),
                Cow::Owned(_)
            )
        })
        .cloned()
        .collect();
    for name in named {
        headers.remove(name);
    }
    for value in headers.values_mut() {
        if let Cow::Owned(clean) = redactor.bytes(value.as_bytes(), hits) {
            *value = HeaderValue::from_maybe_shared(Bytes::from(clean))
                .unwrap_or_else(|_| HeaderValue::from_static("[secret]"));
        }
    }
}

fn tell(recorder: &Recorder, hits: &Hits) {
    for (name, count) in hits.iter() {
        recorder.redacted(name, count);
    }
}

/// What was found after what was told of.
fn since(found: &Hits, told: &Hits) -> Hits {
    let mut new = Hits::default();
    for (name, count) in found.iter() {
        let before = told.iter().find(|(other, _)| *other == name);
        let count = count.saturating_sub(before.map_or(0, |(_, count)| count));
        if count > 0 {
            new.add(name, count);
        }
    }
    new
}

/// A response's body without any secret. Its length is not known before its end.
struct Searched {
    body: WasiBody,
    stream: RedactStream,
    redactor: Arc<Redactor>,
    secrets: Arc<CallSecrets>,
    /// Each piece is searched by itself, where a test leaves the right way out.
    alone: bool,
    /// What the recorder has heard of.
    told: Hits,
    recorder: Recorder,
    /// The rule, and what is known of how the body begins, while that decides.
    beginning: Option<(String, Beginning)>,
    refused: Hears,
    /// What comes next.
    ready: VecDeque<Frame<Bytes>>,
    ended: bool,
}

impl Searched {
    /// Takes what arrived, and puts what may be handed on into `ready`.
    fn take(&mut self, frame: Option<Frame<Bytes>>) -> Result<(), Error> {
        let frame = match frame.map(Frame::into_data) {
            Some(Ok(data)) => {
                self.begins(&data)?;
                self.learn();
                let clean = if self.alone {
                    let hits = &mut Hits::default();
                    self.redactor.bytes(&data, hits).into_owned()
                } else {
                    self.stream.push(&data)
                };
                self.pass(clean);
                return Ok(());
            }
            Some(Err(frame)) => Some(frame),
            None => None,
        };
        // Nothing comes after trailers.
        self.ended = true;
        self.learn();
        let rest = self.stream.finish();
        self.pass(rest);
        if let Some(Ok(mut trailers)) = frame.map(Frame::into_trailers) {
            let mut hits = Hits::default();
            redact(&mut trailers, &self.redactor, &mut hits);
            tell(&self.recorder, &hits);
            self.ready.push_back(Frame::trailers(trailers));
        }
        Ok(())
    }

    /// Goes on with what the session knows now. A credential that was fetched after this body began may be in the rest of
    /// it: servers show what others ask them for.
    fn learn(&mut self) {
        let now = self.secrets.redactor();
        if Arc::ptr_eq(&now, &self.redactor) {
            return;
        }
        let held = self.stream.finish();
        self.count();
        self.stream = now.stream();
        self.redactor = now;
        self.told = Hits::default();
        let clean = self.stream.push(&held);
        self.pass(clean);
    }

    fn pass(&mut self, clean: Vec<u8>) {
        if !clean.is_empty() {
            self.ready.push_back(Frame::data(Bytes::from(clean)));
        }
        self.count();
    }

    /// Tells what was found, at once: a guest may never read to the end.
    fn count(&mut self) {
        let found = self.stream.hits();
        if *found != self.told {
            tell(&self.recorder, &since(found, &self.told));
            self.told = found.clone();
        }
    }

    fn begins(&mut self, data: &[u8]) -> Result<(), Error> {
        let Some((rule, beginning)) = &mut self.beginning else {
            return Ok(());
        };
        match beginning.add(data) {
            Some(Ok(())) => self.beginning = None,
            Some(Err(why)) => {
                let refusal = withheld::refusal(rule, why);
                (self.refused)(refusal);
                return Err(Error::HttpRequestDenied);
            }
            None => {}
        }
        Ok(())
    }
}

impl Body for Searched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(frame) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let taken = match ready!(Pin::new(&mut this.body).poll_frame(cx)).transpose() {
                Ok(frame) => this.take(frame),
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                // What was held back stays back.
                this.ended = true;
                this.ready.clear();
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.ready.is_empty()
    }
}
