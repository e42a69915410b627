//! The built-in tools: components that were built with the host and are inside it.

/// Name and component of every built-in package, sorted by name. The build script writes the list.
const BUILTINS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// The component of a built-in package, for example `files`; none without the feature `builtin-tools`.
pub fn builtin(name: &str) -> Option<&'static [u8]> {
    BUILTINS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
}

/// Name and component of every built-in package, sorted by name.
pub fn builtins() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    BUILTINS.iter().copied()
}
