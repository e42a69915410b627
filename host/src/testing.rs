//! What tests of programs that embed toolcell need (feature `test-support`).
//!
//! ```
//! # async fn example() -> toolcell::Result<()> {
//! let (host, audit) = toolcell::testing::host("")?;
//! host.load_policy_tools().await?;
//! assert!(host.tools().is_empty() && audit.records().len() == 1);
//! # Ok(())
//! # }
//! ```

use crate::{Error, ErrorKind, Policy, Result, ToolHost, ToolHostBuilder};
pub use crate::{
    audit::MemoryAudit,
    egress::{DialSpy, EgressOptions, PoolLimits, Proxy, ProxyError, Resolver, Timeouts},
    secrets::Weakness,
};

/// The second wall of a worker, for tests that try to break it.
pub mod confine {
    pub use crate::confine::{Access, Plan, apply, cgroup, close_inherited};
}

/// A host under a policy, and everything that it records. It keeps nothing on disk.
///
/// # Errors
///
/// `invalid_policy` where the policy is wrong, and what [`ToolHostBuilder::build`] says.
pub fn host(policy: &str) -> Result<(ToolHost, MemoryAudit)> {
    let audit = MemoryAudit::default();
    let host = builder(policy)?.audit(audit.clone()).build()?;
    Ok((host, audit))
}

/// The builder of such a host, with room for four calls at the same time. Packages run in the host's own process, since a
/// test is no program that could be started again as a worker.
///
/// # Errors
///
/// `invalid_policy` where the policy is wrong.
pub fn builder(policy: &str) -> Result<ToolHostBuilder> {
    let policy = Policy::from_toml(policy).map_err(|problems| {
        Error::new(ErrorKind::InvalidPolicy, problems.to_string()).with_source(problems)
    })?;
    let engine = crate::EngineOptions {
        concurrency: 4,
        ..crate::EngineOptions::default()
    };
    Ok(ToolHost::builder()
        .policy(policy)
        .engine(engine)
        .default_isolation(crate::Isolation::Thread))
}

/// Sends bytes through the search for secrets, in pieces, and says how many came out. For benchmarks.
pub fn redact_in_pieces(redaction: &crate::Redaction, bytes: &[u8], piece: usize) -> usize {
    let mut stream = redaction.current().stream();
    let pieces = bytes.chunks(piece.max(1));
    let out: usize = pieces.map(|piece| stream.push(piece).len()).sum();
    out + stream.finish().len()
}

/// Checks the search for secrets on any bytes: some make a value and decide how it is hidden among the others. For fuzzers.
///
/// # Panics
///
/// Where a form of the value is left, where anything else is changed, or where the text comes out differently in pieces.
pub fn check_redaction(bytes: &[u8]) {
    crate::secrets::fuzzing::check(bytes);
}

/// Checks values between JSON and WIT types: a type and a value that are made of these bytes, and any JSON text. For
/// fuzzers.
///
/// # Panics
///
/// Where a value does not come back as it was, where one does not fit the schema of its type, or where the schema cannot
/// be used.
pub fn check_values(bytes: &[u8], json: &str) {
    crate::values::entropy::check(bytes, json);
}

/// The settings of the host's engine, for benchmarks that compare a call with the engine alone.
pub fn engine_config() -> wasmtime::Config {
    crate::engine::config::config(crate::engine::limits::DEFAULT_CONCURRENCY, false)
}

/// The settings of an engine with room for one call, as a worker process has it.
pub fn worker_engine_config() -> wasmtime::Config {
    crate::engine::config::config(1, false)
}
