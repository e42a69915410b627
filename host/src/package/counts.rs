//! How much of everything a component may consist of. Counting comes first: what is over a limit is neither validated nor
//! compiled, so that no part of the host has to be quick with a million of anything.

use wasmparser::{
    BinaryReader, ComponentAlias, ComponentExternName, ComponentImport, ComponentInstance,
    ComponentType, ComponentTypeRef, CoreType, Instance, ModuleTypeDeclaration, Payload,
    SectionLimited,
};

use super::inspect::{invalid, malformed};
use crate::{Result, engine::limits};

/// What was found so far, at all depths together.
#[derive(Default)]
pub(super) struct Counts {
    modules: usize,
    components: usize,
    types: usize,
    parts: usize,
    core_types: usize,
    core_names: usize,
    core_functions: usize,
    core_items: usize,
}

impl Counts {
    /// Counts one section; `bytes` is the whole component.
    ///
    /// # Errors
    ///
    /// `invalid_component` where it is too many, or where a name is too long.
    pub(super) fn add(&mut self, payload: &Payload<'_>, bytes: &[u8]) -> Result<()> {
        match payload {
            Payload::ModuleSection { .. } => {
                grow(&mut self.modules, 1, limits::CORE_MODULES, "core modules")
            }
            Payload::ComponentSection { .. } => grow(
                &mut self.components,
                1,
                limits::NESTED_COMPONENTS,
                "nested components",
            ),
            Payload::ComponentTypeSection(section) => {
                let range = section.range();
                let start = range.start;
                let content = bytes.get(range).unwrap_or_default();
                self.component_types(&mut BinaryReader::new(content, start))
            }
            Payload::CoreTypeSection(section) => {
                self.claim_types(section.count())?;
                each(section, |ty| self.core_type(&ty))
            }
            Payload::InstanceSection(section) => {
                self.parts(section.count())?;
                each(section, |instance| match instance {
                    Instance::Instantiate { args, .. } => self.parts(args.len()),
                    Instance::FromExports(exports) => self.parts(exports.len()),
                })
            }
            Payload::ComponentInstanceSection(section) => {
                self.parts(section.count())?;
                each(section, |instance| match instance {
                    ComponentInstance::Instantiate { args, .. } => self.parts(args.len()),
                    ComponentInstance::FromExports(exports) => self.parts(exports.len()),
                })
            }
            Payload::ComponentAliasSection(section) => self.parts(section.count()),
            Payload::ComponentCanonicalSection(section) => self.parts(section.count()),
            Payload::ComponentStartSection { .. } => self.parts(1_usize),
            Payload::ComponentImportSection(section) => {
                self.parts(section.count())?;
                each(section, |import| name(import.name.name))
            }
            Payload::ComponentExportSection(section) => {
                self.parts(section.count())?;
                each(section, |export| name(export.name.name))
            }
            payload => self.core(payload),
        }
    }

    /// Counts what core modules have.
    fn core(&mut self, payload: &Payload<'_>) -> Result<()> {
        match payload {
            Payload::TypeSection(section) => grow(
                &mut self.core_types,
                section.count(),
                limits::CORE_TYPES,
                "core types",
            ),
            Payload::ImportSection(section) => {
                self.core_names(section.count())?;
                for import in section.clone().into_imports() {
                    let import = import.map_err(|error| malformed(&error))?;
                    core_name(import.module)?;
                    core_name(import.name)?;
                }
                Ok(())
            }
            Payload::ExportSection(section) => {
                self.core_names(section.count())?;
                each(section, |export| core_name(export.name))
            }
            Payload::FunctionSection(section) => grow(
                &mut self.core_functions,
                section.count(),
                limits::CORE_FUNCTIONS,
                "functions",
            ),
            Payload::TableSection(section) => self.core_items(section.count()),
            Payload::MemorySection(section) => self.core_items(section.count()),
            Payload::GlobalSection(section) => self.core_items(section.count()),
            Payload::ElementSection(section) => self.core_items(section.count()),
            Payload::DataSection(section) => self.core_items(section.count()),
            _ => Ok(()),
        }
    }

    /// Looks at a number that a section only claims, before anything of it is read.
    fn claim_types(&mut self, count: u32) -> Result<()> {
        grow(
            &mut self.types,
            count,
            limits::COMPONENT_TYPES,
            "component types",
        )
    }

    fn parts(&mut self, count: impl TryInto<usize>) -> Result<()> {
        let what = "instances, aliases and functions between its parts";
        grow(&mut self.parts, count, limits::COMPONENT_PARTS, what)
    }

    fn core_names(&mut self, count: u32) -> Result<()> {
        let what = "imports and exports of core modules";
        grow(&mut self.core_names, count, limits::CORE_NAMES, what)
    }

