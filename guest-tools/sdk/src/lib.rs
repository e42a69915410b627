//! Write tools for AI agents in Rust. A function with a doc comment becomes a sandboxed component:
//!
//! ```
//! use toolcell_guest::{package, tool};
//!
//! package!(greet);
//!
//! /// Greets a person by name.
//! #[tool(read_only, idempotent)]
//! fn greet(
//!     /// Whom to greet, for example `Ada`.
//!     name: String,
//! ) -> String {
//!     format!("Hello, {name}!")
//! }
//! # fn main() {}
//! ```
//!
//! Build it for `wasm32-wasip2` as a `cdylib`. The component carries its own manifest: the tool's
//! name comes from the function, its description from the doc comment, its input schema from the
//! arguments. What the model sends is checked against that schema before the function runs.
//!
//! - [`tool`] makes a function a tool, [`data`] lets a type travel as JSON, [`package!`] puts
//!   tools together and says what they would like to be granted.
//! - A tool answers a `String`, [`Json`], [`Content`], `Vec<Content>`, or a `Result` of one of
//!   these with an [`Error`].
//! - [`log`], [`progress`], [`tools`](mod@tools) and, with features of their names, `files` and
//!   `http` reach the host. Files, clocks, random numbers and variables are those of `std`.

// Lets the macros say `::toolcell_guest` inside this crate, too.
extern crate self as toolcell_guest;

mod answer;
#[doc(hidden)]
pub mod bindings;
mod error;
#[cfg(feature = "files")]
pub mod files;
#[cfg(feature = "http")]
pub mod http;
pub mod log;
pub mod manifest;
pub mod progress;
pub mod schema;
pub mod tools;

pub use answer::{Answer, Json};
pub use bindings::toolcell::tool::types::{Blob, Content, EmbeddedResource, ResourceBody};
pub use error::{Error, ErrorKind};
pub use manifest::Tool;
pub use schema::Data;
pub use serde_json;
pub use toolcell_guest_macros::{data, package, tool};

/// A result whose error a tool can answer with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Runs the examples of the guide for authors.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../../README.md")]
struct Guide;

/// What the macros' output names. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings;
    pub use crate::bindings::export;
    pub use crate::bindings::exports::toolcell::tool::tool::Guest;
    use crate::bindings::toolcell::tool::types::ToolError;
    use crate::{Content, Error, Result};
    pub use serde;
    pub use wit_bindgen;

    pub type CallResult = Result<Vec<Content>, ToolError>;
    type Call = fn(&str) -> Result<Vec<Content>>;

    /// Reads a tool's arguments. The host has checked them against the schema already; this is
    /// what a host without that check would get.
    pub fn parse<T: serde::de::DeserializeOwned>(input: &str) -> Result<T> {
        serde_json::from_str(input).map_err(|error| Error::invalid_input(error.to_string()))
    }

    pub fn dispatch(tools: &[(&str, Call)], name: &str, input: &str) -> CallResult {
        match tools.iter().find(|(known, _)| *known == name) {
            Some((_, call)) => call(input).map_err(Error::into),
            None => Err(Error::not_found(format!("this package has no tool `{name}`")).into()),
        }
    }
}
