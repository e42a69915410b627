//! A model that is asked again when it fails.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::BoxFuture;

use super::{ModelError, ModelEvent, ModelProvider, ModelSink, RealTimer, Retry, Timer};
use crate::wire::{ModelRequest, Reply};

/// Asks a model again when that makes sense. The tools of a turn run only when the whole turn is there, so none of them
/// has run yet when a request is sent again.
pub struct Resilient<M> {
    model: M,
    retry: Retry,
    timer: Arc<dyn Timer>,
}

impl<M: ModelProvider> Resilient<M> {
    /// Asks `model` again as `retry` says.
    pub fn new(model: M, retry: Retry) -> Self {
        Self::with_timer(model, retry, Arc::new(RealTimer))
    }

    /// The same, which waits before retries as `timer` says.
    pub fn with_timer(model: M, retry: Retry, timer: Arc<dyn Timer>) -> Self {
        Self {
            model,
            retry,
            timer,
        }
    }

    async fn ask(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let mut done = 0;
        loop {
            let told = AtomicBool::new(false);
            let watch = |event| {
                told.store(true, Ordering::Relaxed);
                sink(event);
            };
            let error = match self.model.stream(request, &watch).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let delay = self.retry.delay(&error, done, self.timer.dice());
            let Some(delay) = delay else {
                return Err(error);
            };
            done = done.saturating_add(1);
            sink(ModelEvent::Retry {
                attempt: done.saturating_add(1),
                delay,
                error: error.to_string(),
                discarded: told.into_inner(),
            });
            self.timer.wait(delay).await;
        }
    }
}

impl<M: ModelProvider> ModelProvider for Resilient<M> {
    fn id(&self) -> &str {
        self.model.id()
    }

    fn provider(&self) -> &str {
        self.model.provider()
    }

    fn is_free(&self) -> bool {
        self.model.is_free()
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
