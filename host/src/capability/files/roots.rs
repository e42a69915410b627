//! Opens the granted directories, once for a tool, and refuses those that reach what no tool may touch.

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use cap_std::{ambient_authority, fs::Dir as CapDir};
use toolcell_policy::{FileAccess, FileGrant, GrantSet};
use wasmtime_wasi::{FsPerms, OpenMode, filesystem::Dir};

use super::{Root, ScratchBase, ScratchHome};
use crate::{
    Error, ErrorKind, Result,
    capability::holdings::{HeldDir, HeldScratch, Holdings},
};

mod identity;
#[cfg(test)]
mod tests;

pub(super) use identity::is_system;
use identity::{Identity, Spot, ancestors, identity};

/// What no granted directory may reach.
#[derive(Clone, Debug, Default)]
pub(crate) struct RootRules {
    /// Files and directories of the host's own state: policies, caches, audit logs. A grant may neither contain one
    /// nor lie inside one. They need not exist yet.
    pub(crate) protected: Vec<PathBuf>,
    /// Directories that are too wide to be granted, such as the user's home. A grant may lie inside one, but neither
    /// be one nor contain one.
    pub(crate) too_wide: Vec<PathBuf>,
    /// Where calls get directories of their own; without it a policy that gives one is refused.
    pub(crate) scratch: Option<Arc<ScratchHome>>,
}

/// The granted directories of one tool, opened. Every call works on these handles, so what a path on the host is
/// renamed or linked to later makes no difference.
pub(crate) struct FileRoots {
    grants: GrantSet,
    held: Arc<HeldRoots>,
}

/// The part of them that a sandbox needs: what it holds, and its directories.
pub(crate) struct HeldRoots {
    holdings: Holdings,
    dirs: Vec<Dir>,
    phantom: Option<Dir>,
    scratch: Option<Arc<ScratchBase>>,
    /// Whether operations may block the thread that they run on.
    may_block: bool,
}

impl FileRoots {
    /// Opens every granted directory; a relative one starts from its policy file's directory, or else from `base`.
    ///
    /// # Errors
    ///
    /// `invalid_policy` where a directory does not exist, is none, or reaches what `rules` or the system protect. All
    /// problems are reported together, one a line, each with its rule.
    pub(crate) fn open(grants: &GrantSet, base: &Path, rules: &RootRules) -> Result<Self> {
        let guard = Guard::new(rules);
        let holdings = Holdings::from(grants);
        let mut dirs = Vec::new();
        let mut problems = Vec::new();
        for (grant, held) in grants.files().iter().zip(&holdings.dirs) {
            let path = host_path(base, grant);
            match guard.open(&path) {
                Ok(dir) => dirs.push(granted(held, dir, false)),
                Err(problem) => problems.push(format!(
                    "{}: the directory {} cannot be granted: {problem}",
                    grant.rule,
                    path.display()
                )),
            }
        }
        if !problems.is_empty() {
            return Err(Error::new(ErrorKind::InvalidPolicy, problems.join("\n"))
                .with_help("grant a directory that holds only what the tool works on"));
        }
        let scratch = scratch(grants, rules)?;
        Ok(Self {
            grants: grants.clone(),
            held: Arc::new(HeldRoots::new(holdings, dirs, scratch, false)?),
        })
    }

    /// What the roots were opened for.
    pub(crate) fn grants(&self) -> &GrantSet {
        &self.grants
    }

    /// What a sandbox needs of them.
    pub(crate) fn held(&self) -> &Arc<HeldRoots> {
        &self.held
    }
}

