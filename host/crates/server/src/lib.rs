//! Everything of toolcell that listens on HTTP.
//!
//! [`MetricsListener`] answers `/metrics` and `/healthz`. What it listens on, and what it says, come from whoever embeds
//! it: this crate reads no policy, no environment and no clock.

mod door;
mod metrics;

pub use metrics::{MetricsError, MetricsListener, MetricsOptions};
