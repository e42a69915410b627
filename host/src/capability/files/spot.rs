//! Where a change takes place. What a path leads to is found out first: the directory is opened, by wasmtime-wasi, and
//! then judged and used through its handle, so that nothing can be exchanged in between. The change itself names one
//! entry of that directory and follows no link.

use toolcell_policy::{GuardedPlace, Standing, standing};
use wasmtime::component::Resource;
use wasmtime_wasi::{
    filesystem::Descriptor,
    p2::{
        FsResult,
        bindings::filesystem::types::{
            DescriptorFlags, DescriptorType, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
        },
    },
};

use super::{Access, FilesView, Root, roots::is_system, whereabouts};
use crate::capability::recorder::PathUse;

/// An open directory and the name of one entry in it, perhaps with slashes at its end.
pub(super) struct Spot {
    pub(super) dir: Resource<Descriptor>,
    pub(super) name: String,
    /// Whether the directory was opened for this alone.
    opened: bool,
}

impl Spot {
    /// The directory once more, for a host function.
    pub(super) fn dir(&self) -> Resource<Descriptor> {
        Resource::new_borrow(self.dir.rep())
    }
}

/// What is about to happen to an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing: it is read.
    Nothing,
    /// A directory is made or, being empty, removed. Above a guarded place that is harmless.
    Directory,
    /// Anything else.
    Content,
}

/// How many links one path may lead through, as for Linux itself.
const MAX_LINKS: usize = 40;

/// The longest path that links may add up to, in bytes.
const MAX_LINKED_BYTES: usize = 16 * super::MAX_PATH_BYTES;

pub(super) const SPECIAL: &str =
    "only files and directories can be opened, no FIFO, device or socket";

pub(super) const SYSTEM: &str =
    "it is on a file system of the kernel, which is mounted inside the directory";

