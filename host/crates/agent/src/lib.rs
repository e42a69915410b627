//! The model side of toolcell: model clients, the loop, its budget and its transcript.
//!
//! This crate holds no authority. Whatever a model asks for goes through a [`ToolRunner`], and the one for real use is
//! [`toolcell::ToolHost`], which decides and confines.
//!
//! - [`Run`] is the loop itself: a state machine that can be serialised and does no I/O.
//! - [`Agent`] drives it: it asks a [`ModelProvider`], runs tools in parallel, tells an [`AgentSink`] what happens and
//!   writes a [`Transcript`].
//! - [`model::Anthropic`] speaks to the Messages API, [`model::Scripted`] replays recorded turns.

pub mod batch;
pub mod budget;
pub mod cache;
pub mod catalog;
pub mod context;
pub mod driver;
pub mod event;
pub mod ledger;
pub mod machine;
pub mod metrics;
pub mod model;
pub mod outcome;
pub mod repeat;
pub mod runner;
#[cfg(test)]
mod testing;
pub mod transcript;
pub mod wire;

pub use budget::{Budget, BudgetKind, Spent};
pub use cache::{CacheRules, ResponseCache};
pub use catalog::{Catalog, ModelInfo, Price};
pub use context::{ContextReport, ContextRules};
pub use driver::{Agent, AgentBuilder, AgentError, RunContext, RunReport};
pub use event::{AgentEvent, AgentSink};
pub use machine::{Dispatch, MachineError, Run, RunSettings, Step, ToolOutput};
pub use metrics::Metrics;
pub use model::{ModelError, ModelEvent, ModelProvider};
pub use outcome::RunOutcome;
pub use repeat::RepeatLimits;
pub use runner::{ToolRunner, ToolSpec};
pub use transcript::{Transcript, TranscriptError};

/// Runs the example of the page on telemetry.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/telemetry.md")]
struct Telemetry;

/// Runs the examples of the guide to agents.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/agents.md")]
struct Guide;

/// Runs the example of the page on what a model is told.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/context.md")]
struct Context;

/// Runs the examples of the guide to budgets.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/budgets.md")]
struct Budgets;

/// Runs the examples of the guide to models that fail.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/resilience.md")]
struct Resilience;
