//! A limit on all memory of a process, set from outside, where this process may set one: a control group of its own
//! beneath the one that the host is in. Unlike `RLIMIT_DATA` it also counts what the kernel keeps for the process, such
//! as its page cache and pipes, and shared memory. It is a help and no condition: where none can be made, the reason is
//! said and the worker runs without.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Step;

/// Every group made here is called so, then the host's process id and a number.
const PREFIX: &str = "toolcell-";

/// The groups of this process.
static GROUPS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn groups() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A control group with a memory limit. Dropped, it is removed, if the process in it has ended by then. What is left at
/// the end of this process is killed and removed then; what is left of one that was killed itself, a later host removes.
#[derive(Debug)]
pub struct MemoryCgroup {
    dir: PathBuf,
}

impl MemoryCgroup {
    /// Makes a group that may hold `bytes` of memory and puts process `pid` into it. What the process holds already
    /// does not count. Beyond the limit the kernel kills it.
    ///
    /// # Errors
    ///
    /// Why none can be made here: not Linux, no memory controller, or no right to it.
    pub fn around(pid: u32, bytes: u64) -> Result<Self, String> {
        let group = Self::new(bytes)?;
        group.write("cgroup.procs", &pid.to_string())?;
        Ok(group)
    }

    fn new(bytes: u64) -> Result<Self, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let base = Base::find()?;
        sweep(&base.dir);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", process::id());
        let dir = base.dir.join(name);
        fs::create_dir(&dir).map_err(|error| format!("a control group: {error}"))?;
        at_exit();
        groups().insert(dir.clone());
        // From here on dropping removes it.
        let group = Self { dir };
        let bytes = bytes.to_string();
        match base.version {
            Version::One => {
                group.write("memory.limit_in_bytes", &bytes)?;
                // Kernels without swap accounting have no such file.
                let _ = group.write("memory.memsw.limit_in_bytes", &bytes);
            }
            Version::Two => {
                group.write("memory.max", &bytes)?;
                let _ = group.write("memory.swap.max", "0");
            }
        }
        Ok(group)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        // Opened, not created: what is missing is a controller that is missing.
        let opened = fs::OpenOptions::new().write(true).open(self.dir.join(file));
        opened
            .and_then(|mut opened| io::Write::write_all(&mut opened, text.as_bytes()))
            .map_err(|error| format!("{file} of a control group: {error}"))
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // Busy while a process is in it: then it is removed at the end.
        if fs::remove_dir(&self.dir).is_ok() {
            groups().remove(&self.dir);
        }
    }
}

/// Sees to it, once, that nothing is left behind when this process ends by itself.
fn at_exit() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        #[cfg(target_os = "linux")]
        #[expect(
            unsafe_code,
            reason = "no safe library registers work for the end of a process"
        )]
        // SAFETY: the function unwinds nowhere and uses only what is static.
        unsafe {
            libc::atexit(remove_all);
        }
    });
}

