//! Globs over paths below a directory.

use regex_lite::{Regex, RegexBuilder};
use toolcell_guest::{Error, Result};

use crate::limits::PATTERN_BYTES;

/// A pattern such as `**/*.rs`, ready to match.
pub(crate) struct Glob {
    regex: Regex,
    names_only: bool,
}

impl Glob {
    /// Reads a glob: `*` and `?` within one name, `**` across directories, `[a-z]`, `[!a-z]`,
    /// `{one,other}`. One without a slash looks at names alone, at any depth.
    pub(crate) fn new(glob: &str) -> Result<Self> {
        let pattern = translate(glob)
            .map_err(|why| Error::invalid_input(format!("the glob `{glob}` {why}")))?;
        let regex = RegexBuilder::new(&pattern)
            .size_limit(PATTERN_BYTES)
            .build();
        let regex = regex.map_err(|error| {
            Error::invalid_input(format!("the glob `{glob}` is wrong: {error}"))
        })?;
        Ok(Self {
            regex,
            names_only: !glob.contains('/'),
        })
    }

    /// Whether `path`, written with slashes and relative to where the walk began, matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.regex
            .is_match(if self.names_only { name } else { path })
    }
}

/// The regular expression that a glob stands for.
fn translate(glob: &str) -> std::result::Result<String, &'static str> {
    let glob = glob.trim_start_matches("./").trim_start_matches('/');
    let mut regex = String::from("^");
    let mut braces = 0_usize;
    let mut rest = glob.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => match rest.next_if_eq(&'/') {
                Some(_) => regex.push_str("(?:[^/]+/)*"),
                None => regex.push_str(".*"),
            },
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => class(&mut rest, &mut regex)?,
            '{' => {
                braces += 1;
                regex.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                regex.push(')');
            }
            ',' if braces > 0 => regex.push('|'),
            '\\' => literal(rest.next().ok_or("ends in a backslash")?, &mut regex),
            other => literal(other, &mut regex),
        }
    }
    if braces > 0 {
        return Err("has a `{` without its `}`");
    }
    regex.push('$');
    Ok(regex)
}

/// `[a-z]` or `[!a-z]`, from behind the opening bracket.
fn class(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    regex: &mut String,
) -> std::result::Result<(), &'static str> {
    regex.push('[');
    if rest.next_if(|c| matches!(c, '!' | '^')).is_some() {
        regex.push_str("^/");
    }
    let mut first = true;
    loop {
        match rest.next().ok_or("has a `[` without its `]`")? {
            ']' if !first => break,
            '-' => regex.push('-'),
            other => literal(other, regex),
        }
        first = false;
    }
    regex.push(']');
    Ok(())
}

fn literal(character: char, regex: &mut String) {
    regex.push_str(&regex_lite::escape(character.encode_utf8(&mut [0; 4])));
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[track_caller]
    fn check(glob: &str, yes: &[&str], no: &[&str]) {
        let compiled = Glob::new(glob).unwrap();
        for path in yes {
            assert!(compiled.matches(path), "{glob} should match {path}");
        }
        for path in no {
            assert!(!compiled.matches(path), "{glob} should not match {path}");
        }
    }

    #[test]
    fn a_glob_without_a_slash_looks_at_names() {
        check(
            "*.rs",
            &["a.rs", "src/deep/b.rs"],
            &["a.rsx", "rs", "a.rs/b"],
        );
    }

    #[test]
    fn a_star_stays_within_a_name_and_two_cross_directories() {
        check("src/*.rs", &["src/a.rs"], &["src/b/a.rs", "x/src/a.rs"]);
        check("**/*.rs", &["a.rs", "src/b/a.rs"], &["a.txt"]);
        check("src/**", &["src/a", "src/b/c"], &["srcx/a"]);
        check(
            "**/tests/*.rs",
            &["tests/a.rs", "x/tests/b.rs"],
            &["x/tests/y/b.rs"],
        );
    }

    #[test]
    fn classes_and_alternatives() {
        check(
            "[a-c]?.{rs,toml}",
            &["ab.rs", "cx.toml"],
            &["dx.rs", "a.rs", "ab.md"],
        );
        check("[!a]x", &["bx"], &["ax"]);
        check("[]]", &["]"], &["a"]);
    }

    #[test]
    fn what_regular_expressions_mean_is_plain_here() {
        check("a+(b).$", &["a+(b).$"], &["aab", "a+(b)x$"]);
        check(r"\*", &["*"], &["a"]);
        check("ü*", &["über"], &["uber"]);
    }

    #[test]
    fn a_glob_that_does_not_end_is_refused() {
        for (glob, why) in [("[a", "`]`"), ("{a,b", "`}`"), (r"a\", "backslash")] {
            let message = Glob::new(glob).err().unwrap().message;
            assert!(message.contains(why) && message.contains(glob), "{message}");
        }
    }
}
