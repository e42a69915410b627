//! Floods the operator's log.

use toolcell_guest::{package, tool};

package! { name = "log", tools = [log] }

/// Writes `kib` lines of 1 KiB, then answers.
#[tool]
fn log(
    /// How many; 1048576 are 1 GiB.
    kib: u32,
) -> String {
    let line = "x".repeat(1024);
    for _ in 0..kib {
        toolcell_guest::log::info!("{line}");
    }
    "logged".to_owned()
}
