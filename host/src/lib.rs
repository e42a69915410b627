//! Runs the tools of an AI agent as WebAssembly components that hold nothing but what they were granted.

pub mod audit;
pub mod call;
mod capability;
#[cfg_attr(
    not(feature = "test-support"),
    expect(unreachable_pub, reason = "only tests may choose resolvers and roots")
)]
mod egress;
pub mod engine;
pub mod error;
mod sandbox;
mod schema;
pub mod telemetry;
pub mod text;

pub use call::{
    CallContext, CallEvent, CallId, Content, Denial, EventSink, ToolCall, ToolFailure, ToolResult,
    Usage,
};
pub use engine::{EngineOptions, EngineReport};
pub use error::{Error, ErrorKind, Result};
