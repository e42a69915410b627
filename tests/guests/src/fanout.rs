//! Calls another tool as often as it can.

use toolcell_guest::{package, serde_json::json, tool, tools};

package! {
    name = "fanout",
    tools = [fanout],
    request = { calls = ["echo_noop"] },
}

/// Calls `echo_noop`, and tells how many calls were answered.
#[tool]
fn fanout(
    /// How often to try.
    times: u32,
) -> String {
    let answered = (0..times).filter(|_| tools::call("echo_noop", &json!({})).is_ok());
    answered.count().to_string()
}
