//! Several models, the later ones for when the earlier ones cannot answer.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::BoxFuture;

use super::{Account, ModelError, ModelEvent, ModelProvider, ModelSink, name};
use crate::wire::{Block, Message, ModelRequest, Reply, Role, Thinking};

/// Asks the first model, and where it cannot answer the next. Every turn begins with the first one again.
///
/// Thinking that a model wrote is signed for that model, and another one refuses it. It is left out of what is sent to
/// another model, and only there: the conversation keeps it, so that the model that wrote it gets it back.
pub struct Fallback {
    first: Arc<dyn ModelProvider>,
    others: Vec<Arc<dyn ModelProvider>>,
}

impl Fallback {
    /// Asks `first`, and `others` in their order.
    pub fn new(first: Arc<dyn ModelProvider>, others: Vec<Arc<dyn ModelProvider>>) -> Self {
        Self { first, others }
    }

    async fn ask(&self, request: &ModelRequest, sink: ModelSink<'_>) -> Result<Reply, ModelError> {
        let told = AtomicBool::new(false);
        let watch = |event: ModelEvent| {
            match &event {
                ModelEvent::Text(_) | ModelEvent::Thinking(_) | ModelEvent::ToolUse { .. } => {
                    told.store(true, Ordering::Relaxed);
                }
                ModelEvent::Retry {
                    discarded: true, ..
                } => told.store(false, Ordering::Relaxed),
                _ => {}
            }
            sink(event);
        };
        let mut model = &self.first;
        let mut error = match model.stream(&own(request, &**model).0, &watch).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        for other in &self.others {
            if !moves_on(&error) {
                break;
            }
            let (own, left_out) = own(request, &**other);
            sink(ModelEvent::Fallback {
                from: name(&**model),
                to: name(&**other),
                error: error.to_string(),
                discarded: told.swap(false, Ordering::Relaxed),
                left_out,
            });
            model = other;
            error = match model.stream(&own, &watch).await {
                Ok(mut reply) => {
                    reply.answered_by.get_or_insert_with(|| name(&**model));
                    return Ok(reply);
                }
                Err(error) => error,
            };
        }
        Err(error)
    }
}

/// Whether another model may answer what this one did not: it cannot be reached, is overloaded, or has no room or money
/// left for us. A request that is wrong, or a key that is not accepted, is not hidden behind another model.
fn moves_on(error: &ModelError) -> bool {
    match error {
        ModelError::Connect(_)
        | ModelError::Truncated
        | ModelError::Transport(_)
        | ModelError::Timeout { .. }
        | ModelError::Protocol(_)
        | ModelError::Open { .. }
        | ModelError::Busy(_) => true,
        ModelError::Stream { kind, .. } => ![
            "invalid_request_error",
            "authentication_error",
            "permission_error",
        ]
        .contains(&kind.as_str()),
        ModelError::Http { status, .. } => matches!(status, 402 | 408 | 409 | 429 | 500..),
        _ => false,
    }
}

/// The request as this model may see it, and how many blocks of thinking were left out.
fn own<'a>(request: &'a ModelRequest, model: &dyn ModelProvider) -> (Cow<'a, ModelRequest>, usize) {
    let foreign = |message: &Message| {
        let other = message.by.as_deref().is_some_and(|by| by != model.id());
        message.role == Role::Assistant && other && message.content.iter().any(is_thinking)
    };
    if request.model == model.id() && !request.messages.iter().any(foreign) {
        return (Cow::Borrowed(request), 0);
    }
    let mut own = request.clone();
    model.id().clone_into(&mut own.model);
    let mut left_out = 0;
    let last = own
        .messages
        .iter()
        .rposition(|message| message.role == Role::Assistant);
    for (at, message) in own.messages.iter_mut().enumerate() {
        if !foreign(message) {
            continue;
        }
        let before = message.content.len();
        message.content.retain(|block| !is_thinking(block));
        left_out += before - message.content.len();
        // With a fixed budget for thinking, a turn that calls tools must begin with thinking; this one no longer does.
        if Some(at) == last && matches!(own.options.thinking, Some(Thinking::Tokens(_))) {
            own.options.thinking = None;
        }
    }
    own.messages.retain(|message| !message.content.is_empty());
    (Cow::Owned(own), left_out)
}

fn is_thinking(block: &Block) -> bool {
    matches!(block.kind(), "thinking" | "redacted_thinking")
}

impl ModelProvider for Fallback {
    fn id(&self) -> &str {
        self.first.id()
    }

    fn provider(&self) -> &str {
        self.first.provider()
    }

    fn others(&self) -> Vec<String> {
        self.others.iter().map(|model| name(&**model)).collect()
    }

    fn is_free(&self) -> bool {
        self.first.is_free() && self.others.iter().all(|model| model.is_free())
    }

    fn account(&self) -> Account {
        self.first.account()
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
        Box::pin(async move {
            let (own, _) = own(request, &*self.first);
            self.first.count_tokens(&own).await
        })
    }
}

#[cfg(test)]
mod tests;
