//! Requests over HTTP(S) to the hosts that were granted.
//!
//! ```no_run
//! use toolcell_guest::http::Request;
//!
//! let response = Request::get("https://api.example.com/search")
//!     .query("q", "sand & sea")
//!     .header("accept", "application/json")
//!     .redirects(3)
//!     .send()?
//!     .ok()?;
//! let found: toolcell_guest::serde_json::Value = response.json()?;
//! # Ok::<(), toolcell_guest::Error>(())
//! ```
//!
//! The host decides on every request by scheme, host, port, method and path. A redirect comes back as
//! a response, unless [`Request::redirects`] asks to follow it: then every hop is a request of its own,
//! which is decided on like the first.
//!
//! Nothing here takes a credential. An operator binds one to a destination, and the host puts it into
//! the request after the tool has let go of it; [`secrets::exists`](crate::secrets::exists) tells
//! whether there is one.

mod error;
mod follow;
mod links;
mod request;
mod response;
mod url;
mod wire;

pub use request::{DEFAULT_LIMIT, Request};
pub use response::Response;
pub use url::{Url, encode};
