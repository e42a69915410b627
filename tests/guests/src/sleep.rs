//! Waits for a time that never comes.

use std::time::Duration;

use toolcell_guest::{package, tool};

package! { name = "sleep", tools = [sleep] }

/// Sleeps for ever.
#[tool]
fn sleep() -> String {
    loop {
        std::thread::sleep(Duration::from_secs(1 << 40));
    }
}
