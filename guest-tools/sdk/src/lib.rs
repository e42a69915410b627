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
//! - [`log`], [`progress`], [`secrets`], [`tools`](mod@tools) and, with features of their names, `files`
//!   and `http` reach the host. Files, clocks, random numbers and variables are those of `std`.

// Lets the macros say `::toolcell_guest` inside this crate, too.
extern crate self as toolcell_guest;

mod answer;
pub mod base64;
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
pub mod secrets;
pub mod tools;

pub use answer::{Answer, Json};
pub use bindings::toolcell::tool::types::{Blob, Content, EmbeddedResource, ResourceBody};
pub use error::{Error, ErrorKind};
pub use manifest::Tool;
pub use schema::Data;
pub use serde_json;

/// Makes a function a tool.
///
/// The function's name becomes the tool's (`search_text`: `search-text`), its doc comment the
/// description that a model chooses it by, its arguments the input. Arguments may have doc comments
/// of their own and `#[arg(default = .., min = .., max = ..)]`, with literals or constants, and for
/// texts and lists `pattern`, `max_length` and `max_items`; an `Option` need not be given. In the brackets stand hints about effects: `read_only`,
/// `idempotent`, `open_world`, `destructive`.
///
/// The function stays as it is. Beside it stands a type with its name, which is a [`Tool`].
///
/// ```
/// use toolcell_guest::{Content, Tool, tool};
///
/// /// Repeats a word.
/// #[tool(read_only)]
/// fn repeat(
///     /// The word.
///     word: String,
///     /// How often.
///     #[arg(default = 2, min = 1, max = 10)]
///     times: u32,
/// ) -> String {
///     word.repeat(times as usize)
/// }
///
/// let answer = repeat::call(r#"{"word": "ha"}"#)?;
/// assert_eq!(answer, [Content::text("haha")]);
/// # Ok::<(), toolcell_guest::Error>(())
/// ```
pub use toolcell_guest_macros::tool;

/// Lets a struct or an enum travel as JSON, as an argument or in [`Json`].
///
/// A struct becomes an object whose properties are its fields, with their doc comments and
/// `#[arg(..)]` as in [`tool`](macro@tool). An enum becomes a choice between the names of its
/// variants in kebab-case. Derives `Serialize` and `Deserialize`.
///
/// ```
/// use toolcell_guest::data;
///
/// /// A place on a map.
/// #[data]
/// struct Place {
///     /// Degrees to the north.
///     latitude: f64,
///     /// Degrees to the east.
///     longitude: f64,
///     /// What people call it.
///     name: Option<String>,
/// }
///
/// #[data]
/// enum Unit {
///     Metric,
///     Imperial,
/// }
/// ```
pub use toolcell_guest_macros::data;

/// Puts tools together to a package, once in a crate: `package!(greet)` or, with more to say,
///
/// ```
/// # use toolcell_guest::tool;
/// toolcell_guest::package! {
///     name = "weather",
///     description = "Weather by city",
///     tools = [forecast],
///     request = {
///         net = [{ to = "https://api.example.com", methods = ["GET"], why = "fetch forecasts" }],
///     },
/// }
/// # /// Tells the weather.
/// # #[tool] fn forecast() -> String { String::new() }
/// # fn main() {}
/// ```
///
/// Name, description and version are Cargo's where they are not given. `request` is written like
/// `[request]` in a manifest, with `files`, `net`, `env`, `calls` and `secrets`: what the package
/// would like. Nothing of it is granted before an operator's policy says so. The whole manifest is
/// also there as the constant `MANIFEST`.
pub use toolcell_guest_macros::package;

/// A result whose error a tool can answer with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Runs the examples of the guide for authors.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../../README.md")]
struct Guide;

/// Runs the examples of the longer guide.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../../../docs/tools.md")]
struct LongGuide;

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
