//! From bytes to a package that may be compiled: read it, look into it, and refuse what this host cannot run, before
//! anything is compiled and without running any of it.

mod contract;
mod counts;
mod imports;
mod inspect;
pub(crate) mod load;
mod plain;

use contract::Role;
pub use inspect::{Inspection, inspect};
use plain::Plain;

use std::{path::Path, sync::Arc};

use sha2::{Digest, Sha256};
use toolcell_policy::{LockedPackage, Manifest};

use crate::{
    Error, ErrorKind, Result,
    engine::hex,
    values::{LeftOut, Shape},
};

/// The custom section that holds a package's manifest.
pub const MANIFEST_SECTION: &str = "toolcell:manifest";

/// A component that was looked into and found acceptable, with its manifest.
#[derive(Clone)]
pub struct Package {
    manifest: Manifest,
    inspection: Inspection,
    /// The functions that are its tools, where it does not export the contract's.
    plain: Option<Plain>,
    /// A component with the same imports and nothing else, where one can be made.
    imports_only: Option<Arc<[u8]>>,
    digest: [u8; 32],
    bytes: Arc<[u8]>,
}

impl Package {
    /// Looks into a component and checks that this host can run it. `name` is the name of its file without `.wasm`;
    /// a component without a manifest gets a default one with this name. The tools of a component that does not export
    /// this host's contract are its exported functions.
    ///
    /// # Errors
    ///
    /// `invalid_component` where the bytes are no component, or where it imports what is not offered, or exports no
    /// tool of this contract's version; `invalid_manifest` where its manifest is wrong.
    pub fn parse(name: &str, bytes: impl Into<Arc<[u8]>>) -> Result<Self> {
        Self::parse_as(Role::Tool, name, bytes.into())
    }

    /// A program that a person runs: it exports `wasi:cli/run`, and is checked like a tool otherwise.
    pub(crate) fn parse_program(bytes: Arc<[u8]>) -> Result<Self> {
        Self::parse_as(Role::Program, "program", bytes)
    }

    fn parse_as(role: Role, name: &str, bytes: Arc<[u8]>) -> Result<Self> {
        let (inspection, found) = inspect::look(&bytes)?;
        let mut plain = (role == Role::Tool && contract::is_plain(&inspection))
            .then(|| found.functions().map(Plain::new))
            .transpose()?;
        let mut manifest = match &inspection.manifest {
            Some(text) => {
                Manifest::parse(&format!("{name}.wasm:tool.toml"), text).map_err(|problems| {
                    Error::new(ErrorKind::InvalidManifest, problems.to_string())
                        .with_source(problems)
                })?
            }
            None => match &mut plain {
                Some(plain) => plain.manifest(name, &found.docs),
                None => Manifest::default_for(name),
            },
        };
        contract::check(&inspection, &manifest, role, plain.as_ref())?;
        if let Some(plain) = &plain {
            plain.complete(&mut manifest)?;
        }
        Ok(Self {
            digest: Sha256::digest(&bytes).into(),
            imports_only: found.imports_only.map(Into::into),
            manifest,
            inspection,
            plain,
            bytes,
        })
    }

    /// Reads a package's file of at most `max_bytes` and looks into it. It blocks and computes, and must not run on an
    /// async thread.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and `invalid_component` where the file cannot be read, is no regular file, or is too
    /// large; a file that is too large is not read.
    pub fn read_file(path: &Path, max_bytes: u64) -> Result<Self> {
        let bytes = load::read_file(path, max_bytes)?;
        Self::parse(&load::stem(path), bytes).map_err(|error| error.at(path.display()))
    }

    /// The package's manifest, or the default one.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What is inside.
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// Whether its tools are functions with WIT types of their own, and not those of this host's contract.
    pub fn is_plain(&self) -> bool {
        self.plain.is_some()
    }

    /// The exported functions that are no tools, of a package that [is plain](Self::is_plain).
    pub fn left_out(&self) -> &[LeftOut] {
        self.plain.as_ref().map_or(&[], Plain::left_out)
    }

    /// What the answers of a tool are, where it is a function with types of its own.
    pub(crate) fn shape(&self, tool: &str) -> Option<Shape> {
        self.plain.as_ref()?.shape(tool)
    }

    /// `sha256:` and the digest of the component in hexadecimal digits.
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.digest))
    }

    /// What a lock file records of the package, which comes `from` here.
    pub fn locked(&self, from: impl Into<String>) -> LockedPackage {
        let inspection = &self.inspection;
        LockedPackage::new(
            from,
            self.digest,
            inspection.bytes,
            &inspection.imports,
            &self.manifest,
        )
    }

    pub(crate) fn sha256(&self) -> &[u8; 32] {
        &self.digest
    }

    pub(crate) fn imports_only(&self) -> Option<&[u8]> {
        self.imports_only.as_deref()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Package")
            .field("digest", &self.digest())
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
