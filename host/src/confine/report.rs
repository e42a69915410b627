//! What was reached of the second wall, and what a kernel offers for it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The lowest version of Landlock that counts: before it (Linux 6.2) a file that may only be read could be truncated.
const FULL_LANDLOCK: u32 = 3;

/// How far a worker process is confined by the operating system. A level contains those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfinementLevel {
    /// Neither its files nor its system calls are confined. It is a process of its own that can be killed, no more.
    None,
    /// Its files or its system calls are confined, or both in part.
    Partial,
    /// Landlock (version 3 or later), seccomp, resource limits, no new privileges, and its memory is closed to other
    /// processes of the same user.
    Full,
}

impl ConfinementLevel {
    /// `none`, `partial` or `full`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Partial => "partial",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for ConfinementLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ConfinementLevel {
    type Err = String;

    /// # Errors
    ///
    /// A sentence that names the three words.
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::None, Self::Partial, Self::Full]
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| "a confinement level is `none`, `partial` or `full`".to_owned())
    }
}

/// One part of the wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It stands.
    Reached,
    /// It does not stand, and why.
    Missing(String),
}

impl Step {
    /// Whether it stands.
    pub fn is_reached(&self) -> bool {
        *self == Self::Reached
    }

    /// It does not stand, because of `why`.
    pub(crate) fn missing(why: impl fmt::Display) -> Self {
        Self::Missing(why.to_string())
    }

    /// The outcome of a system call.
    #[cfg(target_os = "linux")]
    pub(crate) fn of<T, E: fmt::Display>(result: Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::Reached,
            Err(error) => Self::missing(error),
        }
    }
}

/// What was reached in one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConfinementReport {
    /// The version of Landlock that is in force, from 1 to 7; 0 where there is none. From 4 on it also refuses TCP, from
    /// 6 on signals to processes outside and abstract Unix sockets.
    pub landlock_abi: u32,
    /// Only the granted directories can be read or written.
    pub landlock: Step,
    /// Only a short list of system calls works.
    pub seccomp: Step,
    /// Limits on memory, file size, descriptors, processes and processor time; no core dumps.
    pub rlimits: Step,
    /// No program that it could start would get more rights.
    pub no_new_privs: Step,
    /// Its memory is closed to other processes of the same user, and no dump of it is written.
    pub not_dumpable: Step,
    /// The rights of the superuser are given up, but for those that concern the ownership of granted files.
    pub capabilities: Step,
    /// The kernel kills it when its parent ends.
    pub dies_with_parent: Step,
    /// A limit for all of its memory, the kernel's part included. The host sets it, from outside.
    pub memory_cgroup: Step,
}

impl ConfinementReport {
    /// A report in which nothing was reached, for one reason.
    pub(crate) fn none(why: &str) -> Self {
        let missing = || Step::missing(why);
        Self {
            landlock_abi: 0,
            landlock: missing(),
            seccomp: missing(),
            rlimits: missing(),
            no_new_privs: missing(),
            not_dumpable: missing(),
            capabilities: missing(),
            dies_with_parent: missing(),
            memory_cgroup: missing(),
        }
    }

    /// The level that all of it makes.
    pub fn level(&self) -> ConfinementLevel {
        let files = self.landlock.is_reached();
        let calls = self.seccomp.is_reached();
        let rest = [&self.rlimits, &self.no_new_privs, &self.not_dumpable];
        if files
            && calls
            && self.landlock_abi >= FULL_LANDLOCK
            && rest.iter().all(|step| step.is_reached())
        {
            ConfinementLevel::Full
        } else if files || calls {
            ConfinementLevel::Partial
        } else {
            ConfinementLevel::None
        }
    }

