//! Files: Landlock lets through the granted directories and nothing else.

use std::os::fd::BorrowedFd;

use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, RestrictSelf,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::super::{Access, Step};

/// The latest version that was tried out. What later ones add is not asked for, so that a newer kernel behaves as those
/// that were tested.
const NEWEST: ABI = ABI::V7;

/// Restricts this thread and those that it starts later. The version in force, and whether it is.
pub(super) fn restrict(dirs: &[(BorrowedFd<'_>, Access)]) -> (u32, Step) {
    match try_restrict(dirs) {
        Ok(RulesetStatus::NotEnforced) => (0, Step::missing(absence())),
        Ok(_) => (offered(), Step::Reached),
        Err(error) => (0, Step::missing(error)),
    }
}

fn try_restrict(dirs: &[(BorrowedFd<'_>, Access)]) -> Result<RulesetStatus, RulesetError> {
    // Handled and granted to nothing: execute, the making of devices, FIFOs and sockets, and commands to devices. The
    // same goes for TCP and for signals and abstract sockets outside, which seccomp refuses as well. A kernel that does
    // not know one of them leaves it out; the version in the report says which it knows.
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for (dir, access) in dirs {
        ruleset = ruleset.add_rule(PathBeneath::new(dir, rights(*access)))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

fn rights(access: Access) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match access {
        Access::Read => read,
        Access::Write => {
            read | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::MakeSym
                | AccessFs::RemoveFile
                | AccessFs::RemoveDir
                | AccessFs::Refer
        }
    }
}

fn status() -> Option<LandlockStatus> {
    // No flag is set, so that this asks for the version and restricts nothing.
    let asked = RestrictSelf::default().no_new_privs(false).apply();
    asked.ok().map(|status| status.landlock)
}

/// The version that this kernel offers, up to the newest that we ask for; 0 for none.
pub(super) fn offered() -> u32 {
    match status() {
        Some(LandlockStatus::Available { effective_abi, .. }) => effective_abi.min(NEWEST) as u32,
        _ => 0,
    }
}

/// Why there is no Landlock.
pub(super) fn absence() -> &'static str {
    match status() {
        Some(LandlockStatus::NotEnabled) => {
            "the kernel has Landlock, but it is not among the modules started at boot (`lsm=`)"
        }
        _ => "the kernel has no Landlock (Linux 5.13 and later)",
    }
}
