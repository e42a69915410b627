//! Reads a package's file.

use std::{io::Read, path::Path};

use cap_std::{
    ambient_authority,
    fs::{File, OpenOptions, OpenOptionsExt},
};
use rustix::fs::OFlags;

use crate::{Error, ErrorKind, Result};

/// Reads a component's file of at most `max_bytes`. A larger one is refused by its size, without reading it. It blocks
/// and must not run on an async thread.
///
/// # Errors
///
/// `invalid_component` where there is no such file, it cannot be read, is no regular file, or is too large.
pub(crate) fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let invalid = |why: String| {
        Error::new(
            ErrorKind::InvalidComponent,
            format!("{}: {why}", path.display()),
        )
    };
    let unreadable =
        |error: std::io::Error| invalid(format!("cannot be read: {error}")).with_source(error);

    let mut options = OpenOptions::new();
    // Opening a pipe would otherwise wait until somebody writes to it.
    options
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = File::open_ambient_with(path, &options, ambient_authority()).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(invalid("is no regular file".to_owned()));
    }
    if metadata.len() > max_bytes {
        return Err(invalid(too_large(metadata.len(), max_bytes)).with_help(RAISE_LIMIT));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    check_size(bytes.len(), max_bytes)?;
    Ok(bytes)
}

/// The name of a file without its extension, which a component without a manifest is called by.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Refuses bytes that are larger than a component may be.
pub(crate) fn check_size(len: usize, max_bytes: u64) -> Result<()> {
    if len as u64 <= max_bytes {
        return Ok(());
    }
    let why = format!("the component {}", too_large(len as u64, max_bytes));
    Err(Error::new(ErrorKind::InvalidComponent, why).with_help(RAISE_LIMIT))
}

const RAISE_LIMIT: &str =
    "Strip the component's debug information, or raise `EngineOptions::max_component_bytes`.";

fn too_large(bytes: u64, max_bytes: u64) -> String {
    format!("has {bytes} bytes; a component may have at most {max_bytes} bytes")
}
