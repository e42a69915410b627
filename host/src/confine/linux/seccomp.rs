//! System calls: a short list works. Everything else fails with `EPERM`, and what no tool ever does by mistake kills the
//! process, so that an attack ends at its first step.
//!
//! Three filters, and the kernel takes the strictest answer: one kills, one says that a call does not exist, and one
//! holds the list of those that work.

mod lists;

use std::{collections::BTreeMap, fmt};

use seccompiler::{
    BackendError, SeccompAction,
    SeccompCmpArgLen::{Dword, Qword},
    SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use self::lists::{ALLOWED, FATAL};

/// System calls by number. With no rule a call matches whatever its arguments are, else when any of its rules does.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Why there is no filter.
pub(super) struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<BackendError> for Failed {
    fn from(error: BackendError) -> Self {
        Self(error.to_string())
    }
}

impl From<seccompiler::Error> for Failed {
    fn from(error: seccompiler::Error) -> Self {
        Self(error.to_string())
    }
}

/// Puts the filters in force for this thread and those that it starts later.
pub(super) fn install(openat2: bool) -> Result<(), Failed> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = |rules, others, listed| -> Result<(), Failed> {
        let filter = SeccompFilter::new(rules, others, listed, arch)?;
        let program: seccompiler::BpfProgram = filter.try_into()?;
        Ok(apply_filter(&program)?)
    };
    let errno = |errno: i32| SeccompAction::Errno(errno.unsigned_abs());
    filter(fatal()?, SeccompAction::Allow, SeccompAction::KillProcess)?;
    filter(absent(openat2), SeccompAction::Allow, errno(libc::ENOSYS))?;
    // Last: it does not allow that another filter is set.
    filter(allowed()?, errno(libc::EPERM), SeccompAction::Allow)
}

/// A rule of one condition: argument `index` has the low 32 bits `value`.
fn is(index: u8, value: u32) -> Result<SeccompRule, BackendError> {
    rule([SeccompCondition::new(
        index,
        Dword,
        SeccompCmpOp::Eq,
        value.into(),
    )?])
}

/// A condition: of the bits in `mask`, argument `index` has those in `value` and no other.
fn masked(index: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, Qword, SeccompCmpOp::MaskedEq(mask), value)
}

/// A condition: argument `index` is a null pointer.
fn null(index: u8) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, Qword, SeccompCmpOp::Eq, 0)
}

fn rule<const N: usize>(conditions: [SeccompCondition; N]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.to_vec())
}

fn bits(flags: i32) -> u64 {
    u64::from(flags.cast_unsigned())
}

/// What kills the process.
fn fatal() -> Result<Rules, BackendError> {
    let mut rules: Rules = FATAL.iter().map(|call| (*call, Vec::new())).collect();
    // A new process; a new thread has the flag.
    let process = rule([masked(0, bits(libc::CLONE_THREAD), 0)?])?;
    rules.insert(libc::SYS_clone, vec![process]);
    let executable = u64::from(libc::MFD_EXEC);
    let program = rule([masked(1, executable, executable)?])?;
    rules.insert(libc::SYS_memfd_create, vec![program]);
    Ok(rules)
}

/// What answers that it does not exist. The arguments of `clone3` lie in memory, where a filter cannot read them; the C
/// library then uses `clone`.
fn absent(openat2: bool) -> Rules {
    let mut rules = Rules::from([(libc::SYS_clone3, Vec::new())]);
    if !openat2 {
        rules.insert(libc::SYS_openat2, Vec::new());
    }
    rules
}

/// What works.
fn allowed() -> Result<Rules, BackendError> {
    let mut rules: Rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    // Answered by the filter of absent calls.
    rules.insert(libc::SYS_clone3, Vec::new());
    rules.insert(libc::SYS_clone, vec![new_thread()?]);
    // The file of a memory image that many calls map.
    rules.insert(libc::SYS_memfd_create, Vec::new());
    rules.insert(libc::SYS_fcntl, any(1, lists::FCNTL)?);
    rules.insert(libc::SYS_ioctl, any(1, lists::IOCTL)?);
    rules.insert(libc::SYS_prctl, any(0, lists::PRCTL)?);
    // Not memory that is shared and has no file: neither a limit on data nor one on files would count it.
    let flags = |flag: i32| rule([masked(3, bits(flag), 0)?]);
    rules.insert(
        libc::SYS_mmap,
        vec![flags(libc::MAP_SHARED)?, flags(libc::MAP_ANONYMOUS)?],
    );
    // Reading one's own limits, not setting them.
    let own_limits = rule([
        SeccompCondition::new(0, Dword, SeccompCmpOp::Eq, 0)?,
        null(2)?,
    ])?;
    rules.insert(libc::SYS_prlimit64, vec![own_limits]);
    // `abort` sends a signal to its own thread.
    rules.insert(libc::SYS_tgkill, vec![is(0, std::process::id())?]);
    // A message goes to the other end of the pair and to nobody else.
    rules.insert(libc::SYS_sendto, vec![rule([null(4)?])?]);
    // The runtime's own pair for signals. Datagrams would find other sockets by their path.
    let stream = rule([
        SeccompCondition::new(0, Dword, SeccompCmpOp::Eq, bits(libc::AF_UNIX))?,
        masked(1, 0xf, bits(libc::SOCK_STREAM))?,
    ])?;
    rules.insert(libc::SYS_socketpair, vec![stream]);
    Ok(rules)
}

/// A thread that shares everything with its process, in no namespace of its own.
fn new_thread() -> Result<SeccompRule, BackendError> {
    let thread = bits(libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND);
    let never = bits(
        libc::CLONE_NEWNS
            | libc::CLONE_NEWCGROUP
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUSER
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_PTRACE
            | libc::CLONE_VFORK,
    );
    rule([masked(0, thread | never, thread)?])
}

/// One rule for each value that argument `index` may have.
fn any(index: u8, values: &[u32]) -> Result<Vec<SeccompRule>, BackendError> {
    values.iter().map(|value| is(index, *value)).collect()
}
