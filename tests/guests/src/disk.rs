//! Fills the disk.

use std::{fs, io::Write as _};

use toolcell_guest::{Result, package, tool};

package! {
    name = "disk",
    tools = [bytes, files],
    request = { files = [{ access = "write", why = "to fill it" }] },
}

/// Writes `kib` KiB to one file.
#[tool]
fn bytes(
    /// How many; 1048576 are 1 GiB.
    kib: u32,
) -> Result<String> {
    let mut file = fs::File::create("/work/full")?;
    for _ in 0..kib {
        file.write_all(&[b'x'; 1024])?;
    }
    Ok("written".to_owned())
}

/// Creates `count` empty files.
#[tool]
fn files(
    /// How many.
    count: u32,
) -> Result<String> {
    for n in 0..count {
        fs::File::create(format!("/work/{n}"))?;
    }
    Ok("created".to_owned())
}
