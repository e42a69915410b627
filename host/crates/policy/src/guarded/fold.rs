//! When two names may be one name to some file system.
//!
//! All guarded names are ASCII, so it is enough to know what can stand for an ASCII character: there is no need for the
//! whole of Unicode's tables. Where in doubt a name is taken for the guarded one.

/// A name as file systems that ignore case, and some characters, see it.
pub(crate) fn fold(name: &str) -> String {
    // What follows a colon names a stream of the same file on NTFS.
    let name = match name.split_once(':') {
        Some((before, _)) if !before.is_empty() => before,
        _ => name,
    };
    // By way of the upper case, `ß` becomes `ss`, `ſ` becomes `s` and the ligature `ﬁ` becomes `fi`, as in the full case
    // folding that file systems use. The Kelvin sign becomes `k`.
    let folded: String = name
        .chars()
        .filter(|c| !is_ignored(*c))
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    // Windows drops dots and spaces at the end of a name.
    let trimmed = folded.trim_end_matches(['.', ' ']);
    if trimmed.is_empty() {
        folded
    } else {
        trimmed.to_owned()
    }
}

/// Unicode's default ignorable characters, which HFS+ and case-folding ext4 leave out of comparisons, and control
/// characters.
fn is_ignored(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Whether a folded name is, or may be, the guarded one.
pub(super) fn is(folded: &str, guarded: &str) -> bool {
    let guarded = guarded.to_ascii_lowercase();
    match guarded.strip_prefix('*') {
        Some(end) => folded.ends_with(end),
        None => folded == guarded || is_short_name(folded, &guarded),
    }
}

/// Whether a name is one of those that Windows file systems give beside a long one: `GIT~1` for `.git`, and after many of
/// the same beginning two letters and four digits of a hash, as in `GI7EBA~1`.
fn is_short_name(folded: &str, guarded: &str) -> bool {
    let Some((stem, number)) = folded.split_once('~') else {
        return false;
    };
    let number = number.split('.').next().unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let plain = guarded.trim_start_matches('.');
    let base = plain.rsplit_once('.').map_or(plain, |(base, _)| base);
    let base: String = base.chars().filter(|c| *c != '.').take(6).collect();
    let hashed = || {
        let (letters, hash) = stem.split_at_checked(2)?;
        let hex = hash.len() == 4 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        Some(hex && base.starts_with(letters))
    };
    stem == base || hashed().unwrap_or_default()
}
