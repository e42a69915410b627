//! What is different between a locked package and the one that was found in its place, in words and with what matters
//! most first.

mod requests;
mod tools;

use std::fmt;

use serde::Serialize;

use super::LockedPackage;
use crate::names;

/// How much of an old or new text is shown, in characters.
const MAX_TEXT_CHARS: usize = 600;
/// How much is shown before the first difference of two texts, in characters.
const CONTEXT_CHARS: usize = 40;

/// What a change is about; ordered by how much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The package asks for more than it did.
    AsksMore,
    /// The package asks for less than it did.
    AsksLess,
    /// The version is older than the recorded one.
    Downgrade,
    /// A tool, or what models read about it.
    Tool,
    /// Anything else: version, size, digest.
    Package,
}

impl ChangeKind {
    /// Whether a person has to look at such a change before it is recorded.
    pub fn needs_consent(self) -> bool {
        matches!(self, Self::AsksMore | Self::Downgrade | Self::Tool)
    }
}

/// One difference. Nothing in its text can steer a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// What it is about.
    pub kind: ChangeKind,
    /// The difference in words.
    pub text: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Gathers changes.
#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, kind: ChangeKind, text: impl Into<String>) {
        let text = text.into();
        self.0.push(Change { kind, text });
    }

    fn sorted(mut self) -> Vec<Change> {
        // Stable: what is alike stays in the order of the manifest.
        self.0.sort_by_key(|change| change.kind);
        self.0
    }
}

pub(super) fn between(old: &LockedPackage, new: &LockedPackage) -> Vec<Change> {
    let mut changes = Changes::default();
    requests::compare(&mut changes, old, new);
    tools::compare(&mut changes, &old.manifest, &new.manifest);
    identity(&mut changes, old, new);
    if changes.0.is_empty() && old.manifest_digest != new.manifest_digest {
        changes.add(
            ChangeKind::Package,
            "the manifest is another one, though it says the same",
        );
    }
    changes.sorted()
}

pub(super) fn introduction(new: &LockedPackage) -> Vec<Change> {
    let mut changes = Changes::default();
    requests::introduce(&mut changes, new);
    tools::introduce(&mut changes, &new.manifest);
    changes.sorted()
}

/// Everything but requests and tools.
fn identity(changes: &mut Changes, old: &LockedPackage, new: &LockedPackage) {
    if old.name() != new.name() {
        changes.add(
            ChangeKind::Package,
            format!("it is called `{}` now, not `{}`", new.name(), old.name()),
        );
    }
    if old.version() != new.version() {
        let older = version_key(new.version()) < version_key(old.version());
        let (kind, what) = if older {
            (
                ChangeKind::Downgrade,
                ", which is older: a known mistake may be back",
            )
        } else {
            (ChangeKind::Package, "")
        };
        changes.add(
            kind,
            format!("version {} is now {}{what}", old.version(), new.version()),
        );
    }
    let (was, is) = (&old.manifest, &new.manifest);
    if was.world != is.world {
        changes.add(
            ChangeKind::Package,
            format!("the contract {} is now {}", was.world, is.world),
        );
    }
    if was.description != is.description {
        changes.add(
            ChangeKind::Package,
            format!(
                "the package's description {}",
                texts(&was.description, &is.description)
            ),
        );
    }
    if old.component != new.component {
        let size = if old.bytes == new.bytes {
            format!("it still has {} bytes", new.bytes)
        } else {
            format!("{} bytes are now {}", old.bytes, new.bytes)
        };
        changes.add(
            ChangeKind::Package,
            format!("the component is another one: {size}, {}", new.component),
        );
    }
}

/// Sorts versions: by number, and before a release what leads to it.
fn version_key(version: &str) -> (Vec<u64>, bool, &str) {
    let plain = version.split('+').next().unwrap_or_default();
    let (core, before) = plain.split_once('-').unwrap_or((plain, ""));
    let numbers = core.split('.').map(|it| it.parse().unwrap_or(0)).collect();
    (numbers, before.is_empty(), before)
}

/// `was "…"; it is now "…"`, from shortly before the first difference on.
fn texts(old: &str, new: &str) -> String {
    let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b);
    let skip = same.count().saturating_sub(CONTEXT_CHARS);
    format!("was {}; it is now {}", quoted(old, skip), quoted(new, skip))
}

/// A text of a package in quotes: escaped, in one line, `skip` characters left out at its start, and cut.
fn quoted(text: &str, skip: usize) -> String {
    let mut shown = String::from("\"");
    if skip > 0 {
        shown.push('…');
    }
    let mut rest = text.chars().skip(skip);
    for c in rest.by_ref().take(MAX_TEXT_CHARS) {
        let mut buffer = [0; 4];
        let hidden = names::hidden_character(c.encode_utf8(&mut buffer)).is_some();
        if c.is_control() || hidden || matches!(c, '"' | '\\') {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    let left = rest.count();
    shown.push('"');
    if left > 0 {
        shown.push_str(&format!(" and {left} more characters"));
    }
    shown
}
