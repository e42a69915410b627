//! Texts that look like credentials which nobody registered: in what tools answer, and in what a model writes.

use std::{path::Path, sync::Arc};

use serde_json::Value;
use toolcell_policy::{Layers, UnknownSecrets as Mode};

use super::load::{absolute, read_rules};
use crate::{
    Content, Error, ErrorKind, LikelySecret, Result, ToolFailure,
    secrets::{Finding, RULE_FILE_BYTES_MAX, UNKNOWN_SEARCH_BYTES_MAX, UnknownSecrets},
};

/// What the policy wants done about texts that look like credentials which nobody registered. Clones are one.
///
/// What it finds is likely and never certain, and what it does not find is no proof.
#[derive(Clone, Debug, Default)]
pub struct LikelySecrets {
    /// Absent where nothing is searched.
    search: Option<Arc<UnknownSecrets>>,
    replaces: bool,
}

impl LikelySecrets {
    /// As the policy says, with the rules of its files.
    ///
    /// # Errors
    ///
    /// `invalid_policy` where a file of rules cannot be used.
    pub(super) fn of(layers: &Layers, base_dir: Option<&Path>) -> Result<Self> {
        let mode = layers.unknown_secrets();
        if mode == Mode::Off {
            return Ok(Self::default());
        }
        let mut search = UnknownSecrets::builtin();
        for (written, base, rule) in layers.secret_rules() {
            let wrong = |why: String| {
                let message = format!("{rule}: the rules in `{written}` cannot be used: {why}");
                Error::new(ErrorKind::InvalidPolicy, message).with_help(
                    "`secrets.rules` names a file with rules in the form of the built-in ones.",
                )
            };
            let path = absolute(base_dir, written, base).map_err(|error| error.at(rule))?;
            let text =
                read_rules(&path, RULE_FILE_BYTES_MAX).map_err(|error| wrong(error.to_string()))?;
            search = search
                .with_rules(&text)
                .map_err(|error| wrong(error.to_string()))?;
        }
        Ok(Self {
            search: Some(Arc::new(search)),
            replaces: mode == Mode::Redact,
        })
    }

    /// Whether what is found is replaced by `[likely secret RULE]`, and not only told.
    pub fn replaces(&self) -> bool {
        self.replaces
    }

    /// Says what in a text looks like a credential, and replaces it where the policy wants that. Of a text with more than
    /// 4 MiB, the rest is not searched.
    pub fn look(&self, text: &mut String) -> Vec<LikelySecret> {
        let mut look = Look::new(self);
        look.text(text);
        look.found
    }

    /// As [`look`](Self::look), in everything of an answer that is a text: 4 MiB of it in all.
    pub(super) fn content(&self, content: &mut [Content]) -> Vec<LikelySecret> {
        let mut look = Look::new(self);
        for piece in content {
            match piece {
                Content::Text { text } => look.text(text),
                Content::Json { json } => look.json(json),
                Content::Image { .. } | Content::Audio { .. } => {}
                Content::Resource { uri, text, .. } => {
                    look.text(uri);
                    text.iter_mut().for_each(|it| look.text(it));
                }
            }
        }
        look.found
    }

    /// As [`look`](Self::look), in the tool's own words for a failure.
    pub(super) fn failure(&self, failure: &mut ToolFailure) -> Vec<LikelySecret> {
        let mut look = Look::new(self);
        look.text(&mut failure.message);
        failure.tool_code.iter_mut().for_each(|it| look.text(it));
        look.found
    }
}

/// One search.
struct Look<'a> {
    likely: &'a LikelySecrets,
    /// How many bytes may still be searched, so that no answer takes long.
    left: usize,
    found: Vec<LikelySecret>,
}

impl<'a> Look<'a> {
    fn new(likely: &'a LikelySecrets) -> Self {
        Self {
            likely,
            left: UNKNOWN_SEARCH_BYTES_MAX,
            found: Vec::new(),
        }
    }

    fn text(&mut self, text: &mut String) {
        let Some(search) = &self.likely.search else {
            return;
        };
        let end = text.floor_char_boundary(self.left);
        self.left -= end;
        let (searched, rest) = text.split_at(end);
        if self.likely.replaces {
            let (clean, found) = search.redact(searched);
            if !found.is_empty() {
                let clean = clean.into_owned() + rest;
                self.count(search, &found);
                *text = clean;
            }
        } else {
            let found = search.find(searched);
            self.count(search, &found);
        }
    }

    /// A value is searched text by text, and as a whole: a name beside a text may be what tells that it is a credential.
    fn json(&mut self, json: &mut Value) {
        let before: u64 = self.found.iter().map(|it| it.count).sum();
        self.texts(json);
        let after: u64 = self.found.iter().map(|it| it.count).sum();
        if before != after && !self.likely.replaces {
            // It would only be told twice.
            return;
        }
        let mut text = json.to_string();
        self.text(&mut text);
        if self.likely.replaces
            && let Ok(clean) = serde_json::from_str(&text)
        {
            *json = clean;
        }
    }

    fn texts(&mut self, json: &mut Value) {
        match json {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.texts(item)),
            Value::Object(members) => members.values_mut().for_each(|it| self.texts(it)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn count(&mut self, search: &UnknownSecrets, found: &[Finding]) {
        for finding in found {
            if let Some(known) = self.found.iter_mut().find(|it| *it.rule == *finding.rule) {
                known.count += 1;
                continue;
            }
            let mut rules = search.rules();
            let about = rules.find(|(id, _)| *id == &*finding.rule);
            self.found.push(LikelySecret {
                rule: finding.rule.to_string(),
                about: about.map_or_else(String::new, |(_, about)| in_a_sentence(about)),
                count: 1,
                replaced: self.likely.replaces,
            });
        }
    }
}

/// `A GitHub access token` as it stands in the middle of a sentence.
fn in_a_sentence(about: &str) -> String {
    match about.split_once(' ') {
        Some((article @ ("A" | "An" | "The"), rest)) => {
            format!("{} {rest}", article.to_ascii_lowercase())
        }
        _ => about.to_owned(),
    }
}

#[cfg(test)]
mod tests;
