//! A model whose answers a test writes.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;

use crate::{
    model::{ModelError, ModelEvent, ModelProvider, ModelSink},
    wire::{ModelRequest, Reply},
};

type Answer = dyn Fn(&ModelRequest, usize) -> Result<Reply, ModelError> + Send + Sync;

/// It says `so far` and then answers, or breaks off. An error of HTTP or of our own is all that it says.
pub(crate) struct Double {
    id: String,
    answer: Box<Answer>,
    seen: Mutex<Vec<ModelRequest>>,
}

impl Double {
    /// `answer` gets the request and its number, from 0.
    pub(crate) fn new(
        id: &str,
        answer: impl Fn(&ModelRequest, usize) -> Result<Reply, ModelError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: id.into(),
            answer: Box::new(answer),
            seen: Mutex::default(),
        })
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<ModelRequest> {
        self.seen.lock().unwrap().clone()
    }
}

impl ModelProvider for Double {
    fn id(&self) -> &str {
        &self.id
    }

    fn provider(&self) -> &str {
        "double"
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(async move {
            let number = {
                let mut seen = self.seen.lock().unwrap();
                seen.push(request.clone());
                seen.len() - 1
            };
            let answer = (self.answer)(request, number);
            if let Ok(_) | Err(ModelError::Truncated | ModelError::Transport(_)) = answer {
                sink(ModelEvent::Text("so far".into()));
            }
            answer
        })
    }
}

/// An error as a server answers it.
pub(crate) fn http(status: u16, kind: &str) -> ModelError {
    ModelError::Http {
        status,
        kind: kind.into(),
        message: "no".into(),
        request_id: None,
        retry_after: None,
        should_retry: None,
    }
}
