//! Texts that look like personal data, in what is stored or sent to observers.
//!
//! The rules are in `host/data/personal-data.toml`, which says what a rule has. What they find is likely and never
//! certain, and what they do not find is no proof: whoever must be sure stores nothing.

mod check;
mod rules;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, LazyLock},
};

use serde_json::Value;

use rules::{File, Rule};
pub use rules::{PERSONAL_RULE_FILE_BYTES_MAX, PERSONAL_RULES_MAX, PersonalRuleError};

/// The rules that are built in.
const BUILTIN: &str = include_str!("../../data/personal-data.toml");

static BUILTIN_RULES: LazyLock<Vec<Arc<Rule>>> = LazyLock::new(|| {
    // A test reads the same file and takes no error.
    File::read(BUILTIN)
        .map(|file| file.rules)
        .unwrap_or_default()
});

/// What is done about personal data that is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// `[kind]` takes its place.
    Mask,
    /// The whole text that holds it goes.
    Drop,
}

/// Searches for personal data and takes it out.
#[derive(Clone)]
pub struct PersonalData {
    rules: Arc<[Arc<Rule>]>,
    then: Then,
}

impl std::fmt::Debug for PersonalData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PersonalData")
            .field("kinds", &self.kinds())
            .field("then", &self.then)
            .finish()
    }
}

/// The rules to choose from.
#[derive(Clone)]
pub struct PersonalRules(Vec<Arc<Rule>>);

impl PersonalRules {
    /// Those that are built in.
    pub fn builtin() -> Self {
        Self(BUILTIN_RULES.clone())
    }

    /// Adds the rules of a file in the form of the built-in one. Those of a known kind take the place of the others.
    ///
    /// # Errors
    ///
    /// Where the file or one of its rules is wrong. It names the rule.
    pub fn with_rules(mut self, toml: &str) -> Result<Self, PersonalRuleError> {
        let file = File::read(toml)?;
        for off in &file.off {
            if !self.0.iter().any(|rule| *rule.kind == **off) {
                return Err(PersonalRuleError::NoSuchKind { kind: off.clone() });
            }
        }
        self.0.retain(|rule| {
            let replaced = file.rules.iter().any(|other| other.kind == rule.kind);
            !replaced && !file.off.iter().any(|off| **off == *rule.kind)
        });
        self.0.extend(file.rules);
        if self.0.len() > PERSONAL_RULES_MAX {
            let count = self.0.len();
            return Err(PersonalRuleError::TooMany { count });
        }
        Ok(self)
    }

    /// Every kind, and what its first rule finds, in the order of the rules.
    pub fn kinds(&self) -> Vec<(&str, &str)> {
        let mut kinds: Vec<(&str, &str)> = Vec::new();
        for rule in &self.0 {
            if !kinds.iter().any(|(kind, _)| *kind == &*rule.kind) {
                kinds.push((&rule.kind, &rule.description));
            }
        }
        kinds
    }

    /// A search that puts `[kind]` in the place of what it finds: of these kinds, or of the usual ones where none is named.
    pub fn mask(&self, kinds: &[String]) -> PersonalData {
        self.search(kinds, Then::Mask)
    }

    /// A search that leaves nothing of a text in which it finds something but `[dropped: kind]`.
    pub fn drop(&self, kinds: &[String]) -> PersonalData {
        self.search(kinds, Then::Drop)
    }

    fn search(&self, kinds: &[String], then: Then) -> PersonalData {
        let wanted = |rule: &&Arc<Rule>| match kinds {
            [] => rule.usual,
            kinds => kinds.iter().any(|kind| **kind == *rule.kind),
        };
        PersonalData {
            rules: self.0.iter().filter(wanted).cloned().collect(),
            then,
        }
    }
}

impl PersonalData {
    /// The kinds that are searched for.
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = self.rules.iter().map(|rule| &*rule.kind).collect();
        kinds.dedup();
        kinds
    }

    /// The text without what looks like personal data.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        if self.then == Then::Drop {
            let mut kinds: Vec<&str> = found.values().map(|(_, kind)| &**kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            return Cow::Owned(format!("[dropped: {}]", kinds.join(", ")));
        }
        let mut clean = String::with_capacity(text.len());
        let mut done = 0;
        for (range, kind) in found.values() {
            clean.push_str(text.get(done..range.start).unwrap_or_default());
            clean.push('[');
            clean.push_str(kind);
            clean.push(']');
            done = range.end;
        }
        clean.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(clean)
    }

    /// Takes it out of a value: of every text in it, of the names of members, and of numbers that are too long to be
    /// counted with. Whether anything was found.
    pub fn json(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.text(text) {
                Cow::Borrowed(_) => false,
                Cow::Owned(clean) => {
                    *text = clean;
                    true
                }
            },
            Value::Number(number) => {
                let digits = number.to_string();
                let Cow::Owned(clean) = self.text(&digits) else {
                    return false;
                };
                *value = Value::String(clean);
                true
            }
            Value::Array(items) => self.all(items.iter_mut()),
            Value::Object(members) => {
                let inside = self.all(members.values_mut());
                self.names(members) || inside
            }
            Value::Null | Value::Bool(_) => false,
        }
    }

    fn all<'v>(&self, values: impl Iterator<Item = &'v mut Value>) -> bool {
        let found = values.map(|value| self.json(value));
        found.filter(|found| *found).count() > 0
    }

    fn names(&self, members: &mut serde_json::Map<String, Value>) -> bool {
        let clean = |name: &String| self.text(name).into_owned();
        if members.keys().all(|name| clean(name) == *name) {
            return false;
        }
        let old = std::mem::take(members);
        for (name, value) in old {
            let mut new = clean(&name);
            // Two names may look the same from now on, and both their values stay.
            while members.contains_key(&new) {
                new.push('\'');
            }
            members.insert(new, value);
        }
        true
    }

    /// The places, first to last; none overlaps another. Of two that do the one that begins first is taken.
    fn find(&self, text: &str) -> BTreeMap<usize, (Range<usize>, Arc<str>)> {
        let mut found: BTreeMap<usize, (Range<usize>, Arc<str>)> = BTreeMap::new();
        for rule in self.rules.iter() {
            for range in rule.find(text) {
                let before = found.range(..range.end).next_back();
                if before.is_none_or(|(_, (other, _))| other.end <= range.start) {
                    found.insert(range.start, (range, Arc::clone(&rule.kind)));
                }
            }
        }
        found
    }
}
