//! Reports progress, then lets its caller wait.

use std::time::Duration;

use toolcell_guest::{package, tool};

package! { name = "progress", tools = [progress] }

/// Reports `steps` steps, waits, and answers.
#[tool]
fn progress(
    /// How many.
    steps: u32,
    /// How long to wait after the last, in milliseconds.
    wait: u64,
) -> String {
    for step in 1..=steps {
        toolcell_guest::progress::report(f64::from(step), Some(f64::from(steps)), Some("working"));
    }
    std::thread::sleep(Duration::from_millis(wait));
    "done".to_owned()
}
