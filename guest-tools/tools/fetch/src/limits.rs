//! Every bound of this package.

/// What is read of one body, in bytes; the rest is left out.
pub(crate) const BODY_BYTES: usize = 4 << 20;
/// What is read of the body of an error, in bytes.
pub(crate) const ERROR_BYTES: usize = 4 << 10;
/// How many redirects are followed.
pub(crate) const REDIRECTS: u32 = 5;
/// The most characters of one page.
pub(crate) const PAGE_CHARACTERS: u32 = 60_000;
/// The characters of one page, unless more are asked for.
pub(crate) const DEFAULT_CHARACTERS: u32 = 20_000;
/// How deep lists and quotations are indented; what is nested deeper is not indented further.
pub(crate) const NESTING: usize = 12;
/// The most text that a page is rendered to, in bytes. Only a page made for it passes this: it is
/// twice what is read.
pub(crate) const TEXT_BYTES: usize = 8 << 20;
