//! This process and those who would look into it: what it knows stays in it.

use rustix::process::{Resource, Rlimit};
use serde::Serialize;

/// How far this process is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Closed {
    /// A crash leaves no core dump behind, here and in every process that is started from here.
    pub(crate) no_core: bool,
    /// Other processes of the same user can neither attach to it nor read its memory or its first environment.
    pub(crate) not_dumpable: bool,
}

/// Closes this process as far as the system lets it. That it does not is told by `doctor`.
pub(crate) fn close() {
    // The engine keeps a file of this process open that makes calls faster, and that an ordinary user's closed process
    // could not open any more. It is opened once, when the kernel is asked for it.
    let _ = toolcell::Kernel::probe();
    let nothing = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(Resource::Core, nothing);
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// How far it is closed now.
pub(crate) fn closed() -> Closed {
    let core = rustix::process::getrlimit(Resource::Core);
    #[cfg(target_os = "linux")]
    let not_dumpable = rustix::process::dumpable_behavior()
        .is_ok_and(|it| it == rustix::process::DumpableBehavior::NotDumpable);
    #[cfg(not(target_os = "linux"))]
    let not_dumpable = false;
    Closed {
        no_core: core.current == Some(0),
        not_dumpable,
    }
}
