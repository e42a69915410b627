//! Granted directories. How a path resolves is wasmtime-wasi's business alone: this layer sits in front of its host
//! functions, refuses what no grant covers, charges quotas, and records what was touched, under guest paths only.

use std::{collections::HashMap, sync::Arc};

use toolcell_policy::{FileAccess, GrantSet};
use wasmtime::component::{HasData, Linker, Resource, ResourceTableError};
use wasmtime_wasi::{
    filesystem::{Descriptor, WasiFilesystemCtxView},
    p2::{
        FsError, FsResult,
        bindings::filesystem::{preopens, types, types::ErrorCode},
    },
};

use crate::{
    Denial, ErrorKind,
    capability::{
        LimitExceeded,
        recorder::{PathUse, Recorder},
    },
};

mod host;
mod quota;
mod roots;
mod scratch;
mod spot;
#[cfg(test)]
mod tests;
mod whereabouts;

use quota::Quota;
pub(crate) use roots::{FileRoots, HeldRoots, RootRules};
use scratch::Scratch;
pub(crate) use scratch::{ScratchBase, ScratchHome};

/// What one call knows about its files.
pub(crate) struct FilesState {
    roots: Arc<HeldRoots>,
    /// What decides about paths outside all directories. A worker process has no policy and asks its host.
    grants: Option<GrantSet>,
    recorder: Recorder,
    quota: Quota,
    /// Where each open descriptor points, by its number in the resource table.
    places: HashMap<u32, Place>,
    /// How many names each open listing of a directory holds, by its number in the resource table.
    listings: HashMap<u32, usize>,
    /// How many of them there may be.
    max_listings: u32,
    /// How many descriptors may be open. Each is one of the host's.
    max_open: usize,
    /// The directory of this call alone. It is made when the guest asks for its directories.
    scratch: Option<Scratch>,
}

/// The most names that all open listings of a call hold together. Each keeps all names of its directory in the host's
/// memory, so a directory with more cannot be listed.
const MAX_LISTED: usize = 65_536;

/// Which root a descriptor came from, and its path as the guest sees it.
#[derive(Clone)]
struct Place {
    root: Root,
    path: Arc<str>,
}

/// A granted root by its index, the directory of this call alone, or the phantom `/` that stands for everything else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    Granted(usize),
    Scratch,
    Phantom,
}

/// One use of one path that the guest asked for.
struct Access {
    root: Root,
    path: String,
    used: PathUse,
}

impl FilesState {
    /// The state of a new call on opened roots. Its quotas are those of the roots' holdings. `grants` are those that
    /// the roots were opened for; a worker process has none.
    pub(crate) fn new(roots: Arc<HeldRoots>, grants: Option<GrantSet>, recorder: Recorder) -> Self {
        let limits = &roots.holdings().limits;
        let (max_listings, max_open) = (limits.listings, limits.open_files as usize);
        Self {
            quota: Quota::new(limits.written, limits.created.into(), recorder.clone()),
            roots,
            grants,
            recorder,
            places: HashMap::new(),
            listings: HashMap::new(),
            max_listings,
            max_open,
            scratch: None,
        }
    }

    /// The call's own directory, once it has ended: dropping it deletes it, which takes time.
    pub(crate) fn take_scratch(&mut self) -> Option<Leftover> {
        let scratch = self.scratch.take()?;
        Some(Leftover {
            scratch,
            may_block: self.roots.may_block(),
        })
    }

    /// Whether one more file or directory may be open. The roots do not count.
    fn may_open(&self) -> Result<(), LimitExceeded> {
        let holdings = self.roots.holdings();
        let roots = holdings.dirs.len()
            + usize::from(holdings.scratch.is_some())
            + usize::from(holdings.phantom);
        let max = self.max_open;
        if self.places.len() < max.saturating_add(roots) {
            return Ok(());
        }
        let message =
            format!("the tool holds more files open than it may: its limit `open_files` is {max}");
        Err(self.recorder.exceed(ErrorKind::LimitFiles, message))
    }

    /// Whether one more listing of a directory may be open.
    fn may_list(&self) -> Result<(), LimitExceeded> {
        let max = self.max_listings;
        if self.listings.len() < max as usize {
            return Ok(());
        }
        let message =
            format!("the tool holds more listings open than it may: its limit `listings` is {max}");
        Err(self.recorder.exceed(ErrorKind::LimitFiles, message))
    }

    /// Bytes that the call wrote to files, holes included.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.quota.written()
    }

    /// Files, directories and links that the call created.
    pub(crate) fn created(&self) -> u64 {
        self.quota.created()
    }
}

/// What is left of a call once it has ended.
pub(crate) struct Leftover {
    scratch: Scratch,
    may_block: bool,
}

/// Deletes what is left of a call, away from threads that others wait for. A future that is dropped meanwhile changes
/// nothing about it.
pub(crate) async fn discard(leftover: Option<Leftover>) {
    match leftover {
        Some(Leftover { scratch, may_block }) if !may_block => {
            let deleted = tokio::task::spawn_blocking(move || drop(scratch)).await;
            if let Err(error) = deleted {
                tracing::error!(%error, "the scratch directory of a call was not deleted");
            }
        }
        leftover => drop(leftover),
    }
}

/// The file system as one host call sees it: wasmtime-wasi's own view, and ours of the call.
pub(crate) struct FilesView<'a> {
    /// What everything permitted is delegated to.
    pub(crate) inner: WasiFilesystemCtxView<'a>,
    /// What the call knows about its files.
    pub(crate) state: &'a mut FilesState,
}

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = FilesView<'a>;
}