impl HeldRoots {
    /// The directories of a worker process, which its host opened and handed over, in the order of
    /// [`Holdings::dirs`], and the base of scratch directories, if there is one. Opens a pipe for the phantom, so it has to come before system calls are restricted.
    ///
    /// Operations on them may block the thread they run on: what blocks for ever is killed together with its process,
    /// and a thread pool would only make every call slower.
    ///
    /// # Errors
    ///
    /// `internal` where their number is not that of the holdings, or no pipe can be opened.
    pub(crate) fn received(
        holdings: Holdings,
        handles: Vec<OwnedFd>,
        scratch: Option<OwnedFd>,
    ) -> Result<Self> {
        if handles.len() != holdings.dirs.len() || scratch.is_some() != holdings.scratch.is_some() {
            let message = "the directories handed over are not those that were announced";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let dirs = holdings
            .dirs
            .iter()
            .zip(handles)
            .map(|(held, dir)| granted(held, File::from(dir), true))
            .collect();
        let scratch = scratch.map(|dir| Arc::new(ScratchBase::received(dir)));
        Self::new(holdings, dirs, scratch, true)
    }

    fn new(
        holdings: Holdings,
        dirs: Vec<Dir>,
        scratch: Option<Arc<ScratchBase>>,
        may_block: bool,
    ) -> Result<Self> {
        Ok(Self {
            phantom: holdings.phantom.then(phantom).transpose()?,
            holdings,
            dirs,
            scratch,
            may_block,
        })
    }

    /// Where its calls get directories of their own, and where the guest sees them. A worker process is handed the
    /// same, and after its death [`ScratchBase::clean_after`] deletes what it left.
    pub(crate) fn scratch(&self) -> Option<(&Arc<ScratchBase>, &HeldScratch)> {
        self.scratch.as_ref().zip(self.holdings.scratch.as_ref())
    }

    /// What a sandbox with them holds.
    pub(crate) fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// The open directories, in the order of [`Holdings::dirs`].
    pub(crate) fn handles(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.dirs.iter().map(|dir| dir.dir.as_fd())
    }

    pub(super) fn may_block(&self) -> bool {
        self.may_block
    }

    pub(super) fn grant(&self, index: usize) -> Option<&HeldDir> {
        self.holdings.dirs.get(index)
    }

    /// Whether two roots guard the same places.
    pub(super) fn guard_alike(&self, a: Root, b: Root) -> bool {
        let unlocked = |root: Root| match root {
            Root::Granted(index) => self.grant(index).map(|grant| &grant.unlock),
            Root::Scratch | Root::Phantom => None,
        };
        a == b || unlocked(a) == unlocked(b)
    }

    pub(super) fn dir(&self, index: usize) -> Option<&Dir> {
        self.dirs.get(index)
    }

    /// What the guest is handed at its start.
    pub(super) fn directories(&self) -> impl Iterator<Item = (Root, Dir, &str)> {
        let granted = self.holdings.dirs.iter().zip(&self.dirs).enumerate();
        let granted =
            granted.map(|(index, (held, dir))| (Root::Granted(index), dir.clone(), &*held.guest));
        let phantom = self.phantom.iter();
        granted.chain(phantom.map(|dir| (Root::Phantom, dir.clone(), "/")))
    }
}

/// The base of scratch directories, for a tool that is given one.
fn scratch(grants: &GrantSet, rules: &RootRules) -> Result<Option<Arc<ScratchBase>>> {
    let Some(grant) = grants.scratch() else {
        return Ok(None);
    };
    let Some(home) = &rules.scratch else {
        let message = format!(
            "{}: this host has no place for scratch directories",
            grant.rule
        );
        return Err(Error::new(ErrorKind::InvalidPolicy, message).with_help(
            "leave `scratch` out, or start the host with a place (`ToolHostBuilder::scratch_dir`)",
        ));
    };
    let base = home.base().map_err(|error| {
        let message = format!("{}: no scratch directory can be made", grant.rule);
        Error::new(ErrorKind::Unavailable, message).with_source(error)
    })?;
    Ok(Some(base))
}

fn host_path(base: &Path, grant: &FileGrant) -> PathBuf {
    match &grant.base {
        Some(own) => base.join(own).join(&grant.host),
        None => base.join(&grant.host),
    }
}

fn granted(held: &HeldDir, dir: File, may_block: bool) -> Dir {
    let (perms, mode) = match held.access {
        FileAccess::Write => (FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE),
        FileAccess::Read => (FsPerms::ReadOnly, OpenMode::READ),
    };
    Dir::new(dir, perms, mode, may_block)
}

/// A guest's C library looks paths up in its list of directories and never asks the host about others. With this
/// entry for `/` it does ask, so that the refusal can be recorded. Nothing is ever delegated to it. Should that ever
/// happen all the same, it is the end of a pipe, in which no path can resolve.
fn phantom() -> Result<Dir> {
    let (reader, _) = io::pipe()
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot open a pipe").with_source(e))?;
    let file = File::from(std::os::fd::OwnedFd::from(reader));
    Ok(Dir::new(file, FsPerms::ReadOnly, OpenMode::READ, false))
}

/// Knows what must stay out of reach, by device and inode: names can be made to lie, with links and mounts.
struct Guard {
    top: Option<Identity>,
    protected: Vec<(PathBuf, Spot)>,
    too_wide: Vec<(PathBuf, Spot)>,
    system: Vec<(&'static str, Identity)>,
}

/// Where kernels and daemons keep what is no file: processes, devices, control sockets.
const SYSTEM: &[&str] = &["/proc", "/sys", "/dev", "/run", "/var/run"];

impl Guard {
    fn new(rules: &RootRules) -> Self {
        let locate = |paths: &[PathBuf]| -> Vec<(PathBuf, Spot)> {
            paths
                .iter()
                .map(|path| (path.clone(), Spot::locate(path)))
                .collect()
        };
        Self {
            top: open(Path::new("/")).and_then(|dir| identity(&dir)).ok(),
            protected: locate(&rules.protected),
            too_wide: locate(&rules.too_wide),
            system: SYSTEM
                .iter()
                .filter_map(|path| Some((*path, identity(&open(Path::new(path)).ok()?).ok()?)))
                .collect(),
        }
    }

