//! Reads the clock on the wall.

use std::time::{SystemTime, UNIX_EPOCH};

use toolcell_guest::{package, tool};

package! { name = "clocks", tools = [clocks] }

/// Tells the seconds since 1970.
#[tool]
fn clocks() -> String {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs().to_string(),
        Err(_) => "before 1970".to_owned(),
    }
}
