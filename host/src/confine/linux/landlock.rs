//! Files: Landlock lets through the granted directories and nothing else.

use std::os::fd::BorrowedFd;

use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, RestrictSelf,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::super::{Access, Step};

/// The latest version that was tried out. What later ones add is not asked for, so that a newer kernel behaves as those
/// that were tested.
const NEWEST: ABI = ABI::V7;

/// Restricts this thread and those that it starts later. The version in force, and whether it is.
pub(super) fn restrict(dirs: &[(BorrowedFd<'_>, Access)]) -> (u32, Step) {
    match try_restrict(dirs) {
        Ok(RulesetStatus::NotEnforced) => (0, Step::missing(absence())),
        Ok(_) => (offered(), Step::Reached),
        Err(error) => (0, Step::missing(error)),
    }
}

fn try_restrict(dirs: &[(BorrowedFd<'_>, Access)]) -> Result<RulesetStatus, RulesetError> {
    // Handled and granted to nothing: execute, the making of devices, FIFOs and sockets, and commands to devices. The
    // same goes for TCP and for signals and abstract sockets outside, which seccomp refuses as well. A kernel that does
    // not know one of them leaves it out; the version in the report says which it knows.
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for (dir, access) in dirs {
        ruleset = ruleset.add_rule(PathBeneath::new(dir, rights(*access)))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

fn rights(access: Access) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match access {
        Access::Read => read,
        Access::Write => {
            read | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::MakeSym
                | AccessFs::RemoveFile
                | AccessFs::RemoveDir
                | AccessFs::Refer
        }
    }
}

fn status() -> Option<LandlockStatus> {
    // No flag is set, so that this asks for the version and restricts nothing.
    let asked = RestrictSelf::default().no_new_privs(false).apply();
    asked.ok().map(|status| status.landlock)
}

/// The version that this kernel offers, up to the newest that we ask for; 0 for none.
pub(super) fn offered() -> u32 {
    match status() {
        Some(LandlockStatus::Available { effective_abi, .. }) => effective_abi.min(NEWEST) as u32,
        _ => 0,
    }
}

/// Why there is no Landlock.
pub(super) fn absence() -> &'static str {
    match status() {
        Some(LandlockStatus::NotEnabled) => {
            "the kernel has Landlock, but it is not among the modules started at boot (`lsm=`)"
        }
        _ => "the kernel has no Landlock (Linux 5.13 and later)",
    }
}

/// Landlock alone, which restricts the thread that asks for it and no other. `tests/confinement.rs` tries it together
/// with all the rest.
#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::{self, ErrorKind},
        net::{TcpListener, TcpStream},
        os::{fd::AsFd as _, unix::net::UnixListener},
        path::Path,
        thread,
    };

    use super::*;

    /// The outcome of `attempt` with no restriction, and with `ro` and `rw` granted.
    fn both(attempt: fn(&Path) -> io::Result<()>) -> (io::Result<()>, io::Result<()>) {
        let tried = |restricted: bool| {
            let dir = tempfile::tempdir().unwrap();
            for name in ["ro", "rw", "out"] {
                fs::create_dir(dir.path().join(name)).unwrap();
                fs::write(dir.path().join(name).join("file"), "text").unwrap();
            }
            let path = dir.path().to_owned();
            let thread = thread::spawn(move || {
                let (ro, rw) = (File::open(path.join("ro"))?, File::open(path.join("rw"))?);
                if restricted {
                    rustix::thread::set_no_new_privs(true)?;
                    let dirs = [(ro.as_fd(), Access::Read), (rw.as_fd(), Access::Write)];
                    let (abi, step) = restrict(&dirs);
                    assert!(abi >= 6 && step.is_reached(), "{abi} {step:?}");
                }
                attempt(&path)
            });
            thread.join().unwrap()
        };
        (tried(false), tried(true))
    }

    fn refused(attempt: fn(&Path) -> io::Result<()>) {
        let (free, restricted) = both(attempt);
        free.unwrap();
        let kind = restricted.unwrap_err().kind();
        let kinds = [ErrorKind::PermissionDenied, ErrorKind::CrossesDevices];
        assert!(kinds.contains(&kind), "{kind:?}");
    }

    fn allowed(attempt: fn(&Path) -> io::Result<()>) {
        both(attempt).1.unwrap();
    }

    #[test]
    fn what_is_granted_works() {
        allowed(|dir| fs::read(dir.join("ro/file")).map(drop));
        allowed(|dir| fs::read_dir(dir.join("ro")).map(drop));
        allowed(|dir| fs::write(dir.join("rw/file"), "shorter"));
        allowed(|dir| fs::create_dir_all(dir.join("rw/a/b")));
        allowed(|dir| std::os::unix::fs::symlink("file", dir.join("rw/link")));
        allowed(|dir| {
            fs::create_dir(dir.join("rw/sub"))?;
            fs::rename(dir.join("rw/file"), dir.join("rw/sub/file"))?;
            fs::remove_dir_all(dir.join("rw/sub"))
        });
    }

    #[test]
    fn what_is_not_granted_does_not() {
        refused(|dir| fs::read(dir.join("out/file")).map(drop));
        refused(|dir| fs::read(dir.join("rw/../out/file")).map(drop));
        refused(|dir| fs::read_dir(dir.join("out")).map(drop));
        refused(|dir| fs::write(dir.join("out/file"), "x"));
        refused(|dir| fs::remove_file(dir.join("out/file")));
        refused(|dir| fs::rename(dir.join("rw/file"), dir.join("out/moved")));
        refused(|dir| fs::rename(dir.join("ro/file"), dir.join("rw/moved")));
        refused(|dir| fs::hard_link(dir.join("ro/file"), dir.join("rw/linked")));
        refused(|dir| fs::write(dir.join("ro/file"), "x"));
        refused(|dir| {
            use rustix::fs::{CWD, Mode, OFlags};
            let flags = OFlags::RDONLY | OFlags::TRUNC;
            rustix::fs::openat(CWD, dir.join("ro/file"), flags, Mode::empty())?;
            Ok(())
        });
    }

    #[test]
    fn special_files_are_not_made_where_writing_is_granted() {
        refused(|dir| node(dir, rustix::fs::FileType::Fifo));
        refused(|dir| node(dir, rustix::fs::FileType::Socket));
        refused(|dir| UnixListener::bind(dir.join("rw/socket")).map(drop));
    }

    fn node(dir: &Path, kind: rustix::fs::FileType) -> io::Result<()> {
        let (path, mode) = (dir.join("rw/node"), rustix::fs::Mode::RUSR);
        Ok(rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0)?)
    }

    #[test]
    fn no_connection_is_made_or_taken() {
        refused(|_| TcpListener::bind("127.0.0.1:0").map(drop));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        static PORT: std::sync::OnceLock<u16> = std::sync::OnceLock::new();
        PORT.set(listener.local_addr().unwrap().port()).unwrap();
        refused(|_| TcpStream::connect(("127.0.0.1", *PORT.wait())).map(drop));
    }

    #[test]
    fn no_signal_reaches_a_process_outside() {
        refused(|_| {
            // Only asked whether one could be sent.
            let parent = rustix::process::getppid().ok_or(ErrorKind::NotFound)?;
            Ok(rustix::process::test_kill_process(parent)?)
        });
    }
}
