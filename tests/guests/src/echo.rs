//! Does as little as a tool can: the benchmark measures calls of it.

use toolcell_guest::{package, tool};

package! { name = "echo", tools = [noop, back] }

/// Does nothing.
#[tool(read_only, idempotent)]
fn noop() -> String {
    String::new()
}

/// Answers with its input.
#[tool(read_only, idempotent)]
fn back(
    /// What to answer with.
    text: String,
) -> String {
    text
}
