//! The search in JSON values.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Hits, Redactor};

impl Redactor {
    /// Takes every secret out of a value: its texts, the names of its members, and its numbers. What has a secret only as a
    /// whole, such as a list with one character in each place, becomes a text.
    pub(crate) fn json(&self, value: &mut Value, hits: &mut Hits) {
        if self.is_empty() {
            return;
        }
        self.parts(value, hits);
        if matches!(value, Value::Array(_) | Value::Object(_)) && self.is_in(value) {
            self.whole(value, hits);
        }
    }

    fn parts(&self, value: &mut Value, hits: &mut Hits) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.text(text, hits) {
                    *text = clean;
                }
            }
            Value::Number(number) => {
                if let Cow::Owned(clean) = self.text(&number.to_string(), hits) {
                    *value = Value::String(clean);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.parts(item, hits)),
            Value::Object(members) => self.members(members, hits),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn members(&self, members: &mut Map<String, Value>, hits: &mut Hits) {
        for member in members.values_mut() {
            self.parts(member, hits);
        }
        if !members
            .keys()
            .any(|name| !self.found(name.as_bytes()).is_empty())
        {
            return;
        }
        for (name, member) in std::mem::take(members) {
            let clean = self.text(&name, hits).into_owned();
            let mut free = clean.clone();
            let mut count = 1;
            while members.contains_key(&free) {
                count += 1;
                free = format!("{clean} {count}");
            }
            members.insert(free, member);
        }
    }

    fn is_in(&self, value: &Value) -> bool {
        !self.found(value.to_string().as_bytes()).is_empty()
    }

    /// Replaces the smallest parts that have a secret.
    fn whole(&self, value: &mut Value, hits: &mut Hits) {
        let mut smaller = false;
        let parts: Vec<&mut Value> = match value {
            Value::Array(items) => items.iter_mut().collect(),
            Value::Object(members) => members.values_mut().collect(),
            _ => Vec::new(),
        };
        for part in parts {
            if self.is_in(part) {
                self.whole(part, hits);
                smaller = true;
            }
        }
        if !smaller || self.is_in(value) {
            let mut found = Hits::default();
            let _ = self.text(&value.to_string(), &mut found);
            let names: Vec<&str> = found.iter().map(|(name, _)| name).collect();
            *value = Value::String(self.places(&names));
            hits.merge(&found);
        }
    }

    /// What stands in the place of these secrets.
    fn places(&self, names: &[&str]) -> String {
        let places = self
            .names
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()));
        places.map(|(_, place)| place.as_str()).collect()
    }
}
