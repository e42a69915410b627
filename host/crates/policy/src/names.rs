//! Names and the texts that a package shows to models and people.

/// The longest public tool name, in characters; what every model provider takes.
pub const MAX_PUBLIC_NAME: usize = 64;

/// Whether a text is kebab-case: lower-case words of letters and digits joined by single `-`, first a letter, at most
/// [`MAX_PUBLIC_NAME`] characters.
pub fn is_kebab_case(name: &str) -> bool {
    name.len() <= MAX_PUBLIC_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.split('-').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

/// Whether a text can be a public tool name: `[a-z0-9_-]`, 1 to [`MAX_PUBLIC_NAME`] characters, first a letter.
pub fn is_public_name(name: &str) -> bool {
    name.len() <= MAX_PUBLIC_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

/// The name a tool is called by: `package_tool`, or `package` alone when its only tool carries its name.
pub fn public_name(package: &str, tool: &str, only_tool: bool) -> String {
    if only_tool && package == tool {
        package.to_owned()
    } else {
        format!("{package}_{tool}")
    }
}

/// A kebab-case name made of any text, for example of a file name: `My Tool.wasm` becomes `my-tool-wasm`.
/// `None` when nothing of it can be kept.
pub fn to_kebab_case(text: &str) -> Option<String> {
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let name: String = words
        .join("-")
        .trim_start_matches(|c: char| !c.is_ascii_lowercase())
        .chars()
        .take(MAX_PUBLIC_NAME)
        .collect();
    let name = name.trim_end_matches('-').to_owned();
    is_kebab_case(&name).then_some(name)
}

/// Whether two different names look alike to a person or a model: the same but for case, `-` against `_`, `l` against
/// `1`, `o` against `0`, `m` against `rn`, or `w` against `vv`. Public names are ASCII, so nothing else of Unicode's
/// confusables can occur.
pub fn confusable(a: &str, b: &str) -> bool {
    a != b && skeleton(a) == skeleton(b)
}

/// What names that look alike have in common: equal skeletons mean confusable names.
pub fn skeleton(name: &str) -> String {
    let single: String = name
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            '-' => '_',
            '1' => 'l',
            '0' => 'o',
            other => other,
        })
        .collect();
    single.replace("rn", "m").replace("vv", "w")
}

/// The first character of a text that must not be shown: control characters but newline and tab, those that reorder
/// text, and invisible ones (zero width, fillers, and the block U+E0000 that can hide instructions to a model). One
/// variation selector chooses how the character before it looks; a second one in a row can only carry hidden data.
pub fn hidden_character(text: &str) -> Option<char> {
    let mut selector = false;
    text.chars().find(|c| {
        let selects = matches!(c, '\u{FE00}'..='\u{FE0F}');
        let repeated = selects && selector;
        selector = selects;
        repeated || is_hidden(*c)
    })
}

fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' => true,
        '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}' => true,
        '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' => true,
        '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' => true,
        '\u{E0000}'..='\u{E0FFF}' | '\u{FFF9}'..='\u{FFFB}' => true,
        c => c.is_control(),
    }
}

/// The candidate that is closest to a word, when one is close enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, candidate), candidate))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests;
