//! Calls other tools.

use toolcell_guest::{Content, Error, Result, package, serde_json, tool, tools};

package! {
    name = "calls",
    tools = [calls],
    request = { calls = ["calls", "clocks", "env", "spin"] },
}

/// Calls another tool and answers what it answers.
#[tool]
fn calls(
    /// Its name.
    tool: String,
    /// Its input as JSON text.
    input: String,
) -> Result<Vec<Content>> {
    let input: serde_json::Value =
        serde_json::from_str(&input).map_err(|error| Error::invalid_input(error.to_string()))?;
    tools::call(&tool, &input)
}
