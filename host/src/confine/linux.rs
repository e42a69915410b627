//! Linux: the order in which the walls go up, and the steps that are one call each.

mod landlock;
mod limits;
mod probe;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod seccomp;

use std::{fs, process};

use rustix::{
    process::{DumpableBehavior, Signal},
    thread::{CapabilitySet, CapabilitySets},
};

use super::{ConfinementReport, Plan, Step};

pub(crate) use probe::probe;

/// As [`super::apply`].
pub(crate) fn apply(plan: &Plan<'_>) -> ConfinementReport {
    // Asked now: `/proc` is closed by then.
    let (threads, processes) = (threads(), limits::processes());
    // The first use makes rustix ask where the kernel's fast clock lies, which it could not find out afterwards.
    let _ = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let mut report = ConfinementReport::none("not tried");
    report.memory_cgroup = Step::missing("set from outside");
    // Without it neither Landlock nor seccomp can be set by an ordinary user.
    report.no_new_privs = Step::of(rustix::thread::set_no_new_privs(true));
    (report.landlock_abi, report.landlock) = landlock::restrict(&plan.dirs);
    // While it may still raise them, a superuser's worker lowers its limits; then it gives that right up.
    report.rlimits = limits::set(plan, processes);
    report.capabilities = Step::of(drop_capabilities());
    // After all that changes credentials, since the kernel takes both back when they change.
    report.not_dumpable = Step::of(rustix::process::set_dumpable_behavior(
        DumpableBehavior::NotDumpable,
    ));
    report.dies_with_parent = Step::of(die_with(plan.parent));
    // Last, as it refuses everything above.
    report.seccomp = filter(plan);
    if let Some(threads) = threads.filter(|threads| *threads > 1) {
        let why = format!("{threads} threads were running already");
        report.landlock = Step::missing(&why);
        report.seccomp = Step::missing(&why);
    }
    report
}

/// How many threads this process has; unknown where `/proc` is not mounted.
fn threads() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"))?;
    line.trim().parse().ok()
}

/// Gives up every right of the superuser but three, which concern only files that Landlock lets through: a host that
/// runs as root is meant to serve files of other owners (`DAC_OVERRIDE`, `DAC_READ_SEARCH`) and to set their times
/// (`FOWNER`). What else these three would open (`open_by_handle_at`) seccomp refuses.
fn drop_capabilities() -> rustix::io::Result<()> {
    let held = rustix::thread::capabilities(None)?;
    let kept = held.permitted
        & (CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH | CapabilitySet::FOWNER);
    // A kernel before 4.3 has no ambient set.
    let _ = rustix::thread::clear_ambient_capability_set();
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)
}

/// Asks for death with the parent; where that is gone already, ends this process, since no signal would come.
fn die_with(parent: u32) -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if now.and_then(|pid| u32::try_from(pid).ok()) != Some(parent) {
        process::exit(1);
    }
    Ok(())
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn filter(plan: &Plan<'_>) -> Step {
    Step::of(seccomp::install(plan.openat2))
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn filter(_plan: &Plan<'_>) -> Step {
    Step::missing("there is no list of system calls for this processor")
}
