//! Texts that look like credentials which nobody registered.
//!
//! The rules are in `host/data/unknown-secrets.toml`, which says what a rule has. What they find is likely and never
//! certain, and what they do not find is no proof: the search for known values is what is relied on.

mod rules;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, LazyLock},
};

use aho_corasick::{AhoCorasick, MatchKind};
use rules::{File, Rule};
pub use rules::{RULE_FILE_BYTES_MAX, RULES_MAX, RuleError};

/// The rules that are built in.
const BUILTIN: &str = include_str!("../../data/unknown-secrets.toml");
/// How much of a text is searched. What stands behind it is not.
pub const UNKNOWN_SEARCH_BYTES_MAX: usize = 4 * 1024 * 1024;

static BUILTIN_RULES: LazyLock<Vec<Arc<Rule>>> = LazyLock::new(|| {
    // A test reads the same file and takes no error.
    File::read(BUILTIN)
        .map(|file| file.rules)
        .unwrap_or_default()
});

/// A place that looks like a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The rule that found it.
    pub rule: Arc<str>,
    /// Where it is in the text, in bytes.
    pub range: Range<usize>,
}

/// Searches for what looks like a credential.
#[derive(Clone)]
pub struct UnknownSecrets {
    rules: Vec<Arc<Rule>>,
    keywords: Option<Arc<AhoCorasick>>,
    /// The rules of each keyword.
    of_keyword: Vec<Vec<usize>>,
}

impl std::fmt::Debug for UnknownSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnknownSecrets")
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

impl UnknownSecrets {
    /// Searches with the rules that are built in.
    pub fn builtin() -> Self {
        Self::of(BUILTIN_RULES.clone())
    }

    /// Adds the rules of a file in the form of the built-in one. One with a known id takes the place of the other.
    ///
    /// # Errors
    ///
    /// Where the file or one of its rules is wrong. It names the rule.
    pub fn with_rules(self, toml: &str) -> Result<Self, RuleError> {
        let file = File::read(toml)?;
        let mut rules = self.rules;
        for off in &file.off {
            let before = rules.len();
            rules.retain(|rule| *rule.id != **off);
            if rules.len() == before {
                return Err(RuleError::NoSuchRule { rule: off.clone() });
            }
        }
        for rule in file.rules {
            match rules.iter_mut().find(|known| known.id == rule.id) {
                Some(known) => *known = rule,
                None => rules.push(rule),
            }
        }
        if rules.len() > RULES_MAX {
            return Err(RuleError::TooMany { count: rules.len() });
        }
        Ok(Self::of(rules))
    }

    fn of(rules: Vec<Arc<Rule>>) -> Self {
        let mut of_keyword: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, rule) in rules.iter().enumerate() {
            for keyword in &rule.keywords {
                of_keyword.entry(keyword).or_default().push(index);
            }
        }
        let keywords = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(of_keyword.keys())
            .ok()
            .map(Arc::new);
        let of_keyword = of_keyword.into_values().collect();
        Self {
            rules,
            keywords,
            of_keyword,
        }
    }

    /// The id and the description of every rule.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &str)> {
        let shown = |rule| -> (&str, &str) {
            let rule: &Rule = rule;
            (&rule.id, &rule.description)
        };
        self.rules.iter().map(move |rule| shown(rule))
    }

    /// The places that look like credentials, first to last; none overlaps another.
    pub fn find(&self, text: &str) -> Vec<Finding> {
        let text = text
            .get(..text.floor_char_boundary(UNKNOWN_SEARCH_BYTES_MAX))
            .unwrap_or(text);
        let mut found: BTreeMap<usize, Finding> = BTreeMap::new();
        for rule in self.likely(text) {
            for range in rule.find(text) {
                let before = found.range(..range.end).next_back();
                if before.is_none_or(|(_, other)| other.range.end <= range.start) {
                    let rule = Arc::clone(&rule.id);
                    found.insert(range.start, Finding { rule, range });
                }
            }
        }
        found.into_values().collect()
    }

    /// The text with `[likely secret RULE]` in every such place.
    pub fn redact<'a>(&self, text: &'a str) -> (Cow<'a, str>, Vec<Finding>) {
        let found = self.find(text);
        if found.is_empty() {
            return (Cow::Borrowed(text), found);
        }
        let mut clean = String::with_capacity(text.len());
        let mut done = 0;
        for finding in &found {
            clean.push_str(text.get(done..finding.range.start).unwrap_or_default());
            clean.push_str("[likely secret ");
            clean.push_str(&finding.rule);
            clean.push(']');
            done = finding.range.end;
        }
        clean.push_str(text.get(done..).unwrap_or_default());
        (Cow::Owned(clean), found)
    }

    /// The rules with a keyword in the text, in their order.
    fn likely(&self, text: &str) -> Vec<&Rule> {
        let mut likely = vec![false; self.rules.len()];
        let mut seen = vec![false; self.of_keyword.len()];
        let Some(keywords) = &self.keywords else {
            return Vec::new();
        };
        for keyword in keywords.find_overlapping_iter(text) {
            let keyword = keyword.pattern().as_usize();
            let Some(seen) = seen.get_mut(keyword).filter(|seen| !**seen) else {
                continue;
            };
            *seen = true;
            for rule in self.of_keyword.get(keyword).into_iter().flatten() {
                if let Some(likely) = likely.get_mut(*rule) {
                    *likely = true;
                }
            }
        }
        let rules = self.rules.iter().zip(likely);
        rules
            .filter_map(|(rule, likely)| likely.then_some(&**rule))
            .collect()
    }
}
