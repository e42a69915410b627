//! The tool of the README's first lines.

use toolcell_guest::{package, tool};

package! { name = "weather", tools = [weather] }

/// Tells the weather in a city.
#[tool(read_only)]
fn weather(
    /// The city, for example `Lisbon`.
    city: String,
) -> String {
    format!("It is sunny in {city}.")
}