    /// The system directory that one with these ancestors, itself the first, is part of. Where a part of one is mounted
    /// elsewhere, the device gives it away.
    fn system_part(&self, chain: &[Identity]) -> Option<&'static str> {
        let own = chain.first()?;
        let separate = |its: &Identity| self.top.is_some_and(|top| !top.shares_device(its));
        let part =
            |its: &Identity| chain.contains(its) || (separate(its) && own.shares_device(its));
        let found = self.system.iter().find(|(_, its)| part(its));
        found.map(|(system, _)| *system)
    }

    /// Opens a directory and looks at what was opened, in this order, so that nothing can be exchanged in between.
    fn open(&self, path: &Path) -> Result<File, String> {
        let dir = open(path).map_err(|error| explain(path, &error))?;
        let chain = ancestors(&dir).map_err(|error| format!("its parents are unknown: {error}"))?;
        let own = *chain.first().ok_or("it has no identity")?;
        if Some(own) == self.top {
            return Err("it is the root of the whole file system".into());
        }
        if let Some(system) = self.system_part(&chain) {
            return Err(format!("it is part of the system directory {system}"));
        }
        if is_system(&dir).map_err(|error| format!("its file system is unknown: {error}"))? {
            return Err("it is on a file system of the kernel, not on a disk".into());
        }
        for (protected, spot) in &self.protected {
            if spot.is_below(own) || spot.is_above(&chain) {
                return Err(format!(
                    "it overlaps the host's own state in {}",
                    protected.display()
                ));
            }
        }
        for (wide, spot) in &self.too_wide {
            if spot.is_below(own) {
                return Err(format!(
                    "it is, or contains, all of {}; grant a directory inside it",
                    wide.display()
                ));
            }
        }
        Ok(dir)
    }
}

fn open(path: &Path) -> io::Result<File> {
    Ok(CapDir::open_ambient_dir(path, ambient_authority())?.into_std_file())
}

fn explain(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!(
                "it does not exist; create it with `mkdir -p {}`",
                path.display()
            )
        }
        io::ErrorKind::NotADirectory => "it is not a directory".into(),
        _ => error.to_string(),
    }
}
