//! Has credentials that it never sees, and looks for them wherever a request could show them.

use toolcell_guest::{Result, package, secrets, serde_json::Value, tool};

#[path = "../shared/wire.rs"]
mod wire;

package! {
    name = "keys",
    tools = [keys, exist],
    request = {
        net = [{
            to = "any",
            methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            paths = ["/**"],
            why = "to get out",
        }],
        secrets = [
            { name = "KEY", to = "any", why = "to see it" },
            { name = "OTHER", to = "any", why = "to see it" },
        ],
        env = [{ name = "GREETING", why = "to be polite" }],
    },
}

/// Carries out a plan of requests.
#[tool]
fn keys(
    /// The plan, as JSON text.
    plan: String,
) -> Result<String> {
    Ok(wire::run(&plan)?.to_string())
}

/// Asks of which names there is a credential.
#[tool]
fn exist(
    /// Any names.
    names: Vec<String>,
) -> String {
    let answers: Vec<Value> = names
        .iter()
        .map(|name| secrets::exists(name).into())
        .collect();
    Value::from(answers).to_string()
}
