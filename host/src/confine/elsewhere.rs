//! Systems other than Linux: a worker is a process of its own that can be killed, and no more.

use super::{ConfinementReport, Kernel, Plan, Step};

const WHY: &str = "only Linux can confine a process";

/// As [`super::apply`]: confines nothing, and says so.
pub(crate) fn apply(_plan: &Plan<'_>) -> ConfinementReport {
    ConfinementReport::none(WHY)
}

/// As [`Kernel::probe`].
pub(crate) fn probe() -> Kernel {
    Kernel {
        landlock_abi: 0,
        landlock: Step::missing(WHY),
        seccomp: Step::missing(WHY),
        openat2: Step::missing(WHY),
        pagemap_scan: Step::missing(WHY),
        memory_cgroup: Step::missing(WHY),
    }
}
