//! Tries to reach files by any path.

use std::fs;

use toolcell_guest::{Result, package, tool};

package! {
    name = "paths",
    tools = [read, write, link, list, remove],
    request = { files = [{ access = "write", why = "to get out" }] },
}

/// Reads a file.
#[tool]
fn read(
    /// Any path.
    path: String,
) -> Result<String> {
    Ok(fs::read_to_string(path)?)
}

/// Writes a file.
#[tool]
fn write(
    /// Any path.
    path: String,
    /// What to write.
    text: String,
) -> Result<String> {
    fs::write(path, text)?;
    Ok("written".to_owned())
}

/// Makes a symbolic link.
#[tool]
fn link(
    /// Where it leads.
    target: String,
    /// Where it stands.
    path: String,
) -> Result<String> {
    #[expect(
        deprecated,
        reason = "the stable way to make a link on every WASI target"
    )]
    fs::soft_link(target, path)?;
    Ok("linked".to_owned())
}

/// Lists a directory.
#[tool]
fn list(
    /// Any path.
    path: String,
) -> Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names.join(" "))
}

/// Removes a file.
#[tool]
fn remove(
    /// Any path.
    path: String,
) -> Result<String> {
    fs::remove_file(path)?;
    Ok("removed".to_owned())
}
