//! Draws lots.

use std::hash::{BuildHasher as _, RandomState};

use toolcell_guest::{package, tool};

package! { name = "random", tools = [random] }

/// Tells a number that depends on the host's random numbers alone.
#[tool]
fn random() -> String {
    RandomState::new().hash_one(0).to_string()
}
