//! Whether a package is the one that a person looked at when it was locked.
//!
//! What decides are digests, that of the component before anything of it is parsed. Only to say what is different is a
//! component looked into afterwards, and nothing is ever compiled of one that does not match.

use std::sync::Arc;

use toolcell_policy::{
    Lock, LockedPackage, Rule,
    lock::{Change, Digest},
};

use super::Shared;
use crate::{Error, ErrorKind, Result, builtins, package::Package, text::escape_control};

/// How many differences are told.
const MAX_CHANGES: usize = 24;

const REVIEW: &str = "If you expected this, look at the changes with `toolcell lock`, which records them. If not, find out who changed the component.";

impl Shared {
    /// What the locks say about a package with this name. `inside` is a package that is part of the host: its version
    /// pins it, so no lock has to name it.
    pub(super) fn pins(&self, name: &str, inside: bool) -> Result<Vec<&LockedPackage>> {
        let mut pins = Vec::new();
        for lock in &self.locks {
            match lock.package(name) {
                Some(locked) => pins.push(locked),
                None if inside => {}
                None => return Err(unnamed(name, None)),
            }
        }
        for pin in self.layers.pins(name) {
            match pin {
                Ok(locked) => pins.push(locked),
                Err(_) if inside => {}
                Err(rule) => return Err(unnamed(name, Some(rule))),
            }
        }
        Ok(pins)
    }

    /// Looks into a package whose name only its own bytes tell, if the locks know them.
    pub(super) fn parse_unnamed(&self, stem: &str, bytes: Arc<[u8]>) -> Result<Package> {
        let digest = Digest::of(&bytes);
        let known = |lock: &Lock| {
            let mut packages = lock.packages();
            packages.any(|package| package.component() == digest)
        };
        if !self.locks.iter().all(known) && !is_builtin(&bytes) {
            let found = Package::parse(stem, bytes);
            let name = found
                .as_ref()
                .map_or(stem, |it| it.manifest().name.as_str());
            let pins = self.pins(name, false)?;
            let differing = pins.iter().find(|pin| pin.component() != digest);
            return Err(match differing {
                Some(pin) => mismatch(pin, found),
                None => unnamed(name, None),
            });
        }
        let package = Package::parse(stem, bytes)?;
        let inside = is_builtin(package.bytes());
        let pins = self.pins(&package.manifest().name, inside)?;
        check(&package, &pins)?;
        Ok(package)
    }
}

/// Looks into a package that is said to be pinned, if its bytes are what the pins say.
pub(super) fn parse_pinned(
    stem: &str,
    bytes: Arc<[u8]>,
    pins: &[&LockedPackage],
) -> Result<Package> {
    let digest = Digest::of(&bytes);
    match pins.iter().find(|pin| pin.component() != digest) {
        None => Package::parse(stem, bytes),
        Some(pin) => Err(mismatch(pin, Package::parse(stem, bytes))),
    }
}

/// Refuses a package that is not what every pin says.
pub(super) fn check(package: &Package, pins: &[&LockedPackage]) -> Result<()> {
    let found = package.locked("");
    match pins.iter().find(|pin| !pin.matches(&found)) {
        None => Ok(()),
        Some(pin) => Err(differs(pin.name(), &pin.changes_to(&found))),
    }
}

/// Whether these are the bytes of a package that is part of the host.
pub(super) fn is_builtin(bytes: &[u8]) -> bool {
    builtins().any(|(_, builtin)| builtin == bytes)
}

fn unnamed(name: &str, rule: Option<&Rule>) -> Error {
    let place = rule.map_or(String::new(), |rule| format!("{rule}: "));
    Error::new(
        ErrorKind::DigestMismatch,
        format!("{place}the lock file does not name the package `{name}`, so nobody looked at it"),
    )
    .with_help("Look at it with `toolcell lock`, which records it.")
}

/// The error of a component with another digest than the recorded one.
fn mismatch(pin: &LockedPackage, found: Result<Package>) -> Error {
    let name = pin.name();
    match found {
        Ok(package) => differs(name, &pin.changes_to(&package.locked(""))),
        Err(error) => Error::new(
            ErrorKind::DigestMismatch,
            format!(
                "the package `{name}` is not the one that was locked, and it can no longer be read: {}",
                error.message()
            ),
        )
        .with_help(REVIEW),
    }
}

fn differs(name: &str, changes: &[Change]) -> Error {
    let mut text = format!("the package `{name}` is not the one that was locked:");
    for change in changes.iter().take(MAX_CHANGES) {
        text.push_str(&format!("\n{}", escape_control(&change.text)));
    }
    if let Some(more @ 1..) = changes.len().checked_sub(MAX_CHANGES) {
        text.push_str(&format!("\nand {more} more changes"));
    }
    Error::new(ErrorKind::DigestMismatch, text).with_help(REVIEW)
}
