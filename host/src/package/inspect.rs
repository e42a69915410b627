//! Looks into a component without compiling or running it.

use serde::Serialize;
use wasmparser::{
    ComponentExternName, ComponentTypeRef, Encoding, Parser, Payload, TypeBounds, ValidPayload,
    Validator, types::Types,
};

use super::{MANIFEST_SECTION, counts::Counts, imports::ImportsOnly};
use crate::{
    Error, ErrorKind, Result,
    engine::{config::features, limits},
    text::escape_control,
    values::{self, DOCS_SECTION, Docs, Exported},
};

/// What a component is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The component's size in bytes.
    pub bytes: u64,
    /// What it imports, by name, in its own order: for example `wasi:filesystem/types@0.2.6`.
    pub imports: Vec<String>,
    /// What it exports, by name, in its own order.
    pub exports: Vec<String>,
    /// Core modules inside, at any depth.
    pub core_modules: usize,
    /// The text of the manifest inside, where there is one.
    pub manifest: Option<String>,
}

/// Looks into a component: its structure is checked, function bodies are not.
///
/// # Errors
///
/// `invalid_component` with the reason where the bytes are no component or exceed a limit on names, nesting or the
/// size of the manifest.
pub fn inspect(bytes: &[u8]) -> Result<Inspection> {
    look(bytes).map(|(inspection, _)| inspection)
}

/// What is only needed of a component whose functions become tools.
pub(super) struct Found {
    types: Option<Types>,
    exports: Vec<String>,
    /// A component with the same imports and nothing else.
    pub(super) imports_only: Option<Vec<u8>>,
    /// What its author wrote about its functions.
    pub(super) docs: Docs,
}

impl Found {
    /// The exported functions and their types.
    ///
    /// # Errors
    ///
    /// `invalid_component` where there are too many.
    pub(super) fn functions(&self) -> Result<Vec<Exported>> {
        let Some(types) = &self.types else {
            return Ok(Vec::new());
        };
        let functions = values::functions_of_bytes(types.as_ref(), &self.exports);
        if functions.len() > values::FUNCTIONS {
            return Err(invalid(format!(
                "it exports more than {} functions",
                values::FUNCTIONS
            )));
        }
        Ok(functions)
    }
}

/// The same as [`inspect`], with what else was found.
pub(super) fn look(bytes: &[u8]) -> Result<(Inspection, Found)> {
    check_magic(bytes)?;
    let mut walk = Walk::default();
    let (mut counts, mut imports_only) = (Counts::default(), ImportsOnly::new());
    let mut types = None;
    let mut validator = Validator::new_with_features(features());
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| malformed(&error))?;
        counts.add(&payload, bytes)?;
        if walk.depth == 1 {
            imports_only.add(&payload, bytes)?;
        }
        let valid = validator
            .payload(&payload)
            .map_err(|error| malformed(&error))?;
        if let ValidPayload::End(whole) = valid {
            // The component itself ends last.
            types = Some(whole);
        }
        walk.visit(payload)?;
    }
    let manifest = walk.manifest()?;
    let found = Found {
        types,
        exports: walk.exports.clone(),
        imports_only: imports_only.finish(),
        docs: walk.docs.map(Docs::read).unwrap_or_default(),
    };
    let inspection = Inspection {
        bytes: bytes.len() as u64,
        imports: walk.imports,
        exports: walk.exports,
        core_modules: walk.core_modules,
        manifest,
    };
    Ok((inspection, found))
}

pub(super) fn invalid(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidComponent, why)
}

pub(super) fn malformed(error: &wasmparser::BinaryReaderError) -> Error {
    let message: String = error.message().chars().take(300).collect();
    invalid(format!(
        "the component is damaged or uses what this host does not offer: {} (at byte {})",
        escape_control(&message),
        error.offset()
    ))
}

