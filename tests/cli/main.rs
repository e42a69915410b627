//! The binary as people and scripts meet it: every test runs it and compares all that comes out with a golden file.
//!
//! `INSTA_UPDATE=always cargo test -p toolcell-cli --test cli` writes the golden files anew; look at the difference.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

mod api;
#[cfg(target_os = "linux")]
mod approvals;
mod attacks;
mod audit;
mod batch;
mod budget;
mod cache;
mod calls;
mod care;
mod cell;
#[path = "../common/mod.rs"]
mod common;
mod context;
mod demo;
#[path = "../common/exposition.rs"]
mod exposition;
mod help;
mod labels;
mod leaks;
mod learn;
mod lock;
mod machine;
mod models;
mod nets;
mod openai;
mod policy;
mod privacy;
#[path = "../common/redis.rs"]
mod redis;
mod retention;
mod runs;
#[path = "../attacks/searcher.rs"]
mod searcher;
mod secret;
#[path = "../attacks/spy.rs"]
mod spy;
mod telemetry;
#[cfg(target_os = "linux")]
mod typed;
