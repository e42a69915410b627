//! Calls of other tools that were granted to this one.

use serde::Serialize;

use crate::bindings::toolcell::tool::tools;
use crate::{Content, Error, Result};

/// Calls the tool with the public name `name`, for example `time_now`.
///
/// The package has to request it: `request = { calls = ["time_now"] }`. The callee runs with its
/// own grants and shares this call's deadline, depth and budget.
///
/// # Errors
/// What the callee answered with, or [`ErrorKind::Denied`](crate::ErrorKind::Denied) where the
/// call was not granted.
pub fn call(name: &str, input: &impl Serialize) -> Result<Vec<Content>> {
    let input = serde_json::to_string(input)
        .map_err(|error| Error::invalid_input(format!("the input is no JSON: {error}")))?;
    tools::call(name, &input).map_err(Error::from)
}
