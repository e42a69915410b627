//! Calls itself without end.

use toolcell_guest::{package, tool};

package! { name = "recursion", tools = [recursion] }

/// Recurses until the stack is full.
#[tool]
fn recursion() -> String {
    deeper(0).to_string()
}

fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    match std::hint::black_box(depth) {
        u64::MAX => 0,
        _ => deeper(depth + 1) + frame[(depth % 64) as usize],
    }
}
