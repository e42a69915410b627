//! The words of the Messages API. What this crate does not know is kept and passed on unchanged.

mod block;
mod cache;
mod message;
mod options;
mod reply;
mod request;

pub(crate) use block::deeper;
pub use block::{Block, TextBlock, ToolResultBlock, ToolUse, text_of};
pub use cache::{CachePlan, CacheTtl};
pub(crate) use message::blocks_or_text;
pub use message::{Message, Role};
pub use options::{Effort, OutputFormat, Sampling, Thinking, ToolChoice, TurnOptions};
pub use reply::{CacheWrites, Cached, Reply, StopReason, TokenUsage, Unparsed};
pub use request::{ModelRequest, ToolDefinition};

#[cfg(test)]
mod tests;
