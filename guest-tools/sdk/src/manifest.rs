//! The manifest of a package, written while compiling.
//!
//! The macros build a [`Manifest`] out of constants; [`Manifest::toml`] turns it into the bytes of
//! the component's section `toolcell:manifest`. Nothing here runs when a tool is called.

mod text;

pub use text::{Text, bytes};

use crate::schema::Schema;
use crate::{Content, Result};

/// The contract that a package is written against.
pub const WORLD: &str = "toolcell:tool@0.1";

/// What [`tool`](crate::tool) makes of a function. The type has the function's name, so a test can
/// call the tool the way a host does: `greet::call(r#"{"name": "Ada"}"#)`.
pub trait Tool {
    /// What the manifest says about the tool.
    const DEFINITION: Definition;

    /// Runs the tool on `input`, a JSON object.
    ///
    /// # Errors
    /// What the tool answers with, or an invalid input.
    fn call(input: &str) -> Result<Vec<Content>>;
}

/// A tool's part of the manifest.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// The name within the package, in kebab-case.
    pub name: &'static str,
    /// What a model chooses the tool by.
    pub description: &'static str,
    /// What it takes.
    pub input: Schema,
    /// What it answers, where that is an object of a known shape.
    pub output: Option<Schema>,
    /// What its author says about its effects.
    pub annotations: Annotations,
}

/// What an author says about a tool's effects. Hints for people and models: nothing is granted
/// or refused because of them.
#[derive(Debug, Clone, Copy)]
pub struct Annotations {
    /// It changes nothing.
    pub read_only: bool,
    /// Calling it twice does no more than calling it once.
    pub idempotent: bool,
    /// It deals with things outside, such as the web.
    pub open_world: bool,
    /// It may overwrite or remove something.
    pub destructive: bool,
}

/// A whole manifest.
#[derive(Debug, Clone, Copy)]
pub struct Manifest {
    /// The package's name, in kebab-case.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Its tools.
    pub tools: &'static [&'static Definition],
    /// What it would like to be granted: the lines below `[request]`.
    pub request: &'static str,
}
