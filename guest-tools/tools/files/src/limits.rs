//! Every bound of this package, with its unit in its name. The host has limits of its own beyond
//! these; the ones here keep answers readable and say how to get the rest.

/// The largest file that is read, edited, written or searched, in bytes.
pub(crate) const FILE_BYTES: u64 = 16 << 20;
/// The lines in one page of `read`.
pub(crate) const PAGE_LINES: u32 = 2_000;
/// The most text in one answer of any tool, in bytes; a last line that passes it is left out.
pub(crate) const PAGE_BYTES: usize = 96 << 10;
/// Where a longer line is cut, in characters.
pub(crate) const LINE_CHARACTERS: usize = 2_000;
/// Where a longer line is cut among the matches of `search`, in characters.
pub(crate) const MATCH_CHARACTERS: usize = 300;
/// The entries in one page of `list`.
pub(crate) const PAGE_ENTRIES: u32 = 1_000;
/// The matches in one page of `search`.
pub(crate) const PAGE_MATCHES: u32 = 500;
/// The matches in one page of `search`, unless more are asked for.
pub(crate) const DEFAULT_MATCHES: u32 = 100;
/// The lines of context around a match.
pub(crate) const CONTEXT_LINES: u32 = 10;
/// The entries that one call of `list` or `search` walks over.
pub(crate) const WALK_ENTRIES: usize = 50_000;
/// What one call of `search` reads in all, in bytes.
pub(crate) const SEARCH_BYTES: u64 = 32 << 20;
/// The memory that one compiled pattern may take, in bytes.
pub(crate) const PATTERN_BYTES: usize = 1 << 20;
/// The occurrences whose lines `edit` names when it asks for a unique one.
pub(crate) const OCCURRENCES_SHOWN: usize = 10;