impl FilesView<'_> {
    /// Finds the spot that a path means, and refuses a change there that is guarded. Links at the end of the path are not
    /// followed.
    pub(super) async fn spot(
        &mut self,
        fd: &Resource<Descriptor>,
        path: &str,
        access: &Access,
        change: Change,
    ) -> FsResult<Spot> {
        let borrow = || Resource::new_borrow(fd.rep());
        let Some((parent, name)) = split(path) else {
            // wasmtime-wasi refuses it, and says how.
            return Ok(Spot {
                dir: borrow(),
                name: path.to_owned(),
                opened: false,
            });
        };
        let here = matches!(parent, "" | "." | "./");
        let dir = if here {
            borrow()
        } else {
            let opened = self
                .inner
                .open_at(
                    borrow(),
                    PathFlags::SYMLINK_FOLLOW,
                    parent.to_owned(),
                    OpenFlags::DIRECTORY,
                    DescriptorFlags::READ,
                )
                .await;
            match opened {
                // Whoever may not list a directory may still read a file of which it knows the name.
                Err(error)
                    if change == Change::Nothing
                        && error.downcast_ref() == Some(&ErrorCode::Access) =>
                {
                    return Ok(Spot {
                        dir: borrow(),
                        name: path.to_owned(),
                        opened: false,
                    });
                }
                opened => self.settle(&[access], opened)?,
            }
        };
        let spot = Spot {
            dir,
            name: name.to_owned(),
            opened: !here,
        };
        match self.judge(&spot, access, change) {
            Ok(()) => Ok(spot),
            Err(error) => {
                self.leave(spot)?;
                Err(error)
            }
        }
    }

    /// Finds the spot that a path means in the end, through links where they are followed, and tells whether something
    /// is there. What is there is a file, a directory, or a link that is not to be followed.
    ///
    /// FIFOs, devices and sockets are refused: opening one may block a thread for ever, or reach a driver or a server
    /// that no grant is about.
    pub(super) async fn end(
        &mut self,
        fd: &Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        access: &Access,
        change: Change,
    ) -> FsResult<(Spot, bool)> {
        let mut path = path;
        for _ in 0..MAX_LINKS {
            let spot = self.spot(fd, &path, access, change).await?;
            let bare = match spot.name.trim_end_matches('/') {
                "" => spot.name.clone(),
                bare => bare.to_owned(),
            };
            let slashes = spot.name.get(bare.len()..).unwrap_or_default().to_owned();
            let follow = flags.contains(PathFlags::SYMLINK_FOLLOW) || !slashes.is_empty();
            let stat = self
                .inner
                .stat_at(spot.dir(), PathFlags::empty(), bare.clone())
                .await;
            match stat {
                Ok(stat) if stat.type_ == DescriptorType::SymbolicLink && follow => {
                    let target = self.inner.readlink_at(spot.dir(), bare).await;
                    self.leave(spot)?;
                    let target = self.settle(&[access], target)?;
                    let parent = split(&path).map_or("", |(parent, _)| parent);
                    path = format!("{parent}{target}{slashes}");
                    if target.is_empty() || path.len() > MAX_LINKED_BYTES {
                        return Err(ErrorCode::NameTooLong.into());
                    }
                }
                Ok(stat) if is_plain(stat.type_) => return Ok((spot, true)),
                Ok(_) => {
                    self.leave(spot)?;
                    return Err(self.deny(&[access], SPECIAL));
                }
                Err(error) if error.downcast_ref() == Some(&ErrorCode::NoEntry) => {
                    return Ok((spot, false));
                }
                Err(error) => {
                    self.leave(spot)?;
                    return self.settle(&[access], Err(error));
                }
            }
        }
        Err(ErrorCode::Loop.into())
    }

    /// The spots of something that gets a new name, and of that name.
    pub(super) async fn both(
        &mut self,
        (old_fd, old_path, old): (&Resource<Descriptor>, &str, &Access),
        (new_fd, new_path, new): (&Resource<Descriptor>, &str, &Access),
    ) -> FsResult<(Spot, Spot)> {
        // What one grant guards must not be changed by way of another one that does not. A program copies what it cannot
        // move, and then every step is judged.
        if !self.state.roots.guard_alike(old.root, new.root) {
            return Err(ErrorCode::CrossDevice.into());
        }
        let from = self.spot(old_fd, old_path, old, Change::Content).await?;
        let checked = self.refuse_special(&from, old).await;
        let to = match checked {
            Ok(()) => self.spot(new_fd, new_path, new, Change::Content).await,
            Err(error) => Err(error),
        };
        match to {
            Ok(to) => Ok((from, to)),
            Err(error) => {
                self.leave(from)?;
                Err(error)
            }
        }
    }

    /// Refuses to give a FIFO, device or socket another name: in the moment between the check of a name and its opening,
    /// a second call could put one there.
    pub(super) async fn refuse_special(&mut self, spot: &Spot, access: &Access) -> FsResult<()> {
        let name = spot.name.trim_end_matches('/').to_owned();
        let stat = self
            .inner
            .stat_at(spot.dir(), PathFlags::empty(), name)
            .await;
        match stat {
            Ok(stat) if !is_plain(stat.type_) => Err(self.deny(&[access], SPECIAL)),
            // The operation itself tells what is wrong.
            _ => Ok(()),
        }
    }

    /// Closes the directory, if it was opened for the spot.
    pub(super) fn leave(&mut self, spot: Spot) -> FsResult<()> {
        if spot.opened {
            HostDescriptor::drop(&mut self.inner, spot.dir)
                .map_err(wasmtime_wasi::p2::FsError::trap)?;
        }
        Ok(())
    }

    fn judge(&self, spot: &Spot, access: &Access, change: Change) -> FsResult<()> {
        let Descriptor::Dir(dir) = self.inner.table.get(&spot.dir)? else {
            return Err(ErrorCode::NotDirectory.into());
        };
        if is_system(&dir.dir)? {
            return Err(self.deny(&[access], SYSTEM));
        }
        if change == Change::Nothing {
            return Ok(());
        }
        match self.standing(&dir.dir, &spot.name, access)? {
            Standing::Inside(place) => Err(self.refuse_guarded(access, place)),
            Standing::Above(place) if change == Change::Content => {
                Err(self.refuse_guarded(access, place))
            }
            Standing::Above(_) | Standing::Free => Ok(()),
        }
    }

    /// Refuses to change what is open itself, where it is guarded.
    pub(super) fn judge_open(&self, fd: &Resource<Descriptor>, access: &Access) -> FsResult<()> {
        let file = match self.inner.table.get(fd)? {
            Descriptor::File(file) => &file.file,
            Descriptor::Dir(dir) => &dir.dir,
        };
        match self.standing(file, "", access)? {
            Standing::Inside(place) => Err(self.refuse_guarded(access, place)),
            Standing::Above(_) | Standing::Free => Ok(()),
        }
    }

    fn standing(&self, dir: &std::fs::File, name: &str, access: &Access) -> FsResult<Standing> {
        let Root::Granted(index) = access.root else {
            return Ok(Standing::Free);
        };
        let roots = &self.state.roots;
        let (Some(root), Some(grant)) = (roots.dir(index), roots.grant(index)) else {
            return Err(ErrorCode::NotPermitted.into());
        };
        let Ok((lead, inside)) = whereabouts::inside(&root.dir, dir) else {
            return Err(self.deny(&[access], "where it lies cannot be told"));
        };
        Ok(standing(&lead, &format!("{inside}/{name}"), &grant.unlock))
    }

    fn refuse_guarded(&self, access: &Access, place: &GuardedPlace) -> wasmtime_wasi::p2::FsError {
        debug_assert_eq!(access.used, PathUse::Write, "reading is never guarded");
        self.refuse(&[access], &place.rule().to_string(), &place.reason())
    }
}

/// A path as the directory that an entry is in and the entry's name with the slashes after it. A path that ends with a dot
/// or two is that directory's own. `None` for an absolute or empty path.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.is_empty() || path.starts_with('/') {
        return None;
    }
    let trimmed = path.trim_end_matches('/');
    let (_, last) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
    if matches!(last, "." | "..") {
        return Some((path, "."));
    }
    path.split_at_checked(trimmed.len() - last.len())
}

pub(super) fn is_plain(kind: DescriptorType) -> bool {
    matches!(
        kind,
        DescriptorType::Directory | DescriptorType::RegularFile | DescriptorType::SymbolicLink
    )
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_path_is_split_into_a_directory_and_a_name() {
        for (path, parts) in [
            ("a", Some(("", "a"))),
            ("a///", Some(("", "a///"))),
            ("a/b", Some(("a/", "b"))),
            ("./a//b/", Some(("./a//", "b/"))),
            ("..", Some(("..", "."))),
            ("a/.", Some(("a/.", "."))),
            ("a/../", Some(("a/../", "."))),
            ("a/..b", Some(("a/", "..b"))),
            ("", None),
            ("/", None),
            ("/a", None),
        ] {
            assert_eq!(split(path), parts, "{path}");
        }
    }
}
