//! Never comes back.

use toolcell_guest::{package, tool};

package! { name = "spin", tools = [spin] }

/// Loops for ever.
#[tool]
fn spin() -> String {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n).wrapping_add(1);
    }
}