/// Links `wasi:filesystem`, guarded.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: fn(&mut T) -> FilesView<'_>,
) -> wasmtime::Result<()> {
    types::add_to_linker::<T, HasFiles>(linker, get)?;
    preopens::add_to_linker::<T, HasFiles>(linker, get)
}

impl FilesView<'_> {
    fn place(&self, fd: &Resource<Descriptor>) -> FsResult<Place> {
        self.state
            .places
            .get(&fd.rep())
            .cloned()
            .ok_or_else(|| FsError::trap(ResourceTableError::NotPresent))
    }

    /// The access that using `path` below a descriptor is, or a recorded denial.
    fn access_at(&self, fd: &Resource<Descriptor>, path: &str, used: PathUse) -> FsResult<Access> {
        let place = self.place(fd)?;
        self.admit(Access {
            root: place.root,
            path: join(&place.path, path),
            used,
        })
    }

    /// The access that using a descriptor itself is, or a recorded denial.
    fn access(&self, fd: &Resource<Descriptor>, used: PathUse) -> FsResult<Access> {
        let place = self.place(fd)?;
        self.admit(Access {
            root: place.root,
            path: place.path.to_string(),
            used,
        })
    }

    /// Refuses what the grants refuse whatever the path resolves to.
    fn admit(&self, access: Access) -> FsResult<Access> {
        let roots = &self.state.roots;
        match access.root {
            Root::Granted(index) => {
                let grant = roots.grant(index);
                if grant.is_some_and(|grant| grant.access >= wanted(access.used)) {
                    if access.used == PathUse::Write {
                        self.state.recorder.changes();
                    }
                    return Ok(access);
                }
                Err(self.deny(&[&access], "the directory is granted for reading only"))
            }
            Root::Scratch => Ok(access),
            Root::Phantom => {
                let recorder = &self.state.recorder;
                match &self.state.grants {
                    Some(grants) => deny_outside(grants, recorder, &access.path, access.used),
                    None => recorder.deny_outside(&access.path, access.used),
                }
                Err(ErrorCode::NotPermitted.into())
            }
        }
    }

    /// Refuses under the rule of the grant that the last access is below.
    fn deny(&self, accesses: &[&Access], reason: &str) -> FsError {
        let last = accesses.last().map(|access| access.root);
        match last {
            Some(Root::Granted(index)) if let Some(grant) = self.state.roots.grant(index) => {
                self.refuse(accesses, &grant.rule, reason)
            }
            Some(Root::Scratch) if let Some((_, held)) = self.state.roots.scratch() => {
                self.refuse(accesses, &held.rule, reason)
            }
            _ => ErrorCode::NotPermitted.into(),
        }
    }

    /// Records a refusal, and gives the error that the guest sees.
    fn refuse(&self, accesses: &[&Access], rule: &str, reason: &str) -> FsError {
        let used = accesses.last().map_or("", |last| last.used.as_str());
        let paths: Vec<&str> = accesses.iter().map(|a| a.path.as_str()).collect();
        self.state.recorder.deny(Denial {
            capability: "files".into(),
            access: format!("{used} {}", paths.join(" to ")),
            rule: rule.to_owned(),
            reason: reason.into(),
        });
        ErrorCode::NotPermitted.into()
    }

    /// Records what became of accesses that were delegated.
    fn settle<T>(&self, accesses: &[&Access], result: FsResult<T>) -> FsResult<T> {
        match &result {
            Ok(_) => {
                for access in accesses {
                    self.state.recorder.touch(&access.path, access.used);
                }
            }
            Err(error) if error.downcast_ref() == Some(&ErrorCode::NotPermitted) => {
                self.deny(
                    accesses,
                    "the path leads out of its directory, or the operating system refused it",
                );
            }
            Err(_) => {}
        }
        result
    }
}

fn wanted(used: PathUse) -> FileAccess {
    match used {
        PathUse::Read => FileAccess::Read,
        PathUse::Write => FileAccess::Write,
    }
}

/// Records that a path outside all directories was refused, by the rule that refuses it.
pub(crate) fn deny_outside(grants: &GrantSet, recorder: &Recorder, path: &str, used: PathUse) {
    let verdict = grants.check_file(path, wanted(used));
    let reason = if verdict.is_allowed() {
        "a granted path must be reached through its own directory".to_owned()
    } else {
        verdict.reason
    };
    recorder.deny(Denial {
        capability: "files".into(),
        access: format!("{} {path}", used.as_str()),
        rule: verdict.rule.to_string(),
        reason,
    });
}

/// The path that a guest means by `path` below the directory `base`, as it wrote it: resolving `..` here could be
/// wrong, since only the file system knows where a link leads.
///
/// What is longer than any path the system takes is cut off: a guest could make paths longer with every directory that
/// it opens below the last one, and fill the host's memory with them. Nothing is decided or resolved by the rest.
fn join(base: &str, path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = path
        .get(..path.floor_char_boundary(MAX_PATH_BYTES))
        .unwrap_or_default();
    let mut joined = joined(base, path);
    joined.truncate(joined.floor_char_boundary(MAX_PATH_BYTES));
    joined
}

/// The longest path that is kept, in bytes.
const MAX_PATH_BYTES: usize = 4096;

fn joined(base: &str, path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else if path.is_empty() || path == "." {
        base.to_owned()
    } else if base.ends_with('/') {
        format!("{base}{path}")
    } else {
        format!("{base}/{path}")
    }
}
