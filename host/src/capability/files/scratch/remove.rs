//! Deletes a tree that a hostile program filled: of any depth and size, with directories that refuse to be read, and
//! with links to anywhere. It takes two descriptors, little memory and no recursion: what lies deeper is moved up to the
//! top before it is deleted, so that each directory is moved once at most.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, chmodat, openat, renameat},
    io::Errno,
};

use super::{DIRECTORY, unlink};

/// How many names are looked at before those are worked on.
const BATCH: usize = 1024;

/// Deletes the directory of this name and everything in it. What is not there counts as deleted.
///
/// # Errors
///
/// Where something cannot be deleted. What can be is deleted all the same.
pub(super) fn remove(parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    let top = match open(parent, &name) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut moved = 0;
    while empty_once(&top, &mut moved)? {}
    match unlink(parent, &name, true) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The names in a directory, at most one batch of them.
pub(super) fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    Ok(entries(dir)?.into_iter().map(|(name, _)| name).collect())
}

fn entries(dir: BorrowedFd<'_>) -> Result<Vec<(CString, bool)>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::new(openat(dir, ".", DIRECTORY, Mode::empty())?)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        // Not every file system tells the kind; unlinking tells then.
        found.push((name.to_owned(), entry.file_type() == FileType::Directory));
        if found.len() == BATCH {
            break;
        }
    }
    Ok(found)
}

/// Deletes a batch of what is at the top, and moves up what lies right beneath. Tells whether anything was there.
fn empty_once(top: &OwnedFd, moved: &mut u64) -> io::Result<bool> {
    let mut progress = false;
    let mut failure = None;
    let found = entries(top.as_fd())?;
    if found.is_empty() {
        return Ok(false);
    }
    for (name, directory) in found {
        match delete(top.as_fd(), &name, directory) {
            Ok(()) => progress = true,
            Err(Errno::NOTEMPTY | Errno::EXIST) => match lift(top, &name, moved) {
                Ok(()) => progress = true,
                Err(error) => failure = Some(error),
            },
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        // What is left is in the way of everything, and trying again would not end.
        Some(error) if !progress => Err(error.into()),
        _ => Ok(true),
    }
}

/// Deletes a file, a link, or an empty directory.
fn delete(dir: BorrowedFd<'_>, name: &CStr, directory: bool) -> Result<(), Errno> {
    match unlink(dir, name, directory) {
        Err(Errno::ISDIR | Errno::PERM) if !directory => unlink(dir, name, true),
        Err(Errno::NOTDIR) => unlink(dir, name, false),
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// Empties a directory of the top: moves its directories up, deletes the rest, and then the directory itself.
fn lift(top: &OwnedFd, name: &CStr, moved: &mut u64) -> Result<(), Errno> {
    let dir = open(top.as_fd(), name)?;
    loop {
        let found = entries(dir.as_fd())?;
        if found.is_empty() {
            return unlink(top.as_fd(), name, true);
        }
        for (entry, directory) in found {
            match delete(dir.as_fd(), &entry, directory) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => up(top, &dir, &entry, moved)?,
                Err(Errno::ACCESS) => {
                    make_accessible(top.as_fd(), name);
                    delete(dir.as_fd(), &entry, directory)?;
                }
                result => result?,
            }
        }
    }
}

/// Gives a directory a fresh name at the top.
fn up(top: &OwnedFd, dir: &OwnedFd, entry: &CStr, moved: &mut u64) -> Result<(), Errno> {
    loop {
        *moved += 1;
        let fresh = format!(".{moved}");
        match renameat(dir, entry, top, &fresh) {
            // A name that the guest took for itself.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            // To move a directory changes its `..`, and so it must be writable itself.
            Err(Errno::ACCESS) => {
                make_accessible(dir.as_fd(), entry);
                return renameat(dir, entry, top, &fresh);
            }
            result => return result,
        }
    }
}

fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    match openat(parent, name, DIRECTORY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            make_accessible(parent, name);
            openat(parent, name, DIRECTORY, Mode::empty())
        }
        result => result,
    }
}

/// Takes back that a directory refuses its owner. Where that fails, what needs it fails and says so.
fn make_accessible(parent: BorrowedFd<'_>, name: &CStr) {
    let _ = chmodat(parent, name, Mode::RWXU, AtFlags::empty());
}
