//! A component cut down to its imports: with it the host finds out whether it offers what a component wants, function by
//! function and type by type, before any of its code is compiled.

use wasmparser::{ComponentAlias, Payload};

use super::inspect::malformed;
use crate::Result;

/// What every component starts with.
const HEADER: [u8; 8] = [0, b'a', b's', b'm', 13, 0, 1, 0];

/// The sections that imports are made of, so far.
pub(super) struct ImportsOnly {
    kept: Vec<u8>,
    /// What stands after the last import, and belongs to the next one where there is one.
    pending: Vec<u8>,
    /// Something came that counts in what imports may refer to and cannot be kept.
    broken: bool,
    /// An import came after that.
    late: bool,
}

impl ImportsOnly {
    pub(super) fn new() -> Self {
        Self {
            kept: HEADER.to_vec(),
            pending: Vec::new(),
            broken: false,
            late: false,
        }
    }

    /// Looks at one section of the component itself; `bytes` is the whole component.
    pub(super) fn add(&mut self, payload: &Payload<'_>, bytes: &[u8]) -> Result<()> {
        match payload {
            Payload::ComponentTypeSection(_) | Payload::CoreTypeSection(_) => {
                self.keep(payload, bytes);
            }
            Payload::ComponentImportSection(_) => {
                self.late |= self.broken;
                self.keep(payload, bytes);
                self.kept.append(&mut self.pending);
            }
            Payload::ComponentAliasSection(section) => {
                let (mut core, mut other) = (false, false);
                for alias in section.clone() {
                    match alias.map_err(|error| malformed(&error))? {
                        ComponentAlias::CoreInstanceExport { .. } => core = true,
                        _ => other = true,
                    }
                }
                // What a core instance exports has indices of its own, so leaving it out moves nothing.
                match (core, other) {
                    (_, false) => {}
                    (false, true) => self.keep(payload, bytes),
                    (true, true) => self.broken = true,
                }
            }
            Payload::ComponentInstanceSection(_) | Payload::ComponentExportSection(_) => {
                self.broken = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, payload: &Payload<'_>, bytes: &[u8]) {
        let Some((id, range)) = payload.as_section() else {
            return;
        };
        let Some(content) = bytes.get(range) else {
            return;
        };
        self.pending.push(id);
        let mut length = content.len();
        while length > 0x7f {
            self.pending.push(length.to_le_bytes()[0] | 0x80);
            length >>= 7;
        }
        self.pending.push(length.to_le_bytes()[0]);
        self.pending.extend_from_slice(content);
    }

    /// The component with the same imports and nothing else. None where imports stand behind parts that they could
    /// depend on: every toolchain writes them first.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (!self.late).then_some(self.kept)
    }
}

#[cfg(test)]
mod tests;
