//! Takes all the memory there is.

use toolcell_guest::{package, tool};

package! { name = "memory", tools = [memory] }

/// Grows until it is refused, and then goes on.
#[tool]
fn memory() -> String {
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![1_u8; 4 << 20]);
        std::hint::black_box(&hoard);
    }
}
