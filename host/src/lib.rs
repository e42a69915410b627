//! Runs the tools of an AI agent as WebAssembly components that hold nothing but what they were granted.
//!
//! [`ToolHost`] is the way in: it loads packages, asks the policy once for each tool, and carries out calls. Every call
//! runs in a sandbox of its own, under limits that are all finite, and is on record before its result is handed out.
//!
//! ```no_run
//! use serde_json::json;
//! use toolcell::{Policy, ToolCall, ToolHost};
//!
//! # async fn example(policy: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let host = ToolHost::builder().policy(Policy::from_toml(policy)?).build()?;
//! host.load_file("weather.wasm").await?;
//! let result = host.call(ToolCall::new("weather", json!({ "city": "Lisbon" }))).await?;
//! println!("{}", result.text());
//! # Ok(())
//! # }
//! ```
//!
//! What the model should hear of is an `Ok` with [`ToolResult::failure`]; an [`Error`] is for the embedder. The policy's
//! own words, such as [`Policy`] and [`Decision`], come from the crate `toolcell-policy`.

mod admission;
pub mod audit;
mod builtin;
pub mod call;
mod capability;
#[cfg_attr(
    not(any(test, feature = "test-support")),
    expect(unreachable_pub, reason = "only workers and tests confine a process")
)]
mod confine;
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
mod secrets;
pub mod telemetry;
#[cfg(any(test, feature = "test-support"))]
pub mod testing;
pub mod text;
pub mod values;
pub mod worker;

pub use admission::AdmissionReport;
pub use builtin::{builtin, builtins};
pub use call::{
    Answers, Approval, ApprovalId, ApprovalRequest, Approver, CallContext, CallEvent, CallId,
    Content, Denial, EventSink, LikelySecret, RememberedFor, SessionId, SharedApprover, TenantId,
    ToolCall, ToolFailure, ToolResult, Usage,
};
pub use confine::{ConfinementLevel, ConfinementReport, Kernel, Step as ConfinementStep};
pub use engine::{EngineOptions, EngineReport};
pub use error::{Error, ErrorKind, Result};
pub use host::{
    Learning, LikelySecrets, ToolHost, ToolHostBuilder, ToolInfo, WasiExit, WasiGrant, WasiProgram,
};
pub use package::{Inspection, Package};
pub use sandbox::Stdio;
pub use schema::Schema;
pub use secrets::{
    Finding, Hits, Kept, PERSONAL_RULE_FILE_BYTES_MAX, PERSONAL_RULES_MAX, PersonalData,
    PersonalRuleError, PersonalRules, RULE_FILE_BYTES_MAX, RULES_MAX, RedactedText,
    RedactingWriter, Redaction, RuleError, SECRET_BITS_MIN, SECRET_BYTES_MAX, SECRET_BYTES_MIN,
    SECRET_DISTINCT_MIN, SECRET_PLAIN_BYTES_MIN, Secret, SecretError, SecretQuery, SecretStore,
    UNKNOWN_SEARCH_BYTES_MAX, UnknownSecrets, WeakSecret,
};
pub use toolcell_policy::{
    Decision, GrantSet, Isolation, Layer, Layers, Lock, LockedPackage, Manifest, Policy, Scrub,
    SecretSource, Sink,
};

/// Runs the examples of README.md.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Runs the example of the guide to questions.
#[cfg(doctest)]
#[doc = include_str!("../../docs/approvals.md")]
struct Approvals;

/// Runs the examples of the guide for embedders.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Embedding;
