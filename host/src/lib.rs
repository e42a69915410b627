//! Runs the tools of an AI agent as WebAssembly components that hold nothing but what they were granted.

pub mod audit;
mod builtin;
pub mod call;
mod capability;
#[cfg_attr(
    not(any(test, feature = "test-support")),
    expect(unreachable_pub, reason = "only tests may choose resolvers and roots")
)]
mod egress;
pub mod engine;
pub mod error;
mod host;
pub mod package;
mod registry;
mod sandbox;
mod schema;
pub mod telemetry;
#[cfg(any(test, feature = "test-support"))]
pub mod testing;
pub mod text;

pub use builtin::{builtin, builtins};
pub use call::{
    CallContext, CallEvent, CallId, Content, Denial, EventSink, ToolCall, ToolFailure, ToolResult,
    Usage,
};
pub use engine::{EngineOptions, EngineReport};
pub use error::{Error, ErrorKind, Result};
pub use host::{
    Approval, ApprovalRequest, Approver, ToolHost, ToolHostBuilder, ToolInfo, WasiExit, WasiGrant,
    WasiProgram,
};
pub use package::{Inspection, Package};
pub use sandbox::Stdio;
pub use toolcell_policy::{Decision, GrantSet, Layer, Layers, Manifest, Policy};
