//! A model whose answers are kept.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Account, ModelError, ModelProvider, ModelSink, replay::replay};
use crate::{
    Metrics, Price,
    cache::{Boarding, Entry, Flight, Key, ResponseCache, Waited, left_out, refused},
    wire::{self, ModelRequest, Reply},
};

/// Answers a request as an identical one was answered before, and asks a model for what it does not know. Identical
/// requests at the same time are sent once.
pub struct Cached<M> {
    model: M,
    cache: Arc<ResponseCache>,
    /// Who answers: part of every key.
    answers: String,
    price: Option<Price>,
    metrics: Metrics,
}

impl<M: ModelProvider> Cached<M> {
    /// Keeps the answers of `model`. `server` says where it is asked, and by which version of its API: two servers may
    /// know different models by one name.
    pub fn new(model: M, server: &str, cache: Arc<ResponseCache>) -> Self {
        Self {
            answers: format!("{} {server} {}", model.provider(), model.id()),
            model,
            cache,
            price: None,
            metrics: Metrics::none(),
        }
    }

    /// What the model costs, so that it can be said what was saved. Default unknown.
    #[must_use]
    pub fn priced(mut self, price: Option<Price>) -> Self {
        self.price = price;
        self
    }

    /// Where figures go. Default nowhere.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    async fn ask(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        // What costs nothing is not worth keeping, and recorded turns depend on more than the request.
        if self.model.is_free() {
            return self.model.stream(request, sink).await;
        }
        let key = match left_out(request) {
            Some(_) => None,
            None => Key::of(&self.answers, request, self.cache.shared()),
        };
        let Some(key) = key else {
            self.count("left_out", |it| &mut it.left_out).await;
            return self.model.stream(request, sink).await;
        };
        loop {
            match self.cache.flights.board(key) {
                Boarding::First(flight) => return self.first(&flight, &key, request, sink).await,
                Boarding::Behind(behind) => match behind.wait().await {
                    Waited::Answer(entry) => {
                        self.count("shared", |it| &mut it.shared).await;
                        return Ok(self.again(&entry, sink).await);
                    }
                    Waited::Ask => {
                        self.count("miss", |it| &mut it.misses).await;
                        return self.model.stream(request, sink).await;
                    }
                    Waited::Again => {}
                },
            }
        }
    }

    /// The first of identical requests: looks, asks, and keeps.
    async fn first(
        &self,
        flight: &Flight<'_>,
        key: &Key,
        request: &ModelRequest,
        sink: ModelSink<'_>,
    ) -> Result<Reply, ModelError> {
        if let Some(entry) = self.cache.get(key).await {
            let entry = Arc::new(entry);
            flight.answer(&entry);
            self.count("hit", |it| &mut it.hits).await;
            return Ok(self.again(&entry, sink).await);
        }
        self.count("miss", |it| &mut it.misses).await;
        let reply = self
            .model
            .stream(request, sink)
            .await
            .inspect_err(|_| flight.none())?;
        if refused(&reply).is_some() || self.cache.search.finds_in(&reply) {
            flight.none();
            self.count("not_kept", |it| &mut it.not_kept).await;
            return Ok(reply);
        }
        let cost = self
            .price
            .as_ref()
            .map(|price| price.cost_micro_usd(&reply.usage));
        let entry = Arc::new(self.cache.entry(reply.clone(), cost));
        // Whoever waits has it before it is stored, and whoever comes meanwhile as well.
        flight.answer(&entry);
        if self.cache.put(key, &entry).await {
            self.count("kept", |it| &mut it.kept).await;
        } else {
            self.count("not_kept", |it| &mut it.not_kept).await;
        }
        Ok(reply)
    }

    /// The answer of an earlier request, told as if it came now.
    async fn again(&self, entry: &Entry, sink: ModelSink<'_>) -> Reply {
        replay(&entry.reply, sink);
        let saved = entry.cost_micro_usd;
        self.metrics.cache_saved(saved.unwrap_or(0));
        self.cache
            .count(|it| match saved {
                Some(saved) => it.saved_micro_usd = it.saved_micro_usd.saturating_add(saved),
                None => it.unpriced = it.unpriced.saturating_add(1),
            })
            .await;
        Reply {
            cost_micro_usd: Some(0),
            cached: Some(wire::Cached {
                saved_micro_usd: saved,
            }),
            // It was that of another request.
            request_id: None,
            ..entry.reply.clone()
        }
    }

    async fn count(&self, word: &'static str, field: fn(&mut crate::cache::Counts) -> &mut u64) {
        self.metrics.cache_looked(word);
        self.cache
            .count(|counts| {
                let field = field(counts);
                *field = field.saturating_add(1);
            })
            .await;
    }
}

impl<M: ModelProvider> ModelProvider for Cached<M> {
    fn id(&self) -> &str {
        self.model.id()
    }

    fn provider(&self) -> &str {
        self.model.provider()
    }

    fn is_free(&self) -> bool {
        self.model.is_free()
    }

    fn account(&self) -> Account {
        self.model.account()
    }

    fn others(&self) -> Vec<String> {
        self.model.others()
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(self.ask(request, sink))
    }

    fn count_tokens<'a>(
        &'a self,
        request: &'a ModelRequest,
    ) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        self.model.count_tokens(request)
    }
}

#[cfg(test)]
mod tests;
