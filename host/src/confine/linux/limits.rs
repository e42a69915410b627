//! Resource limits of a worker.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::super::{Plan, Step};

/// How many processes and threads may be started on the whole machine before a worker can start no more.
const PROCESSES: u64 = 4096;

/// Sets every limit; the first that fails is the reason. `processes` is what [`processes`] answered.
pub(super) fn set(plan: &Plan<'_>, processes: Option<u64>) -> Step {
    ignore_file_size_signal();
    let mut limits = vec![
        ("core", Resource::Core, 0),
        ("nofile", Resource::Nofile, plan.descriptors),
        ("data", Resource::Data, plan.data_bytes),
        ("fsize", Resource::Fsize, plan.file_bytes),
        // Locked memory and message queues lie outside of what the others count.
        ("memlock", Resource::Memlock, 0),
        ("msgqueue", Resource::Msgqueue, 0),
    ];
    if let Some(processes) = processes {
        limits.push(("nproc", Resource::Nproc, processes));
    }
    for (name, resource, value) in limits {
        if let Err(error) = lower(resource, value) {
            return Step::missing(format_args!("{name}: {error}"));
        }
    }
    // The first value sends a signal that says what happened, and the second kills whoever ignores it.
    let cpu = Rlimit {
        current: lowest(Resource::Cpu, plan.cpu_seconds),
        maximum: lowest(Resource::Cpu, plan.cpu_seconds.saturating_add(1)),
    };
    match setrlimit(Resource::Cpu, cpu) {
        Ok(()) => Step::Reached,
        Err(error) => Step::missing(format_args!("cpu: {error}")),
    }
}

/// Sets both values, the one in force and the one up to which it could be raised again; a lower one stays.
fn lower(resource: Resource, value: u64) -> rustix::io::Result<()> {
    let value = lowest(resource, value);
    setrlimit(
        resource,
        Rlimit {
            current: value,
            maximum: value,
        },
    )
}

/// A value, or the one up to which the limit may be raised where that is lower: to go beyond it takes a superuser.
fn lowest(resource: Resource, value: u64) -> Option<u64> {
    let allowed = getrlimit(resource).maximum;
    Some(allowed.map_or(value, |allowed| allowed.min(value)))
}

/// How many processes and threads there may be; unknown where `/proc` is not mounted or not open any more.
///
/// The kernel counts the processes and threads of the *user*, wherever they came from, and not at all for root. A fixed
/// number would stop a worker's own threads on the desktop of a busy user. So it is what runs on the whole machine now
/// and some more: enough for every honest program, and the end of a fork bomb. The wall against new processes is seccomp.
pub(super) fn processes() -> Option<u64> {
    // The fourth word: entities that are runnable, a slash, and all that exist.
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    let (_, all) = load.split_whitespace().nth(3)?.split_once('/')?;
    Some(all.parse::<u64>().ok()?.saturating_add(PROCESSES))
}

/// With the signal ignored, a write beyond the limit fails with `EFBIG`, which the guest sees as an error of its write.
fn ignore_file_size_signal() {
    #[expect(
        unsafe_code,
        reason = "no safe library sets a signal to be ignored; the handler is none of ours"
    )]
    // SAFETY: `SIG_IGN` runs no code, and nothing else in a worker handles this signal.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
