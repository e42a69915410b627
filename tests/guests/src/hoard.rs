//! Keeps everything open that it once opened.

use std::fs;

use toolcell_guest::{package, tool};

package! {
    name = "hoard",
    tools = [files, listings],
    request = { files = [{ access = "read", why = "to keep it" }] },
}

/// Opens a file again and again, and tells how many descriptors it held at last.
#[tool]
fn files(
    /// The file.
    path: String,
    /// How often to try.
    times: u32,
) -> String {
    let held: Vec<fs::File> = (0..times)
        .map_while(|_| fs::File::open(&path).ok())
        .collect();
    held.len().to_string()
}

/// Begins to list a directory again and again, and tells how many listings it held at last.
#[tool]
fn listings(
    /// The directory.
    path: String,
    /// How often to try.
    times: u32,
) -> String {
    let mut held = Vec::new();
    for _ in 0..times {
        let Ok(mut entries) = fs::read_dir(&path) else {
            break;
        };
        if !entries.next().is_some_and(|entry| entry.is_ok()) {
            break;
        }
        held.push(entries);
    }
    held.len().to_string()
}
