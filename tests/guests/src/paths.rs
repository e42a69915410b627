//! Tries to reach files by any path.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    time::SystemTime,
};

use toolcell_guest::{Result, package, tool};

package! {
    name = "paths",
    tools = [
        read, write, link, list, remove, append, truncate, mkdir, rmdir, rename, hardlink, touch, hammer
    ],
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

/// Opens a file to write behind its end.
#[tool]
fn append(
    /// Any path.
    path: String,
) -> Result<String> {
    OpenOptions::new().append(true).open(path)?;
    Ok("opened".to_owned())
}

/// Opens a file for reading, and empties it on the way.
#[tool]
fn truncate(
    /// Any path.
    path: String,
) -> Result<String> {
    OpenOptions::new().write(true).truncate(true).open(path)?;
    Ok("truncated".to_owned())
}

/// Makes a directory.
#[tool]
fn mkdir(
    /// Any path.
    path: String,
) -> Result<String> {
    fs::create_dir(path)?;
    Ok("made".to_owned())
}

/// Removes a directory.
#[tool]
fn rmdir(
    /// Any path.
    path: String,
) -> Result<String> {
    fs::remove_dir(path)?;
    Ok("removed".to_owned())
}

/// Renames a file.
#[tool]
fn rename(
    /// Any path.
    path: String,
    /// Its new path.
    to: String,
) -> Result<String> {
    fs::rename(path, to)?;
    Ok("renamed".to_owned())
}

/// Gives a file a second name.
#[tool]
fn hardlink(
    /// Any path.
    path: String,
    /// The second name.
    to: String,
) -> Result<String> {
    fs::hard_link(path, to)?;
    Ok("linked".to_owned())
}

/// Changes when a file was changed.
#[tool]
fn touch(
    /// Any path.
    path: String,
) -> Result<String> {
    let file = fs::File::open(path)?;
    file.set_modified(SystemTime::UNIX_EPOCH)?;
    Ok("touched".to_owned())
}

/// Reads a file again and again, and tells every content that it saw.
#[tool]
fn hammer(
    /// Any path.
    path: String,
    /// How often.
    times: u32,
) -> String {
    let mut seen = BTreeSet::new();
    for _ in 0..times {
        if let Ok(text) = fs::read_to_string(&path) {
            seen.insert(text);
        }
    }
    Vec::from_iter(seen).join("|")
}