    /// Every step with its name, in the order in which they are shown.
    pub fn steps(&self) -> [(&'static str, &Step); 8] {
        [
            ("landlock", &self.landlock),
            ("seccomp", &self.seccomp),
            ("rlimits", &self.rlimits),
            ("no_new_privs", &self.no_new_privs),
            ("not_dumpable", &self.not_dumpable),
            ("capabilities", &self.capabilities),
            ("dies_with_parent", &self.dies_with_parent),
            ("memory_cgroup", &self.memory_cgroup),
        ]
    }
}

/// What a machine offers to confine a worker with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Kernel {
    /// The version of Landlock that it offers; 0 where there is none.
    pub landlock_abi: u32,
    /// Why there is no Landlock, where there is none.
    pub landlock: Step,
    /// Whether system calls can be filtered.
    pub seccomp: Step,
    /// Whether files can be opened by `openat2`, which follows no path out of a directory.
    pub openat2: Step,
    /// Whether it can tell which pages a call touched (Linux 6.7 and later).
    pub pagemap_scan: Step,
    /// Whether this process can put a worker under a memory limit.
    pub memory_cgroup: Step,
}

impl Kernel {
    /// The level that a worker can reach here.
    pub fn level(&self) -> ConfinementLevel {
        if !cfg!(target_os = "linux") {
            return ConfinementLevel::None;
        }
        // The other steps have been in every kernel for ten years and more.
        let mut report = ConfinementReport::none("");
        report.landlock_abi = self.landlock_abi;
        report.landlock = self.landlock.clone();
        report.seccomp = self.seccomp.clone();
        report.rlimits = Step::Reached;
        report.no_new_privs = Step::Reached;
        report.not_dumpable = Step::Reached;
        report.level()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> ConfinementReport {
        ConfinementReport {
            landlock_abi: 7,
            landlock: Step::Reached,
            seccomp: Step::Reached,
            rlimits: Step::Reached,
            no_new_privs: Step::Reached,
            not_dumpable: Step::Reached,
            capabilities: Step::Reached,
            dies_with_parent: Step::Reached,
            memory_cgroup: Step::missing("no cgroup"),
        }
    }

    #[test]
    fn the_level_is_full_only_with_every_wall_of_it() {
        let level = |change: &dyn Fn(&mut ConfinementReport)| {
            let mut report = full();
            change(&mut report);
            report.level()
        };
        let gone = || Step::missing("gone");
        assert_eq!(level(&|_| {}), ConfinementLevel::Full);
        assert_eq!(level(&|r| r.landlock_abi = 3), ConfinementLevel::Full);
        assert_eq!(level(&|r| r.capabilities = gone()), ConfinementLevel::Full);
        assert_eq!(level(&|r| r.landlock_abi = 2), ConfinementLevel::Partial);
        assert_eq!(level(&|r| r.landlock = gone()), ConfinementLevel::Partial);
        assert_eq!(level(&|r| r.seccomp = gone()), ConfinementLevel::Partial);
        assert_eq!(level(&|r| r.rlimits = gone()), ConfinementLevel::Partial);
        assert_eq!(
            level(&|r| r.no_new_privs = gone()),
            ConfinementLevel::Partial
        );
        assert_eq!(
            level(&|r| r.not_dumpable = gone()),
            ConfinementLevel::Partial
        );
        assert_eq!(
            level(&|r| (r.landlock, r.seccomp) = (gone(), gone())),
            ConfinementLevel::None
        );
        assert_eq!(
            ConfinementReport::none("no").level(),
            ConfinementLevel::None
        );
    }

    #[test]
    fn levels_are_ordered_and_read_back() {
        use ConfinementLevel::{Full, None, Partial};
        assert!(None < Partial && Partial < Full);
        for level in [None, Partial, Full] {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!("Full".parse::<ConfinementLevel>().is_err());
    }

    #[test]
    fn a_report_survives_the_wire() {
        let bytes = postcard::to_allocvec(&full()).unwrap();
        assert_eq!(
            postcard::from_bytes::<ConfinementReport>(&bytes).unwrap(),
            full()
        );
        let json = serde_json::to_value(full()).unwrap();
        assert_eq!(json["seccomp"], "reached");
        assert_eq!(json["memory_cgroup"]["missing"], "no cgroup");
    }
}
