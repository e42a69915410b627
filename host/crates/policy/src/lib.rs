//! Policy and manifest of toolcell: parse, match, decide, explain. Pure: no I/O, no clock, no environment.

mod access;
mod decide;
mod expect;
mod explain;
mod grants;
mod layers;
mod limits;
mod manifest;
pub mod names;
mod net;
mod policy;
mod print;
mod problem;
mod reader;
mod rule;
#[cfg(test)]
mod testing;
mod timestamp;
mod units;

pub use access::{FileAccess, MAX_ENV_VALUE_BYTES, MAX_LIST, MAX_PATH_BYTES};
pub use decide::{Decision, decide};
pub use expect::{Access, Expectation, Outcome, verdict};
pub use explain::{Explanation, explain, explain_access};
pub use grants::GrantSet;
pub use layers::Layers;
pub use limits::{LimitInfo, LimitUnit, Limits};
pub use manifest::{
    Annotations, DEFAULT_WORLD, EnvRequest, FileRequest, MAX_DESCRIPTION_BYTES, MAX_MANIFEST_BYTES,
    MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_TOOLS, MAX_WHY_BYTES, Manifest, NetRequest, Requests,
    SecretRequest, ToolDefinition,
};
pub use net::{Endpoint, HostPattern, Method, NetScope, PathPattern, Scheme};
pub use policy::{
    CallGrant, Clock, EnvGrant, FileGrant, Isolation, MAX_EXPECTATIONS, MAX_POLICY_BYTES,
    MAX_POLICY_TOOLS, NetGrant, Origin, Policy, Random, ToolPolicy,
};
pub use problem::{FileKind, MAX_PROBLEMS, Problem, Problems};
pub use rule::{Effect, Layer, Rule, Verdict};
pub use units::{Rate, format_duration, format_size, parse_duration, parse_size};
