//! Models: who answers a request.

pub(crate) mod anthropic;
mod assemble;
#[cfg(feature = "bedrock")]
mod aws;
mod batches;
#[cfg(feature = "bedrock")]
mod bedrock;
mod cached;
mod cloud;
mod error;
mod fallback;
mod headers;
pub(crate) mod http;
mod key;
mod limits;
#[cfg(feature = "bedrock")]
mod mantle;
mod observed;
pub(crate) mod openai;
mod replay;
mod resilient;
mod scripted;
mod strict;
mod vertex;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

pub use anthropic::{Anthropic, AnthropicConfig, Auth, ListedModel};
pub use assemble::Assembler;
#[cfg(feature = "bedrock")]
pub use aws::{AwsAuth, AwsKeySource, AwsKeys, Clock};
pub use batches::{
    Batch, BatchCounts, BatchLimits, BatchLine, BatchResult, BatchStatus, Batches, More,
};
#[cfg(feature = "bedrock")]
pub use bedrock::{Bedrock, BedrockConfig};
pub use cached::Cached;
pub use error::{ModelError, TimeoutKind};
pub use fallback::Fallback;
pub use headers::Headers;
pub use http::{Connections, Timeouts, http_client};
pub use key::ApiKey;
pub use limits::{Counted, RateLimit, RateLimits};
#[cfg(feature = "bedrock")]
pub use mantle::{Mantle, MantleConfig};
pub use observed::Observed;
pub use openai::{ChatAssembler, Lack, Lacks, OpenAi, OpenAiConfig};
pub use resilient::{
    BreakerSettings, BreakerState, Lanes, LimitSettings, RealTimer, Resilient, Retry, Timer,
    WaitReason,
};
pub use scripted::{ScriptError, ScriptProblem, Scripted};
pub use vertex::{TokenSource, Vertex, VertexConfig};

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
    /// What the server says of its rate limits, with the head of an answer.
    RateLimits(RateLimits),
    /// The request is not sent yet.
    Waiting {
        /// Why.
        reason: WaitReason,
        /// How long at least, where that is known.
        time: Option<Duration>,
    },
    /// The model could not answer, and another one is asked instead.
    Fallback {
        /// The one that could not, as `provider:model`.
        from: String,
        /// The one that is asked now.
        to: String,
        /// Why.
        error: String,
        /// Whether pieces of an answer were told already, which now count for nothing.
        discarded: bool,
        /// How many blocks of thinking of other models are kept from it.
        left_out: usize,
    },
}

/// Where a model's requests go and who pays for them. Requests that have both in common, and the model, share the
/// server's rate limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Account {
    /// The server, for example `https://api.anthropic.com`.
    pub place: String,
    /// What tells one key from another, and nothing from which it could be found out.
    pub payer: String,
}

/// A model's name as people write it: `provider:model`.
pub fn name(model: &dyn ModelProvider) -> String {
    format!("{}:{}", model.provider(), model.id())
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

    /// Where requests go and who pays for them. Default nowhere and nobody: then all models of one name share limits.
    fn account(&self) -> Account {
        Account::default()
    }

    /// The other models that may answer in this one's place, each as `provider:model`. A budget reckons with the dearest of
    /// them, so what stands in front of a model has to pass on what it says.
    fn others(&self) -> Vec<String> {
        Vec::new()
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

    /// The provider's API for batches, where it has one. Only what speaks to a server has it.
    fn batches(&self) -> Option<&dyn Batches> {
        None
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

    fn account(&self) -> Account {
        (**self).account()
    }

    fn others(&self) -> Vec<String> {
        (**self).others()
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

    fn batches(&self) -> Option<&dyn Batches> {
        (**self).batches()
    }
}
