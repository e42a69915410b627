//! Sends requests exactly as it is told, and tells everything that came of them.

use toolcell_guest::{Result, package, tool};

#[path = "../shared/wire.rs"]
mod wire;

package! {
    name = "requests",
    tools = [requests],
    request = {
        net = [{
            to = "any",
            methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            paths = ["/**"],
            why = "to get out",
        }],
    },
}

/// Carries out a plan of requests.
#[tool]
fn requests(
    /// The plan, as JSON text.
    plan: String,
) -> Result<String> {
    Ok(wire::run(&plan)?.to_string())
}
