//! Answers with more than anybody asked for.

use toolcell_guest::{package, tool};

package! { name = "output", tools = [output] }

/// Answers with `bytes` bytes of text.
#[tool]
fn output(
    /// How many.
    bytes: u32,
) -> String {
    "x".repeat(bytes as usize)
}
