//! What authors wrote above their functions in WIT. Tools that keep it put it into a custom section.

use std::collections::BTreeMap;

use serde::Deserialize;
use toolcell_policy::{MAX_DESCRIPTION_BYTES, names};

use super::Place;

/// The custom section of documentation.
pub(crate) const DOCS_SECTION: &str = "package-docs";

/// The largest one that is read, in bytes: 256 KiB.
const MAX_BYTES: usize = 256 << 10;

/// Documentation of functions. It is read with care and without complaint: a component that brings none that can be
/// read, or some that must not be shown, has none.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Docs {
    #[serde(default)]
    worlds: BTreeMap<String, World>,
    #[serde(default)]
    interfaces: BTreeMap<String, Interface>,
}

#[derive(Debug, Default, Deserialize)]
struct World {
    #[serde(default)]
    interfaces: BTreeMap<String, Interface>,
    #[serde(default)]
    interface_exports: BTreeMap<String, Interface>,
    #[serde(default)]
    funcs: BTreeMap<String, Words>,
    #[serde(default)]
    func_exports: BTreeMap<String, Words>,
}

#[derive(Debug, Default, Deserialize)]
struct Interface {
    #[serde(default)]
    funcs: BTreeMap<String, Words>,
}

/// The older format has the words alone.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    Alone(Option<String>),
    Among { docs: Option<String> },
}

impl Docs {
    /// Reads the section: one byte of a version, then JSON.
    pub(crate) fn read(section: &[u8]) -> Self {
        match section {
            [0 | 1, json @ ..] if json.len() <= MAX_BYTES => {
                serde_json::from_slice(json).unwrap_or_default()
            }
            _ => Self::default(),
        }
    }

    /// The words about a function.
    pub(crate) fn of(&self, place: &Place) -> Option<&str> {
        let worlds = self.worlds.values();
        let words = match place.interface() {
            Some(interface) => self
                .interfaces
                .get(interface)
                .into_iter()
                .chain(worlds.flat_map(|world| {
                    let exported = world.interface_exports.get(interface);
                    exported.or_else(|| world.interfaces.get(interface))
                }))
                .find_map(|interface| interface.funcs.get(&place.name)),
            None => worlds
                .filter_map(|world| {
                    let exported = world.func_exports.get(&place.name);
                    exported.or_else(|| world.funcs.get(&place.name))
                })
                .next(),
        };
        let (Words::Alone(text) | Words::Among { docs: text }) = words?;
        let text = text.as_deref()?.trim();
        let fits = !text.is_empty()
            && text.len() <= MAX_DESCRIPTION_BYTES
            && names::hidden_character(text).is_none();
        fits.then_some(text)
    }
}
