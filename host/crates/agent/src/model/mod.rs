//! Models: who answers a request.

pub(crate) mod anthropic;
mod assemble;
mod error;
pub(crate) mod http;
mod key;
mod resilient;
mod retry;
mod scripted;
mod strict;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

pub use anthropic::{Anthropic, AnthropicConfig, Auth};
pub use assemble::Assembler;
pub use error::{ModelError, TimeoutKind};
pub use http::Timeouts;
pub use key::ApiKey;
pub use resilient::Resilient;
pub use retry::{RealTimer, Retry, Timer};
pub use scripted::{ScriptError, ScriptProblem, Scripted};

use crate::wire::{ModelRequest, Reply};

/// Something that happens while a model answers. It is for people to watch: only the whole [`Reply`] counts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ModelEvent {
    /// A piece of text.
    Text(String),
    /// A piece of the model's thinking, where it is shown.
    Thinking(String),
    /// The model begins to ask for a tool.
    ToolUse {
        /// The id of the call.
        id: String,
        /// The tool.
        name: String,
    },
    /// The request failed and is sent again.
    Retry {
        /// Which attempt comes next, from 2.
        attempt: u32,
        /// How long from now.
        delay: Duration,
        /// What went wrong.
        error: String,
        /// Whether pieces of an answer were told already, which now count for nothing.
        discarded: bool,
    },
}

/// Hears of what happens while a model answers. It must not block.
pub type ModelSink<'a> = &'a (dyn Fn(ModelEvent) + Send + Sync);

/// A model, or something in front of one: what retries, keeps answers, or chooses among several is a model too.
pub trait ModelProvider: Send + Sync {
    /// The model's id, for requests and prices.
    fn id(&self) -> &str;

    /// Whose API it is, in the words of the OpenTelemetry conventions where they have one: `anthropic`, `openai`,
    /// `aws.bedrock`, `gcp.vertex_ai`; else a word of its own.
    fn provider(&self) -> &str;

    /// Whether turns cost nothing, as recorded ones do.
    fn is_free(&self) -> bool {
        false
    }

    /// Asks for one turn. What speaks to a server asks it once: [`Resilient`] tries again.
    ///
    /// # Errors
    /// [`ModelError`]; a turn that did not arrive whole is one, never a [`Reply`].
    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>>;

    /// Has the server count the tokens of a request's prompt; `None` where it cannot. It is a request of its own.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    fn count_tokens<'a>(
        &'a self,
        request: &'a ModelRequest,
    ) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        let _ = request;
        Box::pin(std::future::ready(Ok(None)))
    }
}

impl<M: ModelProvider + ?Sized> ModelProvider for Arc<M> {
    fn id(&self) -> &str {
        (**self).id()
    }

    fn provider(&self) -> &str {
        (**self).provider()
    }

    fn is_free(&self) -> bool {
        (**self).is_free()
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        (**self).stream(request, sink)
    }

    fn count_tokens<'a>(
        &'a self,
        request: &'a ModelRequest,
    ) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        (**self).count_tokens(request)
    }
}
