//! Every bound of this package.

/// What is read of a body unless more is asked for, in bytes.
pub(crate) const DEFAULT_BYTES: u32 = 64 << 10;
/// The most that may be asked for, in bytes.
pub(crate) const MAX_BYTES: u32 = 1 << 20;
/// The most redirects that may be asked for.
pub(crate) const MAX_REDIRECTS: u32 = 10;
/// The longest URL, in characters.
pub(crate) const URL_CHARACTERS: u32 = 8 << 10;
/// How deep JSON may be nested to be answered as JSON; what is deeper is answered as text.
pub(crate) const JSON_DEPTH: usize = 60;