#[cfg(target_os = "linux")]
extern "C" fn remove_all() {
    /// The longest that the end of this process waits for the processes in its groups, in milliseconds.
    const LAST_MILLIS: u32 = 100;
    let left = std::mem::take(&mut *groups());
    for dir in &left {
        let inside = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        // They would die with this process all the same, but then nobody would be left to remove the group.
        for pid in inside.lines().filter_map(|line| line.parse().ok()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
    let mut left: Vec<&PathBuf> = left.iter().collect();
    for _ in 0..LAST_MILLIS {
        left.retain(|dir| {
            let removed = fs::remove_dir(dir);
            removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        });
        if left.is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Whether a worker can be put under a memory limit here. It makes a group and removes it again.
pub fn available() -> Step {
    match MemoryCgroup::new(1 << 30) {
        Ok(_) => Step::Reached,
        Err(why) => Step::Missing(why),
    }
}

/// Removes groups whose host is gone, as after a crash. One that still holds a process stays.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let host = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if host.is_some_and(|host| !Path::new("/proc").join(host).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Where groups are made.
#[derive(Debug, PartialEq, Eq)]
struct Base {
    dir: PathBuf,
    version: Version,
}

impl Base {
    fn find() -> Result<Self, String> {
        let read = |name: &str| {
            fs::read_to_string(name).map_err(|error| format!("{name} cannot be read: {error}"))
        };
        Self::locate(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)
    }

    /// From the groups of this process and the mounts that it sees.
    fn locate(groups: &str, mounts: &str) -> Result<Self, String> {
        let group = |wanted: &dyn Fn(&str) -> bool| {
            groups.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                wanted(controllers).then_some(path)
            })
        };
        let first = group(&|controllers| controllers.split(',').any(|one| one == "memory"));
        if let Some(path) = first {
            let dir = mounted(mounts, "cgroup", Some("memory"), path)
                .ok_or("the memory control groups are not mounted")?;
            // Else what a group beneath uses would not count for this one: the way out of a limit, not into one.
            let hierarchy = fs::read_to_string(dir.join("memory.use_hierarchy"));
            if hierarchy.is_ok_and(|text| text.trim() == "0") {
                return Err("the memory control groups do not count what is beneath them".into());
            }
            return Ok(Self {
                dir,
                version: Version::One,
            });
        }
        let path = group(&str::is_empty).ok_or("this process is in no control group")?;
        let own =
            mounted(mounts, "cgroup2", None, path).ok_or("the control groups are not mounted")?;
        // A group that holds processes can hand no controller on, so the place is most often beside it.
        let dir = [Some(own.as_path()), own.parent()]
            .into_iter()
            .flatten()
            .find(|dir| {
                let handed_on = fs::read_to_string(dir.join("cgroup.subtree_control"));
                handed_on.is_ok_and(|text| text.split_whitespace().any(|one| one == "memory"))
            })
            .ok_or("no memory controller was handed to this process")?;
        Ok(Self {
            dir: dir.to_owned(),
            version: Version::Two,
        })
    }
}

/// The directory of group `path` in a file system of type `kind`, mounted with `option`.
fn mounted(mounts: &str, kind: &str, option: Option<&str>, path: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        // id, parent, device, root, mount point, options..., a dash, type, source, options of the file system
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let found = after.next()?;
        let options = after.nth(1)?;
        if found != kind || option.is_some_and(|option| !options.split(',').any(|o| o == option)) {
            return None;
        }
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let inside = Path::new(path).strip_prefix(root).ok()?;
        Some(Path::new(point).join(inside))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_first_version_is_found_beneath_its_mount() {
        let base = Base::locate("9:name=systemd:/\n4:memory:/a/b\n0::/\n", FIRST).unwrap();
        let expected = Base {
            dir: "/sys/fs/cgroup/memory/a/b".into(),
            version: Version::One,
        };
        assert_eq!(base, expected);
    }

    #[test]
    fn a_container_sees_its_part_of_the_hierarchy() {
        let mounts = "35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let found = |path| mounted(mounts, "cgroup", Some("memory"), path);
        assert_eq!(found("/docker/1/x"), Some("/sys/fs/cgroup/memory/x".into()));
        assert_eq!(found("/elsewhere"), None);
    }

    #[test]
    fn the_second_version_needs_a_controller_that_is_handed_on() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        let mounts = format!("24 30 0:22 / {root} rw,nosuid - cgroup2 cgroup2 rw\n");
        let own = dir.path().join("slice/scope");
        fs::create_dir_all(&own).unwrap();
        let locate = || Base::locate("0::/slice/scope\n", &mounts);
        assert!(locate().unwrap_err().contains("no memory controller"));
        fs::write(
            dir.path().join("slice/cgroup.subtree_control"),
            "cpu memory pids\n",
        )
        .unwrap();
        assert_eq!(locate().unwrap().dir, dir.path().join("slice"));
        fs::write(own.join("cgroup.subtree_control"), "memory\n").unwrap();
        assert_eq!(locate().unwrap().dir, own);
    }

    #[test]
    fn without_any_the_reason_is_said() {
        assert!(Base::locate("", FIRST).is_err());
        assert!(Base::locate("0::/\n", "").is_err());
    }

    #[test]
    fn groups_of_hosts_that_are_gone_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| fs::create_dir(dir.path().join(name)).unwrap();
        let own = format!("{PREFIX}{}-0", process::id());
        // No process has the number 0.
        [&own, "toolcell-0-7", "other"].into_iter().for_each(make);
        sweep(dir.path());
        let left = |name: &str| dir.path().join(name).exists();
        // Where there is no /proc, nobody is there.
        assert!(left(&own) || !Path::new("/proc/self").exists());
        assert!(!left("toolcell-0-7") && left("other"));
    }
}
