//! Policy and manifest of toolcell: parse, match, decide, explain. Pure: no I/O, no clock, no environment.
//!
//! Two keys open a door. The author's manifest ([`Manifest`], `tool.toml`) *requests*; the operator's policy
//! ([`Policy`], `toolcell.toml`) *grants*; [`decide`] gives what both say, and names the line that decided:
//!
//! ```
//! use toolcell_policy::{Decision, Layers, Manifest, Policy, decide};
//!
//! let policy = Policy::from_toml(r#"
//!     [tool.weather]
//!     net = [{ to = "https://api.example.com", paths = ["/v1/**"] }]
//! "#)?;
//! let manifest = Manifest::from_toml(r#"
//!     name = "weather"
//!     version = "0.1.0"
//!     [[tool]]
//!     name = "forecast"
//!     input = { type = "object" }
//!     [request]
//!     net = [{ to = "https://api.example.com", why = "fetch forecasts" }]
//! "#)?;
//! let Decision::Allow(grants) = decide(&Layers::from(policy), &manifest, "forecast") else {
//!     panic!("nothing asks or denies here");
//! };
//! let verdict = grants.check_net("GET", &"https://api.example.com/v1/lisbon".parse()?);
//! assert!(verdict.is_allowed());
//! assert_eq!(verdict.rule.to_string(), "toolcell.toml:3 tool.weather.net[0]");
//! let verdict = grants.check_net("GET", &"https://example.com/".parse()?);
//! assert_eq!(verdict.rule.to_string(), "default: denied until written");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What holds
//!
//! - Denied until written: a tool that no policy names runs with nothing.
//! - A package gets no more than it requests, and no more than every layer of policy grants ([`Layers`]). Adding a layer
//!   below one that lists tools never widens anything.
//! - Of several rules for one access the strictest decides: deny, then ask, then allow.
//! - Limits are finite, each with a default and a ceiling ([`Limits::CATALOGUE`], [`SharedLimits`]); a lower layer can only lower
//!   them.
//! - A secret is for one package and one encrypted host, and a policy holds no value of one: only where it comes from. What
//!   may be a value that was written by mistake is hidden in reports ([`SecretGrant`]).
//! - Of two policies [`diff`] tells everything that got looser.
//! - What is parsed is enforced: unknown keys, keys of other versions, and rules that can never decide are errors. All
//!   errors of a file are reported at once, each with its place and how to fix it ([`Problems`]).
//!
//! # Choices worth knowing
//!
//! - Guest directories must not lie in one another. WASI would take the longest prefix, but a guest that holds the
//!   outer directory reaches the inner path through it too, and finds the outer host directory there: one guest path
//!   would mean two files with two permissions.
//! - A path is matched decoded, and a request is denied when its path hides slashes, dot segments or control
//!   characters in escapes, since servers do not agree on what such a path means.
//! - Private addresses need a rule that names the place exactly ([`NetGrant::allows_special_addresses`]). A wildcard, a
//!   request, or a lower layer cannot bring that about.
//! - A directory with `approve = "ask"` makes the whole call ask, since a directory is there for a whole call.

mod access;
mod decide;
mod diff;
mod expect;
mod explain;
mod grants;
mod guarded;
mod layers;
mod learn;
mod limits;
pub mod lock;
mod manifest;
pub mod names;
mod net;
mod policy;
mod print;
mod problem;
mod reader;
mod rule;
mod secrets;
#[cfg(test)]
mod testing;
mod timestamp;
mod units;

pub use access::{FileAccess, MAX_ENV_VALUE_BYTES, MAX_LIST, MAX_PATH_BYTES};
pub use decide::{Decision, decide};
pub use diff::{Change, Direction, diff};
pub use expect::{Access, Expectation, NetAccess, Outcome, verdict};
pub use explain::{Explanation, explain, explain_access};
pub use grants::GrantSet;
pub use guarded::{GuardedPlace, Standing, guarded_places, standing};
pub use layers::Layers;
pub use learn::{Learned, Watched, learn};
pub use limits::{LimitInfo, LimitUnit, Limits, SharedLimits};
pub use lock::{Lock, LockedPackage};
pub use manifest::{
    Annotations, DEFAULT_WORLD, EnvRequest, FileRequest, MAX_DESCRIPTION_BYTES, MAX_MANIFEST_BYTES,
    MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_TOOLS, MAX_WHY_BYTES, Manifest, NetRequest, Requests,
    SecretRequest, ToolDefinition,
};
pub use net::{Endpoint, HostPattern, Method, NetScope, PathPattern, Scheme};
pub use policy::{
    ANSWER_WAIT, ANSWER_WAIT_RANGE, ApprovalSettings, REMEMBERED, REMEMBERED_RANGE, Remember,
};
pub use policy::{BudgetBound, BudgetBounds, BudgetKey, BudgetPeriod, format_usd, parse_usd};
pub use policy::{
    CACHE_BYTES, CacheSettings, CacheStore, ContextSettings, KEEP_TURNS, MAX_CACHE_TTL,
    MAX_KNOWLEDGE, MAX_TELEMETRY_HEADERS, MAX_TELEMETRY_HOSTS, PromptCache, RESULT_TOKENS,
    RETENTION_AGE, RETENTION_BYTES, Retention, RetentionSettings, TelemetryHeader,
    TelemetrySettings, WINDOW_TOKENS, format_age, parse_age, parse_collector, parse_listen,
};
pub use policy::{
    CallGrant, Clock, EFFORTS, EnvGrant, FileGrant, Isolation, MAX_CA_FILES, MAX_EXPECTATIONS,
    MAX_FALLBACKS, MAX_HEADER_FORMAT_BYTES, MAX_OAUTH_SCOPES, MAX_OUTPUT_TOKENS, MAX_POLICY_BYTES,
    MAX_POLICY_TOOLS, MAX_REDIRECTS, MAX_SECRETS, ModelCare, ModelSettings, ModelThinking,
    ModelToolChoice, NetGrant, Origin, Policy, Random, ScratchGrant, ToolPolicy,
};
pub use policy::{
    KeyHeader, MAX_PROVIDER_HEADERS, MAX_PROVIDERS, ModelApi, PROVIDER_LACKS, ProviderSettings,
};
pub use policy::{MAX_PERSONAL_KINDS, Scrub, Sink};
pub use problem::{FileKind, MAX_PROBLEMS, Problem, Problems};
pub use rule::{Effect, Layer, Rule, Verdict};
pub use secrets::{
    EgressPolicy, Labels, OAuthAuth, OAuthGrant, OAuthSource, SecretGrant, SecretPlace,
    SecretSource, UnknownSecrets,
};
pub use timestamp::{civil_from_days, parse as parse_timestamp};
pub use units::{Rate, format_duration, format_size, parse_duration, parse_size};
