//! Files that hold secrets: read only where nobody else could have read or written them.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// Access of the group and of others.
const OTHERS: u32 = 0o077;
/// The same without reading by the group: where a service manager lets one user read a file of root's by an access control
/// list, the system shows that as access of the group.
const OTHERS_OF_CREDENTIAL: u32 = 0o037;

/// Why a file is not read.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is none.
    Absent,
    /// The system says so.
    Io(io::Error),
    /// The last part of its path is a link, which leads where somebody else may decide.
    Link,
    /// A directory, a pipe, or a device.
    NoFile,
    /// It belongs to another user than this one or root.
    Owner(u32),
    /// Others may read or write it: its mode.
    Mode(u32),
    /// It has more than so many bytes.
    TooLarge(u64),
}

impl Refused {
    /// What is wrong with the file, without naming it, and what to do about it.
    pub(crate) fn told(&self, path: &Path) -> (String, String) {
        match self {
            Self::Absent => (
                "there is no such file".to_owned(),
                format!("create {}, readable by you alone", path.display()),
            ),
            Self::Io(error) => (
                format!("its file cannot be read: {}", crate::failure::reason(error)),
                format!("see that you may read {}", path.display()),
            ),
            Self::Link => (
                "its file is a link, which is not followed".to_owned(),
                format!("name the file that {} leads to", path.display()),
            ),
            Self::NoFile => (
                "its file is no regular file".to_owned(),
                format!("put a regular file in the place of {}", path.display()),
            ),
            Self::Owner(user) => (
                format!("its file belongs to another user ({user}), who could change it"),
                format!("copy it: `install -m 600 {} COPY`", quoted(path)),
            ),
            Self::Mode(mode) => (
                format!("its file has mode {mode:04o}, so that others may read or write it"),
                format!("make it yours alone: `chmod 600 {}`", quoted(path)),
            ),
            Self::TooLarge(limit) => (
                format!("its file has more than {limit} bytes"),
                format!("leave one value in {}, and nothing else", path.display()),
            ),
        }
    }
}

/// A path for copying into a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// What identifies one content of a file, as far as the system knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(u64, u64, u64, i64, i64);

/// All of a file that this user alone may read and write, and which version it is.
///
/// The file is opened first and judged then, as what was opened: what the path leads to a moment later is of no matter.
pub(crate) fn read(path: &Path, limit: u64) -> Result<(Zeroizing<Vec<u8>>, Version), Refused> {
    read_without(path, limit, OTHERS)
}

/// The same for a credential that a service manager put into its directory for this service.
pub(crate) fn read_credential(
    path: &Path,
    limit: u64,
) -> Result<(Zeroizing<Vec<u8>>, Version), Refused> {
    read_without(path, limit, OTHERS_OF_CREDENTIAL)
}

fn read_without(
    path: &Path,
    limit: u64,
    others: u32,
) -> Result<(Zeroizing<Vec<u8>>, Version), Refused> {
    // A pipe without a writer would keep us waiting.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(
        |error| match error {
            rustix::io::Errno::NOENT => Refused::Absent,
            // The same number says that there were too many links in directories before it, which is no better.
            rustix::io::Errno::LOOP => Refused::Link,
            error => Refused::Io(error.into()),
        },
    )?);
    let metadata = file.metadata().map_err(Refused::Io)?;
    if !metadata.is_file() {
        return Err(Refused::NoFile);
    }
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me && metadata.uid() != 0 {
        return Err(Refused::Owner(metadata.uid()));
    }
    if metadata.mode() & others != 0 {
        return Err(Refused::Mode(metadata.mode() & 0o7777));
    }
    if metadata.len() > limit {
        return Err(Refused::TooLarge(limit));
    }
    // Room for all of it at once, and for noticing that it grew: no copy of a part stays behind.
    let room = usize::try_from(metadata.len().saturating_add(2)).unwrap_or(usize::MAX);
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    let most = metadata.len().saturating_add(1);
    (&file)
        .take(most)
        .read_to_end(&mut content)
        .map_err(Refused::Io)?;
    if content.len() as u64 >= most {
        return Err(Refused::Io(io::Error::other("it grew while it was read")));
    }
    Ok((content, version(&metadata)))
}

/// Which version a file has now, without following a link; nothing where there is none.
pub(crate) fn version_of(path: &Path) -> Option<Version> {
    std::fs::symlink_metadata(path).ok().as_ref().map(version)
}

fn version(metadata: &std::fs::Metadata) -> Version {
    Version(
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    )
}

/// A path as a policy wrote it: a relative one starts from the policy's own directory.
pub(crate) fn resolved(path: &str, base: Option<&str>) -> PathBuf {
    Path::new(base.unwrap_or(".")).join(path)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    fn file(dir: &Path, name: &str, mode: u32) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, "k3J9x2Qp\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn only_a_file_of_mine_alone_is_read() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o400, 0o700] {
            let path = file(dir.path(), &format!("ok{mode:o}"), mode);
            assert_eq!(read(&path, 100).unwrap().0.as_slice(), b"k3J9x2Qp\n");
        }
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o610, 0o601] {
            let path = file(dir.path(), &format!("bad{mode:o}"), mode);
            match read(&path, 100) {
                Err(Refused::Mode(told)) => assert_eq!(told, mode),
                other => panic!("{mode:o}: {other:?}"),
            }
            let (_, help) = Refused::Mode(mode).told(&path);
            assert!(
                help.contains(&format!("chmod 600 {}", path.display())),
                "{help}"
            );
        }
    }

    #[test]
    fn a_service_managers_credential_may_be_read_by_its_group() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, ok) in [(0o440, true), (0o400, true), (0o460, false), (0o444, false)] {
            let path = file(dir.path(), &format!("cred{mode:o}"), mode);
            assert_eq!(read_credential(&path, 100).is_ok(), ok, "{mode:o}");
        }
    }

    #[test]
    fn links_and_what_is_no_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), "key", 0o600);
        symlink(&path, dir.path().join("link")).unwrap();
        assert!(matches!(
            read(&dir.path().join("link"), 100),
            Err(Refused::Link)
        ));
        assert!(matches!(read(dir.path(), 100), Err(Refused::NoFile)));
        assert!(matches!(
            read(&dir.path().join("none"), 100),
            Err(Refused::Absent)
        ));
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(matches!(read(&pipe, 100), Err(Refused::NoFile)));
        assert!(matches!(
            read(Path::new("/dev/zero"), 100),
            Err(Refused::NoFile)
        ));
    }

    #[test]
    fn no_more_than_the_limit_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), "key", 0o600);
        assert!(read(&path, 9).is_ok());
        assert!(matches!(read(&path, 8), Err(Refused::TooLarge(8))));
    }

    #[test]
    fn a_changed_file_is_another_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), "key", 0o600);
        let (_, version) = read(&path, 100).unwrap();
        assert_eq!(version_of(&path), Some(version));
        fs::write(dir.path().join("new"), "k3J9x2Qq\n").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        assert_ne!(version_of(&path), Some(version));
    }

    #[test]
    fn commands_for_copying_are_quoted() {
        assert_eq!(quoted(Path::new("/a/b-1.key")), "/a/b-1.key");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