    fn core_items(&mut self, count: u32) -> Result<()> {
        let what = "tables, memories, globals and segments";
        grow(&mut self.core_items, count, limits::CORE_ITEMS, what)
    }

    /// A section of types, read step by step: the parser's own reading goes as deep as the types are nested, and a
    /// hundred kilobytes of them would be deeper than the stack.
    fn component_types(&mut self, reader: &mut BinaryReader<'_>) -> Result<()> {
        let count = take(reader, BinaryReader::read_var_u32)?;
        self.claim_types(count)?;
        (0..count).try_for_each(|_| self.component_type(reader, 0))
    }

    fn component_type(&mut self, reader: &mut BinaryReader<'_>, depth: usize) -> Result<()> {
        const COMPONENT: u8 = 0x41;
        const INSTANCE: u8 = 0x42;
        if depth > limits::COMPONENT_TYPE_NESTING {
            return Err(invalid(format!(
                "its types are nested more than {} deep",
                limits::COMPONENT_TYPE_NESTING
            )));
        }
        let kind = take(&mut reader.clone(), BinaryReader::read_u8)?;
        if !matches!(kind, COMPONENT | INSTANCE) {
            return take(reader, BinaryReader::read::<ComponentType<'_>>).map(drop);
        }
        take(reader, BinaryReader::read_u8)?;
        let count = take(reader, BinaryReader::read_var_u32)?;
        self.claim_types(count)?;
        (0..count).try_for_each(|_| self.declaration(reader, depth))
    }

    /// One declaration inside a type.
    fn declaration(&mut self, reader: &mut BinaryReader<'_>, depth: usize) -> Result<()> {
        match take(reader, BinaryReader::read_u8)? {
            0x00 => {
                let ty = take(reader, BinaryReader::read::<CoreType<'_>>)?;
                self.core_type(&ty)
            }
            0x01 => self.component_type(reader, depth + 1),
            0x02 => take(reader, BinaryReader::read::<ComponentAlias<'_>>).map(drop),
            0x03 => name(
                take(reader, BinaryReader::read::<ComponentImport<'_>>)?
                    .name
                    .name,
            ),
            0x04 => {
                name(take(reader, BinaryReader::read::<ComponentExternName<'_>>)?.name)?;
                take(reader, BinaryReader::read::<ComponentTypeRef>).map(drop)
            }
            other => Err(invalid(format!(
                "the component is damaged: a type has a declaration of an unknown kind {other:#04x}"
            ))),
        }
    }

    fn core_type(&mut self, ty: &CoreType<'_>) -> Result<()> {
        let CoreType::Module(declarations) = ty else {
            return Ok(());
        };
        declarations.iter().try_for_each(|it| {
            match it {
                ModuleTypeDeclaration::Export { name, .. } => core_name(name)?,
                ModuleTypeDeclaration::Import(import) => {
                    core_name(import.module)?;
                    core_name(import.name)?;
                }
                ModuleTypeDeclaration::Type(_) | ModuleTypeDeclaration::OuterAlias { .. } => {}
            }
            self.claim_types(1)
        })
    }
}

/// Reads one thing.
fn take<'a, T>(
    reader: &mut BinaryReader<'a>,
    read: impl FnOnce(&mut BinaryReader<'a>) -> wasmparser::Result<T>,
) -> Result<T> {
    read(reader).map_err(|error| malformed(&error))
}

fn each<'a, T: wasmparser::FromReader<'a>>(
    section: &SectionLimited<'a, T>,
    mut count: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    for item in section.clone() {
        count(item.map_err(|error| malformed(&error))?)?;
    }
    Ok(())
}

fn grow(sum: &mut usize, count: impl TryInto<usize>, most: usize, what: &str) -> Result<()> {
    *sum = sum.saturating_add(count.try_into().unwrap_or(usize::MAX));
    if *sum > most {
        return Err(invalid(format!("it has more than {most} {what}")));
    }
    Ok(())
}

/// A name of the component model: WIT makes none that is longer.
fn name(name: &str) -> Result<()> {
    short(name, limits::COMPONENT_NAME_BYTES)
}

/// A name of a core module: compilers put types into them.
fn core_name(name: &str) -> Result<()> {
    short(name, limits::CORE_NAME_BYTES)
}

fn short(name: &str, most: usize) -> Result<()> {
    if name.len() <= most {
        return Ok(());
    }
    let start: String = name.chars().take(40).collect();
    Err(invalid(format!(
        "a name in it has {} bytes, and at most {most} are allowed: `{}…`",
        name.len(),
        crate::text::escape_control(&start)
    )))
}

#[cfg(test)]
mod tests;
