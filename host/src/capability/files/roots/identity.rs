//! Which directory is which, and which contains which: by device and inode.

use std::{fs::File, io, os::fd::AsFd, path::Path};

use rustix::fs::{Mode, OFlags, fstat, openat};

/// Device and inode: what a directory is, under whatever name it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Whether both are on one file system.
    pub(super) fn shares_device(&self, other: &Self) -> bool {
        self.device == other.device
    }

    /// Something that is nowhere else on the same file system.
    #[cfg(test)]
    pub(super) fn other_on_the_device(&self) -> Self {
        Self {
            inode: u64::MAX,
            ..*self
        }
    }
}

pub(super) fn identity(file: impl AsFd) -> io::Result<Identity> {
    let stat = fstat(file)?;
    Ok(Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
    })
}

/// The directory itself, then every directory above it up to the root.
pub(super) fn ancestors(dir: &File) -> io::Result<Vec<Identity>> {
    let mut chain = vec![identity(dir)?];
    let mut current = dir.as_fd().try_clone_to_owned()?;
    loop {
        let parent = openat(&current, "..", WALK, Mode::empty())?;
        let its = identity(&parent)?;
        if chain.last() == Some(&its) {
            return Ok(chain);
        }
        chain.push(its);
        current = parent;
    }
}

/// Walking up needs no right to list what is on the way.
#[cfg(target_os = "linux")]
const WALK: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const WALK: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// Where a path is that may not exist yet, and may be a file or a link.
pub(super) struct Spot {
    /// The directory itself, if it is one.
    own: Option<Identity>,
    /// It, where it is a directory, and all directories that contain it or a link to it.
    chain: Vec<Identity>,
}

impl Spot {
    pub(super) fn locate(path: &Path) -> Self {
        let target = path.canonicalize().ok();
        let mut chain = chain_of_nearest(path);
        // A link to the path is as good as the path: who can replace it decides where it leads.
        let parents = [path.parent(), target.as_deref().and_then(Path::parent)];
        for parent in parents.into_iter().flatten() {
            chain.extend(chain_of_nearest(parent));
        }
        Self {
            own: super::open(path).and_then(|dir| identity(&dir)).ok(),
            chain,
        }
    }

    /// Whether it is the directory, or lies inside it.
    pub(super) fn is_below(&self, dir: Identity) -> bool {
        self.chain.contains(&dir)
    }

    /// Whether it is a directory in which one with these ancestors lies.
    pub(super) fn is_above(&self, chain: &[Identity]) -> bool {
        self.own.is_some_and(|own| chain.contains(&own))
    }
}

/// The ancestors of the nearest directory at or above a path that exists.
fn chain_of_nearest(path: &Path) -> Vec<Identity> {
    path.ancestors()
        .map(|path| {
            if path.as_os_str().is_empty() {
                Path::new(".")
            } else {
                path
            }
        })
        .find_map(|path| super::open(path).ok())
        .and_then(|dir| ancestors(&dir).ok())
        .unwrap_or_default()
}

/// Whether a directory is on a file system that shows the kernel's own state instead of files. Under another name, by
/// a bind mount for example, it would not be recognised by its path.
#[cfg(target_os = "linux")]
pub(crate) fn is_system(dir: &File) -> io::Result<bool> {
    let magic = rustix::fs::fstatfs(dir)?.f_type;
    Ok(SYSTEM_MAGIC
        .iter()
        .any(|known| i128::from(*known) == i128::from(magic)))
}

/// Elsewhere such file systems have no number; the list of names has to do.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_system(_dir: &File) -> io::Result<bool> {
    Ok(false)
}

/// Numbers from the kernel's `linux/magic.h`.
#[cfg(target_os = "linux")]
const SYSTEM_MAGIC: &[u32] = &[
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x1cd1,      // devpts
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0xcafe_4a11, // bpf
    0xde5e_81e4, // efivarfs
    0x6265_6570, // configfs
    0x4249_4e4d, // binfmt_misc
    0x1980_0202, // mqueue
    0x6165_676c, // pstore
    0xf97c_ff8c, // selinuxfs
    0x4343_4853, // smackfs
    0x6573_5543, // the control file system of FUSE
    0x6e73_6673, // nsfs
    0x5049_4446, // pidfs
    0x6759_6969, // rpc_pipefs
    0x6e66_7364, // nfsd
    0x0765_5821, // resctrl
    0xabba_1974, // xenfs
];
