//! The lock file `toolcell.lock`: which packages a person looked at, exactly as they were then.
//!
//! It records three digests of each package, and beside them the manifest itself: so a package that changed can be told
//! apart from the one that was looked at, in words, without having the old one at hand.

mod diff;
mod digest;
mod parse;
mod print;

use std::collections::BTreeMap;

use crate::{Manifest, Problems};

pub use diff::{Change, ChangeKind};
pub use digest::Digest;

/// The version of lock files that this crate reads and writes.
pub const LOCK_VERSION: u64 = 1;
/// The longest lock file, in bytes.
pub const MAX_LOCK_BYTES: usize = 4 << 20;
/// The most packages in one lock file.
pub const MAX_LOCK_PACKAGES: usize = 256;
/// The most imports that are recorded of one package.
pub const MAX_LOCK_IMPORTS: usize = 1024;
/// The longest name of an import that is recorded, in bytes.
pub const MAX_IMPORT_BYTES: usize = 1024;

/// The packages that a person looked at, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lock {
    packages: BTreeMap<String, LockedPackage>,
}

/// One package as it was when it was locked.
#[derive(Clone, Debug, PartialEq)]
pub struct LockedPackage {
    /// Where it came from, as the policy wrote it. It is shown and not enforced: the content is what counts.
    from: String,
    /// SHA-256 of the component.
    component: Digest,
    /// SHA-256 of the manifest's canonical form.
    manifest_digest: Digest,
    /// SHA-256 of the tool list's canonical form.
    tools_digest: Digest,
    /// The component's size in bytes.
    bytes: u64,
    /// The names of what it imports, sorted, each once.
    imports: Vec<String>,
    manifest: Manifest,
}

impl Lock {
    /// A lock that names no package.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a lock file; `name` is the file's name in diagnostics. Untrusted text is fine: it is bounded, every
    /// problem has its place, and a record whose digests do not fit its own text is refused.
    ///
    /// # Errors
    /// All problems of the file at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        parse::lock(name, text)
    }

    /// The lock as TOML, packages sorted by name; parsing it gives the same lock.
    pub fn to_toml(&self) -> String {
        print::lock(self)
    }

    /// Whether no package is named.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// What is recorded of a package.
    pub fn package(&self, name: &str) -> Option<&LockedPackage> {
        self.packages.get(name)
    }

    /// Every package, sorted by name.
    pub fn packages(&self) -> impl Iterator<Item = &LockedPackage> {
        self.packages.values()
    }

    /// Records a package in the place of what was recorded under its name, which is returned.
    pub fn insert(&mut self, package: LockedPackage) -> Option<LockedPackage> {
        self.packages.insert(package.name().to_owned(), package)
    }

    /// Forgets a package; returns what was recorded.
    pub fn remove(&mut self, name: &str) -> Option<LockedPackage> {
        self.packages.remove(name)
    }
}

impl LockedPackage {
    /// Records a package: where it comes `from`, the SHA-256 and the size of its component, what the component imports,
    /// and its manifest.
    pub fn new(
        from: impl Into<String>,
        component: impl Into<Digest>,
        bytes: u64,
        imports: impl IntoIterator<Item = impl Into<String>>,
        manifest: &Manifest,
    ) -> Self {
        let mut imports: Vec<String> = imports.into_iter().map(Into::into).collect();
        imports.sort_unstable();
        imports.dedup();
        Self {
            from: from.into(),
            component: component.into(),
            manifest_digest: digest::of_manifest(manifest),
            tools_digest: digest::of_tools(manifest),
            bytes,
            imports,
            manifest: manifest.clone(),
        }
    }

    /// The package's name.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// The package's version.
    pub fn version(&self) -> &str {
        &self.manifest.version
    }

    /// Where it came from, as the policy wrote it.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// SHA-256 of the component.
    pub fn component(&self) -> Digest {
        self.component
    }

    /// SHA-256 of the manifest: as JSON with sorted keys, without blanks and without what is left to its default.
    pub fn manifest_digest(&self) -> Digest {
        self.manifest_digest
    }

    /// SHA-256 of the tool list in the same form: names, descriptions, schemas and annotations.
    pub fn tools_digest(&self) -> Digest {
        self.tools_digest
    }

    /// The component's size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The names of what the component imports, sorted.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The manifest as it was.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether another package is this one: the digests of component, manifest and tool list are the same.
    pub fn matches(&self, found: &Self) -> bool {
        self.component == found.component
            && self.manifest_digest == found.manifest_digest
            && self.tools_digest == found.tools_digest
    }

    /// What is different about a package that was found in the place of this one: permissions first, then tools, then
    /// the rest. Empty when nothing is.
    pub fn changes_to(&self, found: &Self) -> Vec<Change> {
        diff::between(self, found)
    }

    /// What there is to know of a package that is new: what it asks for, then its tools.
    pub fn introduction(&self) -> Vec<Change> {
        diff::introduction(self)
    }
}

#[cfg(test)]
mod tests;
