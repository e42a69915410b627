//! Every bound of this package, with its unit in its name.

/// The largest file that can be kept, in bytes.
pub(crate) const FILE_BYTES: usize = 1 << 20;
/// The most text in one answer, in bytes.
pub(crate) const ANSWER_BYTES: usize = 96 << 10;
/// The most entries of a directory, and of those in it, that are listed.
pub(crate) const ENTRIES: usize = 1_000;
/// How deep directories are listed.
pub(crate) const DEPTH: usize = 2;
/// The lines around a change that are shown.
pub(crate) const CONTEXT_LINES: usize = 4;
/// The longest name or path, in bytes.
pub(crate) const PATH_BYTES: usize = 1_024;
/// Where a longer line is cut, in bytes.
pub(crate) const LINE_BYTES: usize = 8 << 10;