/// Says what the bytes are where they are no component.
fn check_magic(bytes: &[u8]) -> Result<()> {
    const BUILD: &str = "Build a component, for example with `cargo build --target wasm32-wasip2`.";
    let refuse = |what: &str| Err(invalid(format!("no component: {what}")).with_help(BUILD));
    match bytes {
        [0, b'a', b's', b'm', 13, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => refuse("it is a core module"),
        [0, b'a', b's', b'm', major, minor, 1, 0, ..] => refuse(&format!(
            "it is a component of encoding version {}, and this host reads version 13",
            u16::from_le_bytes([*major, *minor])
        )),
        [0, b'a', b's', b'm', ..] => refuse("it is WebAssembly of an unknown version, or cut off"),
        [0x7f, b'E', b'L', b'F', ..] => refuse(
            "it is native code, such as a compiled component (.cwasm), which is never loaded",
        ),
        [] => refuse("it is empty"),
        _ => match std::str::from_utf8(bytes.get(..64).unwrap_or(bytes)) {
            Ok(text) if text.trim_start().starts_with('(') => {
                refuse("it is WebAssembly in text form (WAT)")
            }
            Ok(_) => refuse("it is text"),
            Err(_) => refuse("it does not start with the magic number of WebAssembly"),
        },
    }
}

/// What was found so far on the way through the binary.
#[derive(Default)]
struct Walk<'a> {
    depth: usize,
    imports: Vec<String>,
    exports: Vec<String>,
    core_modules: usize,
    /// The manifests found at the top level, and in nested modules and components.
    top: Vec<&'a [u8]>,
    nested: Vec<&'a [u8]>,
    docs: Option<&'a [u8]>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, payload: Payload<'a>) -> Result<()> {
        match payload {
            Payload::Version { encoding, .. } => {
                self.depth += 1;
                if encoding == Encoding::Module {
                    self.core_modules += 1;
                }
                if self.depth > limits::COMPONENT_NESTING {
                    return Err(invalid(format!(
                        "its parts are nested more than {} deep",
                        limits::COMPONENT_NESTING
                    )));
                }
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if self.depth == 1 => {
                for import in section {
                    let import = import.map_err(|error| malformed(&error))?;
                    check_plain(&import.name)?;
                    // A type of the world's own is named like an import, and nobody has to give anything for it.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        self.imports.push(import.name.name.to_owned());
                    }
                }
                check_count("imports", self.imports.len())?;
            }
            Payload::ComponentExportSection(section) if self.depth == 1 => {
                for export in section {
                    let export = export.map_err(|error| malformed(&error))?;
                    check_plain(&export.name)?;
                    self.exports.push(export.name.name.to_owned());
                }
                check_count("exports", self.exports.len())?;
            }
            Payload::CustomSection(section) if section.name() == MANIFEST_SECTION => {
                let found = if self.depth == 1 {
                    &mut self.top
                } else {
                    &mut self.nested
                };
                found.push(section.data());
            }
            Payload::CustomSection(section)
                if self.depth == 1 && section.name() == DOCS_SECTION =>
            {
                self.docs = Some(section.data());
            }
            _ => {}
        }
        Ok(())
    }

    /// The one manifest. A packing tool writes it at the top level, and then that one counts; a compiler can only put
    /// it inside the core module.
    fn manifest(&self) -> Result<Option<String>> {
        let found = if self.top.is_empty() {
            &self.nested
        } else {
            &self.top
        };
        let data = match found.as_slice() {
            [] => return Ok(None),
            [one] => *one,
            [first, rest @ ..] if rest.iter().all(|other| other == first) => *first,
            several => {
                return Err(invalid(format!(
                    "it contains {} different manifests (custom sections `{MANIFEST_SECTION}`)",
                    several.len()
                )));
            }
        };
        if data.len() > limits::MANIFEST_BYTES {
            return Err(invalid(format!(
                "its manifest has {} bytes; a manifest may have at most {} bytes",
                data.len(),
                limits::MANIFEST_BYTES
            )));
        }
        match std::str::from_utf8(data) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(error) => Err(invalid(format!(
                "its manifest is no UTF-8 text (byte {})",
                error.valid_up_to()
            ))),
        }
    }
}

/// A name may say of itself that it stands for another one. Nothing that this host offers does, and what is judged by its
/// name must be what the name says.
fn check_plain(name: &ComponentExternName<'_>) -> Result<()> {
    if name.implements.is_none() && name.version_suffix.is_none() && name.external_id.is_none() {
        return Ok(());
    }
    Err(invalid(format!(
        "the name `{}` in it stands for another one, which this host does not offer",
        escape_control(name.name)
    )))
}

fn check_count(what: &str, count: usize) -> Result<()> {
    if count > limits::COMPONENT_NAMES {
        return Err(invalid(format!(
            "it has more than {} {what}",
            limits::COMPONENT_NAMES
        )));
    }
    Ok(())
}
