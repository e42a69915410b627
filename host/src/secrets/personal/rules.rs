//! Rules, and the files they are in.

use std::{ops::Range, sync::Arc};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::check::Check;

/// The longest file of rules, in bytes.
pub const PERSONAL_RULE_FILE_BYTES_MAX: usize = 256 * 1024;
/// The most rules, the built-in ones included.
pub const PERSONAL_RULES_MAX: usize = 200;
/// The longest regex, in bytes.
const REGEX_BYTES_MAX: usize = 4 * 1024;
/// The largest compiled regex, in bytes, and what it may use while it searches.
const REGEX_COMPILED_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The longest description or keyword, in bytes.
const TEXT_BYTES_MAX: usize = 200;
/// The most keywords of one rule.
const KEYWORDS_MAX: usize = 50;

/// Why a file of rules for personal data is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PersonalRuleError {
    /// It is too long.
    #[error("the file of rules has {bytes} bytes; at most {PERSONAL_RULE_FILE_BYTES_MAX} are read")]
    FileTooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is no TOML, or not of this form.
    #[error("the file of rules is not understood: {message}")]
    NotUnderstood {
        /// Where and why.
        message: String,
    },
    /// There are too many rules.
    #[error(
        "there are {count} rules with those that are built in; at most {PERSONAL_RULES_MAX} are possible"
    )]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// `off` names what is not there.
    #[error(
        "`off` names the kind `{kind}`, and there is none; `off` is for kinds that are built in"
    )]
    NoSuchKind {
        /// What it names.
        kind: String,
    },
    /// A rule is wrong.
    #[error("rule number {number}: {message}")]
    Wrong {
        /// Which one, from 1.
        number: usize,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// A file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    off: Vec<String>,
    #[serde(default)]
    rule: Vec<WrittenRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    kind: String,
    description: String,
    regex: String,
    #[serde(default)]
    keywords: Vec<String>,
    check: Option<Check>,
    #[serde(default = "yes")]
    usual: bool,
}

fn yes() -> bool {
    true
}

/// A file of rules that was checked.
pub(super) struct File {
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) off: Vec<String>,
}

impl File {
    pub(super) fn read(toml: &str) -> Result<Self, PersonalRuleError> {
        let bytes = toml.len();
        if bytes > PERSONAL_RULE_FILE_BYTES_MAX {
            return Err(PersonalRuleError::FileTooLong { bytes });
        }
        let written: Written =
            toml::from_str(toml).map_err(|error| PersonalRuleError::NotUnderstood {
                message: error.to_string().trim_end().to_owned(),
            })?;
        let count = written.rule.len();
        if count > PERSONAL_RULES_MAX {
            return Err(PersonalRuleError::TooMany { count });
        }
        let rules = (1..).zip(written.rule).map(|(number, rule)| {
            let wrong = |message| PersonalRuleError::Wrong { number, message };
            Rule::new(rule).map(Arc::new).map_err(wrong)
        });
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            off: written.off,
        })
    }
}

/// How a kind of personal data is recognised.
pub(super) struct Rule {
    pub(super) kind: Arc<str>,
    pub(super) description: String,
    pub(super) usual: bool,
    keywords: Vec<String>,
    regex: Regex,
    check: Option<Check>,
}

impl Rule {
    fn new(rule: WrittenRule) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=32).contains(&rule.kind.len()) || !rule.kind.bytes().all(plain) {
            return Err(
                "its `kind` must have 1 to 32 lower-case letters, digits and `-`".to_owned(),
            );
        }
        let fits = |text: &String| (1..=TEXT_BYTES_MAX).contains(&text.len());
        if !fits(&rule.description) || rule.description.contains(char::is_control) {
            return Err(format!(
                "its `description` must be one line of 1 to {TEXT_BYTES_MAX} bytes"
            ));
        }
        if rule.keywords.len() > KEYWORDS_MAX || !rule.keywords.iter().all(fits) {
            return Err(format!(
                "its `keywords` must be at most {KEYWORDS_MAX}, each of 1 to {TEXT_BYTES_MAX} bytes"
            ));
        }
        let bytes = rule.regex.len();
        if bytes > REGEX_BYTES_MAX {
            return Err(format!(
                "its `regex` has {bytes} bytes; at most {REGEX_BYTES_MAX} are possible"
            ));
        }
        let regex = RegexBuilder::new(&rule.regex)
            .size_limit(REGEX_COMPILED_BYTES_MAX)
            .dfa_size_limit(REGEX_COMPILED_BYTES_MAX)
            .build()
            .map_err(|error| format!("its `regex` is not understood: {error}"))?;
        if regex.is_match("") {
            return Err("its `regex` finds the empty text, and so every text".to_owned());
        }
        let keywords = rule.keywords.iter().map(|word| word.to_ascii_lowercase());
        Ok(Self {
            kind: rule.kind.into(),
            description: rule.description,
            usual: rule.usual,
            keywords: keywords.collect(),
            regex,
            check: rule.check,
        })
    }

    /// The places in a text: of a match that has a group `it`, that group.
    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        if !self.may_be_in(text) {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(captures) = self.regex.captures_at(text, from) {
            let Some(matched) = captures.name("it").or_else(|| captures.get(0)) else {
                break;
            };
            let passed = match self.check {
                None => Some(matched.len()),
                Some(check) => check.passes(matched.as_str()),
            };
            // What fails as a whole may hide what passes behind its first character.
            from = match passed {
                Some(length) => {
                    let end = matched.start() + length;
                    found.push(matched.start()..end);
                    end
                }
                None => text.ceil_char_boundary(matched.start() + 1),
            };
        }
        found
    }

    fn may_be_in(&self, text: &str) -> bool {
        let lower;
        let text = match self.keywords.as_slice() {
            [] => return true,
            words
                if words
                    .iter()
                    .any(|word| word.bytes().any(|b| b.is_ascii_alphabetic())) =>
            {
                lower = text.to_ascii_lowercase();
                &lower
            }
            _ => text,
        };
        self.keywords.iter().any(|word| text.contains(word))
    }
}
