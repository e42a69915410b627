//! Every bound of this package.

/// What is read of one answer of GitHub, in bytes.
pub(crate) const ANSWER_BYTES: usize = 8 << 20;
/// What is read of a refusal, in bytes.
pub(crate) const REFUSAL_BYTES: usize = 16 << 10;
/// The entries of one page of a list, unless more are asked for.
pub(crate) const DEFAULT_COUNT: u32 = 30;
/// The most entries of one page; GitHub gives no more.
pub(crate) const MAX_COUNT: u32 = 100;
/// The last page that can be asked for.
pub(crate) const MAX_PAGE: u32 = 1000;
/// How much of the text of an issue or a pull request is answered, in characters.
pub(crate) const BODY_CHARACTERS: usize = 20_000;
/// How much of a comment is answered, in characters.
pub(crate) const COMMENT_CHARACTERS: usize = 4_000;
/// How much of a file's change is answered in a list of files, in characters.
pub(crate) const PATCH_CHARACTERS: usize = 2_000;
/// The characters of one page of a file or a diff, unless more are asked for.
pub(crate) const DEFAULT_CHARACTERS: u32 = 20_000;
/// The most characters of one page of a file or a diff.
pub(crate) const PAGE_CHARACTERS: u32 = 60_000;
/// The longest text that is sent as a body or a comment, in characters; GitHub takes no more.
pub(crate) const SENT_CHARACTERS: u32 = 65_536;
/// The longest title, in characters.
pub(crate) const TITLE_CHARACTERS: u32 = 256;
/// The longest name of a branch or a path, in characters.
pub(crate) const NAME_CHARACTERS: u32 = 255;
/// The most files of one commit.
pub(crate) const COMMIT_FILES: u32 = 50;
/// The most labels or people that are set at once.
pub(crate) const MAX_NAMES: u32 = 20;
