//! Values between JSON and the types of WIT, for components that know nothing of this host's contract: which of their
//! functions can be tools, the JSON Schemas of those, and the way of each argument and result.
//!
//! Everything here is pure. Types are read once from the component's bytes, when a package is inspected and nothing was
//! compiled, and once from the compiled component, for the calls; both give the same type.

mod bytes;
mod compiled;
mod docs;
#[cfg(any(test, feature = "test-support"))]
pub(crate) mod entropy;
mod function;
mod offer;
mod read;
mod schema;
mod show;
mod types;
mod write;

use std::fmt;

pub(crate) use bytes::functions_of_bytes;
pub(crate) use compiled::functions_of_component;
pub(crate) use docs::{DOCS_SECTION, Docs};
pub(crate) use function::{Answer, Function, Shape};
pub use offer::LeftOut;
pub(crate) use offer::{Exported, Offered, Place, offer};
pub(crate) use types::{Int, Type};

/// How deep the types of one function may be nested. A JSON Schema has up to four levels for each.
pub const TYPE_DEPTH: usize = 15;

/// Types, fields, cases and names in the types of one function, each counted as often as it is reached: a type that
/// holds another one twice, which holds a third twice, doubles with every step. Schemas have up to seven parts for each.
pub const TYPE_PARTS: usize = 1_000;

/// Names of fields, cases and parameters in the types of one function, in bytes: 32 KiB.
pub const TYPE_NAME_BYTES: usize = 32 << 10;

/// The largest schema of a function's input, and of its output, in bytes of JSON: 64 KiB.
pub const SCHEMA_BYTES: usize = 64 << 10;

/// The most exported functions of a component whose functions become tools.
pub const FUNCTIONS: usize = 1_024;

/// Of more functions one is found, which shows that there are too many.
const LOOKED_AT: usize = FUNCTIONS + 1;

/// Values that one input, or one result, may consist of; in an input each byte of a `list<u8>` is one.
pub const VALUES: usize = 1 << 20;

/// Why a value does not fit its type, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// The JSON pointer to the place in the value.
    pub(crate) pointer: String,
    /// What is wrong there.
    pub(crate) message: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() {
            "the value itself"
        } else {
            &self.pointer
        };
        write!(f, "{place}: {}", self.message)
    }
}

/// Why a result cannot be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwritable {
    /// It would have more bytes, as JSON, than it may have.
    TooLarge,
    /// It is no value of its type. The engine checks every result, so this would be a mistake of this program.
    Mismatch,
}

#[cfg(test)]
mod tests;
