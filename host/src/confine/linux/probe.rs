//! What this kernel offers.

use std::fs;

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};

use super::{
    super::{Kernel, Step, cgroup},
    landlock,
};

/// As [`Kernel::probe`].
pub(crate) fn probe() -> Kernel {
    let landlock_abi = landlock::offered();
    let there = |yes: bool, why: &str| {
        if yes {
            Step::Reached
        } else {
            Step::missing(why)
        }
    };
    Kernel {
        landlock_abi,
        landlock: there(landlock_abi > 0, landlock::absence()),
        seccomp: seccomp(),
        openat2: openat2_works(),
        pagemap_scan: there(
            wasmtime::PoolingAllocationConfig::is_pagemap_scan_available(),
            "Linux 6.7 and later have it",
        ),
        memory_cgroup: cgroup::available(),
    }
}

fn seccomp() -> Step {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return Step::missing("there is no list of system calls for this processor");
    }
    match fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) => {
            let has = |wanted| actions.split_whitespace().any(|action| action == wanted);
            if has("errno") && has("kill_process") {
                Step::Reached
            } else {
                Step::missing("the kernel's seccomp cannot kill a process (Linux 4.14 and later)")
            }
        }
        Err(error) => Step::missing(format_args!("the kernel shows no seccomp: {error}")),
    }
}

fn openat2_works() -> Step {
    let opened = openat2(
        CWD,
        ".",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH,
    );
    match opened {
        Ok(_) => Step::Reached,
        Err(Errno::NOSYS) => Step::missing("Linux 5.6 and later have it"),
        Err(error) => Step::missing(error),
    }
}
