//! Every bound of this package.

/// What is read of an engine's answer, in bytes.
pub(crate) const ANSWER_BYTES: usize = 4 << 20;
/// What is read of an engine's refusal, in bytes.
pub(crate) const REFUSAL_BYTES: usize = 4 << 10;
/// The results of one page, unless more are asked for.
pub(crate) const DEFAULT_COUNT: u32 = 10;
/// The most results of one page.
pub(crate) const MAX_COUNT: u32 = 20;
/// The last page that can be asked for.
pub(crate) const MAX_PAGE: u32 = 10;
/// The longest query, in characters.
pub(crate) const QUERY_CHARACTERS: u32 = 400;
/// What is shown of a title, in characters.
pub(crate) const TITLE_CHARACTERS: usize = 300;
/// What is shown of a snippet, in characters.
pub(crate) const SNIPPET_CHARACTERS: usize = 1000;
/// The longest address of a result, in bytes; a result with a longer one is left out.
pub(crate) const URL_BYTES: usize = 2048;
