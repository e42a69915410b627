//! Reading the files that people name: never more than a limit, whatever a file says about its own size.

use std::{fs, io, io::Read, path::Path};

/// All of a file, when it has at most `limit` bytes.
///
/// # Errors
///
/// What the system says; [`io::ErrorKind::FileTooLarge`] beyond the limit, after reading no more than one byte of it.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_from(fs::File::open(path)?, limit)
}

/// The same for a text.
///
/// # Errors
///
/// As [`read`], and [`io::ErrorKind::InvalidData`] for what is no UTF-8.
pub(crate) fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    text(read(path, limit)?)
}

/// The same for a stream.
///
/// # Errors
///
/// As [`read_text`].
pub(crate) fn read_text_from(source: impl Read, limit: u64) -> io::Result<String> {
    text(read_from(source, limit)?)
}

fn read_from(source: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A device and a pipe say that they hold nothing and may never end, so the size is not asked for.
    source
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let why = format!("it has more than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_is_read() {
        let endless = read(Path::new("/dev/zero"), 1000).unwrap_err();
        assert_eq!(endless.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_from(&b"1234"[..], 4).unwrap(), b"1234");
        assert!(read_from(&b"12345"[..], 4).is_err());
        let binary = read_text_from(&b"\xff"[..], 4).unwrap_err();
        assert_eq!(binary.kind(), io::ErrorKind::InvalidData);
    }
}
