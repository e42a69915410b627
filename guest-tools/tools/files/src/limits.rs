//! Every bound of this package, with its unit in its name. The host has limits of its own beyond
//! these; the ones here keep answers readable.

/// The largest file that is read, edited or searched, in bytes.
pub(crate) const FILE_BYTES: u64 = 16 << 20;
/// The lines in one page of `read`, unless fewer are asked for.
pub(crate) const PAGE_LINES: u32 = 2_000;
/// The most text in one page of any tool, in bytes.
pub(crate) const PAGE_BYTES: usize = 96 << 10;
/// Where a longer line is cut, in characters.
pub(crate) const LINE_CHARACTERS: usize = 2_000;
