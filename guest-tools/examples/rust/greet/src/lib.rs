//! The smallest tool: ten lines that greet somebody.

use toolcell_guest::{package, tool};

package!(greet);

/// Greets a person by name.
#[tool(read_only, idempotent)]
fn greet(
    /// Whom to greet, for example `Ada`.
    name: String,
) -> String {
    format!("Hello, {name}!")
}
