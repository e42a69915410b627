//! Files without a name: what is handed to a worker, and what it hands back.

use std::{fs::File, io, os::unix::fs::FileExt as _};

/// A file with this content, which nobody can change any more.
pub(super) fn sealed(content: &[u8]) -> io::Result<File> {
    let file = empty()?;
    file.write_all_at(content, 0)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::SealFlags;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
    }
    Ok(file)
}

/// An empty file that can be written.
#[cfg(target_os = "linux")]
pub(super) fn empty() -> io::Result<File> {
    use rustix::fs::MemfdFlags;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Ok(rustix::fs::memfd_create("toolcell", flags)?.into())
}

/// An empty file that can be written. Systems without files in memory have one in the directory for temporary files,
/// whose name is gone at once.
#[cfg(not(target_os = "linux"))]
pub(super) fn empty() -> io::Result<File> {
    let path = format!("/tmp/toolcell.{:032x}", rand::random::<u128>());
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// The content of a file, if it has so many bytes at most. Where the file's position is does not matter, since it may be
/// shared with other processes.
pub(super) fn content(file: &File, max_bytes: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > max_bytes {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut content = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut content, 0)?;
    Ok(content)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_cannot_be_changed() {
        let file = sealed(b"compiled").unwrap();
        assert_eq!(content(&file, 8).unwrap(), b"compiled");
        assert!(content(&file, 7).is_err());
        assert!(file.write_all_at(b"x", 0).is_err());
        assert!(file.set_len(0).is_err());
        assert!(file.set_len(100).is_err());
    }
}
