//! Where an open directory or file is now, asked of the kernel. A path that a guest wrote does not tell: links, `..` and
//! renames lie in between.

use std::{io, os::fd::AsFd};

/// The path inside `root` of what is open, and the path of `root` itself, both without a slash at the end.
///
/// # Errors
///
/// Where it does not lie in `root` (any more), or the kernel does not tell.
pub(super) fn inside(root: impl AsFd, open: impl AsFd) -> io::Result<(String, String)> {
    // Somebody may rename a directory above both between the two questions.
    for _ in 0..TRIES {
        let (root, open) = (path_of(&root)?, path_of(&open)?);
        let below = open.strip_prefix(root.trim_end_matches('/'));
        if let Some(below) = below.filter(|it| it.is_empty() || it.starts_with('/')) {
            return Ok((root, below.trim_matches('/').to_owned()));
        }
    }
    Err(io::Error::other("it is not in its directory any more"))
}

const TRIES: usize = 4;

#[cfg(target_os = "linux")]
fn path_of(open: impl AsFd) -> io::Result<String> {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", open.as_fd().as_raw_fd());
    let path = rustix::fs::readlink(link, Vec::new())?;
    Ok(path.to_string_lossy().into_owned())
}

#[cfg(target_vendor = "apple")]
fn path_of(open: impl AsFd) -> io::Result<String> {
    let path = rustix::fs::getpath(open)?;
    Ok(path.to_string_lossy().into_owned())
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn path_of(_open: impl AsFd) -> io::Result<String> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn an_open_directory_is_found_under_its_present_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/a/b")).unwrap();
        fs::create_dir_all(dir.path().join("root2")).unwrap();
        let open = |path: &str| File::open(dir.path().join(path)).unwrap();
        let (root, b) = (open("root"), open("root/a/b"));
        assert_eq!(inside(&root, &b).unwrap().1, "a/b");
        assert_eq!(inside(&root, &root).unwrap().1, "");
        fs::rename(dir.path().join("root/a"), dir.path().join("root/.git")).unwrap();
        let (own, below) = inside(&root, &b).unwrap();
        assert_eq!(below, ".git/b");
        assert!(own.ends_with("/root"));
        assert_eq!(inside(open("/"), &root).unwrap().1, own.trim_matches('/'));
        assert!(inside(&root, open("root2")).is_err());
        assert!(inside(&b, &root).is_err());
    }
}
