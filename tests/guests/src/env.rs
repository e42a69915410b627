//! Tells everything it can learn about where it runs.

use toolcell_guest::{package, tool};

package! {
    name = "env",
    tools = [env],
    request = { env = [{ name = "GREETING", why = "to be polite" }] },
}

/// Lists its arguments and variables.
#[tool]
fn env() -> String {
    let arguments: Vec<String> = std::env::args().collect();
    let mut variables: Vec<String> = std::env::vars()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    variables.sort();
    format!("arguments {arguments:?} variables {variables:?}")
}
