//! Rules, and the files they are in.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

/// The longest file of rules, in bytes.
pub const RULE_FILE_BYTES_MAX: usize = 1024 * 1024;
/// The most rules, the built-in ones included.
pub const RULES_MAX: usize = 500;
/// The longest regex, in bytes.
const REGEX_BYTES_MAX: usize = 4 * 1024;
/// The largest compiled regex, in bytes.
const REGEX_COMPILED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a regex may use while it searches, in bytes.
const REGEX_CACHE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The longest id, description, keyword or word to allow, in bytes.
const TEXT_BYTES_MAX: usize = 200;
/// The most keywords or words to allow of one rule.
const WORDS_MAX: usize = 200;
/// The most bits a character of a text can have that is not chosen to have more.
const ENTROPY_MAX: f64 = 6.0;

/// Why a file of rules is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// It is too long.
    #[error("the file of rules has {bytes} bytes; at most {RULE_FILE_BYTES_MAX} are read")]
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
        "there are {count} rules with those that are built in; at most {RULES_MAX} are possible"
    )]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// `off` names what is not there.
    #[error(
        "`off` names the rule `{rule}`, and there is none; `off` is for rules that are built in"
    )]
    NoSuchRule {
        /// What it names.
        rule: String,
    },
    /// A rule is wrong.
    #[error("rule `{rule}`: {message}")]
    Wrong {
        /// Which one: its id, or its number where it has none that can be shown.
        rule: String,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// A file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    off: Vec<String>,
    #[serde(default)]
    rule: Vec<WrittenRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    id: String,
    description: String,
    regex: String,
    keywords: Vec<String>,
    #[serde(default)]
    group: usize,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    mixed: bool,
    #[serde(default)]
    allow: Vec<String>,
}

/// A file of rules that was checked.
pub(super) struct File {
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) off: Vec<String>,
}

impl File {
    pub(super) fn read(toml: &str) -> Result<Self, RuleError> {
        let bytes = toml.len();
        if bytes > RULE_FILE_BYTES_MAX {
            return Err(RuleError::FileTooLong { bytes });
        }
        let written: Written = toml::from_str(toml).map_err(|error| RuleError::NotUnderstood {
            message: error.to_string().trim_end().to_owned(),
        })?;
        let count = written.rule.len();
        if count > RULES_MAX {
            return Err(RuleError::TooMany { count });
        }
        let allow = lower(&written.allow).map_err(|message| RuleError::NotUnderstood {
            message: format!("`allow`: {message}"),
        })?;
        let mut ids = BTreeSet::new();
        let mut rules = Vec::with_capacity(count);
        for (index, rule) in written.rule.into_iter().enumerate() {
            let named = if is_id(&rule.id) {
                rule.id.clone()
            } else {
                format!("number {}", index + 1)
            };
            let wrong = |message| RuleError::Wrong {
                rule: named.clone(),
                message,
            };
            if !ids.insert(rule.id.clone()) {
                return Err(wrong(
                    "another rule of the file has this id; give it one of its own".to_owned(),
                ));
            }
            rules.push(Arc::new(Rule::new(rule, &allow).map_err(wrong)?));
        }
        Ok(Self {
            rules,
            off: written.off,
        })
    }
}

fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Words in lower case.
fn lower(words: &[String]) -> Result<Vec<String>, String> {
    if words.len() > WORDS_MAX {
        return Err(format!(
            "{} words; at most {WORDS_MAX} are possible",
            words.len()
        ));
    }
    let checked = |word: &String| {
        if (1..=TEXT_BYTES_MAX).contains(&word.len()) {
            Ok(word.to_ascii_lowercase())
        } else {
            Err(format!(
                "a word has {} bytes; 1 to {TEXT_BYTES_MAX} are possible",
                word.len()
            ))
        }
    };
    words.iter().map(checked).collect()
}

/// How a kind of credential is recognised.
pub(super) struct Rule {
    pub(super) id: Arc<str>,
    pub(super) description: String,
    pub(super) keywords: Vec<String>,
    regex: Regex,
    group: usize,
    entropy: f64,
    mixed: bool,
    allow: Vec<String>,
}

impl Rule {
    fn new(rule: WrittenRule, allow: &[String]) -> Result<Self, String> {
        if !is_id(&rule.id) {
            return Err("its `id` must have 1 to 64 letters, digits and `-`".to_owned());
        }
        let described = 1..=TEXT_BYTES_MAX;
        if !described.contains(&rule.description.len())
            || rule.description.contains(char::is_control)
        {
            return Err(format!(
                "its `description` must be one line of 1 to {TEXT_BYTES_MAX} bytes"
            ));
        }
        if rule.keywords.is_empty() {
            return Err(
                "it needs `keywords`: a text is searched only if it has one of them".to_owned(),
            );
        }
        if !(0.0..=ENTROPY_MAX).contains(&rule.entropy) {
            return Err(format!(
                "its `entropy` is {}; 0 to {ENTROPY_MAX} bits a character are possible",
                rule.entropy
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
            .dfa_size_limit(REGEX_CACHE_BYTES_MAX)
            .build()
            .map_err(|error| format!("its `regex` is not understood: {error}"))?;
        if rule.group >= regex.captures_len() {
            return Err(format!(
                "its `group` is {}, and its `regex` has {} groups",
                rule.group,
                regex.captures_len() - 1
            ));
        }
        if regex.is_match("") {
            return Err("its `regex` finds the empty text, and so every text".to_owned());
        }
        let keywords = lower(&rule.keywords).map_err(|message| format!("`keywords`: {message}"))?;
        let own = lower(&rule.allow).map_err(|message| format!("`allow`: {message}"))?;
        Ok(Self {
            id: rule.id.into(),
            description: rule.description,
            keywords,
            regex,
            group: rule.group,
            entropy: rule.entropy,
            mixed: rule.mixed,
            allow: allow.iter().cloned().chain(own).collect(),
        })
    }

    /// The credentials in a text.
    pub(super) fn find(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        let ranges = self.regex.captures_iter(text);
        ranges.filter_map(|captures| {
            let found = captures.get(self.group)?;
            self.is_likely(found.as_str()).then(|| found.range())
        })
    }

    fn is_likely(&self, value: &str) -> bool {
        if value.is_empty() {
            return false;
        }
        let lower = value.to_ascii_lowercase();
        let is_mixed = || {
            value.bytes().any(|b| b.is_ascii_digit())
                && value.bytes().any(|b| b.is_ascii_alphabetic())
        };
        !self.allow.iter().any(|word| lower.contains(word.as_str()))
            && (!self.mixed || is_mixed())
            && entropy(value) >= self.entropy
    }
}

/// How many bits a character of a text has, were its characters drawn as often as they are in it.
fn entropy(text: &str) -> f64 {
    let mut counts: BTreeMap<char, u32> = BTreeMap::new();
    let mut all = 0_u32;
    for c in text.chars() {
        *counts.entry(c).or_default() += 1;
        all = all.saturating_add(1);
    }
    let share = |count: &u32| f64::from(*count) / f64::from(all);
    counts
        .values()
        .map(share)
        .map(|share| -share * share.log2())
        .sum()
}
