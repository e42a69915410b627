//! Models: who answers a request.

mod anthropic;
mod assemble;
mod error;
mod retry;
mod scripted;
mod strict;

use std::time::Duration;

use futures_util::future::BoxFuture;

pub use anthropic::{Anthropic, AnthropicConfig, ApiKey, Auth, Timeouts};
pub use assemble::Assembler;
pub use error::{ModelError, TimeoutKind};
pub use retry::{RealTimer, Retry, Timer};
pub use scripted::{ScriptError, ScriptProblem, Scripted};

use crate::wire::{ModelRequest, Reply};

/// Something that happens while a model answers. It is for people to watch: only the whole [`Reply`] counts.
#[derive(Clone, Debug, PartialEq)]
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
    /// The request failed before an answer began and is sent again.
    Retry {
        /// Which attempt comes next, from 2.
        attempt: u32,
        /// How long from now.
        delay: Duration,
        /// What went wrong.
        error: String,
    },
}

/// Hears of what happens while a model answers. It must not block.
pub type ModelSink<'a> = &'a (dyn Fn(ModelEvent) + Send + Sync);

/// A model.
pub trait ModelProvider: Send + Sync {
    /// The model's id, for requests and prices.
    fn id(&self) -> &str;

    /// Whether turns cost nothing, as recorded ones do.
    fn is_free(&self) -> bool {
        false
    }

    /// Asks for one turn.
    ///
    /// # Errors
    /// [`ModelError`]; a turn that did not arrive whole is one, never a [`Reply`].
    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>>;
}
